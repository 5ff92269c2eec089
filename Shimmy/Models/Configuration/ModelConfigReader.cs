using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Models.Discovery;

namespace Shimmy.Models.Configuration;

/// <summary>
/// Reads the config file: JSON, comments and trailing commas allowed, every field known and in its range or the whole file is
/// refused.
/// <c>shimmy.config.schema.json</c> beside this file describes the same for editors.
/// </summary>
/// <param name="host">Makes paths whole.</param>
/// <param name="folder">The folder of the file, where relative paths begin.</param>
internal sealed class ModelConfigReader(HostEnvironment host, string folder)
{
    private const int MaxContext = 1 << 24;
    private const int MaxThreads = 512; // GGML_MAX_N_THREADS

    private static readonly JsonDocumentOptions Options = new()
    {
        AllowTrailingCommas = true,
        AllowDuplicateProperties = false,
        CommentHandling = JsonCommentHandling.Skip,
        MaxDepth = 16,
    };

    private readonly HostEnvironment _host = host with { CurrentDirectory = folder };

    /// <summary>Fields of the file.</summary>
    public static IReadOnlyList<string> RootFields { get; } = ["$schema", "models", "aliases", "memory_budget"];

    /// <summary>Fields of a model.</summary>
    public static IReadOnlyList<string> ModelFields { get; } =

    [
        "name", "base_path", "lora_path", "template", "ctx_len", "n_threads", .. TuningOption.All.Select(option => option.Field),
        "aliases", "keep_alive", "pinned",
    ];

    /// <summary>
    /// Reads a file. Throws <see cref="FileNotFoundException"/> where there is none, <see cref="ConfigException"/> with the path where it
    /// is wrong or cannot be read.
    /// </summary>
    /// <param name="path">Its path.</param>
    /// <param name="host">Makes paths whole.</param>
    public static ModelConfig ReadFile(string path, HostEnvironment host)
    {
        var full = Path.GetFullPath(path);
        try
        {
            return new ModelConfigReader(host, Path.GetDirectoryName(full)!).Read(SmallFile.ReadBytes(full));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FileNotFoundException($"there is no file '{path}'", full, e);
        }
        catch (Exception e) when (e is ConfigException or IOException or UnauthorizedAccessException)
        {
            throw new ConfigException($"{path}: {e.Message}", e);
        }
    }

    /// <summary>Reads a file's bytes. Throws <see cref="ConfigException"/>.</summary>
    public ModelConfig Read(ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(WithoutMark(json), Options);
            return ReadRoot(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ConfigException($"not valid JSON: {e.Message}", e);
        }
    }

    // Editors on Windows put a byte order mark first; the parser takes it for an error.
    private static ReadOnlyMemory<byte> WithoutMark(ReadOnlyMemory<byte> json) =>
        json.Span.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]) ? json[3..] : json;

    private ModelConfig ReadRoot(JsonElement root)
    {
        Require(root, JsonValueKind.Object, "the file", "an object");
        var models = new List<ConfiguredModel>();
        var aliases = new List<ModelAlias>();
        var general = new List<ModelAlias>();
        long? budget = null;
        foreach (var field in root.EnumerateObject())
        {
            switch (field.Name)
            {
                case "$schema":
                    break;
                case "models":
                    ReadModels(field.Value, models, aliases);
                    break;
                case "aliases":
                    ReadAliases(field.Value, general);
                    break;
                case "memory_budget":
                    budget = Bytes(field.Value, field.Name);
                    break;
                default:
                    throw Unknown(field.Name, RootFields);
            }
        }

        return new ModelConfig(models, [.. aliases, .. general], budget);
    }

    private void ReadModels(JsonElement list, List<ConfiguredModel> models, List<ModelAlias> aliases)
    {
        Require(list, JsonValueKind.Array, "models", "a list of models");
        foreach (var item in list.EnumerateArray())
        {
            var at = $"models[{models.Count}]";
            var model = ReadModel(item, at, aliases);
            if (models.Exists(other => string.Equals(other.Name, model.Name, StringComparison.OrdinalIgnoreCase)))
            {
                throw new ConfigException($"{at}.name: '{model.Name}' is another model's name already");
            }

            models.Add(model);
        }
    }

    private ConfiguredModel ReadModel(JsonElement item, string at, List<ModelAlias> aliases)
    {
        Require(item, JsonValueKind.Object, at, "an object");
        (string? name, string? path) = (null, null);
        var patterns = new List<string>();
        var settings = ModelSettings.None;
        foreach (var field in item.EnumerateObject())
        {
            var here = $"{at}.{field.Name}";
            var value = field.Value;
            switch (field.Name)
            {
                case "name":
                    name = Text(value, here);
                    break;
                case "base_path":
                    path = _host.Absolute(Text(value, here));
                    break;
                case "lora_path":
                    settings = settings with { Loras = Loras(value, here) };
                    break;
                case "template":
                    settings = settings with { Template = Template(Text(value, here)) };
                    break;
                case "ctx_len":
                    settings = settings with { ContextLength = Integer(value, here, 0, MaxContext) };
                    break;
                case "n_threads":
                    settings = settings with { Threads = Integer(value, here, 0, MaxThreads) };
                    break;
                case "aliases":
                    Require(value, JsonValueKind.Array, here, "a list of names, with * and ? as wildcards");
                    patterns.AddRange(value.EnumerateArray().Select((pattern, index) => Text(pattern, $"{here}[{index}]")));
                    break;
                case "keep_alive":
                    settings = settings with { KeepAlive = Duration(value, here) };
                    break;
                case "pinned":
                    settings = settings with { Pinned = Flag(value, here) };
                    break;
                case var known when TuningOption.All.FirstOrDefault(option => option.Field == known) is { } option:
                    settings = settings with { Tuning = Tune(settings.Tuning, option, value, here) };
                    break;
                default:
                    throw Unknown(here, ModelFields);
            }
        }

        foreach (var (one, other, why) in TuningOption.Exclusive)
        {
            if (Asks(one) && Asks(other))
            {
                throw new ConfigException($"{at}: {TuningOption.FieldOf(one)} and {TuningOption.FieldOf(other)} exclude each other: {why}");
            }
        }

        bool Asks(string option) => item.TryGetProperty(TuningOption.FieldOf(option), out var given) && given.ValueKind != JsonValueKind.False;

        if (name is null || path is null)
        {
            var missing = name is null ? "name" : "base_path";
            throw new ConfigException($"{at}.{missing}: missing; every model has a name and a base_path");
        }

        aliases.AddRange(patterns.Select(pattern => new ModelAlias(pattern, name)));
        return new ConfiguredModel(name, path, settings);
    }

    private static void ReadAliases(JsonElement map, List<ModelAlias> aliases)
    {
        Require(map, JsonValueKind.Object, "aliases", "an object of \"pattern\": \"model\"");
        foreach (var field in map.EnumerateObject())
        {
            if (string.IsNullOrWhiteSpace(field.Name))
            {
                throw new ConfigException("aliases: a pattern is empty");
            }

            aliases.Add(new ModelAlias(field.Name, Text(field.Value, $"aliases.{field.Name}")));
        }
    }

    // One adapter, or an array of them.
    private LoraSetting[] Loras(JsonElement value, string at)
    {
        return value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select((element, i) => Lora(element, $"{at}[{i}]"))]
            : [Lora(value, at)];

        LoraSetting Lora(JsonElement element, string here)
        {
            try
            {
                return LoraText.Read(Text(element, here), _host.Absolute);
            }
            catch (FormatException e)
            {
                throw new ConfigException($"{here}: {e.Message}");
            }
        }
    }

    // A family's name, or a file. Which families there are is not known in this room: what is no file stays a name.
    private string Template(string text) =>
        text.AsSpan().IndexOfAny('/', '\\') >= 0 || File.Exists(_host.Absolute(text)) ? _host.Absolute(text) : text;

    private static long Bytes(JsonElement value, string at) => value.ValueKind switch
    {
        JsonValueKind.Number when value.TryGetInt64(out var bytes) && bytes > 0 => bytes,
        JsonValueKind.String when ByteCount.TryParse(value.GetString(), out var bytes) && bytes > 0 => bytes,
        _ => throw new ConfigException($"{at}: {Shown(value)} is not allowed; {ByteCount.Allowed}"),
    };

    private static string Text(JsonElement value, string at) =>
        value.ValueKind == JsonValueKind.String && value.GetString()!.Trim() is { Length: > 0 } text
            ? text
            : throw new ConfigException($"{at}: {Shown(value)} is not allowed; a text that is not empty is");

    private static bool Flag(JsonElement value, string at) => value.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? value.GetBoolean()
        : throw new ConfigException($"{at}: {Shown(value)} is not allowed; true and false are");

    private static int Integer(JsonElement value, string at, int least, int most) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= least && number <= most
            ? number
            : throw new ConfigException($"{at}: {Shown(value)} is not allowed; a whole number from {least} to {most} is");

    // Numbers and switches may stand as they are or as text.
    private static LoadTuning Tune(LoadTuning tuning, TuningOption option, JsonElement value, string at) =>
        TuningOption.TextOf(value) is { } text && option.Set(tuning, text) is { } tuned
            ? tuned
            : throw new ConfigException($"{at}: {Shown(value)} is not allowed; {option.Allowed} is");

    private static TimeSpan Duration(JsonElement value, string at) => KeepAlive.TryParse(value, out var duration)
        ? duration
        : throw new ConfigException($"{at}: {Shown(value)} is not allowed; {KeepAlive.Allowed}");

    private static void Require(JsonElement value, JsonValueKind kind, string at, string allowed)
    {
        if (value.ValueKind != kind)
        {
            throw new ConfigException($"{at}: {Shown(value)} is not allowed; {allowed} is");
        }
    }

    private static ConfigException Unknown(string at, IReadOnlyList<string> fields) =>
        new($"{at}: not a field; allowed are {string.Join(", ", fields)}");

    private static string Shown(JsonElement value)
    {
        var text = value.GetRawText().ReplaceLineEndings(" ");
        return text.Length <= 40 ? text : string.Concat(text.AsSpan(0, 40), "…");
    }
}
