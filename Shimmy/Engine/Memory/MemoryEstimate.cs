using Shimmy.Gguf;

namespace Shimmy.Engine.Memory;

/// <summary>
/// Estimate of a worker's memory for a model, by parts, in bytes. Counts what becomes resident: llama.cpp reserves more for
/// its compute buffers (the logits of a whole batch, for one) than it ever touches on the CPU.
/// </summary>
/// <param name="Weights">The file: tensors, and the vocabulary once more as llama.cpp keeps it.</param>
/// <param name="KeyValueCache">Keys and values of all cells, and the state of recurrent layers.</param>
/// <param name="Compute">Activations of one batch; on a GPU all that is reserved.</param>
/// <param name="Process">The worker itself with its libraries.</param>
internal sealed record MemoryEstimate(long Weights, long KeyValueCache, long Compute, long Process)
{
    // Measured on linux-x64 with models from 1 MB to 660 MB: the published worker after a full batch (benchmark memory).
    private const long ProcessBytes = 21L << 20;
    private const long BytesPerToken = 180;

    // llama.cpp rounds the number of cells up to a multiple of this (llama-context.cpp).
    private const int CellPadding = 256;

    /// <summary>
    /// The default memory budget of all models together, in bytes: nine tenths of the memory of this machine or container. The rest is for
    /// the system and other programs.
    /// </summary>
    public static long DefaultBudget { get; } = MachineMemory.Bytes / 10 * 9;

    /// <summary>States of prompts, where <c>--prefix-memory</c> says how many bytes they may take.</summary>
    public long Prefixes { get; init; }

    /// <summary>All parts together.</summary>
    public long Total => Weights + KeyValueCache + Compute + Process + Prefixes;

    /// <summary>
    /// The estimate for a model. Reads the header of its first file; a file that cannot be read counts with its size.
    /// </summary>
    /// <param name="spec">How it is to be loaded.</param>
    /// <param name="sizeBytes">Bytes of its file, all shards together.</param>
    /// <param name="onGpu">Whether a GPU computes, which takes its buffers whole.</param>
    /// <param name="headers">Reads the headers; null reads them anew.</param>
    public static MemoryEstimate Of(ModelSpec spec, long sizeBytes, bool onGpu = false, HeaderCache? headers = null)
    {
        headers ??= new HeaderCache();
        try
        {
            var estimate = Of(headers.Read(spec.Path), sizeBytes + LoraBytes(spec), spec, onGpu);
            if (spec.Draft is not { } draft)
                return estimate;
            var second = Of(headers.Read(draft), new FileInfo(draft).Length, spec, onGpu);
            return new MemoryEstimate(estimate.Weights + second.Weights, estimate.KeyValueCache + second.KeyValueCache,
                estimate.Compute + second.Compute, estimate.Process);
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            // The load will fail with the reason; here only a number is wanted.
            return OfBytes(sizeBytes);
        }
    }

    /// <summary>The least that a file of this size needs, of which no more is known.</summary>
    public static MemoryEstimate OfBytes(long sizeBytes) => new(sizeBytes, 0, 0, ProcessBytes);

    /// <summary>The estimate for a header.</summary>
    /// <param name="header">The header of the first file.</param>
    /// <param name="fileBytes">Bytes of all files.</param>
    /// <param name="spec">How it is to be loaded.</param>
    /// <param name="onGpu">Whether a GPU computes.</param>
    public static MemoryEstimate Of(GgufHeader header, long fileBytes, ModelSpec spec, bool onGpu = false)
    {
        var shape = new AttentionShape(header, spec.Tuning);
        var vocabulary = header.Array("tokenizer.ggml.tokens")?.Count ?? 0;
        var context = spec.ContextLength > 0 ? spec.ContextLength : Math.Max(1, shape.TrainedContext);
        var cells = Cells(shape, context, spec);
        var batch = Math.Min(spec.BatchSize, cells);
        var activations = batch * sizeof(float) * ((4 * shape.FeedForward) + (3 * shape.Embedding));
        if (AttentionChoice.Of(spec.Tuning, shape.HeadSize, onGpu) == FlashAttention.Off)
            activations += Math.Min(batch, AttentionChoice.PlainMicroBatch) * cells * shape.Heads * sizeof(float);
        return new MemoryEstimate(
            fileBytes + (vocabulary * BytesPerToken),
            shape.CacheBytes(cells, spec.Parallel, batch),
            onGpu ? activations + (batch * vocabulary * sizeof(float)) : activations,
            ProcessBytes);
    }

    private static long Cells(AttentionShape shape, long context, ModelSpec spec)
    {
        var cells = spec.Cells > 0 ? Math.Max(spec.Cells, context) : CellCount.Of(context, spec.Parallel, shape.PlainBytesPerCell);
        return (cells + CellPadding - 1) / CellPadding * CellPadding;
    }

    private static long LoraBytes(ModelSpec spec) =>
        spec.Loras.Sum(lora => new FileInfo(lora.Path) is { Exists: true } file ? file.Length : 0);

    /// <summary>The shape of a model that decides the size of its caches. Metadata keys as llama.cpp v0.4.0 reads them.</summary>
    private sealed class AttentionShape
    {
        // Period of layers with full attention among layers with a sliding window, for architectures whose files do not say.
        private static readonly Dictionary<string, int> WindowPeriods = new(StringComparer.Ordinal)
        {
            ["gemma2"] = 2,
            ["gemma3"] = 6,
            ["gemma3n"] = 5,
            ["gpt-oss"] = 2,
            ["cohere2"] = 4,
            ["exaone4"] = 4,
            ["olmo2"] = 4,
            ["smallthinker"] = 4,
            ["llama4"] = 4,
        };

        private readonly GgufHeader _header;
        private readonly int _layers;
        private readonly long _window;
        private readonly int _period;

        private readonly double _keyBytes;
        private readonly double _valueBytes;

        public AttentionShape(GgufHeader header, LoadTuning tuning)
        {
            _keyBytes = BytesOf(tuning.CacheTypeK);
            _valueBytes = BytesOf(tuning.CacheTypeV);
            _header = header;
            _layers = (int)Math.Clamp(Number("block_count"), 0, 4096);
            Embedding = Number("embedding_length");
            FeedForward = Math.Max(PerLayer("feed_forward_length", 0, 0),
                Number("expert_used_count") * Number("expert_feed_forward_length"));
            TrainedContext = Number("context_length");
            Heads = Math.Max(1, PerLayer("attention.head_count", 0, 1));
            _window = Number("attention.sliding_window");
            _period = header.OfArchitecture("attention.sliding_window_pattern")?.Integer is > 0 and <= 4096 and var given
                ? (int)given
                : WindowPeriods.GetValueOrDefault(header.Architecture ?? "");
        }

        public long Embedding { get; }

        /// <summary>Heads of a layer's queries.</summary>
        public long Heads { get; }

        /// <summary>Elements of one head's key.</summary>
        public long HeadSize => Number("attention.key_length", Embedding / Heads);

        public long FeedForward { get; }

        public long TrainedContext { get; }

        /// <summary>Bytes of a cell for the choice of the number of cells.</summary>
        public long PlainBytesPerCell => CellCount.BytesPerCell(Embedding / Heads, PerLayer("attention.head_count_kv", 0, Heads), _layers);

        /// <summary>Bytes of the caches of all layers.</summary>
        public long CacheBytes(long cells, int sequences, long batch)
        {
            var windowCells = Math.Min(cells, (((_window * sequences) + batch + CellPadding - 1) / CellPadding) * CellPadding);
            long bytes = 0;
            for (var layer = 0; layer < _layers; layer++)
            {
                var here = Windowed(layer) ? windowCells : cells;
                bytes += IsRecurrent(layer) ? StateBytes * sequences : here * BytesPerCell(layer);
            }

            return bytes;
        }

        private long BytesPerCell(int layer)
        {
            var heads = PerLayer("attention.head_count_kv", layer, Heads);
            // Latent attention keeps one compressed vector for K and V together.
            if (_header.OfArchitecture("attention.key_length_mla") is not null)
                return (long)(_keyBytes * (Number("attention.kv_lora_rank") + Number("rope.dimension_count")));

            var headSize = Embedding / Heads;
            var windowed = Windowed(layer);
            var key = (windowed ? Number("attention.key_length_swa") : 0) is > 0 and var narrow
                ? narrow
                : Number("attention.key_length", headSize);
            var value = (windowed ? Number("attention.value_length_swa") : 0) is > 0 and var thin
                ? thin
                : Number("attention.value_length", headSize);
            return (long)(heads * ((_keyBytes * key) + (_valueBytes * value)));
        }

        // Of one element; types below 16 bits keep 32 elements in a block with their scale.
        private static double BytesOf(CacheType? type) => (type ?? CacheType.F16) switch
        {
            CacheType.F32 => 4,
            CacheType.Q8Level0 => 34 / 32.0,
            CacheType.Q5Level1 => 24 / 32.0,
            CacheType.Q5Level0 => 22 / 32.0,
            CacheType.Q4Level1 => 20 / 32.0,
            CacheType.Q4Level0 or CacheType.Iq4Nl => 18 / 32.0,
            _ => 2,
        };

        private bool Windowed(int layer)
        {
            if (_window <= 0)
                return false;

            var pattern = _header.OfArchitecture("attention.sliding_window_pattern")?.Array?.Items;
            return pattern is not null && layer < pattern.Count
                ? pattern[layer].Flag ?? pattern[layer].Integer != 0
                : _period > 1 && layer % _period != _period - 1;
        }

        // Mamba and its kin keep a state of fixed size for each sequence, in f32; a hybrid says with zero heads which layers do.
        private bool IsRecurrent(int layer) =>
            StateBytes > 0 && (PerLayer("attention.head_count_kv", layer, 0) == 0
                || (Number("full_attention_interval") is > 1 and var interval && (layer + 1) % interval != 0));

        private long StateBytes
        {
            get
            {
                var inner = Number("ssm.inner_size");
                var state = Number("ssm.state_size");
                var convolution = Math.Max(0, Number("ssm.conv_kernel") - 1) * (inner + (2 * Number("ssm.group_count") * state));
                return sizeof(float) * ((inner * state) + convolution);
            }
        }

        // Forged numbers may not overflow what is multiplied with them.
        private long Number(string key, long missing = 0) =>
            Math.Clamp(_header.OfArchitecture(key)?.Integer ?? missing, 0, 1 << 24);

        private long PerLayer(string key, int layer, long missing) =>
            _header.OfArchitecture(key)?.Array?.Items is { } items
                ? layer < items.Count ? Math.Clamp(items[layer].Integer ?? missing, 0, 1 << 24) : missing
                : Number(key, missing);
    }
}

/// <summary>
/// The default number of KV cells of a model: a full context for each slot where the cells beyond the first context cost at most 1 GiB,
/// else as many cells as 1 GiB holds, and at least one context.
/// </summary>
internal static class CellCount
{
    private const long ExtraBytes = 1L << 30;
    private const int BytesOfHalf = 2;

    /// <summary>The number of cells, at least <paramref name="contextLength"/>.</summary>
    /// <param name="contextLength">Tokens that one request may use.</param>
    /// <param name="slots">Sequences that are decoded at once.</param>
    /// <param name="bytesPerCell">What <see cref="BytesPerCell"/> says.</param>
    public static long Of(long contextLength, int slots, long bytesPerCell) =>
        Math.Clamp(ExtraBytes / Math.Max(1, bytesPerCell), contextLength, contextLength * Math.Max(1, slots));

    /// <summary>
    /// Bytes of one cell: keys and values of every layer in f16, all layers alike. Models with heads of other sizes, and other types of
    /// cache, come out a little off, which changes the number of cells and nothing else.
    /// </summary>
    /// <param name="headSize">Elements of one head: width of the embeddings divided by the query heads.</param>
    /// <param name="keyValueHeads">Heads of keys and values in a layer.</param>
    /// <param name="layers">Layers.</param>
    public static long BytesPerCell(long headSize, long keyValueHeads, long layers) => 2 * BytesOfHalf * headSize * keyValueHeads * layers;
}
