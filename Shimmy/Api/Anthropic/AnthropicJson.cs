using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Api.Anthropic;

/// <summary>Pieces that Anthropic's answers share.</summary>
internal static class AnthropicJson
{
    /// <summary>The fields of a message up to its content.</summary>
    public static void WriteHead(Utf8JsonWriter json, string id, string model)
    {
        json.WriteString("id", id);
        json.WriteString("type"u8, "message"u8);
        json.WriteString("role"u8, "assistant"u8);
        json.WriteString("model", model);
    }

    /// <summary>
    /// The object <c>usage</c>. Without prompt caching all tokens of the prompt are input; with it, those that the prefix cache had are
    /// read from it, and all others were computed into it.
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

    /// <summary>
    /// <c>stop_reason</c> and <c>stop_sequence</c>. A stop sequence of the template's is the model's own end. An answer that is cut before
    /// it has its <paramref name="most"/> tokens is at the end of the context; where that is null, nobody asks.
    /// </summary>
    public static void WriteStop(Utf8JsonWriter json, OutputEnd end, IReadOnlyList<string> sequences, int? most)
    {
        var sequence = end.StopString is { } hit && sequences.Contains(hit) ? hit : null;
        json.WriteString("stop_reason", end.Reason == FinishReason.Length
            ? end.Usage.CompletionTokens < most ? "model_context_window_exceeded" : "max_tokens"
            : sequence is not null ? "stop_sequence" : end.CalledTools ? "tool_use" : "end_turn");
        json.WriteString("stop_sequence", sequence);
    }

    /// <summary>An id for a call.</summary>
    public static string NewCallId() => Answer.NewId("toolu_");

    /// <summary>
    /// A stand-in for Anthropic's signature of a thinking block: clients send it back with the block, and it is not checked.
    /// </summary>
    public static string Signature(string thought) => Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(thought)));
}
