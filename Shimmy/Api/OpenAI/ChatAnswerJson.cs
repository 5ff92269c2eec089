using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;

namespace Shimmy.Api.OpenAI;

/// <summary>Pieces of answers that the whole answer and the stream of <c>/v1/chat/completions</c> share.</summary>
internal static class ChatAnswerJson
{
    /// <summary>An id for a call; nine letters and digits at its end, which is all that Mistral's templates take.</summary>
    public static string NewCallId() => Answer.NewId("call_");

    /// <summary>The message of an answer.</summary>
    public static void WriteMessage(Utf8JsonWriter json, Answer answer)
    {
        json.WriteStartObject("message");
        json.WriteString("role"u8, "assistant"u8);
        if (answer.Text.Length == 0 && answer.Calls.Count > 0)
            json.WriteNull("content");
        else
            json.WriteString("content", answer.Text);
        if (answer.Reasoning.Length > 0)
            json.WriteString("reasoning_content", answer.Reasoning);
        json.WriteNull("refusal");
        if (answer.Calls.Count > 0)
        {
            json.WriteStartArray("tool_calls");
            foreach (var (name, arguments) in answer.Calls)
            {
                json.WriteStartObject();
                json.WriteString("id", NewCallId());
                json.WriteString("type"u8, "function"u8);
                json.WriteStartObject("function");
                json.WriteString("name", name);
                json.WriteString("arguments", arguments);
                json.WriteEndObject();
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    /// <summary>A piece of a call, in a delta.</summary>
    public static void WriteCall(Utf8JsonWriter json, ToolCallDelta call)
    {
        json.WriteStartArray("tool_calls");
        json.WriteStartObject();
        json.WriteNumber("index", call.Index);
        if (call.Name is not null)
        {
            json.WriteString("id", NewCallId());
            json.WriteString("type"u8, "function"u8);
        }
        json.WriteStartObject("function");
        if (call.Name is { } name)
            json.WriteString("name", name);
        json.WriteString("arguments", call.Arguments);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndArray();
    }

    /// <summary>The object <c>logprobs</c> of tokens, or null where none were asked for.</summary>
    public static void WriteLogProbabilities(Utf8JsonWriter json, IReadOnlyList<GeneratedToken>? tokens)
    {
        if (tokens is null)
        {
            json.WriteNull("logprobs");
            return;
        }
        json.WriteStartObject("logprobs");
        json.WriteStartArray("content");
        TokenProbabilities.Write(json, tokens);
        json.WriteEndArray();
        json.WriteNull("refusal");
        json.WriteEndObject();
    }
}
