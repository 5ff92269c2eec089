using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// llama-server's options of a generation beside the sampling fields, which the routes of <c>shimmy llama-server</c> share:
/// <c>samplers</c>, <c>min_keep</c>, <c>id_slot</c>, <c>return_progress</c>, <c>post_sampling_probs</c>, <c>t_max_prompt_ms</c>,
/// <c>t_max_predict_ms</c>; and <c>sse_ping_interval</c>.
/// </summary>
internal sealed record LlamaOptions
{
    private const int MostSamplers = 64;

    private static readonly (string Name, char Letter, SamplerKind Kind)[] SamplerNames =
    [
        ("penalties", 'e', SamplerKind.Penalties), ("dry", 'd', SamplerKind.Dry), ("top_n_sigma", 's', SamplerKind.TopNSigma),
        ("top_k", 'k', SamplerKind.TopK), ("typ_p", 'y', SamplerKind.Typical), ("top_p", 'p', SamplerKind.TopP),
        ("min_p", 'm', SamplerKind.MinP), ("xtc", 'x', SamplerKind.Xtc), ("temperature", 't', SamplerKind.Temperature),
        ("infill", 'i', SamplerKind.Infill), ("adaptive_p", 'a', SamplerKind.AdaptiveP),
    ];

    // llama.cpp takes these too.
    private static readonly Dictionary<string, string> OtherSamplerNames = new(StringComparer.Ordinal)
    {
        ["top-k"] = "top_k",
        ["top-p"] = "top_p",
        ["nucleus"] = "top_p",
        ["typical-p"] = "typ_p",
        ["typical"] = "typ_p",
        ["typ-p"] = "typ_p",
        ["typ"] = "typ_p",
        ["typical_p"] = "typ_p",
        ["min-p"] = "min_p",
        ["temp"] = "temperature",
        ["top-n-sigma"] = "top_n_sigma",
        ["adaptive-p"] = "adaptive_p",
        ["penalty"] = "penalties",
    };

    /// <summary>No field set.</summary>
    public static LlamaOptions None { get; } = new();

    private bool AfterSampling { get; init; }

    private IReadOnlyList<SamplerKind>? Samplers { get; init; }

    private int MinKeep { get; init; }

    private int? Slot { get; init; }

    private bool Progress { get; init; }

    private bool CachesPrompts { get; init; } = true;

    private int? PromptTime { get; init; }

    private int? PredictTime { get; init; }

    /// <summary>The options of a request to any route: of another server's none, since only llama-server's clients mean them so.</summary>
    public static LlamaOptions Of(RequestFields fields, LlamaServerMode mode) => mode.IsOn ? Read(fields, mode) : None;

    /// <summary>Reads the fields; throws <see cref="ApiException"/> naming the one that is wrong.</summary>
    public static LlamaOptions Read(RequestFields fields, LlamaServerMode mode)
    {
        // Of a shift of the context and of thoughts some routes know more; for all others these say nothing.
        foreach (var name in (ReadOnlySpan<string>)["n_keep", "n_discard", "reasoning_format", "backend_sampling"])
            fields.Find(name);
        return new LlamaOptions
        {
            AfterSampling = fields.Flag("post_sampling_probs") ?? false,
            Samplers = SamplersOf(fields) ?? mode.Samplers,
            MinKeep = fields.Whole("min_keep", 0, int.MaxValue) ?? 0,
            Slot = fields.Whole("id_slot", -1, int.MaxValue) is >= 0 and var slot ? slot : null,
            Progress = (fields.Flag("return_progress") ?? false) && (fields.Flag("stream") ?? false),
            CachesPrompts = mode.CachesPrompts,
            PromptTime = Time("t_max_prompt_ms"),
            PredictTime = Time("t_max_predict_ms"),
        };

        int? Time(string name) => fields.Whole(name, -1, int.MaxValue) is > 0 and var milliseconds ? milliseconds : null;
    }

    /// <summary>
    /// Longest silence of a stream (<c>sse_ping_interval</c>, in seconds); null never breaks it. Of another server's routes it is broken
    /// where the request says so.
    /// </summary>
    public static TimeSpan? Ping(RequestFields fields, LlamaServerMode mode, bool isOwn) =>
        fields.Whole("sse_ping_interval", -1, int.MaxValue) is { } seconds
            ? seconds < 0 ? null : TimeSpan.FromSeconds(Math.Clamp(seconds, 1, 86_400))
            : isOwn || mode.IsOn ? mode.PingAfter : null;

    /// <summary>
    /// llama-server's <c>n_probs</c>, the other name of OpenAI's log probabilities; null where none are asked for, and of another server.
    /// </summary>
    public static int? Probabilities(RequestFields fields, LlamaServerMode mode) =>
        mode.IsOn && fields.Whole("n_probs", 0, TokenProbabilities.MostAlternatives) is > 0 and var most ? most : null;

    /// <summary>Most answers to one prompt.</summary>
    public const int MostChoices = 128;

    /// <summary>How many answers are asked for: <c>n</c>, whose other name is llama-server's <c>n_cmpl</c>.</summary>
    public static int Choices(RequestFields fields, LlamaServerMode mode) =>
        Larger(fields.Whole("n", 1, MostChoices), mode.IsOn ? fields.Whole("n_cmpl", 1, MostChoices) : null) ?? 1;

    /// <summary>The larger of what two names of one field say; null where neither says anything.</summary>
    public static int? Larger(int? one, int? other) => one > other || other is null ? one : other;

    /// <summary>How a request samples: its sampling fields over the model's defaults, and these options.</summary>
    public GenerationOptions With(SamplingPatch sampling, ModelFacts facts) =>
        Over(sampling.Over(SamplingPatch.DefaultsOf(facts) with { CachePrompt = CachesPrompts }));

    private GenerationOptions Over(GenerationOptions options) => options with
    {
        AfterSampling = AfterSampling && options.TopLogProbabilities is not null,
        Samplers = Samplers,
        // At temperature 0 nothing else is drawn, and the others are reported all the same.
        MinKeep = AfterSampling && options.Temperature <= 0 ? Math.Max(MinKeep, options.TopLogProbabilities ?? 0) : MinKeep,
        Slot = Slot,
        ReportProgress = Progress,
        PromptMilliseconds = PromptTime,
        PredictMilliseconds = PredictTime,
    };

    /// <summary>The names of llama-server's order of samplers, with the penalties before it.</summary>
    public static IReadOnlyList<SamplerKind> DefaultSamplers { get; } =
    [
        .. SamplerNames.Select(sampler => sampler.Kind).Where(kind => kind is not (SamplerKind.Infill or SamplerKind.AdaptiveP)),
    ];

    /// <summary>llama-server's word for why an answer ended: <c>limit</c>, <c>eos</c>, or <c>word</c> for a stop sequence.</summary>
    public static string StopTypeOf(OutputEnd end) =>
        end.Reason == FinishReason.Length ? "limit" : end.StopString is null ? "eos" : "word";

    /// <summary>llama-server's name of a sampler.</summary>
    public static string NameOf(SamplerKind kind) => Array.Find(SamplerNames, sampler => sampler.Kind == kind).Name;

    /// <summary>The samplers that names or letters call for; what is none is left out, as llama-server does.</summary>
    public static IReadOnlyList<SamplerKind> SamplersOf(IEnumerable<string> names) =>
    [
        .. names.Select(name => OtherSamplerNames.GetValueOrDefault(name, name))
            .SelectMany(name => SamplerNames.Where(sampler => sampler.Name == name).Select(sampler => sampler.Kind)),
    ];

    /// <inheritdoc cref="SamplersOf(IEnumerable{string})"/>
    public static IReadOnlyList<SamplerKind> SamplersOf(string letters) =>
        [.. letters.SelectMany(letter => SamplerNames.Where(sampler => sampler.Letter == letter).Select(sampler => sampler.Kind))];

    private static IReadOnlyList<SamplerKind>? SamplersOf(RequestFields fields)
    {
        var samplers = fields.Find("samplers") switch
        {
            null => null,
            { ValueKind: JsonValueKind.String } letters => SamplersOf(letters.GetString()!),
            { ValueKind: JsonValueKind.Array } names =>
                SamplersOf(names.EnumerateArray().Select((name, i) => RequestFields.TextOf(name, $"samplers[{i}]"))),
            { } other => throw ApiException.BadField("samplers",
                $"must be an array of names or a string of letters, not {RequestFields.Describe(other)}"),
        };
        return samplers is null or { Count: <= MostSamplers }
            ? samplers
            : throw ApiException.BadField("samplers", $"names {samplers.Count} samplers; at most {MostSamplers} are allowed");
    }
}
