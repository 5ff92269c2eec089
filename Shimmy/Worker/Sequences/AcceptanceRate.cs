namespace Shimmy.Worker.Sequences;

/// <summary>How often the next token was the foretold one, by how much stood behind the foretelling. Begins with a guess and forgets.</summary>
internal sealed class AcceptanceRate
{
    // What all sequences of a model have seen changes slowly.
    private const double LongMemory = 512;

    // Matches up to these lengths are judged alike.
    private static readonly int[] Lengths = [2, 3, 4, 6, 10, 18, 34, int.MaxValue];
    private static readonly double[] Guesses = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

    // The guess counts like so many tokens, and what was seen long ago no more than this many.
    private const double WeightOfGuess = 4;
    private const double Memory = 32;

    private readonly double[] _hits = new double[Guesses.Length];
    private readonly double[] _trials = new double[Guesses.Length];
    private readonly AcceptanceRate? _experience;
    private readonly double _memory;

    /// <param name="experience">What other sequences of the model saw, which is the guess to begin with and learns from this one too; null begins anew.</param>
    public AcceptanceRate(AcceptanceRate? experience = null)
    {
        (_experience, _memory) = (experience, experience is null ? LongMemory : Memory);
        for (var i = 0; i < Guesses.Length; i++)
        {
            _hits[i] = WeightOfGuess * (experience is null ? Guesses[i] : experience._hits[i] / experience._trials[i]);
            _trials[i] = WeightOfGuess;
        }
    }

    /// <summary>Takes note of a token that came.</summary>
    public void Note(int match, bool hit)
    {
        _experience?.Note(match, hit);
        var at = ClassOf(match);
        var keep = _trials[at] >= _memory ? (_memory - 1) / _memory : 1;
        _hits[at] = _hits[at] * keep + (hit ? 1 : 0);
        _trials[at] = _trials[at] * keep + 1;
    }

    /// <summary>The chance that the next token is the foretold one.</summary>
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
/// How far a draft model's proposals came true in one sequence. They cost time before it is known whether they are any good, so after some
/// that did not pay, none are asked for during a while; longer each time.
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

    /// <summary>The chance that the next proposed token comes.</summary>
    public double Chance => _hits / _trials;

    /// <summary>Takes note of a draft's fate.</summary>
    public void Note(int drafted, int accepted)
    {
        var trials = Math.Min(drafted, accepted + 1);
        var keep = Math.Max(0, Math.Min(1, (Memory - trials) / _trials));
        _hits = _hits * keep + accepted;
        _trials = _trials * keep + trials;
    }

    /// <summary>Whether to ask again after a pause, by how many tokens were generated.</summary>
    public bool Rests(int generated) => generated < _resumesAt;

    /// <summary>It does not pay at present.</summary>
    public void Rest(int generated)
    {
        _resumesAt = generated + _pause;
        _pause = Math.Min(2 * _pause, LongestPause);
        (_hits, _trials) = (Guess * WeightOfGuess, WeightOfGuess);
    }
}
