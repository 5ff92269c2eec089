using System.Globalization;
using System.Text.Json;

namespace Shimmy.Engine;

/// <summary>
/// One option of <see cref="LoadTuning"/> as users write it: <c>--gpu-layers</c> on the command line, <c>gpu_layers</c> in the config file and in
/// load requests. All three read the text here, so that they allow the same.
/// </summary>
internal sealed class TuningOption
{
    private readonly Func<LoadTuning, string, LoadTuning?> _set;

    private TuningOption(string name, string allowed, Func<LoadTuning, string, LoadTuning?> set, bool isSwitch = false)
    {
        Name = name;
        Allowed = allowed;
        IsSwitch = isSwitch;
        _set = set;
    }

    /// <summary>The name without dashes in front: <c>gpu-layers</c>.</summary>
    public string Name { get; }

    /// <summary>The name as a field of JSON: <c>gpu_layers</c>.</summary>
    public string Field => FieldOf(Name);

    /// <summary>The field of JSON for a name.</summary>
    public static string FieldOf(string name) => name.Replace('-', '_');

    /// <summary>Whether it takes no value on the command line; its text is <c>true</c> or <c>false</c>.</summary>
    public bool IsSwitch { get; }

    /// <summary>What is allowed, to follow "is not".</summary>
    public string Allowed { get; }

    /// <summary>Whether a load request may say it: what is worth trying another way without a new configuration.</summary>
    public bool OfRequests => Name is "gpu-layers" or "cpu-moe" or "n-cpu-moe";

    /// <summary>The tuning with this option; null where the text is not allowed.</summary>
    public LoadTuning? Set(LoadTuning tuning, string text) => _set(tuning, text);

    /// <summary>A JSON value as the text that <see cref="Set"/> reads: numbers and switches may stand bare; null for what is neither.</summary>
    public static string? TextOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!.Trim(),
        JsonValueKind.Number => value.GetRawText(),
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => null,
    };

    /// <summary>The options that cannot be given together, by pairs, and why.</summary>
    public static IReadOnlyList<(string One, string Other, string Why)> Exclusive { get; } =
    [
        ("cpu-moe", "n-cpu-moe", "the first keeps the experts of all layers on the CPU, the second those of the first N"),
        ("rope-scale", "rope-freq-scale", "the one is the other's inverse"),
    ];

    /// <summary>All of them, in the order of the help; what they do is said there.</summary>
    public static IReadOnlyList<TuningOption> All { get; } =
    [
        Choice("gpu-backend", (tuning, backend) => tuning with { Backend = backend },
            ("auto", GpuBackend.Auto), ("cpu", GpuBackend.Cpu), ("cuda", GpuBackend.Cuda), ("vulkan", GpuBackend.Vulkan), ("opencl", GpuBackend.OpenCl),
            ("metal", GpuBackend.Metal)),
        new("device", "names of devices, each once, with commas between them (shimmy gpu-info shows them)", (tuning, text) =>
            Parts(text) is { } names && names.Distinct(StringComparer.OrdinalIgnoreCase).Count() == names.Length ? tuning with { Devices = names } : null),
        new("gpu-layers", $"a whole number from 0 to {MostLayers}, or auto", (tuning, text) =>
            text.Equals("auto", StringComparison.OrdinalIgnoreCase) ? tuning with { GpuLayers = LayerCount.Auto }
                : Whole(text, 0, MostLayers) is { } layers ? tuning with { GpuLayers = new LayerCount(layers) } : null),
        Choice("split-mode", (tuning, mode) => tuning with { SplitMode = mode },
            ("none", SplitMode.None), ("layer", SplitMode.Layer), ("row", SplitMode.Row), ("tensor", SplitMode.Tensor)),
        new("tensor-split", "numbers of at least 0, not all 0, with commas between them", (tuning, text) =>
            Parts(text)?.Select(part => Number(part, 0, 1e9)).ToArray() is { } shares && Array.TrueForAll(shares, share => share is not null)
                && shares.Any(share => share > 0) ? tuning with { TensorSplit = [.. shares.Select(share => share!.Value)] } : null),
        WholeNumber("main-gpu", 0, 255, (tuning, gpu) => tuning with { MainGpu = gpu }),
        // Off says no layer, which wins over what a lower source says, but not over the number that stands beside it.
        Switch("cpu-moe", (tuning, on) => tuning with { CpuExpertLayers = on ? LoadTuning.AllLayers : tuning.CpuExpertLayers ?? 0 }),
        WholeNumber("n-cpu-moe", 0, MostLayers, (tuning, layers) => tuning with { CpuExpertLayers = layers }),
        Choice("flash-attn", (tuning, mode) => tuning with { FlashAttention = mode },
            ("auto", FlashAttention.Auto), ("on", FlashAttention.On), ("off", FlashAttention.Off)),
        Choice("cache-type-k", (tuning, type) => tuning with { CacheTypeK = type }, CacheTypes),
        Choice("cache-type-v", (tuning, type) => tuning with { CacheTypeV = type }, CacheTypes),
        new("mmap", "on or off", (tuning, text) => text.ToLowerInvariant() switch
        {
            "on" or "true" => tuning with { MemoryMap = true },
            "off" or "false" => tuning with { MemoryMap = false },
            _ => null,
        }),
        Switch("mlock", (tuning, on) => tuning with { MemoryLock = on }),
        Choice("numa", (tuning, strategy) => tuning with { Numa = strategy },
            ("distribute", NumaStrategy.Distribute), ("isolate", NumaStrategy.Isolate), ("numactl", NumaStrategy.Numactl)),
        new("override-kv", "KEY=TYPE:VALUE with the types int, float, bool (true or false) and str, each key once, with commas between them",
            (tuning, text) => Overrides(text) is { } all ? tuning with { MetadataOverrides = all } : null),
        Choice("rope-scaling", (tuning, scaling) => tuning with { RopeScaling = scaling },
            ("none", RopeScaling.None), ("linear", RopeScaling.Linear), ("yarn", RopeScaling.Yarn)),
        Numbered("rope-scale", 1e-3, 1e6, (tuning, factor) => tuning with { RopeFrequencyScale = 1 / factor }),
        Numbered("rope-freq-base", 1, 1e12, (tuning, number) => tuning with { RopeFrequencyBase = number }),
        Numbered("rope-freq-scale", 1e-6, 1e3, (tuning, factor) => tuning with { RopeFrequencyScale = factor }),
        WholeNumber("yarn-orig-ctx", 1, 1 << 24, (tuning, tokens) => tuning with { YarnOriginalContext = tokens }),
        new("yarn-ext-factor", "a number from 0 to 1, or -1 for the model's own", (tuning, text) =>
            (Number(text, 0, 1) ?? Number(text, -1, -1)) is { } number ? tuning with { YarnExtFactor = number } : null),
        Numbered("yarn-attn-factor", 1e-3, 1e3, (tuning, number) => tuning with { YarnAttnFactor = number }),
        Numbered("yarn-beta-slow", 0, 1e4, (tuning, number) => tuning with { YarnBetaSlow = number }),
        Numbered("yarn-beta-fast", 0, 1e4, (tuning, number) => tuning with { YarnBetaFast = number }),
    ];

    private const int MostLayers = 10_000;

    private const int LongestOverride = 127; // llama.cpp keeps keys and texts in char[128]

    private static (string, CacheType)[] CacheTypes =>
    [
        ("f16", CacheType.F16), ("f32", CacheType.F32), ("bf16", CacheType.Bf16), ("q8_0", CacheType.Q8Level0), ("q4_0", CacheType.Q4Level0), ("q4_1", CacheType.Q4Level1),
        ("iq4_nl", CacheType.Iq4Nl), ("q5_0", CacheType.Q5Level0), ("q5_1", CacheType.Q5Level1),
    ];

    private static TuningOption Choice<T>(string name, Func<LoadTuning, T, LoadTuning> set, params (string Word, T Value)[] choices)
    {
        var allowed = WordList.AnyOf(Array.ConvertAll(choices, choice => choice.Word));
        return new TuningOption(name, allowed, (tuning, text) =>
        {
            foreach (var (word, value) in choices)
            {
                if (word.Equals(text, StringComparison.OrdinalIgnoreCase))
                    return set(tuning, value);
            }

            return null;
        });
    }

    private static TuningOption Switch(string name, Func<LoadTuning, bool, LoadTuning> set) =>
        new(name, "true or false", (tuning, text) => bool.TryParse(text, out var on) ? set(tuning, on) : null, isSwitch: true);

    private static TuningOption WholeNumber(string name, int least, int most, Func<LoadTuning, int, LoadTuning> set) =>
        new(name, $"a whole number from {least} to {most}", (tuning, text) => Whole(text, least, most) is { } number ? set(tuning, number) : null);

    private static TuningOption Numbered(string name, double least, double most, Func<LoadTuning, float, LoadTuning> set) =>
        new(name, string.Create(CultureInfo.InvariantCulture, $"a number from {least} to {most}"),
            (tuning, text) => Number(text, least, most) is { } number ? set(tuning, number) : null);

    private static int? Whole(string text, int least, int most) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most ? number : null;

    private static float? Number(string text, double least, double most) =>
        double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out var number)
            && number >= least && number <= most ? (float)number : null;

    private static string[]? Parts(string text)
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        return parts.All(part => part.Length > 0) ? parts : null;
    }

    private static List<MetadataOverride>? Overrides(string text)
    {
        var overrides = new List<MetadataOverride>();
        foreach (var part in Parts(text) ?? [])
        {
            var equals = part.IndexOf('=', StringComparison.Ordinal);
            var colon = part.IndexOf(':', equals + 1);
            if (equals <= 0 || colon < 0)
                return null;
            var one = new MetadataOverride(part[..equals], part[(equals + 1)..colon], part[(colon + 1)..]);
            var fits = one.Type switch
            {
                "int" => long.TryParse(one.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _),
                "float" => double.TryParse(one.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number),
                "bool" => one.Value is "true" or "false",
                "str" => System.Text.Encoding.UTF8.GetByteCount(one.Value) <= LongestOverride,
                _ => false,
            };
            if (!fits || System.Text.Encoding.UTF8.GetByteCount(one.Key) > LongestOverride || overrides.Exists(other => other.Key == one.Key))
                return null;
            overrides.Add(one);
        }
        return overrides.Count > 0 ? overrides : null;
    }
}

/// <summary>Words in a sentence.</summary>
internal static class WordList
{
    /// <summary>What is allowed: <c>a, b or c</c>. There must be two at least.</summary>
    public static string AnyOf(IReadOnlyList<string> words) => $"{string.Join(", ", words.Take(words.Count - 1))} or {words[^1]}";
}
