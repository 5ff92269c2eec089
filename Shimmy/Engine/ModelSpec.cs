using System.Globalization;
using Shimmy.Gguf;

namespace Shimmy.Engine;

/// <summary>
/// A model to load, with its context, tuning, adapters and defaults: everything that a worker needs. Crosses the pipe as JSON.
/// </summary>
public sealed record ModelSpec
{
    /// <summary>The name under which the model is served.</summary>
    public required string Name { get; init; }

    /// <summary>Full path of the model file; of the first shard where there are several.</summary>
    public required string Path { get; init; }

    /// <summary>Tokens one request may use, prompt and answer together; 0 takes the model's own training context.</summary>
    public int ContextLength { get; init; }

    /// <summary>
    /// Why <see cref="ContextLength"/> is shorter than the model's own although nobody asked for that, for the log; null where it is not.
    /// </summary>
    public string? ContextReason { get; init; }

    /// <summary>Sequences that may be decoded at once (slots), at least 1.</summary>
    public int Parallel { get; init; } = 4;

    /// <summary>
    /// KV cells of all sequences together, at least one request's context; 0 gives each slot its own context where that costs no more
    /// than 1 GiB.
    /// </summary>
    public int Cells { get; init; }

    /// <summary>Requests that may wait for a slot; one more is refused (<see cref="EngineFailure.QueueFull"/>). At least 0.</summary>
    public int Queue { get; init; } = 512;

    /// <summary>Threads for decoding; 0 lets the worker measure at load which number is fastest.</summary>
    public int Threads { get; init; }

    /// <summary>Devices, cache types, RoPE scaling and other options of llama.cpp.</summary>
    public LoadTuning Tuning { get; init; } = LoadTuning.None;

    /// <summary>
    /// Chat template in place of the model's own: the name of a built-in family, or the path of a file. Null takes the model's own. No
    /// engine looks at it; it stands here so that a model is loaded with all that was asked for.
    /// </summary>
    public string? Template { get; init; }

    /// <summary>LoRA adapters to load, with the scales that apply to requests which choose none.</summary>
    public IReadOnlyList<LoraSetting> Loras { get; init; } = [];

    /// <summary>
    /// Full path of a smaller model of the same vocabulary that drafts tokens for this one; null where none does. See
    /// <see cref="Speculate"/>.
    /// </summary>
    public string? Draft { get; init; }

    /// <summary>Full path of the multimodal projector (mmproj) that lets the model see or hear; null where none is used.</summary>
    public string? Projector { get; init; }

    /// <summary>Whether the projector was found beside the model, not asked for: one that cannot be loaded is left out then.</summary>
    public bool ProjectorIsFound { get; init; }

    /// <summary>Bytes of encoded pictures and sounds that the worker keeps for requests that bring them again; 0 keeps none.</summary>
    public long MediaCacheBytes { get; init; } = 256L << 20;

    /// <summary>
    /// Bytes of the host's memory for states of prompts: checkpoints where memory cannot be cut, and prefixes that had to leave the
    /// cells; 0 keeps none. Null leaves it to whoever loads the model.
    /// </summary>
    public long? PrefixMemoryBytes { get; init; }

    /// <summary>The default of <see cref="PrefixMemoryBytes"/>.</summary>
    public const long DefaultPrefixMemory = 512L << 20;

    /// <summary>Full path of the folder in which states of prompts survive the worker; null keeps none.</summary>
    public string? PrefixStore { get; init; }

    /// <summary>Most bytes in <see cref="PrefixStore"/>, states of other models included.</summary>
    public long PrefixStoreBytes { get; init; } = 16L << 30;

    /// <summary>Defaults for fields that a request leaves out.</summary>
    public RequestDefaults Defaults { get; init; } = RequestDefaults.None;

    /// <summary>Most tokens in one llama_decode call, so the longest prompt chunk.</summary>
    public int BatchSize { get; init; } = 512;

    /// <summary>False computes every prompt from its first token: for benchmarks that show what sharing is worth.</summary>
    public bool SharePrefixes { get; init; } = true;

    /// <summary>
    /// Whether prompts of different API keys share what was computed. The time of an answer shows whether somebody has asked the same.
    /// </summary>
    public bool ShareAmongClients { get; init; }

    /// <summary>The client that alone finds again what was computed for it; empty where all clients do.</summary>
    /// <param name="client">Whose request it is; empty where there are no keys.</param>
    public string SharingClient(string client) => ShareAmongClients ? "" : client;

    /// <summary>
    /// Whether tokens are drafted where that saves time (speculative decoding). Each token is still chosen by the request's own sampler;
    /// but ggml rounds a batch of several tokens differently than one token, so a choice between nearly equal logits may differ. False
    /// excludes that.
    /// </summary>
    public bool Speculate { get; init; } = true;

    /// <summary>Whether the worker reports what its KV cells and kept states hold (<see cref="ICellListener"/>).</summary>
    public bool ReportsCells { get; init; }

    /// <summary>
    /// The spec of the draft model; null where there is none. It is this spec without what concerns the main model alone: adapters,
    /// metadata overrides, numbers of layers. Zero GPU layers holds for both.
    /// </summary>
    public ModelSpec? OfDraft() => Draft is not { } path ? null : this with
    {
        Name = $"the draft model {path}",
        Path = path,
        Draft = null,
        Projector = null,
        Loras = [],
        Tuning = Tuning with
        {
            CpuExpertLayers = null,
            MetadataOverrides = [],
            Pooling = null,
            GpuLayers = Tuning.GpuLayers switch
            {
                null or { Number: > 0 } => null,
                var layers => layers with { RefusesFewer = false },
            },
        },
    };

    /// <summary>
    /// Why the model can never be loaded so, by its options and the headers of its files alone: the projector that was asked for cannot be
    /// read, is none, or is for models of another width. Null where nothing is known against it; what is wrong with the model itself, its
    /// load says.
    /// </summary>
    /// <param name="headerOf">Reads the header of the model's file or folder.</param>
    internal string? WhyUnfit(Func<string, GgufHeader> headerOf)
    {
        if (Tuning is { ImageMinTokens: { } least, ImageMaxTokens: { } most } && least > most)
            return $"image-min-tokens {least} is more than image-max-tokens {most}";
        if (Projector is null || ProjectorIsFound)
            return null;
        try
        {
            ProjectorFile.Check(Projector, Width());
            return null;
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            return WhyWithoutProjector(e.Message);
        }

        long Width()
        {
            try
            {
                return headerOf(Path).OfArchitecture("embedding_length")?.Integer ?? 0;
            }
            catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException or NotSupportedException)
            {
                return 0;
            }
        }
    }

    /// <summary>Error text for a projector that cannot be loaded.</summary>
    /// <param name="reason">Why.</param>
    internal string WhyWithoutProjector(string reason) =>
        $"cannot load the projector {Projector}: {reason} (--mmproj none loads the model without one)";

    /// <summary>Whether a model loaded for the other spec can serve this one: equality that compares the elements of the lists.</summary>
    public bool LoadsLike(ModelSpec other) =>
        this with { Loras = other.Loras, Defaults = other.Defaults, Tuning = other.Tuning } == other
        && Loras.SequenceEqual(other.Loras) && Defaults.IsSameAs(other.Defaults) && Tuning.IsSameAs(other.Tuning);

    /// <summary>Whether this is the other spec, whose context was left open, with the context that fitted.</summary>
    internal bool IsFitOf(ModelSpec open)
    {
        var unfitted = this with { ContextLength = 0, ContextReason = null, Cells = open.Cells };
        return (unfitted with { PrefixMemoryBytes = open.PrefixMemoryBytes }).LoadsLike(open);
    }
}

/// <summary>A LoRA adapter to apply.</summary>
/// <param name="Path">Full path of the GGUF file, or of a folder in PEFT's form.</param>
/// <param name="Scale">Strength; 1 is the adapter as trained, 0 leaves the model as it is.</param>
/// <param name="Found">Whether it was found beside the model, not asked for; one that does not fit is left out then.</param>
/// <param name="File">The GGUF that a folder was converted into, for this load.</param>
public sealed record LoraSetting(string Path, float Scale = 1f, bool Found = false, string? File = null)
{
    /// <summary>The name in requests: the name of the file without its ending, or of the folder.</summary>
    public string Name => File is null && !Path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) && Directory.Exists(Path)
        ? System.IO.Path.GetFileName(System.IO.Path.TrimEndingDirectorySeparator(Path))
        : File is null ? System.IO.Path.GetFileNameWithoutExtension(Path) : System.IO.Path.GetFileName(Path);

    /// <summary>
    /// Parses an adapter as <c>--lora</c> and the configuration file take it: FILE or FILE:SCALE. A colon that no number follows belongs to
    /// the path (<c>C:\lora.gguf</c>), which <paramref name="absolute"/> makes absolute. Throws <see cref="FormatException"/> for a scale
    /// that is infinite or NaN.
    /// </summary>
    public static LoraSetting Parse(string text, Func<string, string> absolute)
    {
        var colon = text.LastIndexOf(':');
        if (colon <= 0
            || !float.TryParse(text.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var scale))
        {
            return new LoraSetting(absolute(text));
        }

        return float.IsFinite(scale)
            ? new LoraSetting(absolute(text[..colon]), scale)
            : throw new FormatException($"the LoRA scale {text[(colon + 1)..]} is not a finite number");
    }
}

/// <summary>
/// Defaults for requests, from the tool that a model comes from (Ollama's Modelfile). Used by the dialects that ask a model for its
/// defaults, for fields that a request leaves out; no engine reads them.
/// </summary>
public sealed record RequestDefaults
{
    /// <summary>No defaults.</summary>
    public static RequestDefaults None { get; } = new();

    /// <summary>System prompt where a conversation brings none.</summary>
    public string? System { get; init; }

    /// <summary>
    /// Chat template in Go's template language, as Ollama keeps it, for a model whose file has none. Null where there is none.
    /// </summary>
    public string? Template { get; init; }

    /// <summary>Family of the chat template of a model that has none; null leaves it to a guess.</summary>
    public string? TemplateFamily { get; init; }

    /// <summary>Turns that every conversation begins with.</summary>
    public IReadOnlyList<DefaultTurn> Messages { get; init; } = [];

    /// <summary>Texts that end an answer, beside those of the request and of the chat template.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>
    /// Sampling options by the names of llama.cpp's <c>general.sampling.*</c> metadata (<c>temp</c>, <c>top_k</c>, <c>penalty_repeat</c>
    /// …), as text; and <c>max_tokens</c> and <c>seed</c>. They win over the metadata of the file.
    /// </summary>
    public IReadOnlyDictionary<string, string> Sampling { get; init; } = new Dictionary<string, string>();

    /// <summary>These, and what they leave open as others have it.</summary>
    public RequestDefaults Over(RequestDefaults lower) => this with
    {
        System = System ?? lower.System,
        Template = Template ?? lower.Template,
        TemplateFamily = lower.TemplateFamily ?? TemplateFamily,
        Messages = Messages.Count > 0 ? Messages : lower.Messages,
        Stop = Stop.Count > 0 ? Stop : lower.Stop,
        Sampling = new Dictionary<string, string>([.. lower.Sampling.Where(pair => !Sampling.ContainsKey(pair.Key)), .. Sampling]),
    };

    /// <summary>Equality that compares the elements of the lists.</summary>
    public bool IsSameAs(RequestDefaults other) => System == other.System && Template == other.Template
        && TemplateFamily == other.TemplateFamily
        && Messages.SequenceEqual(other.Messages) && Stop.SequenceEqual(other.Stop)
        && Sampling.Count == other.Sampling.Count
        && Sampling.All(pair => other.Sampling.TryGetValue(pair.Key, out var value) && value == pair.Value);
}

/// <summary>A turn that a conversation begins with.</summary>
/// <param name="Role"><c>user</c>, <c>assistant</c> or <c>system</c>.</param>
/// <param name="Content">Its text.</param>
public sealed record DefaultTurn(string Role, string Content);
