using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Shimmy.Observability;

/// <summary>
/// The PUB side of ZeroMQ (rfc.zeromq.org, 23/ZMTP 3.0 and 29/PUBSUB) with the mechanism NULL: subscribers connect, say which topics they
/// want, and get the messages whose first frame begins with one of them. As ZeroMQ does, it drops messages for a subscriber that reads too
/// slowly, rather than wait for it; the numbers of messages show what is missing.
///
/// <code>
///   subscriber                     here
///   greeting (64 bytes)   ──►◄──   greeting
///   READY Socket-Type=SUB ──►◄──   READY Socket-Type=PUB
///   01 topic              ──►      subscribes; 00 topic ends it
///                           ◄──    frame, frame, last frame …
/// </code>
/// </summary>
internal sealed class ZmtpPublisher : IDisposable
{
    private const int GreetingLength = 64;
    private const int LongestFrame = 4096; // of those that a subscriber sends
    private const int MostConnections = 256; // with those that have not said yet what they are
    private const int MostTopics = 64; // of a subscriber
    private const int LongestTopic = 256;
    private const int MostWaiting = 16 << 20; // bytes of messages for one subscriber

    private const byte More = 1;
    private const byte Long = 2;
    private const byte Command = 4;

    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(10); // for greeting and READY

    private readonly List<Socket> _listeners = [];
    private readonly Lock _lock = new();
    private readonly List<Subscriber> _subscribers = [];
    private readonly CancellationTokenSource _end = new();
    private int _connections;

    /// <summary>Listens. Throws <see cref="SocketException"/> where an address cannot be bound.</summary>
    public ZmtpPublisher(IReadOnlyList<IPEndPoint> endpoints)
    {
        try
        {
            foreach (var endpoint in endpoints)
            {
                var listener = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                _listeners.Add(listener);
                listener.Bind(endpoint);
                listener.Listen();
            }
        }
        catch
        {
            Dispose();
            throw;
        }
        Port = ((IPEndPoint)_listeners[0].LocalEndPoint!).Port;
        foreach (var listener in _listeners)
            _ = AcceptAsync(listener);
    }

    /// <summary>The port of the first address.</summary>
    public int Port { get; }

    /// <summary>Subscriptions of all subscribers.</summary>
    public int Subscriptions
    {
        get
        {
            lock (_lock)
                return _subscribers.Sum(subscriber => subscriber.Topics.Count);
        }
    }

    /// <summary>Sends a message to those who want its topic; from any thread, never waits.</summary>
    public void Send(byte[] topic, byte[] second, byte[] third)
    {
        lock (_lock)
        {
            byte[]? message = null;
            foreach (var subscriber in _subscribers)
            {
                if (subscriber.Wants(topic))
                    subscriber.Add(message ??= [.. Frame(More, topic), .. Frame(More, second), .. Frame(0, third)]);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _end.Cancel();
        foreach (var listener in _listeners)
            listener.Dispose();
    }

    private async Task AcceptAsync(Socket listener)
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                var socket = await listener.AcceptAsync(_end.Token).ConfigureAwait(false);
                if (Interlocked.Increment(ref _connections) > MostConnections)
                {
                    Interlocked.Decrement(ref _connections);
                    socket.Dispose();
                    continue;
                }
                _ = ServeAsync(socket);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // One that left before it was accepted; or too many open files, which passes.
                await Task.Delay(100).ConfigureAwait(false);
            }
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        var subscriber = new Subscriber();
        using var left = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        try
        {
            await using var stream = new NetworkStream(socket, ownsSocket: true);
            socket.NoDelay = true;
            // One whose machine is gone never says so.
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            left.CancelAfter(HandshakeTimeout);
            await GreetAsync(stream, left.Token).ConfigureAwait(false);
            left.CancelAfter(Timeout.InfiniteTimeSpan);
            lock (_lock)
                _subscribers.Add(subscriber);
            var sending = SendAllAsync(stream, subscriber, left.Token);
            try
            {
                await ReadAllAsync(stream, subscriber, left.Token).ConfigureAwait(false);
            }
            finally
            {
                await left.CancelAsync().ConfigureAwait(false);
                await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or InvalidDataException)
        {
            // It left, or speaks something else.
        }
        finally
        {
            socket.Dispose();
            lock (_lock)
                _subscribers.Remove(subscriber);
            Interlocked.Decrement(ref _connections);
        }
    }

    private static async Task GreetAsync(Stream stream, CancellationToken cancellation)
    {
        var greeting = new byte[GreetingLength];
        (greeting[0], greeting[9], greeting[10]) = (0xFF, 0x7F, 3);
        "NULL"u8.CopyTo(greeting.AsSpan(12));
        await stream.WriteAsync(greeting, cancellation).ConfigureAwait(false);
        var theirs = new byte[GreetingLength];
        await stream.ReadExactlyAsync(theirs, cancellation).ConfigureAwait(false);
        if (theirs[0] != 0xFF || (theirs[9] & 1) == 0 || theirs[10] < 3 || !theirs.AsSpan(12, 5).SequenceEqual("NULL\0"u8))
            throw new InvalidDataException("no ZMTP 3 with the mechanism NULL");
        await stream.WriteAsync(Frame(Command, "\x05READY\x0BSocket-Type\0\0\0\x03PUB"u8), cancellation).ConfigureAwait(false);
        var (flags, body) = await ReadAsync(stream, cancellation).ConfigureAwait(false);
        if ((flags & Command) == 0 || !body.AsSpan().StartsWith("\x05READY"u8))
            throw new InvalidDataException("no READY");
    }

    private async Task ReadAllAsync(Stream stream, Subscriber subscriber, CancellationToken cancellation)
    {
        while (true)
        {
            var (flags, body) = await ReadAsync(stream, cancellation).ConfigureAwait(false);
            var isCommand = (flags & Command) != 0;
            if (isCommand && body.AsSpan().StartsWith("\x04PING"u8) && body.Length >= 7)
                subscriber.Add(Frame(Command, [.. "\x04PONG"u8, .. body[7..]]));
            // The second form is that of ZMTP 3.1.
            else if (!isCommand && body is [1, ..])
                Subscribe(body[1..]);
            else if (!isCommand && body is [0, ..])
                Cancel(body[1..]);
            else if (isCommand && body.AsSpan().StartsWith("\x09SUBSCRIBE"u8))
                Subscribe(body[10..]);
            else if (isCommand && body.AsSpan().StartsWith("\u0006CANCEL"u8))
                Cancel(body[7..]);
        }

        void Subscribe(byte[] topic)
        {
            lock (_lock)
            {
                if (subscriber.Topics.Count == MostTopics || topic.Length > LongestTopic)
                    throw new InvalidDataException("more topics, or a longer one, than a subscriber may have");
                subscriber.Topics.Add(topic);
            }
        }

        void Cancel(byte[] topic)
        {
            lock (_lock)
            {
                var at = subscriber.Topics.FindIndex(one => one.AsSpan().SequenceEqual(topic));
                if (at >= 0)
                    subscriber.Topics.RemoveAt(at);
            }
        }
    }

    private static async Task SendAllAsync(Stream stream, Subscriber subscriber, CancellationToken cancellation)
    {
        while (true)
            await stream.WriteAsync(await subscriber.NextAsync(cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
    }

    private static async Task<(byte Flags, byte[] Body)> ReadAsync(Stream stream, CancellationToken cancellation)
    {
        var head = new byte[9];
        await stream.ReadExactlyAsync(head.AsMemory(0, 2), cancellation).ConfigureAwait(false);
        ulong length = head[1];
        if ((head[0] & Long) != 0)
        {
            await stream.ReadExactlyAsync(head.AsMemory(2, 7), cancellation).ConfigureAwait(false);
            length = BinaryPrimitives.ReadUInt64BigEndian(head.AsSpan(1));
        }
        if (length > LongestFrame)
            throw new InvalidDataException("a frame that no subscriber sends");
        var body = new byte[length];
        await stream.ReadExactlyAsync(body, cancellation).ConfigureAwait(false);
        return (head[0], body);
    }

    private static byte[] Frame(byte flags, ReadOnlySpan<byte> body)
    {
        if (body.Length <= byte.MaxValue)
            return [flags, (byte)body.Length, .. body];
        var frame = new byte[9 + body.Length];
        frame[0] = (byte)(flags | Long);
        BinaryPrimitives.WriteInt64BigEndian(frame.AsSpan(1), body.Length);
        body.CopyTo(frame.AsSpan(9));
        return frame;
    }

    private sealed class Subscriber
    {
        private readonly Channel<byte[]> _waiting = Channel.CreateUnbounded<byte[]>();
        private long _bytes;

        public List<byte[]> Topics { get; } = [];

        // What is too much is dropped.
        public void Add(byte[] message)
        {
            if (Interlocked.Read(ref _bytes) < MostWaiting && _waiting.Writer.TryWrite(message))
                Interlocked.Add(ref _bytes, message.Length);
        }

        public async ValueTask<byte[]> NextAsync(CancellationToken cancellation)
        {
            var message = await _waiting.Reader.ReadAsync(cancellation).ConfigureAwait(false);
            Interlocked.Add(ref _bytes, -message.Length);
            return message;
        }

        public bool Wants(ReadOnlySpan<byte> topic)
        {
            foreach (var one in Topics)
            {
                if (topic.StartsWith(one))
                    return true;
            }
            return false;
        }
    }
}
