using System.Buffers;
using System.Buffers.Binary;

namespace Shimmy.Engine.Workers;

/// <summary>What a frame carries. The first letter of the comment says who sends it: P the parent, W the worker.</summary>
internal enum FrameKind : byte
{
    /// <summary>P: JSON of a <see cref="ModelSpec"/>.</summary>
    Load = 1,

    /// <summary>P: JSON of a <see cref="GenerationRequest"/>.</summary>
    Generate = 2,

    /// <summary>P: ends the request of this id; no answer.</summary>
    Cancel = 3,

    /// <summary>P: JSON of a <see cref="Prompt"/>; answered by <see cref="Reply"/> with token ids.</summary>
    Tokenize = 4,

    /// <summary>P: token ids; answered by <see cref="Reply"/> with bytes.</summary>
    Detokenize = 5,

    /// <summary>P: answered by <see cref="Reply"/> with the JSON of an <see cref="EngineStatistics"/>.</summary>
    Statistics = 6,

    /// <summary>
    /// P: JSON of the backends to leave alone, by their words, with the reason; answered by <see cref="Reply"/> with the JSON of a
    /// <see cref="BackendReport"/>. Loads no model.
    /// </summary>
    ReportBackends = 7,

    /// <summary>P: JSON of an <see cref="EmbeddingRequest"/>; answered by <see cref="Reply"/> with the token count and the values.</summary>
    Embed = 8,

    /// <summary>W: a float, 0 to 1: how much of the model is loaded.</summary>
    Progress = 32,

    /// <summary>W: what the request of this id asked for.</summary>
    Reply = 33,

    /// <summary>W: JSON of a <see cref="WorkerError"/>: why the request of this id came to nothing.</summary>
    Failed = 34,

    /// <summary>W: the events of one turn, of all sequences (<see cref="EventCodec"/>).</summary>
    Events = 35,

    /// <summary>W: a line of llama.cpp's log: one byte level, then UTF-8.</summary>
    Log = 36,
}

/// <summary>A message between a server and its worker.</summary>
/// <param name="Kind">What it carries.</param>
/// <param name="Id">The request that it belongs to; 0 where it belongs to none.</param>
/// <param name="Payload">The content; the receiver owns it.</param>
internal readonly record struct Frame(FrameKind Kind, uint Id, byte[] Payload);

/// <summary>
/// Frames on a pipe: length of what follows (4 bytes), kind (1), request id (4), payload; numbers little endian. Writing is safe from any
/// thread, reading is for one.
/// </summary>
internal sealed class FramePipe(Stream input, Stream output) : IDisposable
{
    private const int HeaderLength = 5;

    // Far above any prompt; a length beyond it means that something else writes to the pipe.
    private const int LongestFrame = 1 << 30;

    private readonly Lock _writing = new();
    private readonly BufferedStream _input = new(input, 64 * 1024);

    /// <summary>
    /// Writes a frame, and waits where the other end reads none; throws <see cref="IOException"/> where it is gone. For a worker, which has nobody
    /// else to serve; a server sends through a <see cref="FrameQueue"/>.
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

    /// <summary>Puts a frame into a buffer, as one so that the other end wakes once for it; gives its length.</summary>
    public static int Compose(Span<byte> buffer, FrameKind kind, uint id, ReadOnlySpan<byte> payload)
    {
        BinaryPrimitives.WriteInt32LittleEndian(buffer, HeaderLength + payload.Length);
        buffer[4] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[5..], id);
        payload.CopyTo(buffer[(4 + HeaderLength)..]);
        return LengthOf(payload);
    }

    /// <summary>The next frame; null where the other end closed the pipe or died.</summary>
    public Frame? Read()
    {
        Span<byte> header = stackalloc byte[4 + HeaderLength];
        try
        {
            if (_input.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length)
                return null;
            var length = BinaryPrimitives.ReadInt32LittleEndian(header) - HeaderLength;
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
    public void Dispose()
    {
        output.Dispose();
        _input.Dispose();
    }
}
