using System.Buffers;
using System.Text.Json;
using Shimmy.Chat.Output;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// The stream of <c>/v1/chat/completions</c>: a chunk with the role, one for each piece of text, one with the finish reason, one with the usage
/// where it was asked for, then <c>[DONE]</c>. Id, time and model are the same on every chunk.
/// </summary>
internal sealed class ChatStreamWriter(string id, long created, string model, bool includeUsage) : IStreamWriter
{
    public void Write(IBufferWriter<byte> output, in OutputEvent happened)
    {
        if (happened.Start is not null)
        {
            WriteDelta(output, text: "", withRole: true);
        }
        else if (happened.End is { } end)
        {
            EventStream.WriteData(output, json =>
            {
                Begin(json);
                json.WriteStartArray("choices");
                json.WriteStartObject();
                json.WriteNumber("index", 0);
                json.WriteStartObject("delta");
                json.WriteEndObject();
                json.WriteString("finish_reason", OpenAIJson.FinishReasonOf(end));
                json.WriteEndObject();
                json.WriteEndArray();
                End(json);
            });
            if (includeUsage)
                WriteUsage(output, end.Usage);
            output.Write("data: [DONE]\n\n"u8);
        }
        else
        {
            WriteDelta(output, happened.Text, withRole: false);
        }
    }

    public void WriteError(IBufferWriter<byte> output, ApiError error)
    {
        output.Write("data: "u8);
        output.Write(Dialect.ErrorBody("/v1/chat/completions", error));
        output.Write("\n\n"u8);
    }

    private void WriteDelta(IBufferWriter<byte> output, string text, bool withRole) => EventStream.WriteData(output, json =>
    {
        Begin(json);
        json.WriteStartArray("choices");
        json.WriteStartObject();
        json.WriteNumber("index", 0);
        json.WriteStartObject("delta");
        if (withRole)
            json.WriteString("role"u8, "assistant"u8);
        json.WriteString("content", text);
        json.WriteEndObject();
        json.WriteNull("finish_reason");
        json.WriteEndObject();
        json.WriteEndArray();
        End(json);
    });

    // OpenAI: the chunk with the usage has no choices.
    private void WriteUsage(IBufferWriter<byte> output, Usage usage) => EventStream.WriteData(output, json =>
    {
        Begin(json);
        json.WriteStartArray("choices");
        json.WriteEndArray();
        OpenAIJson.WriteUsage(json, usage);
        json.WriteEndObject();
    });

    private void Begin(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", id);
        json.WriteString("object"u8, "chat.completion.chunk"u8);
        json.WriteNumber("created", created);
        json.WriteString("model", model);
    }

    // OpenAI: where the usage comes at the end, all other chunks have it as null.
    private void End(Utf8JsonWriter json)
    {
        if (includeUsage)
            json.WriteNull("usage");
        json.WriteEndObject();
    }
}
