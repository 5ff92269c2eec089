namespace Shimmy.Worker.Sequences;

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
