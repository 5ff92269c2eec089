using Shimmy.Engine;

namespace Shimmy.Worker.Model;

/// <summary>Tells of a text far too long for a context that it is, by its beginning: tokenizing megabytes takes seconds and a hundred times their memory.</summary>
internal static class PromptLengthCheck
{
    // Fewer characters than one token has in any text that is no abuse: what is shorter by this measure is tokenized whole in any case.
    private const int CharactersPerToken = 8;

    // Tokenized at a time: some ten milliseconds, after which it is seen whether somebody still waits.
    private const int Piece = 16 * 1024;

    // A piece that is cut off has more tokens than the same text within the whole: at the cut, and for what the vocabulary puts before a text.
    private const int TokensOfCut = 64;

    /// <summary>
    /// A number of tokens that the prompt surely has, beyond <paramref name="limit"/> by far; null where it may fit. Throws
    /// <see cref="OperationCanceledException"/>.
    /// </summary>
    public static int? TokensAtLeast(Vocabulary vocabulary, Prompt prompt, int limit, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var length = prompt.Parts.Sum(part => (long)part.Text.Length);
        if (prompt.Tokens is not null || length <= Piece || length / CharactersPerToken <= limit)
            return null;
        var text = prompt.WholeText();
        var least = 0;
        for (var start = 0; start < text.Length;)
        {
            cancellation.ThrowIfCancellationRequested();
            var end = Math.Min(start + Piece, text.Length);
            if (end < text.Length && char.IsHighSurrogate(text[end - 1]))
                end--;
            // With its special tokens, which makes fewer tokens of a text than without.
            least += vocabulary.Count(text.AsSpan(start, end - start)) - TokensOfCut;
            start = end;
            // How a text is tokenized depends on all of it: within a quarter of the limit nothing is taken for sure.
            if (least > limit + (limit / 4))
                return least;
        }
        return null;
    }
}
