using System.Net;
using System.Net.WebSockets;
using System.Text;

namespace Shimmy.Tests.Soak.Traffic;

/// <summary>One client: connections that it keeps where it can, and leaves in every way where it is told to.</summary>
internal sealed class Client(IPEndPoint server) : IDisposable
{
    private Wire? _wire;

    /// <summary>Sends a request and reads the answer. Throws <see cref="OperationCanceledException"/> at the limit.</summary>
    public async Task<Ending> AskAsync(Exchange asked, CancellationToken limit)
    {
        if (asked.Route == Route.Socket)
            return await AskSocketAsync(asked, limit);
        // A server may close an idle connection just when the next request is on its way: asked once more on a new one.
        var reused = _wire is not null;
        var answer = await SendAsync(asked, limit);
        if (answer is null && reused)
            answer = await SendAsync(asked, limit);
        return Ending.Of(asked, answer);
    }

    /// <summary>
    /// Sends a request and leaves at a random moment: in the middle of sending, while it waits, or in the middle of the answer.
    /// </summary>
    public async Task LeaveAsync(Exchange asked, Random random, CancellationToken limit)
    {
        if (asked.Route == Route.Socket)
        {
            await LeaveSocketAsync(asked, random, limit);
            return;
        }
        var bytes = asked.Bytes;
        var wire = await Wire.ConnectAsync(server, limit);
        switch (random.Next(4))
        {
            case 0:
                await wire.TrySendAsync(bytes.AsMemory(0, random.Next(bytes.Length)), limit);
                break;
            case 1:
                await wire.TrySendAsync(bytes, limit);
                await Task.Delay(random.Next(100), limit);
                break;
            default:
                await wire.TrySendAsync(bytes, limit);
                await wire.ReadAsync(limit, atMost: random.Next(1, 4000));
                break;
        }
        if (random.Next(2) == 0)
            wire.Reset();
        wire.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => _wire?.Dispose();

    private async Task<WireAnswer?> SendAsync(Exchange asked, CancellationToken limit)
    {
        _wire ??= await Wire.ConnectAsync(server, limit);
        var answer = await _wire.TrySendAsync(asked.Bytes, limit) ? await _wire.ReadAsync(limit) : null;
        if (answer?.KeepsAlive == true)
            return answer;
        _wire.Dispose();
        _wire = null;
        return answer;
    }

    private async Task<Ending> AskSocketAsync(Exchange asked, CancellationToken limit)
    {
        using var socket = new ClientWebSocket();
        var events = new List<string>();
        try
        {
            await socket.ConnectAsync(new Uri($"ws://{server}/ws/generate"), limit);
            await socket.SendAsync(Encoding.UTF8.GetBytes(asked.Body!), WebSocketMessageType.Text, endOfMessage: true, limit);
            while (events.Count == 0 || !IsLast(events[^1]))
            {
                if (await ReceiveAsync(socket, limit) is not { } text)
                    break;
                events.Add(text);
            }
            var ending = Ending.OfStream(asked, events, whole: events.Count > 0 && IsLast(events[^1]));
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, limit);
            return ending;
        }
        catch (WebSocketException e)
        {
            return new Ending(EndingKind.Wrong, $"{asked}: {e.Message} {e.InnerException?.Message} after {events.Count} frames");
        }
    }

    private async Task LeaveSocketAsync(Exchange asked, Random random, CancellationToken limit)
    {
        using var socket = new ClientWebSocket();
        try
        {
            await socket.ConnectAsync(new Uri($"ws://{server}/ws/generate"), limit);
            await socket.SendAsync(Encoding.UTF8.GetBytes(asked.Body!), WebSocketMessageType.Text, endOfMessage: true, limit);
            for (var frames = random.Next(10); frames > 0; frames--)
            {
                if (await ReceiveAsync(socket, limit) is not { } frame || IsLast(frame))
                    break;
            }
            if (random.Next(3) == 0)
                await socket.SendAsync("{\"cancel\":true}"u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, limit);
            if (random.Next(2) == 0)
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, limit);
        }
        catch (WebSocketException)
        {
            // Leaving is the purpose; what the answer would have been is judged elsewhere.
        }
        socket.Abort();
    }

    private static bool IsLast(string frame) =>
        frame.StartsWith("{\"done\":", StringComparison.Ordinal) || frame.StartsWith("{\"error\":", StringComparison.Ordinal);

    private static async Task<string?> ReceiveAsync(ClientWebSocket socket, CancellationToken limit)
    {
        var buffer = new byte[4096];
        var length = 0;
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(length), limit);
            if (received.MessageType == WebSocketMessageType.Close)
                return null;
            length += received.Count;
            if (received.EndOfMessage)
                return Encoding.UTF8.GetString(buffer, 0, length);
            if (length == buffer.Length)
                Array.Resize(ref buffer, buffer.Length * 2);
        }
    }
}
