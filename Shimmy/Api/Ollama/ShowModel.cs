using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Ollama;

/// <summary>
/// <c>POST /api/show</c>: what there is to know of a model without loading it. <c>model_info</c> is the metadata of its file; long arrays
/// in it are null unless <c>verbose</c> is true.
/// </summary>
internal static class ShowModel
{
    private const int LongArray = 5;
    private const string CopilotAgent = "GitHubCopilotChat/";

    // The template is returned by itself.
    private static readonly string[] LeftOut = ["general.name", "tokenizer.chat_template"];

    public static void Map(RouteTable routes) => routes.MapPost("/api/show", Handle);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var asked = fields.Text("model") ?? fields.Text("name")
            ?? throw ApiException.BadField("model", "is missing; a string is required", "missing_required_parameter");
        var verbose = fields.Flag("verbose") ?? false;
        var entry = await ModelResolver.FindAsync(context, asked);
        RequestContext.Of(context).Model = entry.Name;
        var header = await Task.Run(() => HeaderOf(entry.Path, verbose), context.RequestAborted);
        var projector = entry.Projector is { } file ? await Task.Run(() => HeaderOf(file, verbose), context.RequestAborted) : null;
        var limit = context.RequestServices.GetRequiredService<ModelResidency>().ContextOf(entry);
        var source = await Task.Run(() => Origin.Of(entry, header, limit), context.RequestAborted);
        var isCopilot = context.Request.Headers.UserAgent.ToString().StartsWith(CopilotAgent, StringComparison.Ordinal);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            if (source.License.Length > 0)
                json.WriteString("license", source.License);
            json.WriteString("modelfile", source.Modelfile(entry));
            if (source.Parameters.Count > 0)
                json.WriteString("parameters", string.Join('\n', source.Parameters.Select(one => $"{one.Name,-30} {one.Value}")));
            json.WriteString("template", source.Template);
            if (entry.Settings.Defaults.System is { } system)
                json.WriteString("system", system);
            WriteTurns(json, entry.Settings.Defaults.Messages);
            Listings.WriteDetails(json, entry);
            WriteInfo(json, "model_info", entry, header, verbose, isCopilot ? asked : null);
            if (projector is not null)
                WriteInfo(json, "projector_info", null, projector, verbose, null);
            if (verbose && header is not null)
                WriteTensors(json, header);
            Listings.WriteCapabilities(context, json, entry);
            json.WriteString("modified_at", OllamaJson.Time(entry.ModifiedAt));
            json.WriteEndObject();
        });
    }

    // Null where there is none, as of a Hugging Face folder, or of a file that is gone.
    private static GgufHeader? HeaderOf(string path, bool verbose)
    {
        try
        {
            return !File.Exists(path) ? null : GgufReader.ReadFile(path, verbose
                ? GgufLimits.Default with { WantsArray = static _ => true, Memory = 512L << 20 }
                : GgufLimits.Default with { ArrayLength = LongArray });
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static void WriteTurns(Utf8JsonWriter json, IReadOnlyList<DefaultTurn> turns)
    {
        if (turns.Count == 0)
            return;
        json.WriteStartArray("messages");
        foreach (var turn in turns)
        {
            json.WriteStartObject();
            json.WriteString("role", turn.Role);
            json.WriteString("content", turn.Content);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteInfo(Utf8JsonWriter json, string name, ModelEntry? entry, GgufHeader? header, bool verbose, string? basename)
    {
        json.WriteStartObject(name);
        foreach (var (key, value) in (header?.Metadata ?? new Dictionary<string, GgufValue>()).OrderBy(pair => pair.Key,
            StringComparer.Ordinal))
        {
            if (LeftOut.Contains(key) || (basename is not null && key == "general.basename"))
                continue;
            json.WritePropertyName(key);
            Write(json, value, verbose);
        }
        if (basename is not null)
            json.WriteString("general.basename", basename);
        if (entry is not null && header is null)
        {
            json.WriteString("general.architecture", entry.Architecture);
            if (entry.ContextLength > 0)
                json.WriteNumber($"{entry.Architecture}.context_length", entry.ContextLength);
            if (entry.EmbeddingLength > 0)
                json.WriteNumber($"{entry.Architecture}.embedding_length", entry.EmbeddingLength);
        }
        if ((entry?.ParameterCount ?? header?.ParameterCount) is { } parameters)
            json.WriteNumber("general.parameter_count", parameters);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, GgufValue value, bool verbose)
    {
        if (value.Array is { } array)
        {
            if (array.Items is not { } items || (!verbose && items.Count > LongArray))
            {
                json.WriteNullValue();
                return;
            }
            json.WriteStartArray();
            foreach (var item in items)
                Write(json, item, verbose);
            json.WriteEndArray();
        }
        else if (value.Text is { } text)
        {
            json.WriteStringValue(text);
        }
        else if (value.Flag is { } flag)
        {
            json.WriteBooleanValue(flag);
        }
        else if (value.Integer is { } whole)
        {
            json.WriteNumberValue(whole);
        }
        else if (value.Type is GgufType.Float32 && float.IsFinite((float)value.Number!.Value))
        {
            json.WriteNumberValue((float)value.Number.Value);
        }
        else if (double.IsFinite(value.Number!.Value))
        {
            json.WriteNumberValue(value.Number.Value);
        }
        else
        {
            json.WriteNullValue();
        }
    }

    private static void WriteTensors(Utf8JsonWriter json, GgufHeader header)
    {
        json.WriteStartArray("tensors");
        foreach (var tensor in header.Tensors)
        {
            json.WriteStartObject();
            json.WriteString("name", tensor.Name);
            json.WriteString("type", tensor.Type.ToString().ToUpperInvariant());
            json.WriteStartArray("shape");
            foreach (var size in tensor.Dimensions)
                json.WriteNumberValue(size);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The parts of a Modelfile.</summary>
    private sealed record Origin(string Template, string License, IReadOnlyList<(string Name, string Value)> Parameters)
    {
        public static Origin Of(ModelEntry entry, GgufHeader? header, int context) => new(
            entry.Settings.Defaults.Template ?? header?.Text("tokenizer.chat_template") ?? "{{ .Prompt }}",
            LicenseOf(entry) ?? header?.Text("general.license.text") ?? header?.Text("general.license") ?? "",
            [.. ParametersOf(entry, context)]);

        /// <summary>A Modelfile that makes the same model.</summary>
        public string Modelfile(ModelEntry entry)
        {
            var text = new StringBuilder().Append(CultureInfo.InvariantCulture, $"FROM {entry.Path}\n");
            if (entry.Projector is { } projector)
                text.Append(CultureInfo.InvariantCulture, $"FROM {projector}\n");
            foreach (var adapter in entry.Settings.Loras)
                text.Append(CultureInfo.InvariantCulture, $"ADAPTER {adapter.Path}\n");
            if (Template.Length > 0)
                text.Append(CultureInfo.InvariantCulture, $"TEMPLATE \"\"\"{Template}\"\"\"\n");
            if (entry.Settings.Defaults.System is { } system)
                text.Append(CultureInfo.InvariantCulture, $"SYSTEM \"\"\"{system}\"\"\"\n");
            foreach (var (name, value) in Parameters)
                text.Append(CultureInfo.InvariantCulture, $"PARAMETER {name} {value}\n");
            foreach (var turn in entry.Settings.Defaults.Messages)
                text.Append(CultureInfo.InvariantCulture, $"MESSAGE {turn.Role} \"\"\"{turn.Content}\"\"\"\n");
            if (License.Length > 0)
                text.Append(CultureInfo.InvariantCulture, $"LICENSE \"\"\"{License}\"\"\"\n");
            return text.ToString();
        }

        private static string? LicenseOf(ModelEntry entry) =>
            entry.Manifest is { } manifest ? OllamaSource.LicenseOf(manifest, entry.Path) : null;

        // Those that differ from what the model's file says, under Ollama's names; the context also where the server limits it.
        private static IEnumerable<(string Name, string Value)> ParametersOf(ModelEntry entry, int context)
        {
            var defaults = entry.Settings.Defaults;
            foreach (var (key, value) in defaults.Sampling)
            {
                var name = key == "max_tokens" ? "num_predict"
                    : SamplingField.All.FirstOrDefault(field => field.Metadata == key)?.Name ?? key;
                yield return (name, value);
            }
            if (context > 0 && (entry.Settings.ContextLength is not null || context != entry.ContextLength))
                yield return ("num_ctx", context.ToString(CultureInfo.InvariantCulture));
            foreach (var stop in defaults.Stop)
                yield return ("stop", $"\"{stop.Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
        }
    }
}
