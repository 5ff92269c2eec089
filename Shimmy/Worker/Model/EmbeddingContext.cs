using Shimmy.Engine;
using Shimmy.Worker.Media;
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

    /// <summary>
    /// Refuses media that cannot be computed in one step each, before they are encoded; from any thread. Throws
    /// <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>).
    /// </summary>
    public static void CheckSizes(LlamaModel model, IReadOnlyList<MediaSpan> media)
    {
        if (media.Count == 0)
            return;
        var most = (int)ParametersOf(model).BatchSize;
        foreach (var span in media)
            CheckSize(span, most);
    }

    private static void CheckSize(MediaSpan span, int most)
    {
        if (span.Chunk.Native.Tokens > most)
        {
            throw new EngineException(EngineFailure.InvalidRequest, $"has a picture of {span.Chunk.Native.Tokens} tokens; "
                + $"at most {most} of one are embedded (--batch, --image-max-tokens)");
        }
    }

    private static LlamaContextParams ParametersOf(LlamaModel model) => ContextParameters.ForEmbedding(
        model.Spec, model.Metadata, LongestOf(model), model.Projector?.LargestNonCausal ?? 0);

    /// <summary>Makes one for a loaded model. Throws <see cref="EngineException"/> where there is no memory for it.</summary>
    public static EmbeddingContext Create(LlamaModel model)
    {
        if (!model.Metadata.CanGenerate)
            return new EmbeddingContext(model, model.Context);
        NativeLog.TakeErrors();
        return ContextHandle.Create(model.Handle, ParametersOf(model)) is { } context
            ? new EmbeddingContext(model, context)
            : throw new EngineException(EngineFailure.GenerationFailed,
                $"out of memory while creating the embedding context: {NativeLog.TakeErrors()}");
    }

    /// <summary>
    /// Computes one text of at most <see cref="LongestOf"/> tokens with these adapters: its embedding, or those of all its tokens one after
    /// another where nothing is pooled. Throws <see cref="EngineException"/> for one that llama.cpp cannot compute.
    /// </summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="media">The places of the pictures among them, encoded.</param>
    /// <param name="adapters">The adapters.</param>
    public Embedding Compute(IReadOnlyList<int> tokens, IReadOnlyList<MediaSpan> media, AdapterSet adapters)
    {
        _model.Threads.UseFor(_context);
        UseAdapters(adapters);
        _context.ClearCells();
        var pooled = new PooledStates(_model.Metadata.Pooling, _values, tokens.Count);
        var next = 0;
        for (var index = 0; index < tokens.Count;)
        {
            int count;
            if (next < media.Count && media[next].Start == index)
            {
                count = DecodeMedium(media[next++], media);
            }
            else
            {
                var end = next < media.Count ? media[next].Start : tokens.Count;
                _batch.Clear();
                for (var i = index; i < end && _batch.Free > 0; i++)
                    _batch.Add(tokens[i], MediaSpan.PositionAt(i, media), 0, logits: true);
                count = _batch.Count;
                Check(_batch.Decode(_context));
            }
            _context.Synchronize();
            pooled.Take(_context, count);
            index += count;
        }
        return new Embedding(pooled.Values, tokens.Count);
    }

    // All of a chunk in one step: a picture's tokens may see each other.
    private int DecodeMedium(MediaSpan span, IReadOnlyList<MediaSpan> media)
    {
        var (chunk, native) = (span.Chunk, span.Chunk.Native);
        if (chunk.Embeddings is not { } embeddings)
            throw new EngineException(EngineFailure.GenerationFailed, chunk.Medium.Failure ?? "a picture was not encoded");
        // llama.cpp ends its process at more than it takes.
        CheckSize(span, _context.BatchSize);
        if (native.NonCausal)
            _context.UseCausalAttention(false);
        var code = EmbeddingBatch.Decode(_context, embeddings, native.Tokens,
            chunk.PositionsOf(MediaSpan.PositionAt(span.Start, media), 0, native.Tokens), 0, outputs: native.Tokens);
        _context.Synchronize();
        if (native.NonCausal)
            _context.UseCausalAttention(true);
        Check(code);
        return native.Tokens;
    }

    private static void Check(int code)
    {
        if (code != 0)
        {
            throw new EngineException(EngineFailure.GenerationFailed,
                $"llama.cpp could not embed (code {code}): {NativeLog.TakeErrors()}");
        }
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

/// <summary>
/// The embedding of a text out of the steps that it was computed in. A text without pictures has one step where its tokens are pooled; of
/// several, each pools its own tokens.
/// </summary>
/// <param name="pooling">How its tokens become one.</param>
/// <param name="width">Values of an embedding.</param>
/// <param name="tokens">Tokens of the text.</param>
internal sealed class PooledStates(PoolingType pooling, int width, int tokens)
{
    private readonly List<float> _everyToken = [];
    private float[]? _values;

    /// <summary>The embedding, or those of all tokens. Throws <see cref="EngineException"/> where llama.cpp gave none.</summary>
    public float[] Values => pooling != PoolingType.None
        ? _values ?? throw new EngineException(EngineFailure.GenerationFailed, "llama.cpp gave no embedding of the text")
        : _everyToken.Count == tokens * width
            ? [.. _everyToken]
            : throw new EngineException(EngineFailure.GenerationFailed, "llama.cpp gave no embeddings of the text's tokens");

    /// <summary>Takes what the last step of so many tokens gave.</summary>
    public void Take(ContextHandle context, int count)
    {
        if (pooling == PoolingType.None)
        {
            for (var i = 0; i < count; i++)
                _everyToken.AddRange(context.TokenEmbedding(i, width));
            return;
        }
        var values = context.Embedding(0, width);
        if (values.IsEmpty)
            return;
        if (pooling == PoolingType.Mean && count < tokens)
        {
            // Each step counts with its tokens.
            _values ??= new float[width];
            for (var i = 0; i < width; i++)
                _values[i] += values[i] * count / tokens;
        }
        else if (pooling != PoolingType.Cls || _values is null)
        {
            _values = values.ToArray();
        }
    }
}
