using System.Buffers;
using System.Buffers.Binary;

namespace Shimmy.Engine.Protocol;

/// <summary>
/// Writes frames to a pipe, from any thread: length of what follows (4 bytes), kind (1), request id (4), payload; numbers little endian.
/// </summary>
internal sealed class FrameWriter(Stream output) : IDisposable
{
    /// <summary>Bytes of kind and id, which the length counts.</summary>
    public const int HeaderLength = 5;

    private readonly Lock _writing = new();

    /// <summary>
    /// Writes a frame and blocks until the other end reads; throws <see cref="IOException"/> where it is gone. For the worker, whose one
    /// reader is its parent; the server sends through a <see cref="FrameQueue"/>.
    /// </summary>
    public void Write(FrameKind kind, uint id, ReadOnlySpan<byte> payload)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(LengthOf(payload));
        try
        {
            var length = Compose(buffer, kind, id, payload);
            lock (_writing)
            {
                output.Write(buffer.AsSpan(0, length));
                output.Flush();
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Bytes that a frame with this payload takes.</summary>
    public static int LengthOf(ReadOnlySpan<byte> payload) => 4 + HeaderLength + payload.Length;

    /// <summary>Writes a frame into a buffer, so that one write wakes the other end once. Returns its length in bytes.</summary>
    public static int Compose(Span<byte> buffer, FrameKind kind, uint id, ReadOnlySpan<byte> payload)
    {
        BinaryPrimitives.WriteInt32LittleEndian(buffer, HeaderLength + payload.Length);
        buffer[4] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[5..], id);
        payload.CopyTo(buffer[(4 + HeaderLength)..]);
        return LengthOf(payload);
    }

    /// <inheritdoc/>
    public void Dispose() => output.Dispose();
}

/// <summary>Reads the frames that a <see cref="FrameWriter"/> or a <see cref="FrameQueue"/> wrote to a pipe, on one thread.</summary>
internal sealed class FrameReader(Stream input) : IDisposable
{
    // Far above any prompt; a length beyond it means that something else writes to the pipe.
    private const int LongestFrame = 1 << 30;

    private readonly BufferedStream _input = new(input, 64 * 1024);

    /// <summary>The next frame; null where the other end closed the pipe or died.</summary>
    public Frame? Read()
    {
        Span<byte> header = stackalloc byte[4 + FrameWriter.HeaderLength];
        try
        {
            if (_input.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length)
                return null;
            var length = BinaryPrimitives.ReadInt32LittleEndian(header) - FrameWriter.HeaderLength;
            if (length is < 0 or > LongestFrame)
                throw new InvalidDataException($"a frame of {length} bytes on the worker pipe");
            var payload = length == 0 ? [] : GC.AllocateUninitializedArray<byte>(length);
            return _input.ReadAtLeast(payload, length, throwOnEndOfStream: false) < length
                ? null
                : new Frame((FrameKind)header[4], BinaryPrimitives.ReadUInt32LittleEndian(header[5..]), payload);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _input.Dispose();
}
