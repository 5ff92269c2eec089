using System.Buffers;
using System.Buffers.Binary;

namespace Shimmy.Engine.Protocol;

/// <summary>
/// Writes frames to a pipe, from any thread: length of what follows (4 bytes), kind (1), request id (4), payload; numbers little endian.
/// </summary>
internal sealed class FrameWriter(Stream output) : IDisposable
{
    /// <summary>Bytes before the payload.</summary>
    public const int HeaderLength = 9;

    /// <summary>Bytes of the length, which counts all that follows it.</summary>
    public const int LengthLength = 4;

    private readonly Lock _writing = new();

    /// <summary>
    /// Writes a frame and blocks until the other end reads; throws <see cref="IOException"/> where it is gone. For the worker, whose one
    /// reader is its parent; the server sends through a <see cref="FrameQueue"/>.
    /// </summary>
    public void Write(FrameKind kind, uint id, ReadOnlySpan<byte> payload)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(HeaderLength + payload.Length);
        try
        {
            Compose(buffer, kind, id, payload.Length, payload);
            lock (_writing)
            {
                output.Write(buffer.AsSpan(0, HeaderLength + payload.Length));
                output.Flush();
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Writes a frame into a buffer, so that one write wakes the other end once.</summary>
    /// <param name="buffer">The buffer.</param>
    /// <param name="kind">The frame's kind.</param>
    /// <param name="id">The request's id.</param>
    /// <param name="length">Bytes of the whole payload.</param>
    /// <param name="begin">The beginning of the payload, or all of it.</param>
    public static void Compose(Span<byte> buffer, FrameKind kind, uint id, int length, ReadOnlySpan<byte> begin)
    {
        BinaryPrimitives.WriteInt32LittleEndian(buffer, HeaderLength - LengthLength + length);
        buffer[LengthLength] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[(LengthLength + 1)..], id);
        begin.CopyTo(buffer[HeaderLength..]);
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
        Span<byte> header = stackalloc byte[FrameWriter.HeaderLength];
        try
        {
            if (_input.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length)
                return null;
            var length = BinaryPrimitives.ReadInt32LittleEndian(header) - (FrameWriter.HeaderLength - FrameWriter.LengthLength);
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
