using System.Buffers;
using System.Net.WebSockets;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shimmy.Http;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>GET /ws/generate</c>: the client sends a request as for <c>/api/generate</c>, each token comes as a text frame of its own, the last
/// frame has <c>"done":true</c>. A further request may follow; <c>{"cancel":true}</c> stops the one that runs, whose last frame then says
/// so.
/// </summary>
internal static partial class GenerateSocket
{
    public static void Map(RouteTable routes) => routes.Map(HttpMethods.Get, "/ws/generate", Handle, RoutePolicy.Socket, name: "websocket");

    private static async Task Handle(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest)
            throw new ApiException(400, "/ws/generate is a WebSocket endpoint: send an upgrade request");
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        await new Connection(context, socket).RunAsync();
    }

    /// <summary>One WebSocket: answers one request at a time and listens for a cancel meanwhile.</summary>
    private sealed class Connection(HttpContext context, WebSocket socket)
    {
        private static readonly TimeSpan CloseTime = TimeSpan.FromSeconds(1);

        private readonly ArrayBufferWriter<byte> _frame = new(512);
        private readonly CancellationToken _gone = ClientConnection.Token(context);
        private readonly AccessLog _report = context.RequestServices.GetRequiredService<AccessLog>();
        private readonly ServerState _state = context.RequestServices.GetRequiredService<ServerState>();

        public async Task RunAsync()
        {
            try
            {
                var received = ReceiveAsync();
                while (await NextAsync(received) is { } message)
                    received = await AnswerAndListenAsync(message);
                if (socket.State == WebSocketState.CloseReceived)
                    await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, _gone);
            }
            catch (Exception e) when (e is WebSocketException or OperationCanceledException)
            {
                // The client is gone; the generation was cancelled with it.
            }
        }

        // The next request; null where the client closed the socket, or the server stops: an idle socket keeps nobody from stopping.
        private async Task<byte[]?> NextAsync(Task<byte[]?> received)
        {
            await Task.WhenAny(received, _state.DrainBegun);
            if (!_state.Draining)
                return await received;
            if (socket.State == WebSocketState.Open)
                await socket.CloseOutputAsync(WebSocketCloseStatus.EndpointUnavailable, "the server is stopping", _gone);
            await ((Task)received).WaitAsync(CloseTime, _gone).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return null;
        }

        // Returns the receive that is still open, or done with the next request.
        private async Task<Task<byte[]?>> AnswerAndListenAsync(byte[] message)
        {
            using var cancel = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
            var received = ReceiveAsync();
            RequestContext.Renew(context);
            using var deadline = RequestDeadline.Begin(context, _state.RequestTimeout);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel.Token, deadline.Token);
            var answering = AnswerAsync(message, either.Token);
            try
            {
                while (await Task.WhenAny(answering, received) == received)
                {
                    // What follows a request while it runs is a cancel, the end of the socket, or the next request, which waits.
                    var next = await received;
                    if (next is not null && !IsCancel(next))
                        break;
                    await cancel.CancelAsync();
                    if (next is null)
                        break;
                    received = ReceiveAsync();
                }
                await answering;
                return received;
            }
            catch
            {
                // The receive notices a client that left; the answer may not outlive the socket.
                await cancel.CancelAsync();
                await answering.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                throw;
            }
        }

        private async Task AnswerAsync(byte[] message, CancellationToken cancellation)
        {
            // As HTTP would say it.
            var status = 499;
            _report.Begin(context);
            try
            {
                var (document, fields) = RequestFields.Parse(message);
                using var body = document;
                if (IsCancel(message))
                    throw new ApiException(400, "cancel: no request is running on this socket", field: "cancel");
                GenerateRequestBody.NoteFields(context, fields);
                var request = GenerateRequestBody.Read(fields, ModelResolver.LoggerOf(context), LlamaServerMode.Of(context));
                using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields), cancellation);
                await SendAnswerAsync(lease.Entry.Name,
                    request.Run(lease, CacheControl.Use(context), MediaFields.LoaderOf(context), cancellation,
                        ModelResolver.LoggerOf(context)));
                status = 200;
            }
            catch (OperationCanceledException e) when (!context.RequestAborted.IsCancellationRequested
                && RequestDeadline.ErrorOf(context, e) is null)
            {
                await SendAsync(json =>
                {
                    json.WriteStartObject();
                    json.WriteBoolean("done", true);
                    json.WriteString("finish_reason"u8, "cancelled"u8);
                    json.WriteEndObject();
                });
            }
            catch (Exception e) when (!_gone.IsCancellationRequested && e is not WebSocketException)
            {
                var error = ApiError.Of(e, context);
                status = (error ?? ApiError.Internal).Status;
                RequestContext.Of(context).Refusal = error?.Message;
                if (error is null)
                {
                    LogFault(context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("shimmy"),
                        context.TraceIdentifier, e);
                }

                await SendAsync(json =>
                {
                    json.WriteStartObject();
                    json.WriteString("error", (error ?? ApiError.Internal).Message);
                    // The last frame of every answer has it.
                    json.WriteBoolean("done", true);
                    json.WriteEndObject();
                });
            }
            finally
            {
                _report.End(RequestContext.Of(context).Summarise(context, "WS", status), RequestContext.Of(context));
            }
        }

        private async Task SendAnswerAsync(string model, IAsyncEnumerable<Chat.Output.OutputEvent> events)
        {
            uint seed = 0;
            await foreach (var outputEvent in events)
            {
                seed = outputEvent.Start?.Seed ?? seed;
                var text = outputEvent.Text;
                RequestContext.Of(context).Note(outputEvent);
                if (outputEvent.End is { } end)
                    await SendAsync(json => NativeJson.WriteDone(json, model, seed, end));
                else if (text.Length > 0)
                    await SendAsync(json => NativeJson.WriteToken(json, text));
            }
        }

        private async Task SendAsync(Action<Utf8JsonWriter> write)
        {
            _frame.ResetWrittenCount();
            using (var json = new Utf8JsonWriter(_frame, JsonText.WriterOptions))
                write(json);
            await socket.SendAsync(_frame.WrittenMemory, WebSocketMessageType.Text, endOfMessage: true, _gone);
        }

        // Null where the client closed the socket.
        private async Task<byte[]?> ReceiveAsync()
        {
            var message = new ArrayBufferWriter<byte>(4096);
            while (true)
            {
                var received = await socket.ReceiveAsync(message.GetMemory(4096), _gone);
                if (received.MessageType == WebSocketMessageType.Close)
                    return null;
                message.Advance(received.Count);
                if (message.WrittenCount > _state.BodyLimit)
                {
                    await socket.CloseOutputAsync(WebSocketCloseStatus.MessageTooBig,
                        $"a message may have {_state.BodyLimit} bytes", _gone);
                    return null;
                }
                if (received.EndOfMessage)
                    return message.WrittenSpan.ToArray();
            }
        }

        private static bool IsCancel(byte[] message)
        {
            try
            {
                var (document, fields) = RequestFields.Parse(message);
                using var body = document;
                return fields.Find("cancel") is { ValueKind: JsonValueKind.True };
            }
            catch (ApiException)
            {
                return false;
            }
        }
    }

    [LoggerMessage(LogLevel.Error, "request {RequestId} failed on its socket")]
    private static partial void LogFault(ILogger logger, string requestId, Exception exception);
}
