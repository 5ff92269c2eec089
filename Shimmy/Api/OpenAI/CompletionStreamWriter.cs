using System.Buffers;
using System.Text.Json;
using Shimmy.Chat.Output;

namespace Shimmy.Api.OpenAI;

/// <summary>The stream of <c>/v1/completions</c> for one of its prompts; the last one ends it.</summary>
internal sealed class CompletionStreamWriter(string id, long created, string model, bool includeUsage) : IStreamWriter
{
    private Usage _usage = new(0, 0, 0);

    /// <summary>The prompt that is being answered.</summary>
    public int Index { get; set; }

    /// <summary>Whether it is the last prompt.</summary>
    public bool Last { get; set; }

    public void Write(IBufferWriter<byte> output, in OutputEvent happened)
    {
        if (happened.Start is not null)
            return;
        if (happened.End is not { } end)
        {
            WriteChoice(output, happened.Text, finishReason: null);
            return;
        }
        WriteChoice(output, "", OpenAIJson.FinishReasonOf(end));
        _usage = CompletionUsage.Add(_usage, end.Usage);
        if (!Last)
            return;
        if (includeUsage)
        {
            EventStream.WriteData(output, json =>
            {
                Begin(json);
                json.WriteStartArray("choices");
                json.WriteEndArray();
                OpenAIJson.WriteUsage(json, _usage);
                json.WriteEndObject();
            });
        }
        output.Write("data: [DONE]\n\n"u8);
    }

    public void WriteError(IBufferWriter<byte> output, ApiError error)
    {
        output.Write("data: "u8);
        output.Write(Dialect.ErrorBody("/v1/completions", error));
        output.Write("\n\n"u8);
    }

    private void WriteChoice(IBufferWriter<byte> output, string text, string? finishReason) => EventStream.WriteData(output, json =>
    {
        Begin(json);
        json.WriteStartArray("choices");
        json.WriteStartObject();
        json.WriteNumber("index", Index);
        json.WriteString("text", text);
        json.WriteNull("logprobs");
        json.WriteString("finish_reason", finishReason);
        json.WriteEndObject();
        json.WriteEndArray();
        // OpenAI: where the usage comes at the end, all other chunks have it as null.
        if (includeUsage)
            json.WriteNull("usage");
        json.WriteEndObject();
    });

    private void Begin(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", id);
        json.WriteString("object"u8, "text_completion"u8);
        json.WriteNumber("created", created);
        json.WriteString("model", model);
    }
}

/// <summary>The usage of several prompts is one sum.</summary>
internal static class CompletionUsage
{
    public static Usage Add(Usage a, Usage b) =>
        new(a.PromptTokens + b.PromptTokens, a.CachedTokens + b.CachedTokens, a.CompletionTokens + b.CompletionTokens);
}
