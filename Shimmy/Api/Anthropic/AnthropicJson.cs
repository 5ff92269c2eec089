using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary>Pieces that Anthropic's answers share.</summary>
internal static class AnthropicJson
{
    /// <summary>The error body; its types are those that Anthropic documents.</summary>
    public static void WriteError(Utf8JsonWriter json, ApiError error, string? requestId)
    {
        json.WriteString("type"u8, "error"u8);
        json.WriteStartObject("error");
        json.WriteString("type", TypeOf(error.Status));
        json.WriteString("message", error.Message);
        json.WriteEndObject();
        json.WriteString("request_id", requestId);
    }

    /// <summary>The fields of a message up to its content.</summary>
    public static void WriteHead(Utf8JsonWriter json, string id, string model)
    {
        json.WriteString("id", id);
        json.WriteString("type"u8, "message"u8);
        json.WriteString("role"u8, "assistant"u8);
        json.WriteString("model", model);
    }

    /// <summary>
    /// The object <c>usage</c>. Without prompt caching all tokens of the prompt are input; with it, those that the prefix cache had are read
    /// from it, and all others were computed into it.
    /// </summary>
    public static void WriteUsage(Utf8JsonWriter json, int promptTokens, int cachedTokens, int outputTokens, bool caches)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("input_tokens", caches ? 0 : promptTokens);
        json.WriteNumber("cache_creation_input_tokens", caches ? promptTokens - cachedTokens : 0);
        json.WriteNumber("cache_read_input_tokens", caches ? cachedTokens : 0);
        json.WriteNumber("output_tokens", outputTokens);
        json.WriteString("service_tier"u8, "standard"u8);
        json.WriteEndObject();
    }

    /// <summary><c>stop_reason</c> and <c>stop_sequence</c>. A stop string of the template's is the model's own end.</summary>
    public static void WriteStop(Utf8JsonWriter json, OutputEnd end, IReadOnlyList<string> sequences)
    {
        var sequence = end.StopString is { } hit && sequences.Contains(hit) ? hit : null;
        json.WriteString("stop_reason", end.Reason == FinishReason.Length ? "max_tokens" : sequence is not null ? "stop_sequence" : end.CalledTools ? "tool_use" : "end_turn");
        json.WriteString("stop_sequence", sequence);
    }

    /// <summary>An id for a call.</summary>
    public static string NewCallId() => Answer.NewId("toolu_");

    /// <summary>What stands for Anthropic's signature of a thought: clients send it back with the thought, and nobody here checks it.</summary>
    public static string Signature(string thought) => Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(thought)));

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
