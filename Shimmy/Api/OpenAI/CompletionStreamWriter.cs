using System.Buffers;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>The stream of <c>/v1/completions</c>: its choices one after another; the end of the last one ends the stream.</summary>
/// <param name="id">Id of the answer.</param>
/// <param name="created">Time of creation, in seconds since 1970.</param>
/// <param name="model">The model's name.</param>
/// <param name="request">The request.</param>
/// <param name="echoes">For each choice, the text of the prompt to repeat before it.</param>
internal sealed class CompletionStreamWriter(string id, long created, string model,
    CompletionRequestBody request, IReadOnlyList<string> echoes) : IStreamWriter
{
    private readonly List<GeneratedToken> _prompt = [];
    private Usage _usage = new(0, 0, 0);
    private CompletionLogprobs? _logProbabilities;
    private TimingsJson _times = new();
    private string _echo = "";

    public TimeSpan? PingAfter => request.Extras.PingAfter;

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        if (outputEvent.Start is not null)
            Begin(echoes[outputEvent.Choice]);
        _times.Note(outputEvent);
        if (outputEvent.PromptToken is { } read)
            _prompt.Add(read);
        if (outputEvent.Start is not null || outputEvent.PromptToken is not null || outputEvent.Progress is not null)
            return;
        if (_echo.Length > 0)
        {
            WriteChoice(output, outputEvent.Choice, _echo, request.Extras.LogProbabilities ? _prompt : null, null);
            _echo = "";
        }
        if (outputEvent.End is not { } end)
        {
            WriteChoice(output, outputEvent.Choice, outputEvent.Text, outputEvent.Tokens, finishReason: null);
            return;
        }
        WriteChoice(output, outputEvent.Choice, "", null, OpenAIJson.FinishReasonOf(end));
        // The answers to one prompt have it in common, and it counts once.
        _usage += outputEvent.Choice % request.Choices == 0 ? end.Usage : end.Usage with { PromptTokens = 0, CachedTokens = 0 };
        if (outputEvent.Choice < echoes.Count - 1)
            return;
        if (request.IncludeUsage)
        {
            SseResponse.WriteData(output, json =>
            {
                BeginChunk(json);
                json.WriteStartArray("choices");
                json.WriteEndArray();
                OpenAIJson.WriteUsage(json, _usage);
                json.WriteEndObject();
            });
        }
        output.Write("data: [DONE]\n\n"u8);
    }

    private void Begin(string echo)
    {
        _echo = echo;
        _prompt.Clear();
        _logProbabilities = null;
        _times = new TimingsJson();
    }

    private void WriteChoice(IBufferWriter<byte> output, int index, string text,
        IReadOnlyList<GeneratedToken>? tokens, string? finishReason) =>
        SseResponse.WriteData(output, json =>
        {
            BeginChunk(json);
            json.WriteStartArray("choices");
            json.WriteStartObject();
            json.WriteNumber("index", index);
            json.WriteString("text", text);
            var ofPrompt = ReferenceEquals(tokens, _prompt) ? _prompt.Count : 0;
            if (request.Extras.LogProbabilities && tokens is not null)
                (_logProbabilities ??= new CompletionLogprobs(text)).Write(json, tokens, ofPrompt);
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

    private void BeginChunk(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", id);
        json.WriteString("object"u8, "text_completion"u8);
        json.WriteNumber("created", created);
        json.WriteString("model", model);
        request.Extras.WriteBuild(json);
    }
}
