using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/audio/transcriptions</c>: asks a model that hears to write down what is said in a file.</summary>
internal static class Transcriptions
{
    private const int LongestLanguage = 40;

    // A file is no JSON, which is what recordings hold.
    public static void Map(RouteTable routes) => routes.MapPost("/v1/audio/transcriptions", Handle, RoutePolicy.None);

    private static async Task Handle(HttpContext context)
    {
        using var form = await MultipartForm.ReadAsync(context.Request, context.RequestAborted);
        RequestContext.Of(context).ConversationField = "file";
        // Read first: a request that is wrong loads no model.
        var logger = ModelResolver.LoggerOf(context);
        var fields = form.Fields;
        var format = FormatOf(fields);
        var stream = fields.Flag("stream") ?? false;
        if (stream && format == "verbose_json")
            throw ApiException.BadField("response_format", "'verbose_json' is not streamed; 'json' and 'text' are");
        var language = LanguageOf(fields);
        var request = RequestOf(form, language);
        var wanted = ModelRequest.Read(fields);
        UnreadFields.Check(fields, logger);

        using var lease = await ModelResolver.AcquireAsync(context, wanted, context.RequestAborted);
        var heard = await MediaFields.LoaderOf(context).DecodeAsync(lease, request, logger, context.RequestAborted);
        var facts = lease.Model.Facts;
        var samples = heard.Messages[0].Content[0].Medium!.Width;
        var seconds = (double)samples / facts.SampleRate;
        var soundTokens = facts.SoundSeconds > 0 ? (int)Math.Ceiling(seconds / facts.SoundSeconds) * facts.SoundTokens : 0;
        var events = ChatPipeline.ChatAsync(lease, heard, context.RequestAborted, logger, CacheControl.Use(context));
        if (stream)
        {
            await SseResponse.SendAsync(context, events, new TranscriptionStreamWriter(soundTokens));
            return;
        }
        var answer = await Answer.CollectAsync(context, events);
        if (format == "text")
        {
            context.Response.ContentType = "text/plain; charset=utf-8";
            await context.Response.WriteAsync(answer.Text + "\n", context.RequestAborted);
            return;
        }
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            if (format == "verbose_json")
            {
                json.WriteString("task"u8, "transcribe"u8);
                // Not known but where it was said: the model reports none.
                json.WriteString("language", language ?? "unknown");
                json.WriteNumber("duration", Math.Round(seconds, 3));
            }
            json.WriteString("text", answer.Text);
            if (format == "verbose_json")
            {
                // The model produces no timestamps.
                json.WriteStartArray("segments");
                json.WriteEndArray();
                json.WriteStartObject("usage");
                json.WriteString("type"u8, "duration"u8);
                json.WriteNumber("seconds", (int)Math.Ceiling(seconds));
                json.WriteEndObject();
            }
            else
            {
                WriteUsage(json, answer.End.Usage, soundTokens);
            }
            json.WriteEndObject();
        });
    }

    /// <summary>Writes the usage as this route has it.</summary>
    public static void WriteUsage(Utf8JsonWriter json, Usage usage, int soundTokens)
    {
        json.WriteStartObject("usage");
        json.WriteString("type"u8, "tokens"u8);
        json.WriteNumber("input_tokens", usage.PromptTokens);
        json.WriteStartObject("input_token_details");
        json.WriteNumber("text_tokens", usage.PromptTokens - soundTokens);
        json.WriteNumber("audio_tokens", soundTokens);
        json.WriteEndObject();
        json.WriteNumber("output_tokens", usage.CompletionTokens);
        json.WriteNumber("total_tokens", usage.TotalTokens);
        json.WriteEndObject();
    }

    private static string FormatOf(RequestFields fields)
    {
        const string name = "response_format";
        const string timesReason = "audio models of this kind produce no timestamps";
        if (fields.Text(name) is "srt" or "vtt" or "diarized_json")
        {
            throw ApiException.BadField(name,
                $"{RequestFields.Quote(fields.Text(name)!)} needs times, and {timesReason}; 'json', 'text' and 'verbose_json' are allowed");
        }
        foreach (var times in (string[])["timestamp_granularities[]", "timestamp_granularities"])
            fields.Refuse(times, $"{timesReason}, of segments or of words; leave it out");
        foreach (var include in (string[])["include[]", "include"])
            fields.Refuse(include, "log probabilities are not reported by this route; leave it out");
        fields.Refuse("chunking_strategy", "sounds are cut every 30 seconds; leave it out or say 'auto'",
            value => value.ValueKind == JsonValueKind.String && value.ValueEquals("auto"));
        return fields.Choice(name, "json", "text", "verbose_json") ?? "json";
    }

    private static string? LanguageOf(RequestFields fields) => fields.Text("language") switch
    {
        null or "" => null,
        { Length: <= LongestLanguage } language
            when language.All(letter => char.IsLetter(letter) || letter is '-' or '_' or ' ') => language,
        { } other => throw ApiException.BadField("language",
            $"must be a language, as 'en' or 'English', of at most {LongestLanguage} letters, not {RequestFields.Quote(other)}"),
    };

    private static ChatRequest RequestOf(MultipartForm form, string? language)
    {
        if (form.File("file") is not { } file)
        {
            throw ApiException.BadField("file", form.Fields.Has("file")
                ? "is a text; a file is required, whose part has a filename"
                : "is missing; a file with a sound is required", "missing_required_parameter");
        }
        if (form.FileNames.FirstOrDefault(name => name != "file") is { } other)
            throw ApiException.BadField(other, "is a file; 'file' is the only one that is taken");
        var sound = MediaFields.OfFile(file, "file", MediumKind.Sound);
        var words = "Transcribe the audio.";
        if (language is not null)
            words += $" Its language is {language}.";
        if (form.Fields.Text("prompt") is { Length: > 0 } prompt)
            words += $"\n{prompt}";
        return new ChatRequest
        {
            Messages = [new ChatMessage { Role = "user", Content = [sound, new ContentPart(words)] }],
            Options = new GenerationOptions { Temperature = form.Fields.Number("temperature", 0, 1) ?? 0 },
            EnableThinking = false,
        };
    }
}

/// <summary>The stream of <c>/v1/audio/transcriptions</c>: pieces of the text, and at its end all of it.</summary>
/// <param name="soundTokens">Tokens of the sound.</param>
internal sealed class TranscriptionStreamWriter(int soundTokens) : IStreamWriter
{
    private readonly StringBuilder _text = new();

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        if (outputEvent.Text is { Length: > 0 } text)
        {
            _text.Append(text);
            SseResponse.WriteData(output, json =>
            {
                json.WriteStartObject();
                json.WriteString("type"u8, "transcript.text.delta"u8);
                json.WriteString("delta", text);
                json.WriteEndObject();
            });
        }
        if (outputEvent.End is not { } end)
            return;
        SseResponse.WriteData(output, json =>
        {
            json.WriteStartObject();
            json.WriteString("type"u8, "transcript.text.done"u8);
            json.WriteString("text", _text.ToString());
            Transcriptions.WriteUsage(json, end.Usage, soundTokens);
            json.WriteEndObject();
        });
    }
}
