using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary>Anthropic's dialect: the Messages API.</summary>
internal sealed class AnthropicDialect : Dialect
{
    /// <summary>The dialect; it has no state.</summary>
    public static AnthropicDialect Instance { get; } = new();

    /// <inheritdoc/>
    public override string Prefix => "/v1/messages";

    /// <inheritdoc/>
    public override RoutePolicy Policy => RoutePolicy.Recorded;

    /// <inheritdoc/>
    public override string RequestIdHeader => "request-id";

    /// <inheritdoc/>
    public override IReadOnlyList<string> UnrecordedFields { get; } = ["metadata"];

    /// <inheritdoc/>
    protected override void WriteError(Utf8JsonWriter json, ApiError error, string? requestId)
    {
        json.WriteStartObject();
        json.WriteString("type"u8, "error"u8);
        json.WriteStartObject("error");
        json.WriteString("type", TypeOf(error.Status));
        // Claude Code compacts a conversation when it reads these words.
        json.WriteString("message", error.Overflow is { } overflow
            ? $"prompt is too long: {overflow.PromptTokens} tokens > {overflow.ContextLength} maximum"
            : error.Message);
        json.WriteEndObject();
        json.WriteString("request_id", requestId);
        json.WriteEndObject();
    }

    // The types that Anthropic documents.
    private static string TypeOf(int status) => status switch
    {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 or 529 => "overloaded_error",
        504 => "timeout_error",
        >= 500 => "api_error",
        _ => "invalid_request_error",
    };
}
