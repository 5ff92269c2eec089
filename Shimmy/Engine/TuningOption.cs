using System.Globalization;
using System.Text.Json;

namespace Shimmy.Engine;

/// <summary>
/// One option of <see cref="LoadTuning"/> as users write it: <c>--gpu-layers</c> on the command line, <c>gpu_layers</c> in the config file
/// and in load requests. All of them read this table, so that they allow the same; <c>shimmy.config.schema.json</c> is held against it by a
/// test.
/// </summary>
internal sealed class TuningOption
{
    /// <summary>Most threads that llama.cpp runs (GGML_MAX_N_THREADS).</summary>
    public const int MostThreads = 512;

    /// <summary>Most tokens of context that may be asked for.</summary>
    public const int MostContext = 1 << 24;

    /// <summary>Most layers that may be asked for; more than any model has.</summary>
    public const int MostLayers = 10_000;

    /// <summary>The last device that may be asked for.</summary>
    public const int LastDevice = 255;

    private const int LongestOverride = 127; // llama.cpp keeps keys and texts in char[128]

    private readonly Func<LoadTuning, string, LoadTuning?> _set;

    private TuningOption(string name, string? value, string help, string allowed, Func<LoadTuning, string, LoadTuning?> set)
    {
        Name = name;
        Value = value;
        Help = help;
        Allowed = allowed;
        _set = set;
    }

    /// <summary>All options, in the order of the help.</summary>
    public static IReadOnlyList<TuningOption> All { get; } =
    [
        new("runtime", "NAME|DIR", "Build of llama.cpp to prefer: a name that shimmy gpu-info shows, or a folder with all its libraries",
            "the name of a runtime (shimmy gpu-info shows them) or a folder with llama.cpp's libraries",
            (tuning, text) => text.Length > 0 ? tuning with { Runtime = text } : null)
        {
            Default = "the newest that has what the model needs", MayBePath = true,
        },
        Choice("gpu-backend", null, "Backend; auto takes the first of cuda, metal, vulkan, opencl and cpu that loads and has a device",
            "auto",
            (tuning, backend) => tuning with { Backend = backend },
            ("auto", GpuBackend.Auto), ("cpu", GpuBackend.Cpu), ("cuda", GpuBackend.Cuda), ("vulkan", GpuBackend.Vulkan),
            ("opencl", GpuBackend.OpenCl),
            ("metal", GpuBackend.Metal)),
        new("device", "NAME,NAME", "Devices to use, as shimmy gpu-info names them, with commas between them",
            "names of devices, each once, with commas between them (shimmy gpu-info shows them)", (tuning, text) =>
                Parts(text) is { } names && names.Distinct(StringComparer.OrdinalIgnoreCase).Count() == names.Length
                    ? tuning with { Devices = names } : null)
        {
            Default = "all GPUs of the backend",
        },
        new("gpu-layers", "N|auto", "Layers on the GPU; auto takes as many as its free memory holds",
            $"a whole number from 0 to {MostLayers}, or auto", (tuning, text) =>
            text.Equals("auto", StringComparison.OrdinalIgnoreCase) ? tuning with { GpuLayers = LayerCount.Auto }
                : Whole(text, 0, MostLayers) is { } layers ? tuning with { GpuLayers = new LayerCount(layers) } : null)
        {
            Default = "all where a GPU is used", InRequests = true, IsWhole = true, Range = (0, MostLayers),
        },
        Choice("split-mode", null, "How several devices share a model", "layer", (tuning, mode) => tuning with { SplitMode = mode },
            ("none", SplitMode.None), ("layer", SplitMode.Layer), ("row", SplitMode.Row), ("tensor", SplitMode.Tensor)),
        new("tensor-split", "N,N", "The share of each device, with commas between them",
            "numbers of at least 0, not all 0, with commas between them", (tuning, text) =>
            Parts(text)?.Select(part => Number(part, 0, 1e9)).ToArray() is { } shares
                && Array.TrueForAll(shares, share => share is not null)
                && shares.Any(share => share > 0) ? tuning with { TensorSplit = [.. shares.Select(share => share!.Value)] } : null)
        {
            Default = "by free memory",
        },
        WholeNumber("main-gpu", "The device that has all with --split-mode none, counted from 0", "0", 0, LastDevice,
            (tuning, gpu) => tuning with { MainGpu = gpu }),
        // Off says no layer, which wins over what a lower source says, but not over the number that stands beside it.
        Switch("cpu-moe", "Keep all experts of a mixture-of-experts model on the CPU",
            (tuning, on) => tuning with { CpuExpertLayers = on ? LoadTuning.AllLayers : tuning.CpuExpertLayers ?? 0 }, inRequests: true),
        WholeNumber("n-cpu-moe", "Keep the experts of the first N layers on the CPU", null, 0, MostLayers,
            (tuning, layers) => tuning with { CpuExpertLayers = layers }, inRequests: true),
        Choice("flash-attn", null, "Flash attention: compute attention in one fused step; auto where the device can", "auto",
            (tuning, mode) => tuning with { FlashAttention = mode },
            ("OLLAMA_FLASH_ATTENTION", text => text.ToLowerInvariant() is "1" or "true" or "t" ? "on" : "off"),
            ("auto", FlashAttention.Auto), ("on", FlashAttention.On), ("off", FlashAttention.Off)),
        Choice("cache-type-k", "TYPE", $"Type of the keys in the KV cache: {AnyOf(Array.ConvertAll(CacheTypes, type => type.Word))}", "f16",
            (tuning, type) => tuning with { CacheTypeK = type }, OllamaCacheType, CacheTypes),
        Choice("cache-type-v", "TYPE", "Type of the values in the KV cache, as for keys; those below 16 bits need flash attention", "f16",
            (tuning, type) => tuning with { CacheTypeV = type }, OllamaCacheType, CacheTypes),
        Choice("mmap", "on|off", "Map the file into memory instead of reading it", "llama.cpp decides",
            (tuning, on) => tuning with { MemoryMap = on },
            ("on", true), ("off", false), ("true", true), ("false", false)),
        Switch("mlock", "Lock the model in memory, so that the system does not swap it out",
            (tuning, on) => tuning with { MemoryLock = on }),
        Choice("numa", null, "How threads and memory spread over NUMA nodes", "left to the system",
            (tuning, strategy) => tuning with { Numa = strategy },
            ("distribute", NumaStrategy.Distribute), ("isolate", NumaStrategy.Isolate), ("numactl", NumaStrategy.Numactl)),
        new("override-kv", "KEY=TYPE:VALUE", "Metadata of the file to replace, with commas between them; TYPE is int, float, bool or str",
            "KEY=TYPE:VALUE with the types int, float, bool (true or false) and str, each key once, with commas between them",
            (tuning, text) => Overrides(text) is { } all ? tuning with { MetadataOverrides = all } : null),
        Choice("rope-scaling", null, "How positions beyond the training context are scaled", ModelsOwn,
            (tuning, scaling) => tuning with { RopeScaling = scaling },
            ("none", RopeScaling.None), ("linear", RopeScaling.Linear), ("yarn", RopeScaling.Yarn)),
        Numbered("rope-scale", "Stretch the context N times", null, 1e-3, 1e6,
            (tuning, factor) => tuning with { RopeFrequencyScale = 1 / factor }),
        Numbered("rope-freq-base", "RoPE base frequency", ModelsOwn, 1, 1e12,
            (tuning, number) => tuning with { RopeFrequencyBase = number }),
        Numbered("rope-freq-scale", "Factor on RoPE's frequencies: 1/N stretches the context N times", null, 1e-6, 1e3,
            (tuning, factor) => tuning with { RopeFrequencyScale = factor }),
        WholeNumber("yarn-orig-ctx", "YaRN: tokens of context that the model was trained with", ModelsOwn, 1, MostContext,
            (tuning, tokens) => tuning with { YarnOriginalContext = tokens }),
        new("yarn-ext-factor", "N", "YaRN: mix of extrapolation, 0 to 1; 0 interpolates alone, -1 is the model's own",
            "a number from 0 to 1, or -1 for the model's own",
            (tuning, text) => (Number(text, 0, 1) ?? Number(text, -1, -1)) is { } number ? tuning with { YarnExtFactor = number } : null)
        {
            Default = "-1", Range = (-1, 1),
        },
        Numbered("yarn-attn-factor", "YaRN: factor on the magnitude of attention; needs --yarn-ext-factor 0", null, 1e-3, 1e3,
            (tuning, number) => tuning with { YarnAttnFactor = number }),
        Numbered("yarn-beta-slow", "YaRN: correction of the low dimensions (alpha)", null, 0, 1e4,
            (tuning, number) => tuning with { YarnBetaSlow = number }),
        Numbered("yarn-beta-fast", "YaRN: correction of the high dimensions (beta)", null, 0, 1e4,
            (tuning, number) => tuning with { YarnBetaFast = number }),
        WholeNumber("image-max-tokens", "Most tokens of one picture, for projectors that choose it by the picture's size, unless their file does",
            "the projector's own; 1024 on a CPU where that is 4096 or more", 16, 1 << 16,
            (tuning, tokens) => tuning with { ImageMaxTokens = tokens }),
        WholeNumber("image-min-tokens", "Least tokens of one picture, for projectors that choose it by the picture's size: small ones are enlarged",
            "the projector's own", 1, 1 << 16, (tuning, tokens) => tuning with { ImageMinTokens = tokens }),
    ];

    /// <summary>The options that cannot be given together, by pairs, and why.</summary>
    public static IReadOnlyList<(string One, string Other, string Why)> Exclusive { get; } =
    [
        ("cpu-moe", "n-cpu-moe", "the first keeps the experts of all layers on the CPU, the second those of the first N"),
        ("rope-scale", "rope-freq-scale", "the one is the other's inverse"),
    ];

    private const string ModelsOwn = "the model's own";

    private static (string Variable, Func<string, string?> Read) OllamaCacheType =>
        ("OLLAMA_KV_CACHE_TYPE", text => text.ToLowerInvariant());

    private static (string Word, CacheType Type)[] CacheTypes =>
    [
        ("f16", CacheType.F16), ("f32", CacheType.F32), ("bf16", CacheType.Bf16), ("q8_0", CacheType.Q8Level0),
        ("q4_0", CacheType.Q4Level0), ("q4_1", CacheType.Q4Level1),
        ("iq4_nl", CacheType.Iq4Nl), ("q5_0", CacheType.Q5Level0), ("q5_1", CacheType.Q5Level1),
    ];

    /// <summary>The name without dashes in front: <c>gpu-layers</c>.</summary>
    public string Name { get; }

    /// <summary>The name as a field of JSON: <c>gpu_layers</c>.</summary>
    public string Field => FieldOf(Name);

    /// <summary>The field of JSON for a name.</summary>
    public static string FieldOf(string name) => name.Replace('-', '_');

    /// <summary>
    /// Placeholder of the value in the help; null for a switch, which takes no value on the command line and is <c>true</c> or
    /// <c>false</c> elsewhere.
    /// </summary>
    public string? Value { get; }

    /// <summary>Whether it is a switch.</summary>
    public bool IsSwitch => Value is null;

    /// <summary>Description for the help, one sentence without a full stop.</summary>
    public string Help { get; }

    /// <summary>Default in words, for the help; null where it needs none.</summary>
    public string? Default { get; private init; }

    /// <summary>The allowed values in words, to follow "is not".</summary>
    public string Allowed { get; }

    /// <summary>The words to choose from; empty where it is no choice.</summary>
    public IReadOnlyList<string> Words { get; private init; } = [];

    /// <summary>The numbers that are allowed; null where it is no number.</summary>
    public (double Least, double Most)? Range { get; private init; }

    /// <summary>Whether its numbers are whole.</summary>
    public bool IsWhole { get; private init; }

    /// <summary>Whether a value with a separator in it is a path, which starts in the folder of the file that says it.</summary>
    public bool MayBePath { get; private init; }

    /// <summary>
    /// A variable of Ollama's that stands in for it where its clients are served, and how its value reads here; null where there is none.
    /// </summary>
    public (string Variable, Func<string, string?> Read)? Ollama { get; private init; }

    /// <summary>Whether a load request may say it: what is worth trying another way without a new configuration.</summary>
    public bool InRequests { get; private init; }

    /// <summary>The tuning with this option; null where the text is not allowed.</summary>
    public LoadTuning? Set(LoadTuning tuning, string text) => _set(tuning, text);

    /// <summary>
    /// A JSON value as the text that <see cref="Set"/> reads: numbers and switches may stand bare; null for what is neither.
    /// </summary>
    public static string? TextOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!.Trim(),
        JsonValueKind.Number => value.GetRawText(),
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => null,
    };

    /// <summary>Words in a sentence: <c>a, b or c</c>. There must be two at least.</summary>
    public static string AnyOf(IReadOnlyList<string> words) => $"{string.Join(", ", words.Take(words.Count - 1))} or {words[^1]}";

    private static TuningOption Choice<T>(
        string name, string? value, string help, string? otherwise, Func<LoadTuning, T, LoadTuning> set,
        params (string Word, T Value)[] choices) => Choice(name, value, help, otherwise, set, null, choices);

    private static TuningOption Choice<T>(
        string name, string? value, string help, string? otherwise, Func<LoadTuning, T, LoadTuning> set,
        (string Variable, Func<string, string?> Read)? ollama, params (string Word, T Value)[] choices)
    {
        string[] words = [.. choices.Select(choice => choice.Word)];
        var shown = value?.Split('|') is { Length: > 1 } some ? some : words;
        return new TuningOption(name, value ?? string.Join('|', words), help, AnyOf(shown), (tuning, text) =>
        {
            foreach (var (word, chosen) in choices)
            {
                if (word.Equals(text, StringComparison.OrdinalIgnoreCase))
                    return set(tuning, chosen);
            }
            return null;
        })
        {
            Default = otherwise,
            Words = words,
            Ollama = ollama,
        };
    }

    private static TuningOption Switch(string name, string help, Func<LoadTuning, bool, LoadTuning> set, bool inRequests = false) =>
        new(name, null, help, "true or false",
            (tuning, text) => bool.TryParse(text, out var on) ? set(tuning, on) : null)
        { InRequests = inRequests };

    private static TuningOption WholeNumber(
        string name, string help, string? otherwise, int least, int most, Func<LoadTuning, int, LoadTuning> set, bool inRequests = false) =>
        new(name, "N", help, $"a whole number from {least} to {most}",
            (tuning, text) => Whole(text, least, most) is { } number ? set(tuning, number) : null)
        {
            Default = otherwise,
            IsWhole = true,
            Range = (least, most),
            InRequests = inRequests,
        };

    private static TuningOption Numbered(
        string name, string help, string? otherwise, double least, double most, Func<LoadTuning, float, LoadTuning> set) =>
        new(name, "N", help, string.Create(CultureInfo.InvariantCulture, $"a number from {least} to {most}"),
            (tuning, text) => Number(text, least, most) is { } number ? set(tuning, number) : null)
        {
            Default = otherwise,
            Range = (least, most),
        };

    private static int? Whole(string text, int least, int most) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= least
            && number <= most ? number : null;

    private static float? Number(string text, double least, double most) =>
        double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
            CultureInfo.InvariantCulture, out var number)
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
                "float" => double.TryParse(one.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                    && double.IsFinite(number),
                "bool" => one.Value is "true" or "false",
                "str" => System.Text.Encoding.UTF8.GetByteCount(one.Value) <= LongestOverride,
                _ => false,
            };
            var isLong = System.Text.Encoding.UTF8.GetByteCount(one.Key) > LongestOverride;
            if (!fits || isLong || overrides.Exists(other => other.Key == one.Key))
                return null;
            overrides.Add(one);
        }
        return overrides.Count > 0 ? overrides : null;
    }
}
