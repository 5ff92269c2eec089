using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Engine.Protocol;

/// <summary>
/// The events of one scheduler turn as bytes. Each: request id (4), kind (1), then for a start prompt tokens, cached tokens, seed, slot (4
/// each); for progress the prompt's computed tokens (4);
/// for a token of the answer or the prompt its id (4), tokens drafted in its step and whether it was drafted (1 each), piece length (2),
/// piece, and, where asked for, its log probability (4), number of alternatives (1) and each one's id (4), log probability (4), piece
/// length (2), piece; for an end reason (1), tokens (4), three times in ms (8 each), tokens drafted and accepted (4 each); for a failure
/// kind (1), message length (4), message. Numbers little endian.
/// </summary>
internal static class EventCodec
{
    private enum Kind : byte
    {
        Start = 0,
        Token = 1,
        TokenWithLogProbability = 2,
        End = 3,
        Failure = 4,
        PromptToken = 5,
        PromptTokenWithLogProbability = 6,
        Progress = 7,
    }

    public static void WriteStart(IBufferWriter<byte> writer, uint requestId, GenerationStart start)
    {
        var span = Begin(writer, requestId, Kind.Start, 16);
        BinaryPrimitives.WriteInt32LittleEndian(span, start.PromptTokens);
        BinaryPrimitives.WriteInt32LittleEndian(span[4..], start.CachedTokens);
        BinaryPrimitives.WriteUInt32LittleEndian(span[8..], start.Seed);
        BinaryPrimitives.WriteInt32LittleEndian(span[12..], start.Slot);
    }

    public static void WriteProgress(IBufferWriter<byte> writer, uint requestId, int computed) =>
        BinaryPrimitives.WriteInt32LittleEndian(Begin(writer, requestId, Kind.Progress, 4), computed);

    public static void WriteToken(
        IBufferWriter<byte> writer, uint requestId, int token, ReadOnlySpan<byte> piece,
        TokenLogProbability? logProbability, TokenDraft draft, bool ofPrompt = false)
    {
        var kind = (logProbability is null, ofPrompt) switch
        {
            (true, false) => Kind.Token,
            (false, false) => Kind.TokenWithLogProbability,
            (true, true) => Kind.PromptToken,
            (false, true) => Kind.PromptTokenWithLogProbability,
        };
        var span = Begin(writer, requestId, kind, 6);
        BinaryPrimitives.WriteInt32LittleEndian(span, token);
        span[4] = draft.Drafted;
        span[5] = draft.Accepted ? (byte)1 : (byte)0;
        WritePiece(writer, piece);
        if (logProbability is null)
            return;
        span = Take(writer, 5);
        BinaryPrimitives.WriteSingleLittleEndian(span, logProbability.LogProbability);
        span[4] = (byte)logProbability.Top.Count;
        foreach (var top in logProbability.Top)
        {
            span = Take(writer, 8);
            BinaryPrimitives.WriteInt32LittleEndian(span, top.Token);
            BinaryPrimitives.WriteSingleLittleEndian(span[4..], top.LogProbability);
            WritePiece(writer, top.Piece.Span);
        }
    }

    public static void WriteEnd(IBufferWriter<byte> writer, uint requestId, GenerationEnd end)
    {
        var span = Begin(writer, requestId, Kind.End, 37);
        span[0] = (byte)end.Reason;
        BinaryPrimitives.WriteInt32LittleEndian(span[1..], end.GeneratedTokens);
        BinaryPrimitives.WriteDoubleLittleEndian(span[5..], end.Timings.QueueMilliseconds);
        BinaryPrimitives.WriteDoubleLittleEndian(span[13..], end.Timings.PrefillMilliseconds);
        BinaryPrimitives.WriteDoubleLittleEndian(span[21..], end.Timings.DecodeMilliseconds);
        BinaryPrimitives.WriteInt32LittleEndian(span[29..], end.Timings.DraftedTokens);
        BinaryPrimitives.WriteInt32LittleEndian(span[33..], end.Timings.AcceptedTokens);
    }

    public static void WriteFailure(IBufferWriter<byte> writer, uint requestId, EngineException error)
    {
        var message = Encoding.UTF8.GetBytes(error.Message);
        var span = Begin(writer, requestId, Kind.Failure, 5 + message.Length);
        span[0] = (byte)error.Failure;
        BinaryPrimitives.WriteInt32LittleEndian(span[1..], message.Length);
        message.CopyTo(span[5..]);
    }

    /// <summary>Reads a frame's events in order; <paramref name="take"/> gets either an event or a failure.</summary>
    public static void Read(ReadOnlyMemory<byte> frame, Action<uint, GenerationEvent, EngineException?> take)
    {
        var reader = new Reader(frame);
        while (!reader.AtEnd)
        {
            var requestId = (uint)reader.Int32();
            var kind = (Kind)reader.Byte();
            switch (kind)
            {
                case Kind.Start:
                    take(requestId,
                        GenerationEvent.OfStart(new GenerationStart(reader.Int32(), reader.Int32(), (uint)reader.Int32())
                        {
                            Slot = reader.Int32(),
                        }), null);
                    break;
                case Kind.Progress:
                    take(requestId, GenerationEvent.OfProgress(reader.Int32()), null);
                    break;
                case Kind.Token or Kind.TokenWithLogProbability or Kind.PromptToken or Kind.PromptTokenWithLogProbability:
                    var token = reader.Int32();
                    var draft = new TokenDraft(reader.Byte(), reader.Byte() != 0);
                    var piece = reader.Bytes(reader.UInt16());
                    var logProbability = kind is Kind.Token or Kind.PromptToken ? null : ReadLogProbability(ref reader);
                    take(requestId, kind is Kind.Token or Kind.TokenWithLogProbability
                        ? GenerationEvent.OfToken(token, piece, logProbability, draft)
                        : GenerationEvent.OfPromptToken(token, piece, logProbability), null);
                    break;
                case Kind.End:
                    take(requestId, GenerationEvent.OfEnd(new GenerationEnd((FinishReason)reader.Byte(), reader.Int32(),
                        new GenerationTimings(reader.Double(), reader.Double(), reader.Double())
                        {
                            DraftedTokens = reader.Int32(),
                            AcceptedTokens = reader.Int32(),
                        })), null);
                    break;
                case Kind.Failure:
                    var failure = (EngineFailure)reader.Byte();
                    take(requestId, default, new EngineException(failure, Encoding.UTF8.GetString(reader.Bytes(reader.Int32()).Span)));
                    break;
                default:
                    throw new InvalidDataException($"an event of unknown kind {(byte)kind} on the worker pipe");
            }
        }
    }

    private static TokenLogProbability ReadLogProbability(ref Reader reader)
    {
        var logProbability = reader.Single();
        var top = new TopToken[reader.Byte()];
        for (var i = 0; i < top.Length; i++)
        {
            var token = reader.Int32();
            var probability = reader.Single();
            top[i] = new TopToken(token, reader.Bytes(reader.UInt16()), probability);
        }
        return new TokenLogProbability(logProbability, top);
    }

    private static Span<byte> Begin(IBufferWriter<byte> writer, uint requestId, Kind kind, int length)
    {
        var span = Take(writer, 5 + length);
        BinaryPrimitives.WriteUInt32LittleEndian(span, requestId);
        span[4] = (byte)kind;
        return span[5..];
    }

    private static void WritePiece(IBufferWriter<byte> writer, ReadOnlySpan<byte> piece)
    {
        var span = Take(writer, 2 + piece.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(span, (ushort)piece.Length);
        piece.CopyTo(span[2..]);
    }

    // The span stays writable after Advance: the writers used here do not move their buffer before the next GetSpan.
    private static Span<byte> Take(IBufferWriter<byte> writer, int length)
    {
        var span = writer.GetSpan(length)[..length];
        writer.Advance(length);
        return span;
    }

    private ref struct Reader(ReadOnlyMemory<byte> frame)
    {
        private int _position;

        public readonly bool AtEnd => _position >= frame.Length;

        public byte Byte() => Next(1)[0];

        public int UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Next(2));

        public int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Next(4));

        public float Single() => BinaryPrimitives.ReadSingleLittleEndian(Next(4));

        public double Double() => BinaryPrimitives.ReadDoubleLittleEndian(Next(8));

        public ReadOnlyMemory<byte> Bytes(int length)
        {
            var bytes = frame.Slice(_position, length);
            _position += length;
            return bytes;
        }

        private ReadOnlySpan<byte> Next(int length) => Bytes(length).Span;
    }
}
