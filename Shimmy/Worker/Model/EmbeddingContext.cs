using Shimmy.Engine;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>
/// A context that embeds texts. A model that generates gets one beside its own, made at the first use, so that embedding needs no start-up
/// flag and costs nothing where it is not used; a model that only embeds uses its one context. Used by the scheduler's thread only.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Lives as long as its process.")]
internal sealed class EmbeddingContext
{
    // In tokens, for a model that generates: a second context of full size would cost memory for a rare use.
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
        _batch = new DecodeBatch(context.BatchSize);
        _values = model.Metadata.Pooling == PoolingType.Rank ? model.Handle.ClassifierOutputs : model.Handle.OutputEmbeddingLength;
    }

    /// <summary>Most tokens of one text; from any thread.</summary>
    public static int LongestOf(LlamaModel model) =>
        // llama.cpp rounds contexts up, beyond the positions that BERT and its like were given.
        Math.Min(model.ContextLength, model.Metadata.CanGenerate ? LongestOfGenerators : model.Handle.TrainedContext);

    /// <summary>Makes one for a loaded model. Throws <see cref="EngineException"/> where there is no memory for it.</summary>
    public static EmbeddingContext Create(LlamaModel model)
    {
        if (!model.Metadata.CanGenerate)
            return new EmbeddingContext(model, model.Context);
        NativeLog.TakeErrors();
        var parameters = ContextParameters.ForEmbedding(model.Spec, model.Metadata, LongestOf(model));
        return ContextHandle.Create(model.Handle, parameters) is { } context
            ? new EmbeddingContext(model, context)
            : throw new EngineException(EngineFailure.GenerationFailed,
                $"there is no memory to embed with this model: {NativeLog.TakeErrors()}");
    }

    /// <summary>
    /// Computes one text of at most <see cref="LongestOf"/> tokens with these adapters: its embedding, or those of all its tokens one after
    /// another where nothing is pooled. Throws <see cref="EngineException"/> for one that llama.cpp cannot compute.
    /// </summary>
    public Embedding Compute(IReadOnlyList<int> tokens, AdapterSet adapters)
    {
        _model.Threads.UseFor(_context);
        UseAdapters(adapters);
        _context.ClearCells();
        var everyToken = _model.Metadata.Pooling == PoolingType.None ? new List<float>(tokens.Count * _values) : null;
        for (var position = 0; position < tokens.Count;)
        {
            _batch.Clear();
            while (position < tokens.Count && _batch.Room > 0)
                _batch.Add(tokens[position], position++, 0, logits: true);
            var code = _batch.Decode(_context);
            if (code != 0)
            {
                throw new EngineException(EngineFailure.GenerationFailed,
                    $"llama.cpp could not embed (code {code}): {NativeLog.TakeErrors()}");
            }
            if (everyToken is null)
                continue;
            _context.Synchronize();
            for (var i = 0; i < _batch.Count; i++)
                everyToken.AddRange(_context.TokenEmbedding(i, _values));
        }
        _context.Synchronize();
        if (everyToken is not null)
        {
            return everyToken.Count == tokens.Count * _values
                ? new Embedding([.. everyToken], tokens.Count)
                : throw new EngineException(EngineFailure.GenerationFailed, "llama.cpp gave no embeddings of the text's tokens");
        }
        var values = _context.Embedding(0, _values);
        return values.IsEmpty
            ? throw new EngineException(EngineFailure.GenerationFailed, "llama.cpp gave no embedding of the text")
            : new Embedding(values.ToArray(), tokens.Count);
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
