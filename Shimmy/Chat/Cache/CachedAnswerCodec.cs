using System.Runtime.InteropServices;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Engine;

namespace Shimmy.Chat.Cache;

/// <summary>
/// Binary format of an answer's events, so that the size of a cache entry is known exactly. Each event is one byte of flags, then the
/// fields that the flags name, in their order. Texts are UTF-16: a stop sequence that is held back may split a surrogate pair.
/// </summary>
internal static class CachedAnswerCodec
{
    [Flags]
    private enum Holds : byte
    {
        Text = 1,
        Reasoning = 2,
        Call = 4,
        Tokens = 8,
        PromptToken = 16,
        Start = 32,
        End = 64,
    }

    /// <summary>Reads the events of an answer.</summary>
    public static IEnumerable<OutputEvent> Read(ReadOnlyMemory<byte> answer)
    {
        MemoryMarshal.TryGetArray(answer, out var bytes);
        using var reader = new BinaryReader(new MemoryStream(bytes.Array!, bytes.Offset, bytes.Count, writable: false));
        while (reader.BaseStream.Position < reader.BaseStream.Length)
            yield return ReadEvent(reader);
    }

    private static OutputEvent ReadEvent(BinaryReader reader)
    {
        var holds = (Holds)reader.ReadByte();
        var text = holds.HasFlag(Holds.Text) ? ReadText(reader) : "";
        var reasoning = holds.HasFlag(Holds.Reasoning) ? ReadText(reader) : "";
        var call = holds.HasFlag(Holds.Call)
            ? new ToolCallDelta(reader.ReadInt32(), reader.ReadBoolean() ? ReadText(reader) : null, ReadText(reader))
            : null;
        var tokens = holds.HasFlag(Holds.Tokens) ? ReadTokens(reader) : null;
        GeneratedToken? promptToken = holds.HasFlag(Holds.PromptToken) ? ReadToken(reader) : null;
        var outputEvent = holds switch
        {
            _ when holds.HasFlag(Holds.Start) =>
                OutputEvent.OfStart(new GenerationStart(reader.ReadInt32(), reader.ReadInt32(), reader.ReadUInt32())),
            _ when holds.HasFlag(Holds.End) => OutputEvent.OfEnd(ReadEnd(reader)),
            _ when call is not null => OutputEvent.OfCall(call),
            _ when reasoning.Length > 0 => OutputEvent.OfReasoning(reasoning),
            _ => OutputEvent.OfText(text),
        };
        return outputEvent with { Tokens = tokens, PromptToken = promptToken };
    }

    private static OutputEnd ReadEnd(BinaryReader reader)
    {
        var reason = (FinishReason)reader.ReadByte();
        var called = reader.ReadBoolean();
        var stop = reader.ReadBoolean() ? ReadText(reader) : null;
        var usage = new Usage(reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32());
        var timings = new GenerationTimings(reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble());
        return new OutputEnd(reason, stop, usage, timings) { CalledTools = called };
    }

    private static GeneratedToken[] ReadTokens(BinaryReader reader)
    {
        var tokens = new GeneratedToken[reader.ReadInt32()];
        for (var i = 0; i < tokens.Length; i++)
            tokens[i] = ReadToken(reader);
        return tokens;
    }

    private static GeneratedToken ReadToken(BinaryReader reader)
    {
        var token = reader.ReadInt32();
        var piece = ReadPiece(reader);
        if (!reader.ReadBoolean())
            return new GeneratedToken(token, piece, null);
        var probability = reader.ReadSingle();
        var top = new TopToken[reader.ReadInt32()];
        for (var i = 0; i < top.Length; i++)
            top[i] = new TopToken(reader.ReadInt32(), ReadPiece(reader), reader.ReadSingle());
        return new GeneratedToken(token, piece, new TokenLogProbability(probability, top));
    }

    private static byte[] ReadPiece(BinaryReader reader) => reader.ReadBytes(reader.Read7BitEncodedInt());

    private static string ReadText(BinaryReader reader) =>
        new(MemoryMarshal.Cast<byte, char>(reader.ReadBytes(reader.Read7BitEncodedInt())));

    /// <summary>Writes the events of an answer.</summary>
    public sealed class Writer : IDisposable
    {
        private readonly MemoryStream _bytes = new(512);
        private readonly BinaryWriter _writer;

        public Writer() => _writer = new BinaryWriter(_bytes);

        /// <summary>Number of bytes written.</summary>
        public long Length => _bytes.Length;

        /// <summary>The bytes written.</summary>
        public byte[] ToArray() => _bytes.ToArray();

        /// <inheritdoc/>
        public void Dispose() => _writer.Dispose();

        public void Write(in OutputEvent outputEvent)
        {
            _writer.Write((byte)HoldsOf(outputEvent));
            if (outputEvent.Text.Length > 0)
                Write(outputEvent.Text);
            if (outputEvent.Reasoning.Length > 0)
                Write(outputEvent.Reasoning);
            if (outputEvent.Call is { } call)
            {
                _writer.Write(call.Index);
                WriteOptional(call.Name);
                Write(call.Arguments);
            }
            if (outputEvent.Tokens is { } tokens)
            {
                _writer.Write(tokens.Count);
                foreach (var token in tokens)
                    Write(token);
            }
            if (outputEvent.PromptToken is { } read)
                Write(read);
            if (outputEvent.Start is { } start)
            {
                _writer.Write(start.PromptTokens);
                _writer.Write(start.CachedTokens);
                _writer.Write(start.Seed);
            }
            if (outputEvent.End is { } end)
                Write(end);
        }

        private static Holds HoldsOf(in OutputEvent outputEvent) =>
            (outputEvent.Text.Length > 0 ? Holds.Text : 0)
            | (outputEvent.Reasoning.Length > 0 ? Holds.Reasoning : 0)
            | (outputEvent.Call is not null ? Holds.Call : 0)
            | (outputEvent.Tokens is not null ? Holds.Tokens : 0)
            | (outputEvent.PromptToken is not null ? Holds.PromptToken : 0)
            | (outputEvent.Start is not null ? Holds.Start : 0)
            | (outputEvent.End is not null ? Holds.End : 0);

        private void Write(OutputEnd end)
        {
            _writer.Write((byte)end.Reason);
            _writer.Write(end.CalledTools);
            WriteOptional(end.StopString);
            _writer.Write(end.Usage.PromptTokens);
            _writer.Write(end.Usage.CachedTokens);
            _writer.Write(end.Usage.CompletionTokens);
            _writer.Write(end.Timings.QueueMilliseconds);
            _writer.Write(end.Timings.PrefillMilliseconds);
            _writer.Write(end.Timings.DecodeMilliseconds);
        }

        private void Write(in GeneratedToken token)
        {
            _writer.Write(token.Token);
            Write(token.Piece.Span);
            _writer.Write(token.LogProbability is not null);
            if (token.LogProbability is not { } probability)
                return;
            _writer.Write(probability.LogProbability);
            _writer.Write(probability.Top.Count);
            foreach (var top in probability.Top)
            {
                _writer.Write(top.Token);
                Write(top.Piece.Span);
                _writer.Write(top.LogProbability);
            }
        }

        private void WriteOptional(string? text)
        {
            _writer.Write(text is not null);
            if (text is not null)
                Write(text);
        }

        private void Write(string text) => Write(MemoryMarshal.AsBytes(text.AsSpan()));

        private void Write(ReadOnlySpan<byte> bytes)
        {
            _writer.Write7BitEncodedInt(bytes.Length);
            _writer.Write(bytes);
        }
    }
}
