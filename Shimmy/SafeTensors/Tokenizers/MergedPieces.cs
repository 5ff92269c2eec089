using System.Globalization;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>
/// BPE over pieces of text with bytes to fall back on, from tokenizer.json alone: what SentencePiece's file becomes when a model is saved
/// without it. llama.cpp merges by score, so each piece scores by the rank of the merge that makes it: the ids are those of the model's own
/// library. (The reference converter gives all the same score, and other ids.)
/// </summary>
internal static class MergedPieces
{
    private const float PaddingScore = -10000;
    private static readonly string[] Specials = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];

    /// <summary>Reads tokenizer.json for a model of so many tokens.</summary>
    public static Vocabulary Read(TokenizerFiles files, int size)
    {
        if (!files.HasByteFallback)
            throw new SafeTensorsException("tokenizer.model is missing, and tokenizer.json has no pieces that fall back on bytes");

        var steps = files.Json["normalizer"]["normalizers"] is { IsArray: true } normalizers
            ? normalizers.Items
            : [files.Json["normalizer"]];
        if (steps.Select(step => step["type"].AsText).FirstOrDefault(kind => kind is not ("Prepend" or "Replace" or null)) is { } other)
        {
            throw new SafeTensorsException(
                $"tokenizer.json: the normalizer has a step {other}, which cannot be represented for this model");
        }

        var (tokens, kinds) = Vocabulary.Padding(size);
        var merges = files.Merges();
        var ranks = new Dictionary<string, float>(merges.Length, StringComparer.Ordinal);
        for (var rank = 0; rank < merges.Length; rank++)
            ranks.TryAdd(merges[rank].Replace(" ", "", StringComparison.Ordinal), -rank);

        var special = Specials.Select(files.Special)
            .Concat(files.Config["additional_special_tokens"].Items.Select(token => token.AsText ?? token["content"].AsText))
            .OfType<string>().ToHashSet(StringComparer.Ordinal);
        foreach (var (text, id) in files.Pieces(size))
            (tokens[id], kinds[id]) = (text, IsByte(text) ? TokenKind.Byte : special.Contains(text) ? TokenKind.Control : TokenKind.Normal);

        foreach (var token in files.AddedTokens)
        {
            var id = TokenizerFiles.Within(token.Id, token.Text, size);
            if (token.Special || special.Contains(token.Text))
            {
                (tokens[id], kinds[id]) = (token.Text, kinds[id] == TokenKind.Byte ? TokenKind.Byte : TokenKind.Control);
            }
            else if (kinds[id] is TokenKind.Unused or TokenKind.Normal)
            {
                // Found in the text before it is split, so with blanks as they are typed.
                (tokens[id], kinds[id]) = (token.Text.Replace('\u2581', ' '), TokenKind.UserDefined);
            }
        }

        var scores = new float[size];
        for (var id = 0; id < size; id++)
            scores[id] = kinds[id] == TokenKind.Unused ? PaddingScore : ranks.GetValueOrDefault(tokens[id], -(merges.Length + 1));

        var vocabulary = new Vocabulary { Model = "llama", Tokens = tokens, Kinds = kinds, Scores = scores };
        // llama.cpp puts a blank in front of a text unless asked not to.
        if (!PutsBlankInFront(files.Json) && files.Config["add_prefix_space"].AsFlag is null)
            vocabulary.Set("add_space_prefix", false);

        return vocabulary;
    }

    private static bool IsByte(string text) => text.Length == 6 && text.StartsWith("<0x", StringComparison.Ordinal) && text[5] == '>'
        && byte.TryParse(text.AsSpan(3, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out _);

    private static bool PutsBlankInFront(PlainJson json)
    {
        var normalizers = json["normalizer"]["normalizers"] is { IsArray: true } all ? all.Items : [json["normalizer"]];
        var splits = json["pre_tokenizer"]["pretokenizers"] is { IsArray: true } steps ? steps.Items : [json["pre_tokenizer"]];
        return normalizers.Any(step => step["type"].AsText == "Prepend")
            || splits.Any(step =>
                step["type"].AsText == "Metaspace" && step["prepend_scheme"].AsText != "never" && step["add_prefix_space"].AsFlag != false);
    }
}
