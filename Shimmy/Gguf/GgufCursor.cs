using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Gguf;

/// <summary>
/// Reads little-endian values of a GGUF header in order. Throws <see cref="GgufException"/> at the end of the file and beyond the
/// limits on bytes read and on memory.
/// </summary>
internal sealed class GgufCursor : IDisposable
{
    private const int BufferSize = 32 << 10;

    private readonly Stream _stream;
    private readonly long _origin;
    private readonly GgufLimits _limits;
    private readonly byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
    private int _start;
    private int _end;
    private long _walked;
    private long _memory;

    public GgufCursor(Stream stream, GgufLimits limits, long length)
    {
        _stream = stream;
        _origin = stream.Position;
        _limits = limits;
        Length = length;
    }

    /// <summary>Size of the file in bytes.</summary>
    public long Length { get; }

    /// <summary>Offset of the next byte in the file.</summary>
    public long Position { get; private set; }

    /// <summary>Bytes from <see cref="Position"/> to the end of the file.</summary>
    public long Remaining => Length - Position;

    public byte ReadByte() => Take(1)[0];

    public ushort ReadUInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    public ulong ReadUInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    /// <summary>Reads a string: a 64-bit length and UTF-8 bytes.</summary>
    /// <param name="limit">Largest allowed length in bytes.</param>
    /// <param name="what">The subject of the error text, for example "a metadata key".</param>
    public string ReadText(long limit, string what)
    {
        var length = ReadLength(limit, what);
        Charge(32 + (2L * length));
        if (length <= BufferSize)
            return Encoding.UTF8.GetString(Take(length));

        var whole = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            for (var done = 0; done < length;)
            {
                var part = Math.Min(BufferSize, length - done);
                Take(part).CopyTo(whole.AsSpan(done));
                done += part;
            }

            return Encoding.UTF8.GetString(whole, 0, length);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(whole);
        }
    }

    /// <summary>Skips strings, without allocating.</summary>
    public void SkipTexts(string what, long count)
    {
        while (count > 0)
        {
            // Fast path for strings that lie in the buffer, as nearly all tokens of a vocabulary do.
            var done = SkipBuffered(count);
            count -= done;
            if (count > 0)
            {
                SkipText(what);
                count--;
            }
        }
    }

    /// <summary>Seeks past bytes, which are not read and so not counted.</summary>
    public void Skip(long bytes)
    {
        Require(bytes);
        Position += bytes;
        if (bytes <= _end - _start)
        {
            _start += (int)bytes;
        }
        else
        {
            _stream.Position = _origin + Position;
            _start = _end = 0;
        }
    }

    /// <summary>Throws where the file has fewer bytes left.</summary>
    public void Require(long bytes)
    {
        if (bytes > Remaining)
        {
            throw new GgufException(
                $"file is truncated: the header needs {bytes} bytes at offset {Position} but the file has {Length} bytes");
        }
    }

    /// <summary>Counts an allocation of about this many bytes, before it is made, against <see cref="GgufLimits.Memory"/>.</summary>
    public void Charge(long bytes)
    {
        _memory += bytes;
        if (_memory > _limits.Memory)
            throw new GgufException($"the header needs more than the allowed {ByteCount.Megabytes(_limits.Memory)} MB of memory");
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);

    private long SkipBuffered(long count)
    {
        var buffered = _buffer.AsSpan(_start.._end);
        var at = 0;
        long done = 0;
        while (done < count && buffered.Length - at >= sizeof(ulong))
        {
            var length = BinaryPrimitives.ReadUInt64LittleEndian(buffered[at..]);
            if (length > (ulong)(buffered.Length - at - sizeof(ulong)))
                break;

            at += sizeof(ulong) + (int)length;
            done++;
        }

        Walk(at);
        _start += at;
        Position += at;
        return done;
    }

    private void SkipText(string what)
    {
        var length = ReadLength(_limits.TextLength, what);
        if (length <= BufferSize)
        {
            Take(length);
        }
        else
        {
            Walk(length);
            Skip(length);
        }
    }

    private int ReadLength(long limit, string what)
    {
        var length = ReadUInt64();
        if (length > (ulong)limit)
        {
            throw length > (ulong)Remaining
                ? new GgufException($"{what} claims {length} bytes but the file has only {Remaining} left: forged or truncated")
                : new GgufException($"{what} has {length} bytes; at most {limit} are allowed");
        }

        Require((long)length);
        return (int)length;
    }

    private void Walk(long bytes)
    {
        _walked += bytes;
        if (_walked > _limits.Walk)
            throw new GgufException($"the header is longer than the allowed {ByteCount.Megabytes(_limits.Walk)} MB");
    }

    private ReadOnlySpan<byte> Take(int bytes)
    {
        Require(bytes);
        Walk(bytes);
        if (_end - _start < bytes)
        {
            _buffer.AsSpan(_start.._end).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
            while (_end < bytes)
            {
                var read = _stream.Read(_buffer, _end, BufferSize - _end);
                if (read == 0)
                    throw new GgufException($"file is truncated: it ended at offset {Position + _end} while it was being read");

                _end += read;
            }
        }

        var taken = _buffer.AsSpan(_start, bytes);
        _start += bytes;
        Position += bytes;
        return taken;
    }
}
