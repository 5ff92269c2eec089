using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// llama-server's own dialect: the routes that it has beside OpenAI's and Anthropic's. <c>shimmy llama-server</c> gives the errors of all
/// routes in its shape.
/// </summary>
internal sealed class LlamaServerDialect : Dialect
{
    /// <summary>The dialect; it has no state.</summary>
    public static LlamaServerDialect Instance { get; } = new();

    /// <summary>The paths below it; the other routes are mapped as the dialect's one by one.</summary>
    public override string Prefix => "/slots";

    /// <inheritdoc/>
    protected override void WriteError(Utf8JsonWriter json, ApiError error, string? requestId)
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteNumber("code", error.Status);
        json.WriteString("message", error.Message);
        json.WriteString("type", TypeOf(error));
        if (error.Field is { } field)
            json.WriteString("param", field);
        if (error.Overflow is { } overflow)
        {
            json.WriteNumber("n_prompt_tokens", overflow.PromptTokens);
            json.WriteNumber("n_ctx", overflow.ContextLength);
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string TypeOf(ApiError error) => error.Status switch
    {
        _ when error.Overflow is not null => "exceed_context_size_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        501 => "not_supported_error",
        503 => "unavailable_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };
}
