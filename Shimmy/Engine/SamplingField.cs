using System.Globalization;

namespace Shimmy.Engine;

/// <summary>The kind of value that a sampling field takes.</summary>
internal enum SamplingKind
{
    /// <summary>A whole number from <see cref="SamplingField.Least"/> to <see cref="SamplingField.Most"/>, kept as <c>int</c>.</summary>
    Whole,

    /// <summary>A number from <see cref="SamplingField.Least"/> to <see cref="SamplingField.Most"/>, kept as <c>float</c>.</summary>
    Number,

    /// <summary>A whole number of 64 bits, folded to <c>uint</c>; -1 draws one.</summary>
    Seed,

    /// <summary>True or false.</summary>
    Flag,

    /// <summary>One text, or a list of them.</summary>
    Texts,

    /// <summary>Token ids with what is added to their logits (<see cref="LogitBias"/>).</summary>
    Biases,

    /// <summary>LoRA adapters with their strengths (<see cref="LoraChoice"/>).</summary>
    Adapters,
}

/// <summary>
/// One field of <see cref="GenerationOptions"/> as users write it: <c>top_k</c> in a request, <c>--top-k</c> on the command line,
/// <c>general.sampling.top_k</c> in a model's file. Requests, the command lines of Shimmy and of llama-server, model defaults, the key of
/// the response cache and the worker's pipe read this table.
/// A new sampler is a property of <see cref="GenerationOptions"/>, a row here, and its stage in the worker's sampler chain.
/// </summary>
internal sealed class SamplingField
{
    // Clients that write the turns of a group chat themselves stop at the name of each who takes part.
    private const int MostStops = 1024;

    // Each costs a pass over the vocabulary.
    private const int MostTexts = 16;
    private const int LongestText = 4096;

    private const double Unlimited = int.MaxValue;
    private const string StopName = "stop";

    private readonly Func<GenerationOptions, object?> _get;
    private readonly Func<GenerationOptions, object?, GenerationOptions> _set;

    private SamplingField(
        string name, SamplingKind kind, Func<GenerationOptions, object?> get, Func<GenerationOptions, object?, GenerationOptions> set,
        double least = 0, double most = 0)
    {
        Name = name;
        Kind = kind;
        Least = least;
        Most = most;
        _get = get;
        _set = set;
    }

    /// <summary>All fields, in the order in which a request is checked, and in which they stand on the worker's pipe.</summary>
    public static IReadOnlyList<SamplingField> All { get; } =
    [
        new("seed", SamplingKind.Seed, o => o.Seed, (o, v) => o with { Seed = (uint?)v })
        {
            Help = "Seed of the random number generator", Default = "a random one, reported", Metadata = "seed", OnlyByChance = true,
            LlamaServer = new(["-s", "--seed"], Help: "Seed; -1 draws one"),
        },
        new("temperature", SamplingKind.Number, o => o.Temperature, (o, v) => o with { Temperature = (float)v! }, 0, 100)
        {
            Help = "Temperature; 0 always takes the most likely token", Metadata = "temp", OnlyByChance = true,
            LlamaServer = new(["--temp", "--temperature"], "LLAMA_ARG_TEMPERATURE"),
        },
        new("dynatemp_range", SamplingKind.Number, o => o.DynamicTemperatureRange,
            (o, v) => o with { DynamicTemperatureRange = (float)v! }, 0, 100)
        {
            OnlyByChance = true, Metadata = "dynatemp_range",
            LlamaServer = new(["--dynatemp-range"], Help: "Range of the dynamic temperature"),
        },
        new("dynatemp_exponent", SamplingKind.Number, o => o.DynamicTemperatureExponent,
            (o, v) => o with { DynamicTemperatureExponent = (float)v! }, 0, 100)
        {
            OnlyByChance = true, Metadata = "dynatemp_exponent",
            LlamaServer = new(["--dynatemp-exp"], Help: "Exponent of the dynamic temperature"),
        },
        new("top_k", SamplingKind.Whole, o => o.TopK, (o, v) => o with { TopK = (int)v! }, -1, Unlimited)
        {
            Help = "Keep this many most likely tokens; 0 keeps all", Metadata = "top_k", OnlyByChance = true,
            LlamaServer = new(["--top-k"], "LLAMA_ARG_TOP_K"),
        },
        new("top_p", SamplingKind.Number, o => o.TopP, (o, v) => o with { TopP = (float)v! }, 0, 1)
        {
            Help = "Nucleus sampling: keep the most likely tokens of this share together, 0 to 1", Metadata = "top_p", OnlyByChance = true,
            LlamaServer = new(["--top-p"], "LLAMA_ARG_TOP_P"),
        },
        new("min_p", SamplingKind.Number, o => o.MinP, (o, v) => o with { MinP = (float)v! }, 0, 1)
        {
            Help = "Drop tokens less likely than this share of the most likely one, 0 to 1", Metadata = "min_p", OnlyByChance = true,
            LlamaServer = new(["--min-p"], "LLAMA_ARG_MIN_P"),
        },
        new("typical_p", SamplingKind.Number, o => o.TypicalP, (o, v) => o with { TypicalP = (float)v! }, 0, 1)
        {
            Help = "Locally typical sampling, 0 to 1; 1 is off", Metadata = "typ_p", OnlyByChance = true,
            LlamaServer = new(["--typical", "--typical-p"]),
        },
        new("top_n_sigma", SamplingKind.Number, o => o.TopNSigma, (o, v) => o with { TopNSigma = (float)v! }, -1, 100)
        {
            Help = "Keep tokens within this many standard deviations of the best; negative is off", OnlyByChance = true,
            Metadata = "top_n_sigma",
            LlamaServer = new(["--top-nsigma", "--top-n-sigma"]),
        },
        new("xtc_probability", SamplingKind.Number, o => o.XtcProbability, (o, v) => o with { XtcProbability = (float)v! }, 0, 1)
        {
            Help = "Chance of excluding the top choices, 0 to 1", Metadata = "xtc_probability", OnlyByChance = true,
            LlamaServer = new(["--xtc-probability"]),
        },
        new("xtc_threshold", SamplingKind.Number, o => o.XtcThreshold, (o, v) => o with { XtcThreshold = (float)v! }, 0, 1)
        {
            Help = "Least probability of a token that XTC may exclude, 0 to 1", Metadata = "xtc_threshold", OnlyByChance = true,
            LlamaServer = new(["--xtc-threshold"]),
        },
        new("repeat_last_n", SamplingKind.Whole, o => o.RepeatLastN, (o, v) => o with { RepeatLastN = (int)v! }, -1, Unlimited)
        {
            Help = "How many last tokens the penalties look at; 0 is off, -1 all", Metadata = "penalty_last_n",
            LlamaServer = new(["--repeat-last-n"]),
        },
        new("repeat_penalty", SamplingKind.Number, o => o.RepeatPenalty, (o, v) => o with { RepeatPenalty = (float)v! }, 0.01, 100)
        {
            Help = "Divides the logits of tokens seen before; 1 is off", Metadata = "penalty_repeat",
            // The name in vLLM and OpenRouter.
            OtherName = "repetition_penalty",
            LlamaServer = new(["--repeat-penalty"], "LLAMA_ARG_REPEAT_PENALTY"),
        },
        new("frequency_penalty", SamplingKind.Number, o => o.FrequencyPenalty, (o, v) => o with { FrequencyPenalty = (float)v! }, -2, 2)
        {
            Help = "Subtracted once per earlier occurrence, -2 to 2", Metadata = "penalty_freq",
            LlamaServer = new(["--frequency-penalty"], "LLAMA_ARG_FREQUENCY_PENALTY"),
        },
        new("presence_penalty", SamplingKind.Number, o => o.PresencePenalty, (o, v) => o with { PresencePenalty = (float)v! }, -2, 2)
        {
            Help = "Subtracted where a token occurred before, -2 to 2", Metadata = "penalty_present",
            LlamaServer = new(["--presence-penalty"], "LLAMA_ARG_PRESENCE_PENALTY"),
        },
        new("dry_multiplier", SamplingKind.Number, o => o.DryMultiplier, (o, v) => o with { DryMultiplier = (float)v! }, 0, 100)
        {
            Help = "DRY repetition penalty; 0 is off", Metadata = "dry_multiplier",
            LlamaServer = new(["--dry-multiplier"]),
        },
        new("dry_base", SamplingKind.Number, o => o.DryBase, (o, v) => o with { DryBase = (float)v! }, 1, 100)
        {
            Help = "Base of DRY's exponential", Metadata = "dry_base",
            LlamaServer = new(["--dry-base"]),
        },
        new("dry_allowed_length", SamplingKind.Whole, o => o.DryAllowedLength, (o, v) => o with { DryAllowedLength = (int)v! }, 0,
            Unlimited)
        {
            Help = "Longest repetition that DRY does not penalize, in tokens", Metadata = "dry_allowed_length",
            LlamaServer = new(["--dry-allowed-length"]),
        },
        new("dry_penalty_last_n", SamplingKind.Whole, o => o.DryPenaltyLastN, (o, v) => o with { DryPenaltyLastN = (int)v! }, -1, Unlimited)
        {
            Help = "How far back DRY looks, in tokens; 0 is off, -1 all", Metadata = "dry_penalty_last_n",
            LlamaServer = new(["--dry-penalty-last-n"]),
        },
        new("dry_sequence_breakers", SamplingKind.Texts, o => o.DrySequenceBreakers,
            (o, v) => o with { DrySequenceBreakers = (IReadOnlyList<string>)v! }, most: MostTexts)
        {
            Metadata = "dry_sequence_breakers",
            LlamaServer = new(["--dry-sequence-breaker"], Help: "Text that ends a repetition for DRY; none for no such text"),
        },
        new("mirostat", SamplingKind.Whole, o => o.Mirostat, (o, v) => o with { Mirostat = (int)v! }, 0, 2)
        {
            Help = "1 is Mirostat, 2 is Mirostat 2.0, 0 is off", Metadata = "mirostat",
            LlamaServer = new(["--mirostat"]),
        },
        new("mirostat_tau", SamplingKind.Number, o => o.MirostatTau, (o, v) => o with { MirostatTau = (float)v! }, 0, 100)
        {
            Help = "Mirostat's target entropy", Metadata = "mirostat_tau", OnlyByChance = true,
            LlamaServer = new(["--mirostat-ent"]),
        },
        new("mirostat_eta", SamplingKind.Number, o => o.MirostatEta, (o, v) => o with { MirostatEta = (float)v! }, 0, 100)
        {
            Help = "Mirostat's learning rate", Metadata = "mirostat_eta", OnlyByChance = true,
            LlamaServer = new(["--mirostat-lr"]),
        },
        new("adaptive_target", SamplingKind.Number, o => o.AdaptiveTarget, (o, v) => o with { AdaptiveTarget = (float)v! }, -1, 1)
        {
            OnlyByChance = true, Metadata = "adaptive_target",
            LlamaServer = new(["--adaptive-target"],
                Help: "Probability that the sampler adaptive_p draws near; negative is off"),
        },
        new("adaptive_decay", SamplingKind.Number, o => o.AdaptiveDecay, (o, v) => o with { AdaptiveDecay = (float)v! }, 0, 0.99)
        {
            OnlyByChance = true, Metadata = "adaptive_decay",
            LlamaServer = new(["--adaptive-decay"], Help: "How much of its past adaptive_p remembers"),
        },
        new("logit_bias", SamplingKind.Biases, o => o.LogitBias, (o, v) => o with { LogitBias = (IReadOnlyList<LogitBias>)v! }),
        new("ignore_eos", SamplingKind.Flag, o => o.IgnoreEos, (o, v) => o with { IgnoreEos = (bool)v! })
        {
            Help = "Generate on past end-of-generation tokens", Metadata = "ignore_eos",
            LlamaServer = new(["--ignore-eos"]),
        },
        new(StopName, SamplingKind.Texts, o => o.Stop, (o, v) => o with { Stop = (IReadOnlyList<string>)v! }, most: MostStops)
        {
            Help = "Stop sequence: ends the answer and is not part of it",
        },
        new("lora", SamplingKind.Adapters, o => o.Loras, (o, v) => o with { Loras = (IReadOnlyList<LoraChoice>?)v }),
        new("cache_prompt", SamplingKind.Flag, o => o.CachePrompt, (o, v) => o with { CachePrompt = (bool)v! }),
    ];

    /// <summary>The row of stop sequences, which a dialect may have under another name.</summary>
    public static SamplingField Stop { get; } = All.First(field => field.Name == StopName);

    /// <summary>The field's name in a request: <c>top_k</c>.</summary>
    public string Name { get; }

    /// <summary>Another name that a request may use; null where there is none.</summary>
    public string? OtherName { get; private init; }

    /// <summary>The kind of its value.</summary>
    public SamplingKind Kind { get; }

    /// <summary>The least number that is allowed.</summary>
    public double Least { get; }

    /// <summary>The greatest number that is allowed; of texts, how many.</summary>
    public double Most { get; }

    /// <summary>Description for the help of <c>generate</c>; null where the command line does not have it.</summary>
    public string? Help { get; private init; }

    /// <summary>Default in words, for the help; null where <see cref="DefaultText"/> says it.</summary>
    public string? Default { get; private init; }

    /// <summary>The option of llama-server's command line that sets its default; null where llama-server has none.</summary>
    public LlamaServerName? LlamaServer { get; private init; }

    /// <summary>Its key behind <c>general.sampling.</c> in a model's file; null where a file cannot say it.</summary>
    public string? Metadata { get; private init; }

    /// <summary>
    /// Whether it only narrows or weighs a choice that chance makes. It changes no answer where the likeliest token is taken
    /// (<see cref="GenerationOptions.TakesLikeliest"/>), and is left out of the key of the response cache then.
    /// </summary>
    public bool OnlyByChance { get; private init; }

    /// <summary>Its value: an <c>int</c>, a <c>float</c> …, as its kind says.</summary>
    public object? Get(GenerationOptions options) => _get(options);

    /// <summary>The options with this value, of the type that its kind says.</summary>
    public GenerationOptions Set(GenerationOptions options, object? value) => _set(options, value);

    /// <summary>Reads a number of its kind within its range; null where the text is none.</summary>
    public object? Number(string text)
    {
        const NumberStyles style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        if (!double.TryParse(text, style, CultureInfo.InvariantCulture, out var number) || !(number >= Least && number <= Most))
            return null;
        if (Kind == SamplingKind.Number)
            return (float)number;
        return number == Math.Floor(number) ? (object)(int)number : null;
    }

    /// <summary>The allowed numbers in words, to follow "must be" or "is not".</summary>
    public string AllowedNumber =>
        string.Create(CultureInfo.InvariantCulture, $"a {(Kind == SamplingKind.Whole ? "whole number" : "number")} from {Least} to {Most}");

    /// <summary>
    /// A seed of 64 bits, as OpenAI's API has them, folded to llama.cpp's 32; null for -1, llama.cpp's word for a random one.
    /// </summary>
    public static uint? FoldSeed(long seed) =>
        seed == -1 ? null : seed is >= 0 and <= uint.MaxValue ? (uint)seed : (uint)(seed ^ (seed >> 32));

    /// <summary>The error of a list of texts, to follow the field's name; null where nothing is.</summary>
    public string? WhyRefused(IReadOnlyList<string> texts)
    {
        if (texts.Count > Most)
            return string.Create(CultureInfo.InvariantCulture, $"has {texts.Count} strings; at most {Most} are allowed");
        return texts.FirstOrDefault(text => text.Length is 0 or > LongestText) is { } odd
            ? $"has a string of {odd.Length} characters; 1 to {LongestText} are allowed"
            : null;
    }

    /// <summary>Its value in <paramref name="defaults"/> as users write it; null where it has none.</summary>
    public string? DefaultText(GenerationOptions defaults) => Default ?? (Kind is SamplingKind.Whole or SamplingKind.Number
        ? Convert.ToString(_get(defaults), CultureInfo.InvariantCulture)
        : null);
}

/// <summary>An option of llama-server's command line that sets the default of a sampling field.</summary>
/// <param name="Names">Its names, short ones first.</param>
/// <param name="Variable">The variable of the environment that stands in for it; null where there is none.</param>
/// <param name="Help">What it does; null where <see cref="SamplingField.Help"/> says it.</param>
internal sealed record LlamaServerName(string[] Names, string? Variable = null, string? Help = null);

/// <summary>
/// Sampling options of a request, a command line or a model's file, those alone that are set. Read once, and laid over the defaults
/// when these are known: a model's own are known only after it is loaded.
/// </summary>
/// <param name="Values">The fields that are given, with values of their kinds.</param>
internal sealed record SamplingPatch(IReadOnlyList<(SamplingField Field, object Value)> Values)
{
    /// <inheritdoc cref="GenerationOptions.MaxTokens"/>
    public int? MaxTokens { get; init; }

    /// <summary>Stop sequences of a dialect that has another field for them; null leaves them to <see cref="Values"/>.</summary>
    public IReadOnlyList<string>? Stop { get; init; }

    /// <inheritdoc cref="GenerationOptions.TopLogProbabilities"/>
    public int? TopLogProbabilities { get; init; }

    /// <inheritdoc cref="GenerationOptions.ReportPrompt"/>
    public bool ReportPrompt { get; init; }

    /// <inheritdoc cref="GenerationOptions.ReportTokens"/>
    public bool ReportTokens { get; init; }

    /// <summary>No field set.</summary>
    public static SamplingPatch None { get; } = new([]);

    /// <summary>
    /// The defaults of a model: its own (<c>general.sampling.*</c>, as text), else those of a dialect, or llama.cpp's where it has none.
    /// </summary>
    public static GenerationOptions DefaultsOf(ModelFacts facts, GenerationOptions? otherwise = null)
    {
        var values = new List<(SamplingField, object)>();
        foreach (var field in SamplingField.All)
        {
            // A file's metadata is input like any other: what no request could ask for counts as absent.
            var text = field.Metadata is { } key ? facts.SamplingDefaults.GetValueOrDefault(key) : null;
            if (text is not null && ValueOf(field, text) is { } value)
                values.Add((field, value));
        }
        var most = facts.SamplingDefaults.GetValueOrDefault("max_tokens");
        return new SamplingPatch(values)
        {
            MaxTokens = int.TryParse(most, NumberStyles.None, CultureInfo.InvariantCulture, out var tokens) && tokens > 0 ? tokens : null,
        }.Over(otherwise ?? new GenerationOptions());
    }

    /// <summary>The options that this asks for; what it does not name stays as it is in <paramref name="defaults"/>.</summary>
    public GenerationOptions Over(GenerationOptions defaults)
    {
        var options = defaults;
        foreach (var (field, value) in Values)
            options = field.Set(options, value);
        return options with
        {
            MaxTokens = MaxTokens ?? options.MaxTokens,
            Stop = Stop ?? options.Stop,
            TopLogProbabilities = TopLogProbabilities,
            ReportPrompt = ReportPrompt,
            ReportTokens = ReportTokens,
        };
    }

    // A seed of -1 is absent as well, and so a random one.
    private static object? ValueOf(SamplingField field, string text) => field.Kind switch
    {
        SamplingKind.Flag => bool.TryParse(text, out var flag) ? (object)flag : null,
        SamplingKind.Texts => text.Split('\u001f', StringSplitOptions.RemoveEmptyEntries),
        SamplingKind.Seed => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seed) ? (object)seed : null,
        _ => field.Number(text),
    };
}
