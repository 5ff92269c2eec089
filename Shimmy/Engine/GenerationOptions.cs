namespace Shimmy.Engine;

/// <summary>
/// Options of sampling. Names and defaults are llama.cpp's (common/common.h, tools/server/README.md). So is the order in which the samplers
/// apply where <see cref="Samplers"/> does not say another: logit bias, penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC,
/// temperature, distribution.
/// </summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to generate; 0 only computes the prompt, null generates until the model ends or the context is full.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Seed of the random numbers; null draws one, which <see cref="GenerationStart.Seed"/> reports.</summary>
    public uint? Seed { get; init; }

    /// <summary>The options of one of several answers to a prompt: the same seed would give the same answer again.</summary>
    /// <param name="choice">Index of the answer.</param>
    public GenerationOptions ForChoice(int choice) =>
        choice > 0 && Seed is { } seed ? this with { Seed = seed + (uint)choice } : this;

    /// <summary>Temperature, at least 0; 0 takes the most likely token each time.</summary>
    public float Temperature { get; init; } = 0.8f;

    /// <summary>Half-width of the dynamic temperature around <see cref="Temperature"/>; 0 is off.</summary>
    public float DynamicTemperatureRange { get; init; }

    /// <summary>Exponent of the dynamic temperature's entropy curve.</summary>
    public float DynamicTemperatureExponent { get; init; } = 1f;

    /// <summary>Keep this many most likely tokens; 0 is off.</summary>
    public int TopK { get; init; } = 40;

    /// <summary>Nucleus sampling (Holtzman et al. 2019), in [0, 1]; 1 is off.</summary>
    public float TopP { get; init; } = 0.95f;

    /// <summary>Drop tokens less likely than this share of the most likely one, in [0, 1]; 0 is off.</summary>
    public float MinP { get; init; } = 0.05f;

    /// <summary>Locally typical sampling (Meister et al. 2022), in [0, 1]; 1 is off.</summary>
    public float TypicalP { get; init; } = 1f;

    /// <summary>Keep tokens within this many standard deviations of the best logit (arXiv 2411.07641); negative is off.</summary>
    public float TopNSigma { get; init; } = -1f;

    /// <summary>Chance of excluding the top choices, in [0, 1]; 0 is off.</summary>
    public float XtcProbability { get; init; }

    /// <summary>Least probability of a token that XTC may exclude; above 0.5 is off.</summary>
    public float XtcThreshold { get; init; } = 0.1f;

    /// <summary>How many last tokens the penalties look at; 0 is off, -1 the whole context.</summary>
    public int RepeatLastN { get; init; } = 64;

    /// <summary>Divides the logits of tokens seen before, above 0; 1 is off.</summary>
    public float RepeatPenalty { get; init; } = 1f;

    /// <summary>Subtracted once per earlier occurrence, in [-2, 2]; 0 is off.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Subtracted once where a token occurred before, in [-2, 2]; 0 is off.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>DRY repetition penalty; 0 is off.</summary>
    public float DryMultiplier { get; init; }

    /// <summary>Base of DRY's exponential.</summary>
    public float DryBase { get; init; } = 1.75f;

    /// <summary>Longest repetition that DRY leaves alone, in tokens.</summary>
    public int DryAllowedLength { get; init; } = 2;

    /// <summary>How far back DRY looks, in tokens; 0 is off, -1 the whole context.</summary>
    public int DryPenaltyLastN { get; init; } = -1;

    /// <summary>Texts that end a repetition for DRY.</summary>
    public IReadOnlyList<string> DrySequenceBreakers { get; init; } = ["\n", ":", "\"", "*"];

    /// <summary>0 off, 1 Mirostat, 2 Mirostat 2.0 (arXiv 2007.14966); replaces the truncating samplers.</summary>
    public int Mirostat { get; init; }

    /// <summary>Mirostat's target entropy.</summary>
    public float MirostatTau { get; init; } = 5f;

    /// <summary>Mirostat's learning rate.</summary>
    public float MirostatEta { get; init; } = 0.1f;

    /// <summary>Adaptive-p draws tokens whose probability is near this one, 0 to 1; negative is off.</summary>
    public float AdaptiveTarget { get; init; } = -1f;

    /// <summary>How much of its past adaptive-p remembers, 0 to 0.99.</summary>
    public float AdaptiveDecay { get; init; } = 0.9f;

    /// <summary>Whether XTC excludes tokens at random, even at temperature 0.</summary>
    public bool DrawsByXtc => this is { XtcProbability: > 0, XtcThreshold: <= 0.5f };

    /// <summary>
    /// Whether chance has no part in an answer: temperature 0 leaves one token to draw, unless the request's own order has no such stage,
    /// or a range around it raises it, which counts where all stages stand in the chain.
    /// </summary>
    public bool HasNoChance => Temperature <= 0 && !DrawsByXtc && Samplers?.Contains(SamplerKind.Temperature) != false
        && (DynamicTemperatureRange <= 0 || this is { Samplers: null, MinKeep: <= 0, AfterSampling: false });

    /// <summary>
    /// Whether each token is the most likely one that penalties and DRY leave, whatever the stages say that only narrow or weigh a choice
    /// (<see cref="SamplingField.OnlyByChance"/>). The worker leaves these out then, and the key of the response cache their fields. Stages
    /// that may drop the most likely token are named here.
    /// </summary>
    public bool TakesLikeliest => HasNoChance && TypicalP >= 1 && this is { Mirostat: 0, Samplers: null, AfterSampling: false };

    /// <summary>Added to the logits of single tokens; negative infinity bans one.</summary>
    public IReadOnlyList<LogitBias> LogitBias { get; init; } = [];

    /// <summary>
    /// The LoRA adapters that act on the answer, and no others; null leaves it to <see cref="ModelSpec.Loras"/>. A choice that the model
    /// does not have is refused.
    /// </summary>
    public IReadOnlyList<LoraChoice>? Loras { get; init; }

    /// <summary>Never end at an end-of-generation token.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Stop sequences: texts that end the answer and are not part of it. Applied by Chat/Output, not by the worker.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Report each token's log probability and this many alternatives, as many as its dialect has; null reports none.</summary>
    public int? TopLogProbabilities { get; init; }

    /// <summary>
    /// Report the prompt's tokens before the answer's, each with its log probability and <see cref="TopLogProbabilities"/> alternatives.
    /// All of the prompt is computed then; nothing is taken over. A BOS is not reported, and what stands first has no probability.
    /// </summary>
    public bool ReportPrompt { get; init; }

    /// <summary>Keep each token beside the text that it gave. Applied by Chat/Output; a worker reports every token anyway.</summary>
    public bool ReportTokens { get; init; }

    /// <summary>Report how much of the prompt is computed, after each batch of it.</summary>
    public bool ReportProgress { get; init; }

    /// <summary>Report the probabilities that the samplers leave, as they are drawn from, and not those before them.</summary>
    public bool AfterSampling { get; init; }

    /// <summary>The samplers to apply, in this order; null applies all in llama.cpp's order.</summary>
    public IReadOnlyList<SamplerKind>? Samplers { get; init; }

    /// <summary>Tokens that the truncating samplers keep at least.</summary>
    public int MinKeep { get; init; }

    /// <summary>
    /// Most milliseconds of the prompt, from its slot on; null is no limit. Applied by Chat, as <see cref="PredictMilliseconds"/> is.
    /// </summary>
    public int? PromptMilliseconds { get; init; }

    /// <summary>Milliseconds from the first token after which an answer with a line break ends; null is no limit.</summary>
    public int? PredictMilliseconds { get; init; }

    /// <summary>The slot to run in, of whose cells alone a prefix is taken over; null takes any.</summary>
    public int? Slot { get; init; }

    /// <summary>Whether the prompt may take over cells that are computed already.</summary>
    public bool CachePrompt { get; init; } = true;
}

/// <summary>A change to one token's logit.</summary>
/// <param name="Token">The token's id.</param>
/// <param name="Bias">What is added to its logit.</param>
public readonly record struct LogitBias(int Token, float Bias);

/// <summary>A stage of the sampler chain (<see cref="GenerationOptions.Samplers"/>).</summary>
public enum SamplerKind
{
    /// <summary>Repeat, frequency and presence penalties.</summary>
    Penalties,

    /// <summary>DRY.</summary>
    Dry,

    /// <summary>Top-n-sigma.</summary>
    TopNSigma,

    /// <summary>Top-k.</summary>
    TopK,

    /// <summary>Locally typical sampling.</summary>
    Typical,

    /// <summary>Nucleus sampling.</summary>
    TopP,

    /// <summary>Min-p.</summary>
    MinP,

    /// <summary>XTC.</summary>
    Xtc,

    /// <summary>Temperature.</summary>
    Temperature,

    /// <summary>The sampler for filling in the middle: joins tokens with a common prefix, and ends where none is likely.</summary>
    Infill,

    /// <summary>Adaptive-p, in place of the draw at the end.</summary>
    AdaptiveP,
}
