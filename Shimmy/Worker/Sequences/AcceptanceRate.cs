namespace Shimmy.Worker.Sequences;

/// <summary>
/// How often a predicted token was right, by the length of the match behind the prediction. Starts from a guess; old tokens lose weight.
/// </summary>
internal sealed class AcceptanceRate
{
    // In tokens: the rate over all sequences of a model changes slowly.
    private const double LongMemory = 512;

    // Upper bounds of the classes of match lengths.
    private static readonly int[] Lengths = [2, 3, 4, 6, 10, 18, 34, int.MaxValue];
    private static readonly double[] Guesses = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

    // The guess counts as so many tokens, and all that was seen as at most Memory tokens.
    private const double WeightOfGuess = 4;
    private const double Memory = 32;

    private readonly double[] _hits = new double[Guesses.Length];
    private readonly double[] _trials = new double[Guesses.Length];
    private readonly AcceptanceRate? _experience;
    private readonly double _memory;

    /// <param name="experience">
    /// The rate over all sequences of the model: the guess to start from, and updated by this one too; null starts from fixed guesses.
    /// </param>
    public AcceptanceRate(AcceptanceRate? experience = null)
    {
        (_experience, _memory) = (experience, experience is null ? LongMemory : Memory);
        for (var i = 0; i < Guesses.Length; i++)
        {
            _hits[i] = WeightOfGuess * (experience is null ? Guesses[i] : experience._hits[i] / experience._trials[i]);
            _trials[i] = WeightOfGuess;
        }
    }

    /// <summary>Counts a token.</summary>
    public void Note(int match, bool hit)
    {
        _experience?.Note(match, hit);
        var at = ClassOf(match);
        var keep = _trials[at] >= _memory ? (_memory - 1) / _memory : 1;
        _hits[at] = _hits[at] * keep + (hit ? 1 : 0);
        _trials[at] = _trials[at] * keep + 1;
    }

    /// <summary>The probability that the next predicted token is right.</summary>
    public double Of(int match)
    {
        var at = ClassOf(match);
        return _hits[at] / _trials[at];
    }

    private static int ClassOf(int match)
    {
        var at = 0;
        while (match > Lengths[at])
            at++;
        return at;
    }
}

/// <summary>
/// Acceptance rate of a draft model's tokens in one sequence. Drafting costs time before it is known whether it pays, so after drafts that
/// did not pay there is a pause, twice as long each time.
/// </summary>
internal sealed class DraftBackoff
{
    private const double Guess = 0.7;
    private const double WeightOfGuess = 4;
    private const double Memory = 64;
    private const int ShortestPause = 32;
    private const int LongestPause = 1024;

    private double _hits = Guess * WeightOfGuess;
    private double _trials = WeightOfGuess;
    private int _pause = ShortestPause;
    private int _resumesAt;

    /// <summary>The probability that the next drafted token is accepted.</summary>
    public double Chance => _hits / _trials;

    /// <summary>Counts a draft.</summary>
    public void Note(int drafted, int accepted)
    {
        var trials = Math.Min(drafted, accepted + 1);
        var keep = Math.Max(0, Math.Min(1, (Memory - trials) / _trials));
        _hits = _hits * keep + accepted;
        _trials = _trials * keep + trials;
    }

    /// <summary>Whether the pause still lasts, by the number of tokens generated.</summary>
    public bool IsPaused(int generated) => generated < _resumesAt;

    /// <summary>Starts a pause: drafting does not pay at present.</summary>
    public void Pause(int generated)
    {
        _resumesAt = generated + _pause;
        _pause = Math.Min(2 * _pause, LongestPause);
        (_hits, _trials) = (Guess * WeightOfGuess, WeightOfGuess);
    }
}
