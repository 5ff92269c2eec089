using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Models.Discovery;

namespace Shimmy.Models.Configuration;

/// <summary>
/// Reads the configuration file: JSON with comments and trailing commas. A field that is unknown or out of its range refuses the whole
/// file.
/// <c>shimmy.config.schema.json</c> beside this file describes the same for editors; a test holds one against the other.
/// </summary>
/// <param name="host">Makes paths whole.</param>
/// <param name="folder">The folder of the file, where relative paths begin.</param>
internal sealed class ModelConfigReader(HostEnvironment host, string folder)
{
    private static readonly JsonDocumentOptions Options = new()
    {
        AllowTrailingCommas = true,
        AllowDuplicateProperties = false,
        CommentHandling = JsonCommentHandling.Skip,
        MaxDepth = 16,
    };

    // One row a field of a model; those of TuningOption bring their own reading.
    private static readonly (string Name, Action<ModelConfigReader, Reading, JsonElement, string> Read)[] Fields =
    [
        ("name", (_, model, value, at) => model.Name = Text(value, at)),
        ("base_path", (reader, model, value, at) => model.Path = reader._host.Absolute(Text(value, at))),
        ("lora_path", (reader, model, value, at) => model.Settings = model.Settings with { Loras = reader.Loras(value, at) }),
        ("template", (reader, model, value, at) => model.Settings = model.Settings with { Template = reader.Template(Text(value, at)) }),
        ("mmproj", (reader, model, value, at) => model.Settings = model.Settings with { Projector = reader.Projector(Text(value, at)) }),
        ("ctx_len", (_, model, value, at) =>
            model.Settings = model.Settings with { ContextLength = Integer(value, at, 0, TuningOption.MostContext) }),
        ("n_threads", (_, model, value, at) =>
            model.Settings = model.Settings with { Threads = Integer(value, at, 0, TuningOption.MostThreads) }),
        .. TuningOption.All.Select(option =>
            (option.Field, (Action<ModelConfigReader, Reading, JsonElement, string>)((reader, model, value, at) =>
            model.Settings = model.Settings with { Tuning = reader.Tune(model.Settings.Tuning, option, value, at) }))),
        ("aliases", (_, model, value, at) => model.Patterns = Patterns(value, at)),
        ("keep_alive", (_, model, value, at) => model.Settings = model.Settings with { KeepAlive = Duration(value, at) }),
        ("pinned", (_, model, value, at) => model.Settings = model.Settings with { Pinned = Flag(value, at) }),
    ];

    private readonly HostEnvironment _host = host with { CurrentDirectory = folder };

    /// <summary>Fields of the file.</summary>
    public static IReadOnlyList<string> RootFields { get; } = ["$schema", "models", "aliases", "memory_budget"];

    /// <summary>Fields of a model.</summary>
    public static IReadOnlyList<string> ModelFields { get; } = Array.ConvertAll(Fields, field => field.Name);

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
            using var document = JsonDocument.Parse(WithoutByteOrderMark(json), Options);
            return ReadRoot(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ConfigException($"not valid JSON: {e.Message}", e);
        }
    }

    // Editors on Windows put a byte order mark first, which the JSON parser refuses.
    private static ReadOnlyMemory<byte> WithoutByteOrderMark(ReadOnlyMemory<byte> json) =>
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
                throw new ConfigException($"{at}.name: '{model.Name}' is another model's name already");

            models.Add(model);
        }
    }

    private ConfiguredModel ReadModel(JsonElement item, string at, List<ModelAlias> aliases)
    {
        Require(item, JsonValueKind.Object, at, "an object");
        var model = new Reading();
        foreach (var field in item.EnumerateObject())
        {
            var here = $"{at}.{field.Name}";
            if (Array.Find(Fields, known => known.Name == field.Name).Read is not { } read)
                throw Unknown(here, ModelFields);
            read(this, model, field.Value, here);
        }

        foreach (var (one, other, why) in TuningOption.Exclusive)
        {
            if (Asks(one) && Asks(other))
                throw new ConfigException($"{at}: {TuningOption.FieldOf(one)} and {TuningOption.FieldOf(other)} exclude each other: {why}");
        }

        if (model is not { Name: { } name, Path: { } path })
        {
            throw new ConfigException(
                $"{at}.{(model.Name is null ? "name" : "base_path")}: missing; every model has a name and a base_path");
        }

        aliases.AddRange(model.Patterns.Select(pattern => new ModelAlias(pattern, name)));
        return new ConfiguredModel(name, path, model.Settings);

        bool Asks(string option) => item.TryGetProperty(TuningOption.FieldOf(option), out var given)
            && given.ValueKind != JsonValueKind.False;
    }

    private static string[] Patterns(JsonElement value, string at)
    {
        Require(value, JsonValueKind.Array, at, "a list of names, with * and ? as wildcards");
        return [.. value.EnumerateArray().Select((pattern, index) => Text(pattern, $"{at}[{index}]"))];
    }

    private static void ReadAliases(JsonElement map, List<ModelAlias> aliases)
    {
        Require(map, JsonValueKind.Object, "aliases", "an object of \"pattern\": \"model\"");
        foreach (var field in map.EnumerateObject())
        {
            if (string.IsNullOrWhiteSpace(field.Name))
                throw new ConfigException("aliases: a pattern is empty");

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
                return LoraSetting.Parse(Text(element, here), _host.Absolute);
            }
            catch (FormatException e)
            {
                throw new ConfigException($"{here}: {e.Message}");
            }
        }
    }

    // The path of a file, or the name of a template family. The list of families is in Chat, above this layer: a text that is no file stays
    // a name.
    private string Template(string text) =>
        text.AsSpan().IndexOfAny('/', '\\') >= 0 || File.Exists(_host.Absolute(text)) ? _host.Absolute(text) : text;

    private string Projector(string text) => text == ModelSettings.NoProjector ? text : _host.Absolute(text);

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

    // Numbers and switches may be JSON numbers and booleans, or strings.
    private LoadTuning Tune(LoadTuning tuning, TuningOption option, JsonElement value, string at) =>
        TuningOption.TextOf(value) is { } text
            && option.Set(tuning, option.MayBePath && text.AsSpan().IndexOfAny('/', '\\') >= 0 ? _host.Absolute(text) : text) is { } tuned
            ? tuned
            : throw new ConfigException($"{at}: {Shown(value)} is not allowed; {option.Allowed} is");

    private static TimeSpan Duration(JsonElement value, string at) => KeepAlive.TryParse(value, out var duration)
        ? duration
        : throw new ConfigException($"{at}: {Shown(value)} is not allowed; {KeepAlive.Allowed}");

    private static void Require(JsonElement value, JsonValueKind kind, string at, string allowed)
    {
        if (value.ValueKind != kind)
            throw new ConfigException($"{at}: {Shown(value)} is not allowed; {allowed} is");
    }

    private static ConfigException Unknown(string at, IReadOnlyList<string> fields) =>
        new($"{at}: unknown field; allowed are {string.Join(", ", fields)}");

    private static string Shown(JsonElement value) => ShownText.Of(value.GetRawText().ReplaceLineEndings(" "), 40);

    // A model while its fields are read.
    private sealed class Reading
    {
        public string? Name { get; set; }

        public string? Path { get; set; }

        public string[] Patterns { get; set; } = [];

        public ModelSettings Settings { get; set; } = ModelSettings.None;
    }
}

/// <summary>The content of a configuration file.</summary>
/// <param name="Models">Models to register, in the file's order; names are unique.</param>
/// <param name="Aliases">Aliases, those of the models first.</param>
/// <param name="MemoryBudget">Bytes that all loaded models together may need; null leaves it to the program.</param>
internal sealed record ModelConfig(IReadOnlyList<ConfiguredModel> Models, IReadOnlyList<ModelAlias> Aliases, long? MemoryBudget = null);

/// <summary>One model of a configuration file.</summary>
/// <param name="Name">The name to serve it under.</param>
/// <param name="Path">Full path of the GGUF file; of any shard where it is split.</param>
/// <param name="Settings">Settings of loading and use.</param>
internal sealed record ConfiguredModel(string Name, string Path, ModelSettings Settings);

/// <summary>An error in the configuration file. The message names the field, its value and what is allowed.</summary>
internal sealed class ConfigException(string message, Exception? inner = null) : Exception(message, inner);
