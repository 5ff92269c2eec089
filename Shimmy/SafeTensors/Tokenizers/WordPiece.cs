using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Tokenizers;

/// <summary>BERT's WordPiece: GGUF marks the beginnings of words, where tokenizer.json marks what continues one.</summary>
internal static class WordPiece
{
    private const string Continues = "##";

    /// <summary>Reads tokenizer.json for a model of so many tokens.</summary>
    public static Vocabulary Read(TokenizerFiles files, int size)
    {
        if (files.Json["model"]["continuing_subword_prefix"].AsText is { } prefix && prefix != Continues)
        {
            throw new SafeTensorsException(
                $"tokenizer.json: continuing_subword_prefix '{prefix}' cannot be represented; '{Continues}' can");
        }

        var (tokens, kinds) = Vocabulary.Padding(size);
        var control = files.AddedTokens.Where(token => token.Special).Select(token => token.Text).ToHashSet(StringComparer.Ordinal);
        foreach (var (text, id) in files.Pieces(size)
            .Concat(files.AddedTokens.Select(token => (token.Text, TokenizerFiles.Within(token.Id, token.Text, size)))))
        {
            kinds[id] = control.Contains(text) ? TokenKind.Control : TokenKind.Normal;
            tokens[id] = control.Contains(text) ? text
                : text.StartsWith(Continues, StringComparison.Ordinal) && text.Length > Continues.Length ? text[Continues.Length..]
                : "\u2581" + text;
        }

        if (files.Special("cls") is null || files.Special("sep") is null)
        {
            throw new SafeTensorsException(
                "tokenizer_config.json: cls_token or sep_token is missing; a text cannot be closed without them");
        }

        var vocabulary = new Vocabulary { Model = "bert", Tokens = tokens, Kinds = kinds };
        foreach (var name in new[] { "lowercase", "strip_accents" })
        {
            if (files.Json["normalizer"][name].AsFlag is { } flag)
                vocabulary.Set("normalizer." + name, flag);
        }

        return vocabulary;
    }
}
