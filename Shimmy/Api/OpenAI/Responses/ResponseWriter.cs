using System.Buffers;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>
/// Builds the response of <c>/v1/responses</c> from the output events, and writes the events of its stream, in OpenAI's order:
///
/// <code>
///   response.created, response.in_progress
///     for each item: response.output_item.added
///       for text and reasoning: response.content_part.added, ….delta …, ….done, response.content_part.done
///       for calls: response.function_call_arguments.delta …, .done
///     response.output_item.done
///   response.completed, or .incomplete, or error and .failed
/// </code>
///
/// A response that is not streamed is built by the same steps, so both are the same.
/// </summary>
/// <param name="outline">The fields that are known before the answer begins.</param>
/// <param name="begun">Called with the JSON of the response in progress, before it is written.</param>
/// <param name="ended">Called with the complete response, before its end is written: the client's next request may refer to it at
/// once.</param>
/// <param name="extras">Details to write beside the text.</param>
internal sealed class ResponseWriter(ResponseHead outline, Action<byte[]> begun, Action<StoredResponse> ended,
    OutputDetails extras = default) : IStreamWriter
{
    private readonly TimingsJson _times = new();
    private byte[] _inProgress = [];
    private Engine.GenerationStart? _start;

    private readonly List<ResponseItem> _output = [];
    private readonly StringBuilder _text = new();
    private readonly List<GeneratedToken> _tokens = [];
    private IBufferWriter<byte>? _stream;
    private int _sequence;
    private bool _begun;

    // The output item in progress, in its initial form.
    private ResponseItem? _open;
    private int _call = -1;

    /// <summary>The complete response as JSON; null before the end.</summary>
    public byte[]? Json { get; private set; }

    TimeSpan? IStreamWriter.PingAfter => extras.PingAfter;

    /// <summary>Takes an event without writing to a stream.</summary>
    public void Take(in OutputEvent outputEvent) => Write(null, outputEvent);

    void IStreamWriter.Write(IBufferWriter<byte> output, in OutputEvent outputEvent) => Write(output, outputEvent);

    public void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect)
    {
        _stream = output;
        Begin();
        if (extras.AsLlamaServer)
        {
            // llama-server has one form of errors for all routes, and no events around it.
            SseResponse.WriteError(output, error, dialect);
            _stream = null;
        }
        Close("incomplete");
        Emit("error", json =>
        {
            json.WriteString("code", error.Code ?? ResponseJson.CodeOf(error));
            json.WriteString("message", error.Message);
            json.WriteString("param", error.Field);
        });
        End(new ResponseOutcome("failed", _output) { Error = error });
    }

    private void Write(IBufferWriter<byte>? output, in OutputEvent outputEvent)
    {
        _stream = output;
        Begin();
        _times.Note(outputEvent);
        if (outputEvent.Start is { } start)
        {
            _start = start;
            return;
        }
        if (outputEvent.Progress is { } computed)
            ReportProgress(computed, outputEvent.Elapsed);
        else if (outputEvent.End is { } end)
            End(end);
        else if (outputEvent.Call is { } call)
            TakeCall(call);
        else if (outputEvent.Reasoning.Length > 0)
            TakeReasoning(outputEvent.Reasoning);
        else if (outputEvent.Text.Length > 0)
            TakeText(outputEvent.Text, outputEvent.Tokens ?? []);
    }

    private void Begin()
    {
        if (_begun)
            return;
        _begun = true;
        var json = ResponseJson.Of(outline, new ResponseOutcome("in_progress", []));
        begun(json);
        _inProgress = json;
        EmitResponse("response.created", json);
        EmitResponse("response.in_progress", json);
    }

    // llama-server's.
    private void ReportProgress(int computed, TimeSpan elapsed) => Emit("response.in_progress", json =>
    {
        json.WritePropertyName("response");
        json.WriteRawValue(_inProgress, skipInputValidation: true);
        PromptProgress.Write(json, _start!, computed, elapsed);
    });

    private void End(OutputEnd end)
    {
        if (end.IsCancelled)
        {
            Close("incomplete");
            End(new ResponseOutcome("cancelled", _output));
            return;
        }
        // A call that was cut is left out of the whole answer. In a stream its beginning has been sent, and it ends as incomplete.
        if (end.EndsInCall && _stream is null && _open is FunctionCallItem)
        {
            _open = null;
            _text.Clear();
        }

        // Clients expect a message where there is no other item.
        if (_output.Count == 0 && _open is null)
            OpenMessage();
        // To llama-server an answer is complete at its limit, too.
        var status = end.Reason == Engine.FinishReason.Length && !extras.AsLlamaServer ? "incomplete" : "completed";
        Close(end.EndsInCall ? "incomplete" : status);
        End(new ResponseOutcome(status, _output) { Usage = end.Usage, ReasoningTokens = end.ReasoningTokens });
    }

    private void End(ResponseOutcome outcome)
    {
        Json = ResponseJson.Of(outline, outcome);
        ended(new StoredResponse(outline.Id, outcome.Status, Json, outline.Body.Input,
            [.. _output.Select(WithoutTokens)], outline.Body.Previous));
        // OpenAI has no event for a cancelled response; it is sent as an incomplete one.
        Emit($"response.{(outcome.Status == "cancelled" ? "incomplete" : outcome.Status)}", json =>
        {
            json.WritePropertyName("response");
            json.WriteRawValue(Json, skipInputValidation: true);
            if (extras.AsLlamaServer)
                _times.Write(json);
        });
    }

    private void TakeText(string text, IReadOnlyList<GeneratedToken> tokens)
    {
        if (_open is not MessageItem)
            OpenMessage();
        _text.Append(text);
        _tokens.AddRange(tokens);
        EmitPart("response.output_text.delta", json =>
        {
            json.WriteString("delta", text);
            WriteTokens(json, tokens);
            if (extras.Timings)
                _times.Write(json);
        });
    }

    private void TakeReasoning(string text)
    {
        if (_open is not ReasoningItem)
        {
            Open(new ReasoningItem(Answer.NewId("rs_"), [], []));
            EmitPart("response.content_part.added", json => WritePart(json, new ItemPart("reasoning_text", "")));
        }
        _text.Append(text);
        EmitPart("response.reasoning_text.delta", json => json.WriteString("delta", text));
    }

    private void TakeCall(ToolCallDelta call)
    {
        if (call.Index != _call || _open is not FunctionCallItem)
        {
            _call = call.Index;
            Open(new FunctionCallItem(Answer.NewId("fc_"), ChatAnswerJson.NewCallId(), call.Name ?? "", "", "in_progress"));
        }
        if (call.Arguments.Length == 0)
            return;
        _text.Append(call.Arguments);
        EmitItem("response.function_call_arguments.delta", json => json.WriteString("delta", call.Arguments));
    }

    private void OpenMessage()
    {
        Open(new MessageItem(Answer.NewId("msg_"), "assistant", [], "in_progress"));
        EmitPart("response.content_part.added", json => WritePart(json, new ItemPart("output_text", "")));
    }

    private void Open(ResponseItem item)
    {
        Close("completed");
        _open = item;
        Emit("response.output_item.added", json => WriteItem(json, item));
    }

    private void Close(string status)
    {
        if (_open is null)
            return;
        var text = _text.ToString();
        ResponseItem done;
        switch (_open)
        {
            case ReasoningItem thoughts:
                EmitPart("response.reasoning_text.done", json => json.WriteString("text", text));
                EmitPart("response.content_part.done", json => WritePart(json, new ItemPart("reasoning_text", text)));
                done = thoughts with { Content = [text], Sealed = outline.Body.SealReasoning };
                break;
            case FunctionCallItem call:
                EmitItem("response.function_call_arguments.done", json =>
                {
                    json.WriteString("name", call.Name);
                    json.WriteString("arguments", text);
                });
                done = call with { Arguments = text, Status = status };
                break;
            default:
                var part = new ItemPart("output_text", text) { Tokens = [.. _tokens] };
                EmitPart("response.output_text.done", json =>
                {
                    json.WriteString("text", text);
                    WriteTokens(json, part.Tokens);
                });
                EmitPart("response.content_part.done", json => WritePart(json, part));
                done = (MessageItem)_open with { Parts = [part], Status = status };
                break;
        }
        Emit("response.output_item.done", json => WriteItem(json, done));
        _output.Add(done);
        _open = null;
        _text.Clear();
        _tokens.Clear();
    }

    private static ResponseItem WithoutTokens(ResponseItem item) =>
        item is MessageItem message ? message with { Parts = [.. message.Parts.Select(part => part with { Tokens = [] })] } : item;

    private void WriteItem(Utf8JsonWriter json, ResponseItem item)
    {
        json.WriteNumber("output_index", _output.Count);
        json.WritePropertyName("item");
        item.Write(json);
    }

    private static void WritePart(Utf8JsonWriter json, ItemPart part)
    {
        json.WritePropertyName("part");
        part.Write(json);
    }

    private static void WriteTokens(Utf8JsonWriter json, IReadOnlyList<GeneratedToken> tokens)
    {
        json.WriteStartArray("logprobs");
        TokenProbabilities.Write(json, tokens);
        json.WriteEndArray();
    }

    // An event of the open item's only content part.
    private void EmitPart(string type, Action<Utf8JsonWriter> write) => EmitItem(type, json =>
    {
        json.WriteNumber("content_index", 0);
        write(json);
    });

    // An event of the open item.
    private void EmitItem(string type, Action<Utf8JsonWriter> write) => Emit(type, json =>
    {
        json.WriteString("item_id", _open!.Id);
        json.WriteNumber("output_index", _output.Count);
        write(json);
    });

    private void EmitResponse(string type, byte[] response) => Emit(type, json =>
    {
        json.WritePropertyName("response");
        json.WriteRawValue(response, skipInputValidation: true);
    });

    private void Emit(string type, Action<Utf8JsonWriter> write)
    {
        if (_stream is null)
            return;
        _stream.Write(Encoding.UTF8.GetBytes($"event: {type}\n"));
        SseResponse.WriteData(_stream, json =>
        {
            json.WriteStartObject();
            json.WriteString("type", type);
            json.WriteNumber("sequence_number", _sequence++);
            write(json);
            json.WriteEndObject();
        });
    }
}
