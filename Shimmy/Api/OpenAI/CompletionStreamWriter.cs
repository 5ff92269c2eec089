using System.Buffers;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>The stream of <c>/v1/completions</c>: its choices one after another; the last one ends it.</summary>
internal sealed class CompletionStreamWriter(string id, long created, string model, CompletionRequestBody request) : IStreamWriter
{
    private readonly List<GeneratedToken> _prompt = [];
    private Usage _usage = new(0, 0, 0);
    private CompletionLogprobs? _logProbabilities;
    private TimingsJson _times = new();
    private string _echo = "";
    private int _index;
    private bool _last;

    /// <summary>Goes on to the next choice.</summary>
    public void Begin(int index, string echo, bool last)
    {
        (_index, _echo, _last) = (index, echo, last);
        _prompt.Clear();
        _logProbabilities = null;
        _times = new TimingsJson();
    }

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        _times.Note(outputEvent);
        if (outputEvent.PromptToken is { } read)
            _prompt.Add(read);
        if (outputEvent.Start is not null || outputEvent.PromptToken is not null)
            return;
        if (_echo.Length > 0)
        {
            WriteChoice(output, _echo, request.Extras.LogProbabilities ? _prompt : null, null);
            _echo = "";
        }
        if (outputEvent.End is not { } end)
        {
            WriteChoice(output, outputEvent.Text, outputEvent.Tokens, finishReason: null);
            return;
        }
        WriteChoice(output, "", null, OpenAIJson.FinishReasonOf(end));
        _usage = CompletionUsage.Add(_usage, _index % request.Choices == 0 ? end.Usage : end.Usage with { PromptTokens = 0, CachedTokens = 0 });
        if (!_last)
            return;
        if (request.IncludeUsage)
        {
            SseResponse.WriteData(output, json =>
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
        output.Write(OpenAIDialect.Instance.ErrorBody(error));
        output.Write("\n\n"u8);
    }

    private void WriteChoice(IBufferWriter<byte> output, string text, IReadOnlyList<GeneratedToken>? tokens, string? finishReason) =>
        SseResponse.WriteData(output, json =>
        {
            Begin(json);
            json.WriteStartArray("choices");
            json.WriteStartObject();
            json.WriteNumber("index", _index);
            json.WriteString("text", text);
            if (request.Extras.LogProbabilities && tokens is not null)
                (_logProbabilities ??= new CompletionLogprobs(text)).Write(json, tokens);
            else
                json.WriteNull("logprobs");
            if (request.Extras.Tokens)
                OpenAIJson.WriteTokens(json, tokens);
            json.WriteString("finish_reason", finishReason);
            json.WriteEndObject();
            json.WriteEndArray();
            if (request.Extras.Timings)
                _times.Write(json);
            // OpenAI: where the usage comes at the end, all other chunks have it as null.
            if (request.IncludeUsage)
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
