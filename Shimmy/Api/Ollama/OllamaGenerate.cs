using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Ollama;

/// <summary>
/// Ollama's <c>POST /api/generate</c>: one turn of a user by the chat template, a raw prompt, or a gap to fill. An empty prompt loads the
/// model, or unloads it. On Shimmy's own port the path is Shimmy's unless the request says that it is Ollama's.
/// </summary>
internal static class OllamaGenerate
{
    public static void Map(RouteTable routes) =>
        routes.MapPost("/api/generate", Handle, RoutePolicy.Recorded, OllamaDialect.IsAsked, OllamaDialect.IsAsked);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        RequestContext.Of(context).ConversationField = "prompt";
        var logger = ModelResolver.LoggerOf(context);
        var call = OllamaCall.Read(RequestContext.Of(context), fields, logger);
        var request = GenerateBody.Read(fields, call, logger, LlamaServerMode.Of(context));
        if (request.Prompt.Length == 0)
        {
            var done = await call.MoveAsync(context);
            await JsonResponse.WriteAsync(context, json => GenerateLines.WriteLoadOrUnload(json, call, done));
            return;
        }

        using var lease = await call.AcquireAsync(context);
        var conversation = new ContextTokens();
        var events = await request.RunAsync(context, lease, call, conversation, logger);
        if (call.Streams)
        {
            await SseResponse.SendAsync(context, events, new GenerateLines(call, request.Top is not null, conversation));
            return;
        }
        var answer = await Answer.CollectAsync(context, events);
        await JsonResponse.WriteAsync(context, json =>
            GenerateLines.Write(json, call, answer, request.Top is not null ? answer.Tokens : null, conversation));
    }
}

/// <summary>The tokens of a prompt and its answer, which Ollama's clients send back as <c>context</c> to go on with.</summary>
internal sealed class ContextTokens
{
    /// <summary>The tokens; null where there are none to tell: of a raw prompt, of a gap, of pictures.</summary>
    public IReadOnlyList<int>? Tokens { get; set; }
}

/// <summary>The body of <c>/api/generate</c>, read and checked.</summary>
internal sealed record GenerateBody(string Prompt, string? Suffix, bool Raw, ChatRequest Chat)
{
    /// <summary>A template in place of the model's; null for that.</summary>
    private string? Template { get; init; }

    /// <summary>Tokens of an earlier request and its answer; null where none are given.</summary>
    private IReadOnlyList<int>? Context { get; init; }

    /// <summary>How many alternatives to each token are reported; null where no probabilities are.</summary>
    public int? Top { get; private init; }

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static GenerateBody Read(RequestFields fields, OllamaCall call, ILogger logger, LlamaServerMode mode)
    {
        var prompt = fields.Text("prompt") ?? "";
        var suffix = fields.Text("suffix") is { Length: > 0 } behind ? behind : null;
        var system = fields.Text("system") is { Length: > 0 } rules ? rules : null;
        var template = fields.Text("template") is { Length: > 0 } own ? own : null;
        var raw = fields.Flag("raw") ?? false;
        var images = MediaFields.Images(fields);
        var earlier = TokensOf(fields);
        if (raw)
        {
            Exclude("system", system is not null);
            Exclude("template", template is not null);
            Exclude("context", earlier is not null);
        }
        if (raw || suffix is not null)
        {
            if (images.Count > 0)
            {
                throw ApiException.BadField("images", "cannot be given with raw or suffix: "
                    + "the chat template places pictures in the prompt, and is not applied then");
            }
        }

        var thinking = ThinkingFields.Read(fields, call.Options.Sampling.MaxTokens, infers: !mode.IsOn);
        var user = new ChatMessage { Role = "user", Content = [.. images, new ContentPart(prompt)] };
        var body = new GenerateBody(prompt, suffix, raw, new ChatRequest
        {
            Messages = system is null ? [user] : [new ChatMessage { Role = "system", Content = [new ContentPart(system)] }, user],
            Grammar = ConstraintFields.Read(fields, responseFormat: true),
            EnableThinking = thinking.Enabled,
            MaxReasoningTokens = thinking.Budget,
            TemplateArguments = thinking.TemplateArguments,
        })
        {
            Template = template,
            Context = earlier,
            Top = TokenProbabilities.Read(fields, needsFlag: false),
        };
        OllamaUnreadFields.Check(fields, logger);
        return body;

        static void Exclude(string name, bool isGiven)
        {
            if (isGiven)
                throw ApiException.BadField(name, "was given beside raw, which takes the prompt as it is; give one of them");
        }
    }

    /// <summary>Runs the request on a model; <paramref name="conversation"/> gets its tokens before the end.</summary>
    public async Task<IAsyncEnumerable<OutputEvent>> RunAsync(
        HttpContext http, ModelLease lease, OllamaCall call, ContextTokens conversation, ILogger logger)
    {
        var model = lease.Model;
        var (cancellation, cache) = (http.RequestAborted, CacheControl.Use(http));
        if (Raw || Suffix is not null)
        {
            var prompt = Engine.Prompt.FromText(Prompt);
            if (Suffix is not null)
            {
                prompt = (model.Facts.FillInTheMiddle ?? throw ApiException.BadField("suffix",
                    $"{RequestFields.Quote(call.Model)} does not support insert: its vocabulary has no tokens for filling in the middle"))
                    .Around(prompt, Suffix);
            }
            return ChatPipeline.CompleteAsync(lease,
                new CompletionRequest { Prompt = prompt, Options = call.OptionsFor(model.Facts, Top), Grammar = Chat.Grammar },
                cancellation, cache, logger);
        }

        var template = Template is null ? null : TemplateCache.OfRequest(model, Template, "template");
        var tellsTokens = !Chat.Messages[^1].HasMedia;
        var chat = Chat with { Options = call.OptionsFor(model.Facts, Top, reportsTokens: tellsTokens) };
        if (Context is { Count: > 0 } tokens)
            chat = chat with { Earlier = await TextOfAsync(model, tokens, cancellation) };
        var events = ChatPipeline.ChatAsync(lease, chat, cancellation, logger, cache, MediaFields.LoaderOf(http), template);
        if (!tellsTokens)
            return events;
        template ??= await TemplateCache.OfAsync(lease, logger, cancellation);
        return WithTokens(events, model, template.Render(chat), conversation, cancellation);
    }

    private static async IAsyncEnumerable<OutputEvent> WithTokens(IAsyncEnumerable<OutputEvent> events, ILoadedModel model,
        Prompt prompt, ContextTokens conversation, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var answer = new List<int>();
        await foreach (var outputEvent in events.ConfigureAwait(false))
        {
            answer.AddRange((outputEvent.Tokens ?? []).Select(token => token.Token));
            if (outputEvent.End is not null)
                conversation.Tokens = [.. await model.TokenizeAsync(prompt, cancellation).ConfigureAwait(false), .. answer];
            yield return outputEvent;
        }
    }

    private static async Task<string> TextOfAsync(ILoadedModel model, IReadOnlyList<int> tokens, CancellationToken cancellation)
    {
        var last = model.Facts.VocabularySize - 1;
        if (tokens.Any(token => token > last))
            throw ApiException.BadField("context", $"has a token that this model does not have; 0 to {last} are its tokens");
        return Encoding.UTF8.GetString((await model.DetokenizeAsync(tokens, cancellation)).Span);
    }

    private static int[]? TokensOf(RequestFields fields) => fields.List("context") is not { } list ? null
        : [.. list.Select((value, i) => RequestFields.WholeOf(value) is >= 0 and <= int.MaxValue and var token
            ? (int)token
            : throw ApiException.BadField($"context[{i}]", $"must be a token number, 0 or more, not {RequestFields.Describe(value)}"))];
}

/// <summary>The answers of <c>/api/generate</c>. Streamed: a line for each piece, and a last one with the counts and times.</summary>
/// <param name="call">The request.</param>
/// <param name="probabilities">Whether the tokens' probabilities are reported.</param>
/// <param name="conversation">Has the conversation's tokens at the end.</param>
internal sealed class GenerateLines(OllamaCall call, bool probabilities, ContextTokens conversation) : IStreamWriter
{
    public string ContentType => SseResponse.JsonLines;

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        if (outputEvent.Start is not null)
            return;
        var piece = outputEvent;
        if (piece.End is null && piece.Text.Length + piece.Reasoning.Length == 0 && !(probabilities && piece.Tokens is { Count: > 0 }))
            return;
        SseResponse.WriteLine(output, json =>
        {
            json.WriteStartObject();
            call.WriteHead(json);
            WriteText(json, piece.Text, piece.Reasoning);
            if (probabilities)
                OllamaJson.WriteProbabilities(json, piece.Tokens);
            if (piece.End is { } end)
                WriteEnd(json, call, end, conversation);
            else
                json.WriteBoolean("done", false);
            json.WriteEndObject();
        });
    }

    public void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect) =>
        OllamaJson.WriteError(output, error, dialect);

    /// <summary>Writes a whole answer.</summary>
    public static void Write(
        Utf8JsonWriter json, OllamaCall call, Answer answer, IReadOnlyList<GeneratedToken>? tokens, ContextTokens conversation)
    {
        json.WriteStartObject();
        call.WriteHead(json);
        WriteText(json, answer.Text, answer.Reasoning);
        OllamaJson.WriteProbabilities(json, tokens);
        WriteEnd(json, call, answer.End, conversation);
        json.WriteEndObject();
    }

    /// <summary>Writes the answer to a request that has no prompt.</summary>
    public static void WriteLoadOrUnload(Utf8JsonWriter json, OllamaCall call, string done)
    {
        json.WriteStartObject();
        call.WriteHead(json);
        WriteText(json, "", "");
        json.WriteBoolean("done", true);
        json.WriteString("done_reason", done);
        json.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter json, string text, string reasoning)
    {
        json.WriteString("response", text);
        if (reasoning.Length > 0)
            json.WriteString("thinking", reasoning);
    }

    private static void WriteEnd(Utf8JsonWriter json, OllamaCall call, OutputEnd end, ContextTokens conversation)
    {
        call.WriteTail(json, end);
        if (conversation.Tokens is not { } tokens)
            return;
        json.WriteStartArray("context");
        foreach (var token in tokens)
            json.WriteNumberValue(token);
        json.WriteEndArray();
    }
}
