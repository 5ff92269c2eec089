using Shimmy.Engine;

namespace Shimmy.Worker.Model;

/// <summary>
/// Refuses a text that is far too long for the context after tokenizing its beginning: tokenizing megabytes takes seconds and a hundred
/// times their memory.
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
}
