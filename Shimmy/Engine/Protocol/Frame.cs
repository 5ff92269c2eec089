using System.Buffers.Binary;

namespace Shimmy.Engine.Protocol;

/// <summary>Kinds of frames. The first letter of each comment is the sender: P the parent, W the worker.</summary>
internal enum FrameKind : byte
{
    /// <summary>P: bytes (<see cref="Wire"/>) of a <see cref="ModelSpec"/>.</summary>
    Load = 1,

    /// <summary>P: a <see cref="GenerationRequest"/> as <see cref="PromptFrames"/> writes it.</summary>
    Generate = 2,

    /// <summary>P: ends the request of this id. A generation is answered by its end event, anything else not at all.</summary>
    Cancel = 3,

    /// <summary>
    /// P: a <see cref="Prompt"/> as <see cref="PromptFrames"/> writes it; answered by <see cref="Reply"/> with token ids, -1 for each token
    /// of a medium.
    /// </summary>
    Tokenize = 4,

    /// <summary>P: token ids; answered by <see cref="Reply"/> with bytes.</summary>
    Detokenize = 5,

    /// <summary>P: answered by <see cref="Reply"/> with the bytes of an <see cref="EngineStatistics"/>.</summary>
    Statistics = 6,

    /// <summary>
    /// P: bytes of the names of backends that must not be loaded, with the reasons; answered by <see cref="Reply"/> with the bytes of a
    /// <see cref="BackendReport"/>. Loads no model.
    /// </summary>
    ReportBackends = 7,

    /// <summary>
    /// P: an <see cref="EmbeddingRequest"/> as <see cref="PromptFrames"/> writes it; answered by <see cref="Reply"/> with the token count
    /// and the values.
    /// </summary>
    Embed = 8,

    /// <summary>
    /// P: bytes of a <see cref="SlotAction"/>; answered by <see cref="Reply"/> with the bytes of a <see cref="SlotResult"/>.
    /// </summary>
    Slot = 9,

    /// <summary>
    /// P: number of a ggml type (4 bytes), elements of a row (4 bytes), then whole rows of floats; answered by <see cref="Reply"/> with the
    /// rows as blocks of that type. Loads no model.
    /// </summary>
    Quantize = 10,

    /// <summary>P: answered by an empty <see cref="Reply"/> once all states of prompts are in their files.</summary>
    Flush = 11,

    /// <summary>W: a float, 0 to 1: how much of the model is loaded.</summary>
    Progress = 32,

    /// <summary>W: the answer to the request of this id; its format is that of the request's kind.</summary>
    Reply = 33,

    /// <summary>W: bytes (<see cref="Wire"/>) of a <see cref="WorkerError"/>: the failure of the request of this id.</summary>
    Failed = 34,

    /// <summary>W: the events of one turn, of all sequences (<see cref="EventCodec"/>).</summary>
    Events = 35,

    /// <summary>W: a line of llama.cpp's log: one byte level, then UTF-8.</summary>
    Log = 36,

    /// <summary>W: changes of what the KV cells and the kept states hold (<see cref="CellBlocks"/>).</summary>
    Holds = 37,
}

/// <summary>A message between a server and its worker.</summary>
/// <param name="Kind">The kind, which decides the format of the payload.</param>
/// <param name="Id">Id of the request; 0 for a frame that belongs to none.</param>
/// <param name="Payload">The content; the receiver owns it.</param>
internal readonly record struct Frame(FrameKind Kind, uint Id, byte[] Payload)
{
    /// <summary>The level in a <see cref="FrameKind.Log"/> of a warning that is the worker's own; the others are llama.cpp's.</summary>
    public const int LevelOfOwnWarning = 6;

    /// <summary>Whether it carries a prompt with media, whose tokens take time to count.</summary>
    public bool HasMedia => Kind is FrameKind.Generate or FrameKind.Embed or FrameKind.Tokenize && PromptFrames.HasMedia(Payload);
}

/// <summary>
/// The payload of frames that carry a <see cref="Prompt"/>: the number of its media (4 bytes), the length of the record (4 bytes), the
/// record (<see cref="Wire"/>), then the pixels or samples of each medium that has them, as they are. Numbers are little endian.
/// </summary>
internal static class PromptFrames
{
    private const int HeadLength = 8;

    /// <summary>Whether the prompt in a payload has media.</summary>
    public static bool HasMedia(ReadOnlySpan<byte> payload) =>
        payload.Length >= HeadLength && BinaryPrimitives.ReadInt32LittleEndian(payload) > 0;

    /// <summary>Writes a value with the data of its prompt's media.</summary>
    public static byte[] Write<T>(T value, Func<Wire, T, T> fields, IReadOnlyList<Medium> media)
    {
        var record = Wire.Write(value, fields);
        var payload = new byte[checked(HeadLength + record.Length + media.Sum(medium => medium.Data.Length))];
        BinaryPrimitives.WriteInt32LittleEndian(payload, media.Count);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(4), record.Length);
        record.CopyTo(payload, HeadLength);
        var position = HeadLength + record.Length;
        foreach (var medium in media)
        {
            medium.Data.Span.CopyTo(payload.AsSpan(position));
            position += medium.Data.Length;
        }
        return payload;
    }

    /// <summary>
    /// Reads the value; <see cref="WithData"/> gives its prompt the data. Throws <see cref="InvalidDataException"/>
    /// for a payload that <see cref="Write"/> did not write.
    /// </summary>
    public static T Read<T>(byte[] payload, T blank, Func<Wire, T, T> fields) =>
        Wire.Read(payload.AsMemory(HeadLength, RecordLength(payload)), blank, fields);

    /// <summary>The prompt with the data of its media, which stays in the payload.</summary>
    public static Prompt WithData(Prompt prompt, byte[] payload)
    {
        var position = HeadLength + RecordLength(payload);
        if (prompt.Media.Count == 0 || position == payload.Length)
            return prompt;
        return prompt with
        {
            Media = [.. prompt.Media.Select(medium =>
            {
                var start = position;
                position = (int)Math.Min(int.MaxValue, position + medium.DataLength);
                return medium.DataLength > 0 && position <= payload.Length
                    ? medium with { Data = payload.AsMemory(start, position - start) }
                    : throw new InvalidDataException("the data of a medium is cut");
            })],
        };
    }

    private static int RecordLength(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < HeadLength)
            throw new InvalidDataException("a prompt without its head");
        var length = BinaryPrimitives.ReadInt32LittleEndian(payload[4..]);
        return length >= 0 && length <= payload.Length - HeadLength
            ? length
            : throw new InvalidDataException($"a prompt of {length} bytes");
    }
}
