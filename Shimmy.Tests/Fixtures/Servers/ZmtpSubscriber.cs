using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>The SUB side of ZMTP 3.0, as a ZeroMQ library does it, and a reader of MessagePack.</summary>
internal sealed class ZmtpSubscriber : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly TcpClient _client = new();
    private NetworkStream _stream = null!;

    public static async Task<ZmtpSubscriber> ConnectAsync(int port, params string[] topics)
    {
        var subscriber = new ZmtpSubscriber();
        await subscriber._client.ConnectAsync(IPAddress.Loopback, port);
        var stream = subscriber._stream = subscriber._client.GetStream();
        var greeting = new byte[64];
        (greeting[0], greeting[9], greeting[10], greeting[11]) = (0xFF, 0x7F, 3, 1);
        "NULL"u8.CopyTo(greeting.AsSpan(12));
        await stream.WriteAsync(greeting);
        var theirs = await subscriber.ReadAsync(64);
        if (theirs[0] != 0xFF || theirs[10] != 3 || Encoding.ASCII.GetString(theirs, 12, 20).TrimEnd('\0') != "NULL")
            throw new InvalidDataException("no greeting of ZMTP 3");
        await subscriber.SendAsync(4, [.. "\u0005READY\u000BSocket-Type"u8, 0, 0, 0, 3, .. "SUB"u8, .. "\u0008Identity"u8, 0, 0, 0, 0]);
        var (flags, ready) = await subscriber.FrameAsync();
        if (flags != 4 || !Encoding.ASCII.GetString(ready).Contains("PUB", StringComparison.Ordinal))
            throw new InvalidDataException("no READY of a PUB socket");
        foreach (var topic in topics)
            await subscriber.SendAsync(0, [1, .. Encoding.UTF8.GetBytes(topic)]);
        return subscriber;
    }

    public Task CancelAsync(string topic) => SendAsync(0, [0, .. Encoding.UTF8.GetBytes(topic)]);

    /// <summary>The next message: topic, number, and the events.</summary>
    public async Task<(string Topic, long Number, IReadOnlyList<IReadOnlyList<object?>> Events)> ReceiveAsync()
    {
        var frames = new List<byte[]>();
        byte flags;
        do
        {
            (flags, var body) = await FrameAsync();
            frames.Add(body);
        }
        while ((flags & 1) != 0);
        if (frames.Count != 3)
            throw new InvalidDataException($"{frames.Count} frames");
        var at = 0;
        var batch = (List<object?>)Unpack(frames[2], ref at)!;
        if (at != frames[2].Length || batch is not [double, List<object?>, 0L])
            throw new InvalidDataException("not [time, [events], 0]");
        return (Encoding.UTF8.GetString(frames[0]), BinaryPrimitives.ReadInt64BigEndian(frames[1]),
            [.. ((List<object?>)batch[1]!).Select(one => (List<object?>)one!)]);
    }

    public void Dispose()
    {
        _stream?.Dispose();
        _client.Dispose();
    }

    private Task SendAsync(byte flags, byte[] body) => _stream.WriteAsync((byte[])[flags, (byte)body.Length, .. body]).AsTask();

    private async Task<(byte Flags, byte[] Body)> FrameAsync()
    {
        var flags = (await ReadAsync(1))[0];
        var length = (flags & 2) == 0 ? (await ReadAsync(1))[0] : BinaryPrimitives.ReadInt64BigEndian(await ReadAsync(8));
        return (flags, await ReadAsync((int)length));
    }

    private async Task<byte[]> ReadAsync(int length)
    {
        using var limit = new CancellationTokenSource(Patience);
        var bytes = new byte[length];
        await _stream.ReadExactlyAsync(bytes, limit.Token);
        return bytes;
    }

    private static object? Unpack(byte[] bytes, ref int at)
    {
        var kind = bytes[at++];
        switch (kind)
        {
            case < 0x80:
                return (long)kind;
            case >= 0x90 and < 0xA0:
                return List(bytes, ref at, kind & 15);
            case >= 0xA0 and < 0xC0:
                return Text(bytes, ref at, kind & 31);
            case 0xC0:
                return null;
            case 0xCB:
                return BitConverter.Int64BitsToDouble((long)Number(bytes, ref at, 8));
            case 0xCD:
                return (long)Number(bytes, ref at, 2);
            case 0xCE:
                return (long)Number(bytes, ref at, 4);
            case 0xCF:
                return (long)Number(bytes, ref at, 8);
            case 0xDB:
                return Text(bytes, ref at, (int)Number(bytes, ref at, 4));
            case 0xDD:
                return List(bytes, ref at, (int)Number(bytes, ref at, 4));
            default:
                throw new InvalidDataException($"MessagePack of kind {kind:X}");
        }
    }

    private static List<object?> List(byte[] bytes, ref int at, int length)
    {
        var list = new List<object?>();
        for (var i = 0; i < length; i++)
            list.Add(Unpack(bytes, ref at));
        return list;
    }

    private static string Text(byte[] bytes, ref int at, int length)
    {
        at += length;
        return Encoding.UTF8.GetString(bytes, at - length, length);
    }

    private static ulong Number(byte[] bytes, ref int at, int length)
    {
        ulong number = 0;
        for (var i = 0; i < length; i++)
            number = (number << 8) | bytes[at++];
        return number;
    }
}
