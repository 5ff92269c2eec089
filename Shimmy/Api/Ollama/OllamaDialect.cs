using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Api.Ollama;

/// <summary>
/// Ollama's dialect (github.com/ollama/ollama, docs/api.md): answers are lines of JSON, and stream unless asked otherwise. Its paths lie
/// among those of Shimmy's own dialect; the routes say which are whose.
/// </summary>
internal sealed class OllamaDialect : Dialect
{
    // Fields that only Ollama's /api/generate has. Shimmy's own "messages" and "audio" tell its requests from them.
    private static readonly string[] OnlyFields = ["options", "format", "template", "context", "raw", "images", "think", "suffix"];

    /// <summary>
    /// The version of Ollama whose API this is. Clients ask for it and do without what older ones lack, so it is not Shimmy's own.
    /// </summary>
    public const string Version = "0.30.0";

    /// <summary>The dialect; it has no state.</summary>
    public static OllamaDialect Instance { get; } = new();

    /// <inheritdoc/>
    public override string Prefix => "";

    /// <summary>Whether the client is one of Ollama's, by its name or by the listener that it came to.</summary>
    public static bool IsAsked(HttpRequest request) => request.HttpContext.Features.Get<OllamaListener>() is not null
        || request.Headers.UserAgent.ToString().StartsWith("ollama", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether a body of <c>/api/generate</c> is Ollama's, by the fields that it has.</summary>
    public static bool IsAsked(JsonElement body) =>
        !Has(body, "messages") && !Has(body, "audio") && Array.Exists(OnlyFields, name => Has(body, name));

    /// <inheritdoc/>
    public override int StatusOf(ApiError error) => error.Status == 429 ? 503 : error.Status;

    /// <inheritdoc/>
    protected override void WriteError(Utf8JsonWriter json, ApiError error, string? requestId)
    {
        json.WriteStartObject();
        // Clients look for these words, and pull the model then.
        json.WriteString("error", error.UnknownModel is { } name
            ? $"model {RequestFields.Quote(name)} not found"
            : error.Message);
        json.WriteEndObject();
    }

    private static bool Has(JsonElement body, string name) =>
        body.TryGetProperty(name, out var value) && value.ValueKind is not (JsonValueKind.Null or JsonValueKind.Undefined);
}

/// <summary>Marks the connections of the listener that is for Ollama's clients (<c>serve --ollama</c>).</summary>
internal sealed class OllamaListener
{
    private OllamaListener()
    {
    }

    /// <summary>The one instance; it has no state.</summary>
    public static OllamaListener Instance { get; } = new();

    /// <summary>Origins that may call there beside pages of this machine: those of apps, which Ollama lets in, too.</summary>
    public static IReadOnlyList<string> Origins { get; } =
        ["app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*", "http://0.0.0.0", "http://0.0.0.0:*",
            "https://0.0.0.0", "https://0.0.0.0:*"];
}
