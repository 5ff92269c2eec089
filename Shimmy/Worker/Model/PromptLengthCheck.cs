using Shimmy.Engine;

namespace Shimmy.Worker.Model;

/// <summary>
/// Refuses a text that is far too long for the context after tokenizing its beginning: tokenizing megabytes takes seconds and a hundred
/// times their memory. Cuts texts that a request wants cut.
/// </summary>
internal static class PromptLengthCheck
{
    // Texts that fit the limit at this many characters a token are tokenized whole; ordinary text has fewer.
    private const int CharactersPerToken = 8;

    // Shorter texts are tokenized whole for the exact number of their tokens, which agents read in the error: some 0.2 s at the most.
    private const int Exact = 256 * 1024;

    // Characters tokenized at a time: some ten milliseconds between two looks at the cancellation.
    private const int Piece = 16 * 1024;

    // A piece may have more tokens than the same text within the whole: at its cut ends, and for the prefix of some vocabularies.
    private const int TokensOfCut = 64;

    /// <summary>
    /// A number of tokens that the prompt surely has, beyond <paramref name="limit"/> by far; null where it may fit. Throws
    /// <see cref="OperationCanceledException"/>.
    /// </summary>
    public static int? TokensAtLeast(Vocabulary vocabulary, Prompt prompt, int limit, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var length = prompt.Parts.Sum(part => (long)part.Text.Length);
        if (prompt.Tokens is not null || length <= Exact || length / CharactersPerToken <= limit)
            return null;
        var text = prompt.WholeText();
        var least = 0;
        for (var start = 0; start < text.Length;)
        {
            cancellation.ThrowIfCancellationRequested();
            var end = Math.Min(start + Piece, text.Length);
            if (end < text.Length && char.IsHighSurrogate(text[end - 1]))
                end--;
            // Special tokens are recognised: that gives the smaller number.
            least += vocabulary.Count(text.AsSpan(start, end - start)) - TokensOfCut;
            start = end;
            // Tokenization depends on the whole text, so a number within a quarter of the limit is not sure.
            if (least > limit + (limit / 4))
                return least;
        }
        return null;
    }

    // Enough for any text that one would embed: then what is cut off is beyond the limit of tokens for sure, or near it.
    private const int MostCharactersPerToken = 64;

    /// <summary>The request with texts so short that tokenizing them costs little; what is cut off would not fit.</summary>
    public static EmbeddingRequest Cut(EmbeddingRequest request, int limit)
    {
        return request.Document is { } document
            ? request with { Document = Beginning(document) }
            : request with { Prompt = Beginning(request.Prompt) };

        Prompt Beginning(Prompt prompt)
        {
            var most = limit * MostCharactersPerToken;
            if (prompt.Tokens is not null || prompt.Parts.Sum(part => (long)part.Text.Length) <= most)
                return prompt;
            var text = prompt.WholeText();
            return prompt with { Parts = [new PromptPart(Whole(text, most), prompt.Parts[0].ParseSpecial)] };
        }
    }

    /// <summary>Cuts tokens to the limit; a special token that ends every text stays at the end.</summary>
    public static void Cut(List<int> tokens, int limit, Vocabulary vocabulary)
    {
        var last = tokens[^1];
        tokens.RemoveRange(limit, tokens.Count - limit);
        if (vocabulary.IsControl(last))
            tokens[^1] = last;
    }

    /// <summary>The tokens of a text with its document shortened until they fit the limit; too many still where they never do.</summary>
    public static List<int> Cut(List<int> tokens, int limit, string document, Func<string, List<int>> tokenize)
    {
        while (tokens.Count > limit && document.Length > 0)
        {
            // By the share that is too much, and a little more, so that a few rounds are enough.
            var left = (int)((long)document.Length * limit / tokens.Count) - 1;
            document = Whole(document, Math.Clamp(left, 0, document.Length - 1));
            tokens = tokenize(document);
        }

        return tokens;
    }

    // Not in the middle of a character.
    private static string Whole(string text, int length) =>
        text[..(length > 0 && char.IsHighSurrogate(text[length - 1]) ? length - 1 : length)];
}
