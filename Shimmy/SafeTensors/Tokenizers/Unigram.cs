using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>Unigram, in GGUF's terms "t5": pieces with log probabilities, and a map of characters that is applied first.</summary>
internal static class Unigram
{
    private const float PaddingScore = -10000;
    private const string Mask = "<mask>";

    /// <summary>Reads tokenizer.json for a model of so many tokens.</summary>
    public static Vocabulary Read(TokenizerFiles files, int size)
    {
        if (files.Kind != "Unigram")
        {
            throw new SafeTensorsException(
                $"tokenizer.json: a tokenizer of kind {files.Kind ?? "none"} cannot be represented for this model; Unigram and WordPiece can");
        }

        var (tokens, kinds) = Vocabulary.Padding(size);
        var scores = new float[size];
        Array.Fill(scores, PaddingScore);
        var next = 0;
        foreach (var piece in files.Json["model"]["vocab"].Items)
        {
            var pair = piece.Items.Take(3).ToArray();
            if (pair is not [var text, var score] || text.AsText is null || score.AsNumber is null)
                throw new SafeTensorsException($"tokenizer.json: entry {next} of model.vocab is not a text and its score");

            var id = TokenizerFiles.Within(next++, text.AsText, size);
            (tokens[id], scores[id], kinds[id]) = (text.AsText, (float)score.AsNumber.Value, TokenKind.Normal);
        }

        foreach (var token in files.AddedTokens)
        {
            var id = TokenizerFiles.Within(token.Id, token.Text, size);
            if (kinds[id] == TokenKind.Unused)
                scores[id] = 0;

            (tokens[id], kinds[id]) = (token.Text, token.Special ? TokenKind.Control : TokenKind.UserDefined);
        }

        if (files.Json["model"].Integer("unk_id", least: 0) is { } unknown && unknown < size)
            kinds[unknown] = TokenKind.Unknown;

        var vocabulary = new Vocabulary { Model = "t5", Tokens = tokens, Kinds = kinds, Scores = scores };
        Finish(vocabulary, CharacterMapOf(files.Json), files.Config["add_prefix_space"].AsFlag
            ?? true, files.Config["clean_up_tokenization_spaces"].AsFlag ?? true);
        return vocabulary;
    }

    /// <summary>
    /// Reads XLM-RoBERTa's sentencepiece.bpe.model. Its library puts four tokens of fairseq in front, leaves out the file's first three,
    /// and has &lt;mask&gt; behind all. (The reference converter makes padding of that last one.)
    /// </summary>
    public static Vocabulary Read(TokenizerFiles files, byte[] bytes, int size)
    {
        var model = SentencePieceModel.Parse(bytes, "sentencepiece.bpe.model");
        var (tokens, kinds) = Vocabulary.Padding(size);
        var scores = new float[size];
        Array.Fill(scores, PaddingScore);
        var pieces =
            new[] { ("<s>", 0f, TokenKind.Control), ("<pad>", 0f, TokenKind.Control),
                ("</s>", 0f, TokenKind.Control), ("<unk>", 0f, TokenKind.Unknown) }
            .Concat(model.Pieces.Skip(3)).Append((Mask, 0f, TokenKind.Control)).Take(size);
        var next = 0;
        foreach (var piece in pieces)
            (tokens[next], scores[next], kinds[next++]) = piece;

        var vocabulary = new Vocabulary { Model = "t5", Tokens = tokens, Kinds = kinds, Scores = scores };
        Finish(vocabulary, model.CharacterMap, model.AddsPrefix, model.RemovesExtraBlanks);
        return vocabulary;
    }

    private static void Finish(Vocabulary vocabulary, byte[] characterMap, bool addsPrefix, bool removesBlanks)
    {
        vocabulary.Set("add_space_prefix", addsPrefix);
        vocabulary.Set("remove_extra_whitespaces", removesBlanks);
        if (characterMap.Length > 0)
        {
            var items = characterMap.Select(one => GgufValue.OfInteger(GgufType.UInt8, one)).ToArray();
            vocabulary.Keys.Add(("precompiled_charsmap", GgufValue.OfArray(new GgufArray(GgufType.UInt8, items.Length, items))));
        }
    }

    private static byte[] CharacterMapOf(PlainJson json)
    {
        var steps = json["normalizer"]["normalizers"] is { IsArray: true } all ? all.Items : [json["normalizer"]];
        if (steps.Select(step => step["precompiled_charsmap"].AsText).FirstOrDefault(map => map is not null) is not { } text)
        {
            throw new SafeTensorsException(
                "tokenizer.json: the normalizer has no precompiled_charsmap; other normalizers of Unigram cannot be represented");
        }

        try
        {
            return Convert.FromBase64String(text);
        }
        catch (FormatException)
        {
            throw new SafeTensorsException("tokenizer.json: precompiled_charsmap is not base64");
        }
    }
}
