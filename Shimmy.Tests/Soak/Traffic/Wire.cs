using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Shimmy.Tests.Soak.Traffic;

/// <summary>
/// A bare HTTP/1.1 connection: sends any bytes, right or wrong, and reads answers strictly. HttpClient would not send what is wrong, and
/// hides how an answer ended.
/// </summary>
internal sealed class Wire : IDisposable
{
    private readonly Socket _socket;
    private byte[] _buffer = new byte[8192];
    private int _start;
    private int _end;

    private Wire(Socket socket) => _socket = socket;

    /// <summary>The socket itself.</summary>
    public Socket Socket => _socket;

    /// <summary>Connects.</summary>
    /// <param name="server">Where to.</param>
    /// <param name="limit">When to give up.</param>
    /// <param name="receiveBuffer">Bytes that the system takes in for this end; null leaves it to the system.</param>
    public static async Task<Wire> ConnectAsync(IPEndPoint server, CancellationToken limit, int? receiveBuffer = null)
    {
        var socket = new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBuffer is { } bytes)
            socket.ReceiveBufferSize = bytes;
        try
        {
            await socket.ConnectAsync(server, limit);
            return new Wire(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends bytes; false where the other end has closed.</summary>
    public async Task<bool> TrySendAsync(ReadOnlyMemory<byte> bytes, CancellationToken limit)
    {
        try
        {
            while (bytes.Length > 0)
                bytes = bytes[await _socket.SendAsync(bytes, limit)..];
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Says that nothing more will be sent; what comes back can still be read.</summary>
    public void HalfClose()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // Closed from the other end already.
        }
    }

    /// <summary>Leaves at once, as a process that dies does.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    /// <summary>
    /// Reads the next answer; null where the connection ended before one began. Throws <see cref="InvalidDataException"/> for what is no
    /// HTTP, and <see cref="OperationCanceledException"/> at the limit.
    /// </summary>
    /// <param name="limit">When to give up.</param>
    /// <param name="atMost">Bytes of the body after which nobody reads on.</param>
    public async Task<WireAnswer?> ReadAsync(CancellationToken limit, int atMost = int.MaxValue)
    {
        while (true)
        {
            if (await ReadLineAsync(limit) is not { } statusLine)
                return null;
            if (!statusLine.StartsWith("HTTP/1.", StringComparison.Ordinal) || statusLine.Length < 12
                || !int.TryParse(statusLine.AsSpan(9, 3), NumberStyles.None, CultureInfo.InvariantCulture, out var status))
            {
                throw new InvalidDataException($"no status line: {statusLine}");
            }

            var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            while (true)
            {
                if (await ReadLineAsync(limit) is not { } line)
                    return new WireAnswer(status, headers, [], Whole: false);
                if (line.Length == 0)
                    break;
                var colon = line.IndexOf(':');
                if (colon < 1 || !headers.TryAdd(line[..colon], line[(colon + 1)..].Trim()))
                    throw new InvalidDataException($"a header that is none, or comes twice: {line}");
            }
            if (status == 100)
                continue;
            var body = new ArrayBufferWriter<byte>(1024);
            var whole = status is 101 or 204 or 304
                || (headers.TryGetValue("Transfer-Encoding", out var coding) && coding == "chunked"
                    ? await ReadChunksAsync(body, atMost, limit)
                    : headers.TryGetValue("Content-Length", out var length)
                        ? await ReadBytesAsync(body, int.Parse(length, CultureInfo.InvariantCulture), atMost, limit)
                    : await ReadToEndAsync(body, limit));
            return new WireAnswer(status, headers, body.WrittenSpan.ToArray(), whole);
        }
    }

    /// <summary>Reads exactly so many bytes, past any HTTP; null where the connection ends before.</summary>
    public async Task<byte[]?> ReadExactlyAsync(int count, CancellationToken limit)
    {
        var bytes = new ArrayBufferWriter<byte>(Math.Max(1, count));
        return await ReadBytesAsync(bytes, count, int.MaxValue, limit) ? bytes.WrittenSpan.ToArray() : null;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private async Task<bool> ReadChunksAsync(ArrayBufferWriter<byte> body, int atMost, CancellationToken limit)
    {
        while (await ReadLineAsync(limit) is { } line)
        {
            if (!int.TryParse(line, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var size))
                throw new InvalidDataException($"a chunk of no size: {line}");
            if (size == 0)
                return await ReadLineAsync(limit) == "";
            if (!await ReadBytesAsync(body, size, int.MaxValue, limit) || await ReadLineAsync(limit) != "" || body.WrittenCount >= atMost)
                return false;
        }
        return false;
    }

    private async Task<bool> ReadBytesAsync(ArrayBufferWriter<byte> body, int count, int atMost, CancellationToken limit)
    {
        while (count > 0)
        {
            if (_start == _end && !await FillAsync(limit))
                return false;
            var part = Math.Min(count, _end - _start);
            body.Write(_buffer.AsSpan(_start, part));
            _start += part;
            count -= part;
            if (body.WrittenCount >= atMost)
                return count == 0;
        }
        return true;
    }

    private async Task<bool> ReadToEndAsync(ArrayBufferWriter<byte> body, CancellationToken limit)
    {
        do
        {
            body.Write(_buffer.AsSpan(_start, _end - _start));
            _start = _end;
        }
        while (await FillAsync(limit));
        return true;
    }

    // Without its CRLF; null where the connection ends before.
    private async Task<string?> ReadLineAsync(CancellationToken limit)
    {
        var searched = 0;
        while (true)
        {
            var at = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf("\r\n"u8);
            if (at >= 0)
            {
                var line = Encoding.Latin1.GetString(_buffer, _start, searched + at);
                _start += searched + at + 2;
                return line;
            }
            searched = Math.Max(0, _end - _start - 1);
            if (!await FillAsync(limit))
                return null;
        }
    }

    private async Task<bool> FillAsync(CancellationToken limit)
    {
        if (_start == _end)
        {
            _start = _end = 0;
        }
        else if (_end == _buffer.Length && _start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        if (_end == _buffer.Length)
            Array.Resize(ref _buffer, _buffer.Length * 2);
        try
        {
            var read = await _socket.ReceiveAsync(_buffer.AsMemory(_end), limit);
            _end += read;
            return read > 0;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}

/// <summary>An answer as it came.</summary>
/// <param name="Status">Its status.</param>
/// <param name="Headers">Its headers.</param>
/// <param name="Body">Its body, as far as it came.</param>
/// <param name="Whole">Whether the body came to its declared end.</param>
internal sealed record WireAnswer(int Status, IReadOnlyDictionary<string, string> Headers, byte[] Body, bool Whole)
{
    /// <summary>The body as text.</summary>
    public string Text => Encoding.UTF8.GetString(Body);

    /// <summary>Whether the connection takes another request.</summary>
    public bool KeepsAlive =>
        Whole && !(Headers.TryGetValue("Connection", out var connection) && connection.Equals("close", StringComparison.OrdinalIgnoreCase));
}
