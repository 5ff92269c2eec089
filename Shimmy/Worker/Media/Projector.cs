using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Media;

/// <summary>
/// A model's projector: turns media into tokens and tokens into embeddings. What was encoded is kept, the least recently used dropped
/// first, so that a picture that comes again costs nothing.
/// <code>
///   Medium ─► Read ─► TokenizedMedium ─► EncodeNext, chunk by chunk (MediaEncoder's thread) ─► embeddings ─► prefill
///              │ known by its hash?              chunks: text tokens, or tokens that are encoded
///              └─► the same TokenizedMedium, whose embeddings may be there
/// </code>
/// <see cref="Read"/> is for any thread, <see cref="EncodeNext"/> for one at a time.
/// </summary>
internal sealed class Projector : IDisposable
{
    // Hashes whose numbers are known; forgetting them costs a prefix that is not recognised.
    private const int MostNumbers = 1 << 16;

    // Pixels of the first pictures that are asked for to learn the most tokens of one, and of the last.
    private const int FirstProbe = 1 << 20;
    private const int LastProbe = 1 << 24;

    // Width by height of those pictures: a grid of patches comes nearest to its limit at another ratio for every limit.
    private static readonly double[] Ratios = [1, 1.25, 1.34, 1.43, 1.5, 1.78, 2, 2.5, 2.8, 4, 7];

    // Kinds whose own limit is 4096 tokens or more, and which libmtmd lets be limited. Pictures of paddleocr, dots_ocr, exaone4_5 and
    // mimovl are limited by the file alone; other kinds take at most 1024 by themselves, and a greater limit would give them more.
    private static readonly HashSet<string> LimitedKinds =
        ["qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "qwen2.5o", "glm4v", "kimik25", "youtuvl"];

    private readonly ProjectorHandle _handle;
    private readonly long _capacity;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, WeakReference<TokenizedMedium>> _known = [];
    private readonly Dictionary<string, LinkedListNode<TokenizedMedium>> _keptByHash = [];
    private readonly LinkedList<TokenizedMedium> _kept = new();
    private readonly Dictionary<string, int> _numbers = [];
    private int _nextNumber = -2;
    private long _keptBytes;

    private Projector(ProjectorHandle handle, ProjectorFile file, long capacity)
    {
        _handle = handle;
        _capacity = capacity;
        CanSee = handle.CanSee;
        AudioUnsupportedReason = file.AudioUnsupportedReason;
        SampleRate = file.CanHear ? handle.SampleRate : 0;
        SoundTokens = SampleRate > 0 ? SoundTokensOf(handle, SampleRate) : 0;
    }

    /// <summary>Whether it takes pictures.</summary>
    public bool CanSee { get; }

    /// <summary>Samples a second of the sounds that it takes; 0 where it takes none.</summary>
    public int SampleRate { get; }

    /// <summary>Seconds of a chunk of sound that is encoded at once.</summary>
    public static int SoundSeconds => ProjectorHandle.SoundSeconds;

    /// <summary>Tokens of such a chunk; 0 where it takes no sounds.</summary>
    public int SoundTokens { get; }

    /// <summary>Why its encoder for sounds is not used; null where it is, or there is none.</summary>
    public string? AudioUnsupportedReason { get; }

    /// <summary>
    /// Most tokens that see each other, so that they must be computed in one step; 0 where all tokens see only those before them.
    /// </summary>
    public int LargestNonCausal { get; private init; }

    /// <summary>Tokens that the model's contexts compute in one step: llama.cpp ends its process at more that see each other.</summary>
    public int MostAtOnce { get; set; } = int.MaxValue;

    /// <summary>Threads that encode.</summary>
    public int Threads { get; private init; }

    /// <summary>Media encoded since the load; for tests and statistics.</summary>
    public long Encoded { get; private set; }

    /// <summary>
    /// Loads the projector that a spec names. Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>).
    /// </summary>
    /// <param name="spec">The spec, which has one.</param>
    /// <param name="model">The loaded model.</param>
    /// <param name="usesGpu">Whether the model computes on a GPU.</param>
    public static Projector Load(ModelSpec spec, ModelHandle model, bool usesGpu)
    {
        var file = Checked(spec, model.EmbeddingLength);
        // Half of the processors: streams that run meanwhile keep the other half, so the time between their tokens at most doubles.
        var threads = Math.Max(1, (spec.Threads > 0 ? spec.Threads : Environment.ProcessorCount) / 2);
        var most = spec.Tuning.ImageMaxTokens
            ?? (!usesGpu && file.CanSee && file.Kinds.Any(LimitedKinds.Contains) ? LoadTuning.DefaultImageMaxTokens : null);
        var least = spec.Tuning.ImageMinTokens;
        // A default gives way.
        var handle = ProjectorHandle.Load(spec.Projector!, model, threads, (least, least > most ? least : most), usesGpu);
        return new Projector(handle, file, spec.MediaCacheBytes) { Threads = threads, LargestNonCausal = LargestNonCausalOf(handle) };
    }

    /// <summary>
    /// A medium's tokens. Throws <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>) where the projector does not
    /// take it.
    /// </summary>
    public TokenizedMedium Read(Medium medium)
    {
        Check(medium);
        if (medium.Data.IsEmpty)
            return Tokenize(medium);
        lock (_lock)
        {
            if (Find(medium.Hash) is { } known)
                return known;
        }
        var read = Tokenize(medium);
        lock (_lock)
        {
            if (Find(medium.Hash) is { } other)
            {
                read.Dispose();
                return other;
            }
            // Dead ones are swept when they may be as many as live ones.
            if (_known.Count >= 64 && _known.Count >= 2 * (_kept.Count + 16))
            {
                foreach (var (hash, reference) in _known.ToArray())
                {
                    if (!reference.TryGetTarget(out _))
                        _known.Remove(hash);
                }
            }
            read.NumberFrom(NumberOf(medium.Hash, read.Chunks.Count));
            _known[medium.Hash] = new WeakReference<TokenizedMedium>(read);
        }
        return read;
    }

    /// <summary>
    /// Encodes one chunk of a medium that is not encoded yet, and keeps the medium behind the last. On one thread only. Whether chunks are
    /// left.
    /// </summary>
    public bool EncodeNext(TokenizedMedium medium)
    {
        if (medium.Failure is not null)
            return false;
        if (medium.Chunks.FirstOrDefault(IsOpen) is { } chunk)
        {
            if (_handle.Encode(chunk.Native) is not { } embeddings)
            {
                var reason = NativeLog.TakeErrors();
                medium.Failure = $"the projector could not encode a {(medium.IsPicture ? "picture" : "sound")}"
                    + (reason.Length > 0 ? $": {reason}" : "");
                return false;
            }
            chunk.Embeddings = embeddings;
            if (medium.Chunks.Any(IsOpen))
                return true;
            Encoded++;
        }
        medium.Dispose();
        lock (_lock)
            Keep(medium);
        return false;

        static bool IsOpen(MediaChunk chunk) => chunk.Native.Text is null && chunk.Embeddings is null;
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    // libmtmd trusts the file, so it is checked before.
    private static ProjectorFile Checked(ModelSpec spec, int width)
    {
        try
        {
            return ProjectorFile.Check(spec.Projector!, width);
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            throw new EngineException(EngineFailure.LoadFailed, spec.WhyWithoutProjector(e.Message), e);
        }
    }

    private static int SoundTokensOf(ProjectorHandle handle, int rate)
    {
        using var list = MediaChunksHandle.Create();
        return handle.Tokenize(new Medium(MediumKind.Sound, rate, 1, ""), list)
            .Where(chunk => chunk.Text is null).Sum(chunk => chunk.Tokens);
    }

    // libmtmd does not say what its limit is, so pictures are counted: of several ratios, and larger ones as long as that gives more.
    private static int LargestNonCausalOf(ProjectorHandle handle)
    {
        if (!handle.CanSee)
            return 0;
        var small = NonCausal(64, 64);
        var most = Math.Max(small, small == 0 ? 0 : NonCausal(1024, 1024));
        if (most == small)
            return most;
        for (var (pixels, before) = ((double)FirstProbe, 0); pixels <= LastProbe && before < most; pixels *= 2)
        {
            before = most;
            foreach (var ratio in Ratios)
            {
                var (longer, shorter) = ((int)Math.Sqrt(pixels * ratio), (int)Math.Sqrt(pixels / ratio));
                most = Math.Max(most, Math.Max(NonCausal(longer, shorter), ratio == 1 ? 0 : NonCausal(shorter, longer)));
            }
        }
        // The limit itself is reached at a few sizes alone, which differ by kind: it is this much above what others take at most.
        return most + (most / 8);

        int NonCausal(int width, int height)
        {
            using var list = MediaChunksHandle.Create();
            return handle.Tokenize(new Medium(MediumKind.Picture, width, height, ""), list)
                .Where(chunk => chunk.NonCausal).Select(chunk => chunk.Tokens).DefaultIfEmpty(0).Max();
        }
    }

    private void Check(Medium medium)
    {
        var taken = medium.Kind == MediumKind.Picture ? CanSee : SampleRate > 0;
        if (!taken || medium.Width < 1 || medium.Height < 1 || (medium.Kind == MediumKind.Sound && medium.Width < 2))
        {
            throw new EngineException(EngineFailure.InvalidRequest, medium.Kind == MediumKind.Picture
                ? UnsupportedMedium.Text(null, medium.Kind, "its multimodal projector (mmproj) takes no pictures")
                : UnsupportedMedium.Text(null, medium.Kind,
                    AudioUnsupportedReason ?? "its multimodal projector (mmproj) takes no sounds, or this one has fewer than two samples"))
            { Option = "messages" };
        }
    }

    private TokenizedMedium Tokenize(Medium medium)
    {
        var list = MediaChunksHandle.Create();
        try
        {
            // Every begun chunk of a sound takes the same tokens, so a second of silence tells of any length that is only counted.
            if (medium is not { Kind: MediumKind.Sound, Data.IsEmpty: true })
            {
                var chunks = _handle.Tokenize(medium, list);
                if (chunks.Find(chunk => chunk.NonCausal && chunk.Tokens > MostAtOnce) is { } large)
                {
                    throw new EngineException(EngineFailure.InvalidRequest, $"a picture of {medium.Width} x {medium.Height} pixels takes "
                        + $"{large.Tokens} tokens of this model at once, and at most {MostAtOnce} are computed at once "
                        + "(--batch, --image-max-tokens)")
                    { Option = "messages" };
                }
                return new TokenizedMedium(medium, list, chunks);
            }
            var begun = (int)((medium.Width - 1L) / ((long)SoundSeconds * SampleRate)) + 1;
            return new TokenizedMedium(medium, list, [.. _handle.Tokenize(medium with { Width = Math.Min(medium.Width, SampleRate) }, list)
                .SelectMany(chunk => Enumerable.Repeat(chunk, chunk.Text is null ? begun : 1))]);
        }
        catch
        {
            list.Dispose();
            throw;
        }
    }

    private TokenizedMedium? Find(string hash)
    {
        if (_keptByHash.TryGetValue(hash, out var node))
        {
            _kept.Remove(node);
            _kept.AddFirst(node);
            return node.Value;
        }
        return _known.TryGetValue(hash, out var reference) && reference.TryGetTarget(out var medium) && medium.Failure is null
            ? medium
            : null;
    }

    // The same picture has the same numbers as long as they are remembered; a number never stands for two.
    private int NumberOf(string hash, int count)
    {
        if (_numbers.TryGetValue(hash, out var number))
            return number;
        if (_numbers.Count >= MostNumbers)
            _numbers.Clear();
        _numbers[hash] = number = _nextNumber;
        _nextNumber -= count;
        return number;
    }

    private void Keep(TokenizedMedium medium)
    {
        if (_keptByHash.ContainsKey(medium.Hash) || medium.Bytes > _capacity)
            return;
        _keptByHash[medium.Hash] = _kept.AddFirst(medium);
        _keptBytes += medium.Bytes;
        while (_keptBytes > _capacity)
        {
            var last = _kept.Last!.Value;
            _kept.RemoveLast();
            _keptByHash.Remove(last.Hash);
            _keptBytes -= last.Bytes;
        }
    }
}

/// <summary>A medium as tokens, some of text around those that are encoded.</summary>
internal sealed class TokenizedMedium : IDisposable
{
    private readonly MediaChunksHandle _chunks;

    /// <summary>None: of chunks that are computed.</summary>
    public static TokenizedMedium None { get; } = new(new Medium(MediumKind.Picture, 0, 0, ""), null!, []);

    public TokenizedMedium(Medium medium, MediaChunksHandle chunks, List<NativeChunk> natives)
    {
        Hash = medium.Hash;
        IsPicture = medium.Kind == MediumKind.Picture;
        _chunks = chunks;
        Chunks = [.. natives.Select(native => new MediaChunk(native, this))];
    }

    /// <summary>The medium's hash.</summary>
    public string Hash { get; }

    /// <summary>Whether it is a picture.</summary>
    public bool IsPicture { get; }

    /// <summary>Its chunks in order.</summary>
    public IReadOnlyList<MediaChunk> Chunks { get; }

    /// <summary>Why it could not be encoded; null where it could, or was not tried.</summary>
    public string? Failure { get; set; }

    /// <summary>Bytes of its embeddings.</summary>
    public long Bytes => Chunks.Sum(chunk => sizeof(float) * (chunk.Embeddings?.LongLength ?? 0));

    /// <summary>Gives the chunks the numbers that stand for them in token sequences.</summary>
    public void NumberFrom(int number)
    {
        foreach (var chunk in Chunks)
            chunk.Number = number--;
    }

    /// <summary>Frees the pixels.</summary>
    public void Dispose() => _chunks.Dispose();
}

/// <summary>A chunk of a medium's tokens.</summary>
/// <param name="native">What libmtmd says of it.</param>
/// <param name="medium">The medium.</param>
internal sealed class MediaChunk(NativeChunk native, TokenizedMedium medium)
{
    private volatile float[]? _embeddings;

    /// <summary>libmtmd's chunk of the medium, which it encodes.</summary>
    public NativeChunk Native => native;

    /// <summary>The medium.</summary>
    public TokenizedMedium Medium => medium;

    /// <summary>One that has the chunk's number and counts, but neither its embeddings nor those of the other chunks.</summary>
    public MediaChunk WithoutMedium() => new(native with { Handle = 0, Places = [] }, TokenizedMedium.None) { Number = Number };

    /// <summary>
    /// The negative number that stands for each of its tokens in a sequence. It belongs to the hash of the medium, so sequences with the
    /// same picture at the same place have a common prefix.
    /// </summary>
    public int Number { get; set; } = -1;

    /// <summary>Its embeddings, once encoded.</summary>
    public float[]? Embeddings
    {
        get => _embeddings;
        set => _embeddings = value;
    }

    /// <summary>The positions of some of its tokens in llama.cpp's form: one each, or four lists for M-RoPE.</summary>
    /// <param name="first">The position of the chunk's first token.</param>
    /// <param name="start">The first of the tokens.</param>
    /// <param name="count">Number of tokens.</param>
    public int[] PositionsOf(int first, int start, int count)
    {
        var places = native.Places;
        if (places.Length == 0)
            return [.. Enumerable.Range(first + start, count)];
        var positions = new int[4 * count];
        for (var i = 0; i < count; i++)
        {
            var (zero, one) = places[start + i];
            positions[i] = At(zero.Time, one.Time);
            positions[count + i] = At(zero.Row, one.Row);
            positions[(2 * count) + i] = At(zero.Column, one.Column);
            positions[(3 * count) + i] = At(zero.Fourth, one.Fourth);
        }
        return positions;

        // Components that follow the position, and those that do not.
        int At(int zero, int one) => zero + (first * (one - zero));
    }
}

/// <summary>A chunk of a medium at its place in a sequence.</summary>
/// <param name="Start">Index of its first token.</param>
/// <param name="Chunk">The chunk.</param>
internal readonly record struct MediaSpan(int Start, MediaChunk Chunk)
{
    /// <summary>Index behind its last token.</summary>
    public int End => Start + Chunk.Native.Tokens;

    /// <summary>
    /// The same of tokens that are computed, without the medium and its embeddings: what holds their cells or state needs their number and
    /// positions alone, and stays for long.
    /// </summary>
    public MediaSpan Computed() => this with { Chunk = Chunk.WithoutMedium() };

    /// <summary>The greatest length of a prefix, at most <paramref name="length"/>, that cuts none of these spans.</summary>
    public static int WholeUpTo(int length, IReadOnlyList<MediaSpan> spans)
    {
        foreach (var span in spans)
        {
            if (span.Start < length && length < span.End)
                return span.Start;
        }
        return length;
    }

    /// <summary>The position of the token at an index: media may take fewer positions than tokens.</summary>
    public static int PositionAt(int index, IReadOnlyList<MediaSpan> spans)
    {
        var position = index;
        foreach (var (start, chunk) in spans)
        {
            if (index >= start + chunk.Native.Tokens)
                position -= chunk.Native.Tokens - chunk.Native.Positions;
        }
        return position;
    }
}
