using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Shimmy.Engine;

namespace Shimmy.Models.Discovery;

/// <summary>
/// The manifest of one tag of an Ollama model: its layers by media type. A layer is a file named by its digest.
/// (github.com/ollama/ollama, docs/modelfile.md lists the parameters)
/// </summary>
internal sealed record OllamaManifest
{
    private const string LayerPrefix = "application/vnd.ollama.image.";

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    // Ollama's name of a parameter, which is that of llama.cpp's server, and the name that general.sampling.* metadata has for it.
    private static readonly Dictionary<string, string> SamplingNames = new(
        SamplingField.All.Where(field => field.Metadata is not null).Select(field => KeyValuePair.Create(field.Name, field.Metadata!)),
            StringComparer.Ordinal)
    {
        ["num_predict"] = "max_tokens",
    };

    /// <summary>
    /// Digest of the model layer, as <c>sha256-HEX</c>; null where there is none, with the reason in <see cref="WhyNoModel"/>.
    /// </summary>
    public string? Model { get; private init; }

    /// <summary>Digest of the first projector layer, or null.</summary>
    public string? Projector { get; private init; }

    /// <summary>Digests of the LoRA adapter layers.</summary>
    public IReadOnlyList<string> Adapters { get; private init; } = [];

    /// <summary>Digest of the parameters layer (JSON), or null.</summary>
    public string? Parameters { get; private init; }

    /// <summary>Digest of the system prompt layer (text), or null.</summary>
    public string? System { get; private init; }

    /// <summary>Digests of the license layers (text).</summary>
    public IReadOnlyList<string> Licenses { get; private init; } = [];

    /// <summary>Digest of the template layer (Go's template language), or null.</summary>
    public string? Template { get; private init; }

    /// <summary>Digest of the layer of first turns (JSON), or null.</summary>
    public string? Messages { get; private init; }

    /// <summary>
    /// Digests of the manifests that this one lists, one for each platform (an OCI image index); empty where it is a manifest itself.
    /// </summary>
    public IReadOnlyList<string> Listed { get; private init; } = [];

    /// <summary>Reason why the tag has no GGUF model; null where it has one.</summary>
    public string? WhyNoModel { get; private init; }

    /// <summary>Distinguishes tags with the same weights: the digests of all other layers in use; empty where there are none.</summary>
    public string Variant => string.Join(' ', [.. Adapters, Projector, Parameters, System, Template, Messages]).Trim();

    /// <summary>Parses a manifest. Throws <see cref="JsonException"/> where it is malformed.</summary>
    public static OllamaManifest Parse(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        using var document = JsonDocument.ParseValue(ref reader);
        if (document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("manifests", out var listed)
            && listed.ValueKind == JsonValueKind.Array)
        {
            return new OllamaManifest
            {
                Listed = [.. listed.EnumerateArray().Where(one => one.ValueKind == JsonValueKind.Object).Select(Digest).OfType<string>()],
                WhyNoModel = "none of the manifests that it lists has a model on this machine",
            };
        }

        if (document.RootElement.ValueKind != JsonValueKind.Object
            || !document.RootElement.TryGetProperty("layers", out var list)
            || list.ValueKind is not (JsonValueKind.Array or JsonValueKind.Null))
        {
            throw new JsonException("the manifest has no list of layers");
        }

        var layers = list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Select(Layer).OfType<(string Kind, string Digest)>().ToList() : [];
        return new OllamaManifest
        {
            Model = First(layers, "model"),
            Projector = First(layers, "projector"),
            Adapters = [.. layers.Where(layer => layer.Kind == "adapter").Select(layer => layer.Digest)],
            Parameters = First(layers, "params"),
            System = First(layers, "system"),
            Licenses = [.. layers.Where(layer => layer.Kind == "license").Select(layer => layer.Digest)],
            // Called prompt in the first versions.
            Template = First(layers, "template") ?? First(layers, "prompt"),
            Messages = First(layers, "messages"),
            WhyNoModel = WhyNot(layers),
        };
    }

    /// <summary>Parses the layer of first turns. Throws <see cref="JsonException"/> where it is not a JSON array of messages.</summary>
    public static IReadOnlyList<DefaultTurn> ReadMessages(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        using var document = JsonDocument.ParseValue(ref reader);
        return document.RootElement.ValueKind != JsonValueKind.Array
            ? throw new JsonException("the messages are not a JSON array")
            : [.. document.RootElement.EnumerateArray().Select(message => message.ValueKind == JsonValueKind.Object
                && Text(message, "role") is { } role && role is "user" or "assistant" or "system" && Text(message, "content") is { } content
                ? new DefaultTurn(role, content)
                : throw new JsonException("a message has no role or no content"))];
    }

    /// <summary>
    /// Parses the parameters layer; unknown parameters are ignored. Throws <see cref="JsonException"/> where it is not a JSON object.
    /// </summary>
    public static ModelSettings ReadParameters(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        using var document = JsonDocument.ParseValue(ref reader);
        if (document.RootElement.ValueKind != JsonValueKind.Object)
            throw new JsonException("the parameters are not a JSON object");

        var settings = ModelSettings.None;
        string[] stop = [];
        var sampling = new Dictionary<string, string>();
        foreach (var parameter in document.RootElement.EnumerateObject())
        {
            var value = parameter.Value;
            switch (parameter.Name)
            {
                case "stop":
                    stop = Texts(value);
                    break;
                case "num_ctx" when Integer(value) is > 0 and var context:
                    settings = settings with { ContextLength = context };
                    break;
                case "num_gpu" when Integer(value) is >= 0 and var layers:
                    settings = settings with { Tuning = settings.Tuning with { GpuLayers = new LayerCount(layers) } };
                    break;
                case "num_thread" when Integer(value) is > 0 and var threads:
                    settings = settings with { Threads = threads };
                    break;
                // No limit: Ollama has -1 (infinite) and -2 (fill the context).
                case "num_predict" when Integer(value) is null or <= 0:
                    break;
                case var name when SamplingNames.TryGetValue(name, out var known) && Number(value) is { } number:
                    sampling[known] = number;
                    break;
            }
        }

        return settings with { Defaults = new RequestDefaults { Stop = stop, Sampling = sampling } };
    }

    private static string? First(List<(string Kind, string Digest)> layers, string kind) =>
        layers.Where(layer => layer.Kind == kind).Select(layer => layer.Digest).FirstOrDefault();

    private static string? WhyNot(List<(string Kind, string Digest)> layers) =>
        layers.Exists(layer => layer.Kind == "model") ? null
        : layers.Exists(layer => layer.Kind is "tensor" or "json") ? "safetensors of Ollama's own engine, not a GGUF"
        : layers.Count == 0 ? "a stub of a cloud model: the weights are not on this machine"
        : "the manifest has no model layer";

    // A digest becomes part of a path, so only sha256:HEX is accepted: no "../".
    private static (string Kind, string Digest)? Layer(JsonElement layer) =>
        layer.ValueKind == JsonValueKind.Object
        && Text(layer, "mediaType") is { } mediaType && mediaType.StartsWith(LayerPrefix, StringComparison.Ordinal)
        && Digest(layer) is { } digest
            ? (mediaType[LayerPrefix.Length..], digest)
            : null;

    private static string? Digest(JsonElement element) =>
        Text(element, "digest") is { Length: 71 } digest && digest.StartsWith("sha256:", StringComparison.Ordinal)
        && digest.AsSpan(7).IndexOfAnyExcept(HexDigits) < 0
            ? "sha256-" + digest[7..]
            : null;

    private static string? Text(JsonElement element, string property) =>
        element.TryGetProperty(property, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string[] Texts(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => [value.GetString()!],
        JsonValueKind.Array =>
            [.. value.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!)],
        _ => [],
    };

    private static int? Integer(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) ? number : null;

    private static string? Number(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number.ToString("R", CultureInfo.InvariantCulture)
            : null;
}
