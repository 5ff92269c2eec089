using System.Buffers;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary>
/// The stream of <c>/v1/messages</c>: <c>message_start</c>; for each stretch of thinking, text or call a block with an index of its own
/// (start, deltas, stop), never interleaved; <c>message_delta</c> with the usage; <c>message_stop</c>. <c>ping</c> after a long silence.
/// </summary>
/// <param name="id">Id of the answer.</param>
/// <param name="model">The model's name.</param>
/// <param name="asked">The request.</param>
/// <param name="requestId">Id of the request, for errors.</param>
internal sealed class MessageStreamWriter(string id, string model, MessagesRequestBody asked, string requestId) : IStreamWriter
{
    private readonly StringBuilder _thought = new();
    private Block _open;
    private int _index = -1;

    private enum Block
    {
        None,
        Thinking,
        Text,
        ToolUse,
    }

    /// <summary>Anthropic's clients close a stream that is silent for longer.</summary>
    public TimeSpan? PingAfter => TimeSpan.FromSeconds(15);

    public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
    {
        if (outputEvent.Start is { } start)
        {
            Emit(output, "message_start", json =>
            {
                json.WriteStartObject("message");
                AnthropicJson.WriteHead(json, id, model);
                json.WriteStartArray("content");
                json.WriteEndArray();
                json.WriteNull("stop_reason");
                json.WriteNull("stop_sequence");
                AnthropicJson.WriteUsage(json, start.PromptTokens, start.CachedTokens, 0, asked.Caches);
                json.WriteEndObject();
            });
        }
        else if (outputEvent.End is { } end)
        {
            Close(output);
            Emit(output, "message_delta", json =>
            {
                json.WriteStartObject("delta");
                AnthropicJson.WriteStop(json, end, asked.Request.Options.Stop, asked.ContextLimit);
                json.WriteEndObject();
                AnthropicJson.WriteUsage(json, end.Usage.PromptTokens, end.Usage.CachedTokens, end.Usage.CompletionTokens, asked.Caches);
            });
            Emit(output, "message_stop", static _ => { });
        }
        else if (outputEvent.Call is { } call)
        {
            if (call.Name is { } name)
                Open(output, Block.ToolUse, json => WriteCall(json, name));
            if (call.Arguments.Length > 0)
                Delta(output, "input_json_delta", "partial_json", call.Arguments);
        }
        else if (outputEvent.Reasoning.Length > 0)
        {
            if (_open != Block.Thinking)
                Open(output, Block.Thinking, static json => WriteEmpty(json, "thinking", "signature"));
            _thought.Append(outputEvent.Reasoning);
            Delta(output, "thinking_delta", "thinking", outputEvent.Reasoning);
        }
        else if (outputEvent.Text.Length > 0)
        {
            if (_open != Block.Text)
                Open(output, Block.Text, static json => WriteEmpty(json, "text", null));
            Delta(output, "text_delta", "text", outputEvent.Text);
        }
    }

    public void WritePing(IBufferWriter<byte> output) => Emit(output, "ping", static _ => { });

    public void WriteError(IBufferWriter<byte> output, ApiError error, Dialect dialect)
    {
        output.Write("event: error\n"u8);
        SseResponse.WriteError(output, error, dialect, requestId);
    }

    private void Open(IBufferWriter<byte> output, Block block, Action<Utf8JsonWriter> writeBlock)
    {
        Close(output);
        _open = block;
        _index++;
        Emit(output, "content_block_start", json =>
        {
            json.WriteNumber("index", _index);
            json.WriteStartObject("content_block");
            writeBlock(json);
            json.WriteEndObject();
        });
    }

    private void Close(IBufferWriter<byte> output)
    {
        if (_open == Block.None)
            return;
        if (_open == Block.Thinking)
        {
            Delta(output, "signature_delta", "signature", AnthropicJson.Signature(_thought.ToString()));
            _thought.Clear();
        }
        _open = Block.None;
        Emit(output, "content_block_stop", json => json.WriteNumber("index", _index));
    }

    private void Delta(IBufferWriter<byte> output, string type, string field, string value) => Emit(output, "content_block_delta", json =>
    {
        json.WriteNumber("index", _index);
        json.WriteStartObject("delta");
        json.WriteString("type", type);
        json.WriteString(field, value);
        json.WriteEndObject();
    });

    private static void WriteCall(Utf8JsonWriter json, string name)
    {
        json.WriteString("type"u8, "tool_use"u8);
        json.WriteString("id", AnthropicJson.NewCallId());
        json.WriteString("name", name);
        json.WriteStartObject("input");
        json.WriteEndObject();
    }

    private static void WriteEmpty(Utf8JsonWriter json, string type, string? more)
    {
        json.WriteString("type", type);
        json.WriteString(type, "");
        if (more is not null)
            json.WriteString(more, "");
    }

    // Clients drop events without a line that names them.
    private static void Emit(IBufferWriter<byte> output, string type, Action<Utf8JsonWriter> write)
    {
        output.Write(Encoding.ASCII.GetBytes($"event: {type}\n"));
        SseResponse.WriteData(output, json =>
        {
            json.WriteStartObject();
            json.WriteString("type", type);
            write(json);
            json.WriteEndObject();
        });
    }
}
