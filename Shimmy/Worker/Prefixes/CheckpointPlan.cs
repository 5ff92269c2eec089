namespace Shimmy.Worker.Prefixes;

/// <summary>
/// Where checkpoints are taken while a prompt is computed: where the next prompt of a conversation is likely to part from this one. That is
/// at the last turns, which control tokens mark; at the end, for the same prompt again (<see cref="PromptLogitsCache"/>); some way before
/// it, for the same text with another question behind it; and every so many tokens, for prompts that share their beginning.
/// </summary>
internal static class CheckpointPlan
{
    /// <summary>Fewer tokens are sooner computed than kept.</summary>
    public const int ShortestStep = 64;

    // From the last checkpoint to the end of the prompt: where a turn begins in so many tokens, they are few enough to be computed at once.
    private const int Tail = 16;

    // From the last but one to the end, where no turn begins near it: as much as changes at the end of a text, such as a question.
    private const int Ending = 256;

    // Turns, from the end, at whose beginning one is taken: the answer's, the last user's.
    private const int Turns = 2;

    // A checkpoint at regular places is taken the more seldom the larger it is.
    private const long BytesPerStep = 8L << 20;

    /// <summary>Tokens between regular checkpoints of this size.</summary>
    public static int StepOf(int shortest, long bytes) =>
        (int)Math.Min(1 << 20, shortest * Math.Max(1, (bytes + BytesPerStep - 1) / BytesPerStep));

    /// <summary>The lengths in order, each behind <paramref name="cached"/>.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="cached">Tokens that are computed already.</param>
    /// <param name="step">Tokens between regular checkpoints.</param>
    /// <param name="isControl">Whether a token is a control token.</param>
    /// <param name="isBlank">Whether a token is nothing but blanks.</param>
    public static int[] Of(ReadOnlySpan<int> prompt, int cached, int step, Func<int, bool> isControl, Func<int, bool> isBlank)
    {
        var last = prompt.Length - 1;
        var places = new SortedSet<int>();
        var turns = 0;
        for (var i = last; i > cached + ShortestStep && turns < Turns; i--)
        {
            if (!BeginsTurn(prompt, i))
                continue;
            Add(i);
            turns++;
        }
        if (last - Tail >= cached + ShortestStep && (places.Count == 0 || last - places.Max > Tail))
        {
            // Without the logits behind it, the last token has to be computed.
            Add(last - 1);
            places.Add(prompt.Length);
        }
        if (last - Ending >= cached + ShortestStep
            && places.GetViewBetween(last - (2 * Ending) + ShortestStep, last - (Ending / 2)).Count == 0)
        {
            Add(last - Ending);
        }
        for (var place = (cached / step + 1) * step; place < last; place += step)
        {
            if (place >= cached + ShortestStep && places.GetViewBetween(place - ShortestStep, place + ShortestStep).Count == 0)
                places.Add(place);
        }
        return [.. places];

        // At a regular place it would be left out where the state is large; a token before serves as well.
        void Add(int place) => places.Add(place % step == 0 ? place - 1 : place);

        // A control token that follows another at once, or behind a line break: one ends a turn, the next begins one.
        bool BeginsTurn(ReadOnlySpan<int> tokens, int i) => IsControl(tokens[i])
            && (IsControl(tokens[i - 1]) || (i > 1 && IsControl(tokens[i - 2]) && tokens[i - 1] >= 0 && isBlank(tokens[i - 1])));

        bool IsControl(int token) => token >= 0 && isControl(token);
    }
}
