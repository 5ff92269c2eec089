using System.Buffers.Binary;

namespace Shimmy.Engine.Protocol;

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
