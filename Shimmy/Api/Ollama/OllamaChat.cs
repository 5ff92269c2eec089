using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Http;

namespace Shimmy.Api.Ollama;

/// <summary><c>POST /api/chat</c>: answers a conversation; one without messages loads the model, or unloads it.</summary>
internal static class OllamaChat
{
    public static void Map(RouteTable routes) => routes.MapPost("/api/chat", Handle, RoutePolicy.Recorded, name: "ollama_chat");

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        // Read first: a request that is wrong loads no model.
        var logger = ModelResolver.LoggerOf(context);
        var call = OllamaCall.Read(RequestContext.Of(context), fields, logger);
        var request = fields.List("messages") is { Count: > 0 } ? ChatMessages.Read(fields) : [];
        var tools = ToolFields.Read(fields, logger);
        var thinking = ThinkingFields.Read(fields, call.Options.Sampling.MaxTokens, infers: !LlamaServerMode.Of(context).IsOn);
        var top = TokenProbabilities.Read(fields, needsFlag: false);
        var chat = new ChatRequest
        {
            Messages = request,
            Tools = tools.Tools,
            ToolChoice = tools.Choice,
            Grammar = ConstraintFields.Read(fields, responseFormat: true),
            EnableThinking = thinking.Enabled,
            MaxReasoningTokens = thinking.Budget,
            TemplateArguments = thinking.TemplateArguments,
            // An answer that has begun is gone on with.
            ContinueFinalMessage = request is [.., { Role: "assistant", ToolCalls.Count: 0 }],
        };
        OllamaUnreadFields.Check(fields, logger);
        if (request.Count == 0)
        {
            var done = await call.MoveAsync(context);
            await JsonResponse.WriteAsync(context, json => ChatLines.WriteLoadOrUnload(json, call, done));
            return;
        }

        using var lease = await call.AcquireAsync(context);
        chat = chat with { Options = call.OptionsFor(lease.Model.Facts, top) };
        var events = ChatPipeline.ChatAsync(lease, chat, context.RequestAborted, logger, CacheControl.Use(context),
            MediaFields.LoaderOf(context));
        if (call.Streams)
        {
            await SseResponse.SendAsync(context, events, new ChatLines(call, top is not null));
            return;
        }
        var answer = await Answer.CollectAsync(context, events);
        await JsonResponse.WriteAsync(context, json => ChatLines.Write(json, call, answer, top is not null));
    }
}

/// <summary>
/// Fields of Ollama's API that no reader asks for: those that have no effect here, and <see cref="UnreadFields"/>.
/// </summary>
internal static class OllamaUnreadFields
{
    /// <summary>Checks what is left of a request; throws <see cref="ApiException"/> for a field that cannot be honoured.</summary>
    public static void Check(RequestFields fields, Microsoft.Extensions.Logging.ILogger logger)
    {
        // Ollama cuts what is too long unless it is asked not to; nothing is ever cut here, and the error says by how much it is too long.
        fields.Flag("truncate");
        fields.Flag("shift");
        UnreadFields.Check(fields, logger);
    }
}

/// <summary>
/// The answers of <c>/api/chat</c>. Streamed: a line for each piece of text or of thinking, one for each whole tool call, and a last one
/// with the counts and times.
/// </summary>
/// <param name="call">The request.</param>
/// <param name="probabilities">Whether the tokens' probabilities are reported.</param>
internal sealed class ChatLines(OllamaCall call, bool probabilities) : IStreamWriter
{
    private readonly StringBuilder _arguments = new();
    private (int Index, string Name)? _open;

    public string ContentType => SseResponse.JsonLines;

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        if (outputEvent.Start is not null)
            return;
        var piece = outputEvent;
        if (piece.End is { } end)
        {
            // A call that was cut is left out.
            if (!end.EndsInCall || Answer.IsWholeCall(_arguments.ToString()))
                WriteOpenCall(output, null);
            SseResponse.WriteLine(output, json =>
            {
                json.WriteStartObject();
                call.WriteHead(json);
                WriteMessage(json, "", "", []);
                call.WriteTail(json, end);
                json.WriteEndObject();
            });
            return;
        }

        if (piece.Call is { } delta)
        {
            if (delta.Name is { } name)
            {
                WriteOpenCall(output, null);
                _open = (delta.Index, name);
            }
            _arguments.Append(delta.Arguments);
        }
        if (piece.Text.Length + piece.Reasoning.Length == 0 && !(probabilities && piece.Tokens is { Count: > 0 }))
            return;
        WritePiece(output, piece.Text, piece.Reasoning, [], piece.Tokens);
    }

    public void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect) =>
        OllamaJson.WriteError(output, error, dialect);

    /// <summary>Writes a whole answer.</summary>
    public static void Write(Utf8JsonWriter json, OllamaCall call, Answer answer, bool probabilities)
    {
        json.WriteStartObject();
        call.WriteHead(json);
        WriteMessage(json, answer.Text, answer.Reasoning, [.. answer.Calls.Select((one, i) => (i, one.Name, one.Arguments))]);
        if (probabilities)
            OllamaJson.WriteProbabilities(json, answer.Tokens);
        call.WriteTail(json, answer.End);
        json.WriteEndObject();
    }

    /// <summary>Writes the answer to a request that has no messages.</summary>
    public static void WriteLoadOrUnload(Utf8JsonWriter json, OllamaCall call, string done)
    {
        json.WriteStartObject();
        call.WriteHead(json);
        WriteMessage(json, "", "", []);
        json.WriteBoolean("done", true);
        json.WriteString("done_reason", done);
        json.WriteEndObject();
    }

    private void WriteOpenCall(IBufferWriter<byte> output, IReadOnlyList<GeneratedToken>? tokens)
    {
        if (_open is not { } open)
            return;
        WritePiece(output, "", "", [(open.Index, open.Name, _arguments.ToString())], tokens);
        _open = null;
        _arguments.Clear();
    }

    private void WritePiece(IBufferWriter<byte> output, string text, string reasoning,
        IReadOnlyList<(int Index, string Name, string Arguments)> calls, IReadOnlyList<GeneratedToken>? tokens) =>
        SseResponse.WriteLine(output, json =>
        {
            json.WriteStartObject();
            call.WriteHead(json);
            WriteMessage(json, text, reasoning, calls);
            if (probabilities)
                OllamaJson.WriteProbabilities(json, tokens);
            json.WriteBoolean("done", false);
            json.WriteEndObject();
        });

    private static void WriteMessage(Utf8JsonWriter json, string text, string reasoning,
        IReadOnlyList<(int Index, string Name, string Arguments)> calls)
    {
        json.WriteStartObject("message");
        json.WriteString("role"u8, "assistant"u8);
        json.WriteString("content", text);
        if (reasoning.Length > 0)
            json.WriteString("thinking", reasoning);
        if (calls.Count > 0)
            OllamaJson.WriteCalls(json, calls);
        json.WriteEndObject();
    }
}
