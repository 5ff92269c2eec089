using System.Buffers.Binary;
using System.Text;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>
/// Reads tokenizer.model: SentencePiece's ModelProto (sentencepiece_model.proto), of which the pieces and the normalizer matter. Protocol
/// buffers are simple enough to be read by hand.
/// </summary>
internal sealed class SentencePieceModel
{
    private const float AddedScore = -1000;
    private const float PaddingScore = -10000;

    /// <summary>The pieces in the order of their ids.</summary>
    public List<(string Text, float Score, TokenKind Kind)> Pieces { get; } = [];

    /// <summary>The normalizer's map of characters; empty for none.</summary>
    public byte[] CharacterMap { get; private set; } = [];

    /// <summary>Whether a blank goes in front of a text.</summary>
    public bool AddsPrefix { get; private set; } = true;

    /// <summary>Whether runs of blanks become one.</summary>
    public bool RemovesExtraBlanks { get; private set; } = true;

    /// <summary>
    /// A vocabulary of kind "llama": the pieces, padding up to the size of the model, then added tokens over them. Phi 3 reads those of
    /// tokenizer.json too, and takes only what is marked as special for special.
    /// </summary>
    public static Vocabulary Read(TokenizerFiles files, byte[] bytes, int size, bool ofPhi3 = false)
    {
        var (tokens, kinds) = Vocabulary.Padding(size);
        var scores = new float[size];
        Array.Fill(scores, PaddingScore);
        var pieces = Parse(bytes, "tokenizer.model").Pieces;
        for (var id = 0; id < Math.Min(pieces.Count, size); id++)
            (tokens[id], scores[id], kinds[id]) = pieces[id];

        void Add(int id, string text, TokenKind kind)
        {
            // What lies beyond the model's rows can never be chosen.
            if (id < size)
                (tokens[id], scores[id], kinds[id]) = (text, AddedScore, kind);
        }

        foreach (var (text, id) in files.Added.Members)
        {
            Add((int)Math.Clamp(id.AsInteger ?? throw new SafeTensorsException($"added_tokens.json: '{text}' has no id"), 0, int.MaxValue),
                text, TokenKind.UserDefined);
        }

        foreach (var token in ofPhi3 ? files.DecoderTokens.Concat(files.AddedTokens) : files.DecoderTokens)
        {
            var control = token.Special || (!ofPhi3 && ByteLevel.LooksSpecial(token.Text));
            Add(token.Id, control || ofPhi3 ? token.Text : token.Text.Replace('\u2581', ' '), control
                ? TokenKind.Control
                : TokenKind.UserDefined);
        }

        return new Vocabulary { Model = "llama", Tokens = tokens, Kinds = kinds, Scores = scores };
    }

    /// <summary>Parses the file; throws <see cref="SafeTensorsException"/> where it is broken.</summary>
    public static SentencePieceModel Parse(byte[] bytes, string file)
    {
        var model = new SentencePieceModel();
        var reader = new ProtoReader(bytes, file);
        while (reader.Next())
        {
            if (reader.Field == 1)
                model.Pieces.Add(Piece(reader.Message()));
            else if (reader.Field == 3)
                model.ReadNormalizer(reader.Message());
        }

        return model.Pieces.Count > 0 ? model : throw new SafeTensorsException($"{file} holds no pieces");
    }

    private static (string Text, float Score, TokenKind Kind) Piece(ProtoReader reader)
    {
        var (text, score, kind) = ("", 0f, TokenKind.Normal);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1:
                    text = Encoding.UTF8.GetString(reader.Content);
                    break;
                case 2 when reader.Content.Length == 4:
                    score = BinaryPrimitives.ReadSingleLittleEndian(reader.Content);
                    break;
                case 3 when reader.Number is >= 1 and <= 6:
                    kind = (TokenKind)reader.Number;
                    break;
            }
        }

        return (text, score, kind);
    }

    private void ReadNormalizer(ProtoReader reader)
    {
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 2:
                    CharacterMap = reader.Content.ToArray();
                    break;
                case 3:
                    AddsPrefix = reader.Number != 0;
                    break;
                case 4:
                    RemovesExtraBlanks = reader.Number != 0;
                    break;
            }
        }
    }

    /// <summary>Walks the fields of one message.</summary>
    private ref struct ProtoReader(ReadOnlySpan<byte> bytes, string file)
    {
        private ReadOnlySpan<byte> _rest = bytes;
        private readonly string _file = file;

        /// <summary>The field's number.</summary>
        public int Field { get; private set; }

        /// <summary>The value of a number.</summary>
        public ulong Number { get; private set; }

        /// <summary>The bytes of a text, a message or a fixed number.</summary>
        public ReadOnlySpan<byte> Content { get; private set; }

        public readonly ProtoReader Message() => new(Content, _file);

        public bool Next()
        {
            if (_rest.IsEmpty)
                return false;

            var tag = Varint();
            Field = (int)(tag >> 3);
            Number = 0;
            Content = default;
            switch (tag & 7)
            {
                case 0:
                    Number = Varint();
                    break;
                case 1:
                    Content = Take(8);
                    break;
                case 2:
                    Content = Take(Varint());
                    break;
                case 5:
                    Content = Take(4);
                    break;
                default:
                    throw Broken();
            }

            return true;
        }

        private ReadOnlySpan<byte> Take(ulong length)
        {
            if (length > (ulong)_rest.Length)
                throw Broken();

            var taken = _rest[..(int)length];
            _rest = _rest[(int)length..];
            return taken;
        }

        private ulong Varint()
        {
            ulong value = 0;
            for (var shift = 0; shift < 64; shift += 7)
            {
                if (_rest.IsEmpty)
                    break;

                var part = _rest[0];
                _rest = _rest[1..];
                value |= (ulong)(part & 0x7F) << shift;
                if (part < 0x80)
                    return value;
            }

            throw Broken();
        }

        private readonly SafeTensorsException Broken() => new($"{_file} is not a SentencePiece model: a field is broken");
    }
}
