using Shimmy.Engine;
using Shimmy.Worker.Native;
using static Shimmy.Worker.Native.LlamaApi;

namespace Shimmy.Worker.Model;

/// <summary>
/// Embeds texts. A model that generates gets a second context for it, made at the first use, so that embedding needs no start-up flag and
/// costs nothing where nobody asks; a model that only embeds has but this one. Used by the scheduler's thread alone.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Lives as long as its process.")]
internal sealed unsafe class EmbeddingContext
{
    // What a model that generates may be given to embed at once: its whole context would be memory for a rare wish.
    private const int LongestOfGenerators = 8192;

    private readonly LlamaModel _model;
    private readonly ContextHandle _context;
    private readonly DecodeBatch _batch;
    private readonly int _values;
    private AdapterSet? _adapters;

    private EmbeddingContext(LlamaModel model, ContextHandle context)
    {
        _model = model;
        _context = context;
        _batch = new DecodeBatch((int)llama_n_batch(context));
        _values = model.Pooling == PoolingType.Rank ? (int)llama_model_n_cls_out(model.Handle) : llama_model_n_embd_out(model.Handle);
    }

    /// <summary>Most tokens of one text; from any thread.</summary>
    public static int LongestOf(LlamaModel model) =>
        // llama.cpp rounds contexts up, beyond the positions that BERT and its like were given.
        Math.Min(model.ContextLength, model.CanGenerate ? LongestOfGenerators : llama_model_n_ctx_train(model.Handle));

    /// <summary>Makes one for a loaded model. Throws <see cref="EngineException"/> where there is no memory for it.</summary>
    public static EmbeddingContext Create(LlamaModel model)
    {
        if (!model.CanGenerate)
            return new EmbeddingContext(model, model.Context);
        NativeLog.TakeErrors();
        var parameters = Params(model.Spec, model.Pooling, LongestOf(model), canGenerate: true);
        var context = llama_init_from_model(model.Handle, parameters);
        if (context == 0)
            throw new EngineException(EngineFailure.GenerationFailed, $"there is no memory to embed with this model: {NativeLog.TakeErrors()}");
        return new EmbeddingContext(model, new ContextHandle(context, model.Handle));
    }

    /// <summary>How such a context is made.</summary>
    public static LlamaContextParams Params(ModelSpec spec, PoolingType pooling, int contextLength, bool canGenerate)
    {
        var parameters = llama_context_default_params();
        parameters.ContextLength = (uint)contextLength;
        // Only the last token's state, of a model that looks backwards alone, can be had of a text in chunks.
        var chunk = canGenerate && pooling == PoolingType.Last ? Math.Min(spec.BatchSize, contextLength) : contextLength;
        parameters.BatchSize = (uint)chunk;
        parameters.MicroBatchSize = (uint)chunk;
        parameters.MaxSequences = 1;
        ContextTuning.Apply(spec.Tuning, ref parameters);
        parameters.PoolingType = (int)pooling;
        parameters.Embeddings = 1;
        parameters.NoPerf = 1;
        return parameters;
    }

    /// <summary>
    /// Computes one text of at most <see cref="LongestOf"/> tokens with these adapters. Throws <see cref="EngineException"/> for one that llama.cpp cannot
    /// compute.
    /// </summary>
    public Embedding Compute(IReadOnlyList<int> tokens, AdapterSet adapters)
    {
        _model.Threads.UseFor(_context);
        UseAdapters(adapters);
        llama_memory_clear(llama_get_memory(_context), data: false);
        for (var position = 0; position < tokens.Count;)
        {
            _batch.Clear();
            while (position < tokens.Count && _batch.Room > 0)
                _batch.Add(tokens[position], position++, 0, logits: true);
            var code = _batch.Decode(_context);
            if (code != 0)
                throw new EngineException(EngineFailure.GenerationFailed, $"llama.cpp could not embed (code {code}): {NativeLog.TakeErrors()}");
        }
        llama_synchronize(_context);
        var values = llama_get_embeddings_seq(_context, 0);
        return values is null
            ? throw new EngineException(EngineFailure.GenerationFailed, "llama.cpp gave no embedding of the text")
            : new Embedding(new ReadOnlySpan<float>(values, _values).ToArray(), tokens.Count);
    }

    private void UseAdapters(AdapterSet set)
    {
        if (_context == _model.Context)
        {
            _model.UseAdapters(set);
            return;
        }
        if (_model.Adapters.Facts.Count == 0 || set.Equals(_adapters))
            return;
        _model.Adapters.Apply(_context, set);
        _adapters = set;
    }
}

/// <summary><c>enum llama_pooling_type</c>: how the states of a text's tokens become one embedding.</summary>
internal enum PoolingType
{
    /// <summary>They do not: a state for each token.</summary>
    None = 0,

    /// <summary>Their mean.</summary>
    Mean = 1,

    /// <summary>The first token's.</summary>
    Cls = 2,

    /// <summary>The last token's.</summary>
    Last = 3,

    /// <summary>A classifier's scores: a reranker.</summary>
    Rank = 4,
}
