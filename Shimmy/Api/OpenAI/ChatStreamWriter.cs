using System.Buffers;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// The stream of <c>/v1/chat/completions</c>: a chunk with the role, one for each piece of text, one with the finish reason, one with the
/// usage if requested, then <c>[DONE]</c>. Id, time and model are the same on every chunk.
/// </summary>
/// <param name="id">Id of the answer.</param>
/// <param name="created">Time of creation, in seconds since 1970.</param>
/// <param name="model">The model's name.</param>
/// <param name="includeUsage">Whether the request asks for a chunk with the usage.</param>
/// <param name="choices">Number of answers, which are interleaved.</param>
/// <param name="extras">Details to write beside the text.</param>
internal sealed class ChatStreamWriter(string id, long created, string model, bool includeUsage,
    int choices = 1, OutputDetails extras = default) : IStreamWriter
{
    private readonly TimingsJson[] _times = extras.Timings ? [.. Enumerable.Range(0, choices).Select(_ => new TimingsJson())] : [];
    private int _ended;
    private GenerationStart? _start;
    private Usage? _usage;
    private int _reasoningTokens;

    public TimeSpan? PingAfter => extras.PingAfter;

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        if (extras.Timings)
            _times[outputEvent.Choice].Note(outputEvent);
        if (outputEvent.Start is { } start)
        {
            _start = start;
            // OpenAI's first content is empty, llama-server's is null.
            var content = extras.AsLlamaServer ? null : "";
            WriteChunk(output, outputEvent, (json, _) =>
            {
                json.WriteString("role"u8, "assistant"u8);
                json.WriteString("content"u8, content);
            });
        }
        else if (outputEvent.Progress is { } computed)
        {
            WriteProgress(output, outputEvent, computed);
        }
        else if (outputEvent.End is { } end)
        {
            WriteChunk(output, outputEvent, static (_, _) => { }, OpenAIJson.FinishReasonOf(end), includeUsage ? null : end);
            _usage = _usage is { } usage
                ? usage with { CompletionTokens = usage.CompletionTokens + end.Usage.CompletionTokens }
                : end.Usage;
            _reasoningTokens += end.ReasoningTokens;
            if (++_ended < choices)
                return;
            if (includeUsage)
                WriteUsage(output, _usage, end);
            output.Write("data: [DONE]\n\n"u8);
        }
        else
        {
            WriteChunk(output, outputEvent, static (json, outputEvent) =>
            {
                if (outputEvent.Call is { } call)
                    ChatAnswerJson.WriteCall(json, call);
                else if (outputEvent.Reasoning.Length > 0)
                    json.WriteString("reasoning_content", outputEvent.Reasoning);
                else
                    json.WriteString("content", outputEvent.Text);
            });
        }
    }

    private void WriteChunk(IBufferWriter<byte> output, OutputEvent outputEvent,
        Action<Utf8JsonWriter, OutputEvent> writeDelta, string? finishReason = null, OutputEnd? end = null) =>
        SseResponse.WriteData(output, json =>
        {
            Begin(json);
            json.WriteStartArray("choices");
            json.WriteStartObject();
            json.WriteNumber("index", outputEvent.Choice);
            json.WriteStartObject("delta");
            writeDelta(json, outputEvent);
            json.WriteEndObject();
            if (extras.LogProbabilities && outputEvent.Tokens is { } tokens)
                ChatAnswerJson.WriteLogProbabilities(json, tokens);
            if (extras.Tokens)
                OpenAIJson.WriteTokens(json, outputEvent.Tokens);
            json.WriteString("finish_reason", finishReason);
            json.WriteEndObject();
            json.WriteEndArray();
            if (extras.AsLlamaServer && end is not null)
                extras.WriteTail(json, end, "");
            else if (extras.Timings)
                _times[outputEvent.Choice].Write(json);
            End(json);
        });

    private void WriteProgress(IBufferWriter<byte> output, OutputEvent outputEvent, int computed) => SseResponse.WriteData(output, json =>
    {
        Begin(json);
        json.WriteStartArray("choices");
        json.WriteStartObject();
        json.WriteNumber("index", outputEvent.Choice);
        json.WriteStartObject("delta");
        json.WriteEndObject();
        json.WriteNull("finish_reason");
        json.WriteEndObject();
        json.WriteEndArray();
        PromptProgress.Write(json, _start!, computed, outputEvent.Elapsed);
        if (extras.Timings)
            _times[outputEvent.Choice].Write(json);
        End(json);
    });

    // OpenAI: the chunk with the usage has no choices.
    private void WriteUsage(IBufferWriter<byte> output, Usage usage, OutputEnd end) => SseResponse.WriteData(output, json =>
    {
        Begin(json);
        json.WriteStartArray("choices");
        json.WriteEndArray();
        OpenAIJson.WriteUsage(json, usage, extras.AsLlamaServer ? null : _reasoningTokens);
        if (extras.AsLlamaServer)
            extras.WriteTail(json, end, "");
        json.WriteEndObject();
    });

    private void Begin(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", id);
        json.WriteString("object"u8, "chat.completion.chunk"u8);
        json.WriteNumber("created", created);
        json.WriteString("model", model);
        extras.WriteBuild(json);
    }

    // OpenAI: where the usage comes at the end, all other chunks have it as null.
    private void End(Utf8JsonWriter json)
    {
        if (includeUsage)
            json.WriteNull("usage");
        json.WriteEndObject();
    }
}
