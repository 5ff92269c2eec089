using System.Buffers.Binary;
using System.Net;
using System.Text;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak.Fuzz;

/// <summary>
/// Damaged messages on a WebSocket (RFC 6455), framed by hand: wrong JSON in right frames, which must be answered with an error on the same
/// socket; right JSON in wrong frames, which may end the socket; sockets left in every way.
/// </summary>
internal sealed class SocketFuzzClient(IPEndPoint server) : IDisposable
{
    private const string Upgrade =
        "GET /ws/generate HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

    private Wire? _wire;

    /// <summary>
    /// Sends one message and gives what came of it (200 done, 400 an error, 0 the socket's end), and what is wrong with that.
    /// </summary>
    public async Task<(int Status, string? Complaint)> TryAsync(IReadOnlyList<FuzzSeed> seeds, Random random, CancellationToken limit)
    {
        if (_wire is null)
        {
            _wire = await Wire.ConnectAsync(server, limit);
            await _wire.TrySendAsync(Encoding.ASCII.GetBytes(Upgrade), limit);
            if (await _wire.ReadAsync(limit) is not { Status: 101 })
            {
                Close();
                return (0, "the socket was not opened");
            }
        }
        var message = RequestDamage.Body(seeds[random.Next(seeds.Count)], random);
        var kind = random.Next(16);
        var broken = kind < 4;
        if (kind == 4)
        {
            await _wire.TrySendAsync(Frame(1, message, random), limit);
            _wire.Reset();
            Close();
            return (0, null);
        }
        var bytes = broken ? BrokenFrame(message, random) : kind < 7 ? Fragmented(message, random) : Frame(1, message, random);
        await _wire.TrySendAsync(bytes, limit);
        if (broken)
        {
            await Task.Delay(random.Next(20), limit);
            _wire.HalfClose();
        }
        var (status, complaint) = await ReadToLastAsync(limit);
        if (complaint is not null || broken || status == 0)
            Close();
        // A text that is no UTF-8 may end the socket (RFC 6455, 8.1); one that is must be answered.
        if (complaint is null && status == 0 && !broken && IsText(message))
            complaint = "the socket ended";
        return (status, complaint is null ? null : $"{complaint} after {Show(message)}");
    }

    /// <inheritdoc/>
    public void Dispose() => Close();

    private async Task<(int Status, string? Complaint)> ReadToLastAsync(CancellationToken limit)
    {
        while (true)
        {
            if (await _wire!.ReadExactlyAsync(2, limit) is not { } head)
                return (0, null);
            long length = head[1] & 0x7F;
            if (length >= 126)
            {
                if (await _wire.ReadExactlyAsync(length == 126 ? 2 : 8, limit) is not { } more)
                    return (0, null);
                length = length == 126 ? BinaryPrimitives.ReadUInt16BigEndian(more) : BinaryPrimitives.ReadInt64BigEndian(more);
            }
            if (await _wire.ReadExactlyAsync((int)length, limit) is not { } payload)
                return (0, null);
            switch (head[0] & 0x0F)
            {
                case 8:
                    return (0, null);
                case 1:
                    var text = Encoding.UTF8.GetString(payload);
                    if (text.Contains("internal error", StringComparison.Ordinal))
                        return (500, $"a fault: {text}");
                    if (text.StartsWith("{\"done\":true", StringComparison.Ordinal))
                        return (200, null);
                    if (text.StartsWith("{\"error\":\"", StringComparison.Ordinal))
                        return (400, null);
                    if (!text.StartsWith("{\"token\":\"", StringComparison.Ordinal))
                        return (500, $"an unknown frame: {text}");
                    break;
            }
        }
    }

    private static byte[] Frame(int opcode, ReadOnlySpan<byte> payload, Random random, bool final = true)
    {
        Span<byte> mask = stackalloc byte[4];
        random.NextBytes(mask);
        var frame = new List<byte> { (byte)((final ? 0x80 : 0) | opcode) };
        if (payload.Length < 126)
        {
            frame.Add((byte)(0x80 | payload.Length));
        }
        else if (payload.Length <= ushort.MaxValue)
        {
            frame.Add(0x80 | 126);
            frame.AddRange([(byte)(payload.Length >> 8), (byte)payload.Length]);
        }
        else
        {
            frame.Add(0x80 | 127);
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64BigEndian(length, payload.Length);
            frame.AddRange(length);
        }
        frame.AddRange(mask);
        for (var i = 0; i < payload.Length; i++)
            frame.Add((byte)(payload[i] ^ mask[i % 4]));
        return [.. frame];
    }

    private static byte[] Fragmented(byte[] message, Random random)
    {
        var first = random.Next(message.Length + 1);
        return [.. Frame(1, message.AsSpan(0, first), random, final: false), .. Frame(9, "ping"u8, random),
            .. Frame(0, message.AsSpan(first), random)];
    }

    private static byte[] BrokenFrame(byte[] message, Random random)
    {
        var frame = Frame(1, message, random);
        switch (random.Next(8))
        {
            case 0:
                frame[0] |= (byte)(0x10 << random.Next(3)); // reserved bits
                return frame;
            case 1:
                frame[0] = (byte)(0x80 | random.Next(3, 16)); // unknown, or control
                return frame;
            case 2:
                frame[1] &= 0x7F; // not masked
                return frame;
            case 3:
                return [0x81, 0xFF, 0x7F, .. Enumerable.Repeat((byte)0xFF, 7), 1, 2, 3, 4]; // endless
            case 4:
                return Frame(0, message, random); // goes on with nothing
            case 5:
                return [.. Frame(8, [3], random), .. frame]; // half a close code
            case 6:
                return frame[..random.Next(1, frame.Length)];
            default:
                for (var i = random.Next(1, 5); i > 0; i--)
                    frame[random.Next(frame.Length)] = (byte)random.Next(256);
                return frame;
        }
    }

    private static bool IsText(byte[] message)
    {
        try
        {
            new UTF8Encoding(false, throwOnInvalidBytes: true).GetCharCount(message);
            return true;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }

    private static string Show(byte[] message) => new FuzzCase("/ws/generate", message, true, Manner.Plain).ToString();

    private void Close()
    {
        _wire?.Dispose();
        _wire = null;
    }
}
