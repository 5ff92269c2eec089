namespace Shimmy.Engine.Llama;

/// <summary>
/// Keeps the number of threads right while the model runs: what else the machine does changes, and with it how long threads wait for each
/// other. Now and then a few steps run with the next larger or smaller number; it stays where it was clearly faster. Trials that bring
/// nothing become rarer, so that on a quiet machine they cost next to nothing.
/// </summary>
internal sealed class ThreadTuner
{
    private const int TrialSteps = 4;
    private const int ShortestInterval = 128;
    private const int LongestInterval = 16 * 1024;
    private const double ClearlyFaster = 0.9;
    private const double ClearlySlower = 2.0;

    private readonly int[] _candidates;
    private readonly Queue<double> _recent = new();
    private readonly List<double> _trial = [];
    private int _current;
    private int _tried = -1;
    private int _interval = ShortestInterval;
    private int _steps;
    private bool _up;

    /// <param name="candidates">Numbers of threads, ascending.</param>
    /// <param name="initial">The one to begin with.</param>
    public ThreadTuner(IReadOnlyList<int> candidates, int initial)
    {
        _candidates = [.. candidates];
        _current = Math.Max(0, Array.IndexOf(_candidates, initial));
    }

    /// <summary>The number of threads for the next step.</summary>
    public int Threads => _candidates[_tried >= 0 ? _tried : _current];

    /// <summary>Learns how long a step took; the unit must be the same each time.</summary>
    public void Observe(double time)
    {
        if (_candidates.Length < 2)
            return;
        if (_tried >= 0)
        {
            ObserveTrial(time);
            return;
        }
        _recent.Enqueue(time);
        if (_recent.Count > 2 * TrialSteps)
            _recent.Dequeue();
        if (++_steps < _interval || _recent.Count < 2 * TrialSteps)
            return;
        _steps = 0;
        _up = !_up;
        var next = _current + (_up ? 1 : -1);
        if (next >= 0 && next < _candidates.Length)
            _tried = next;
    }

    private void ObserveTrial(double time)
    {
        _trial.Add(time);
        var usual = Median(_recent);
        // The first step with other threads wakes them up, so it only counts where it is hopeless.
        var hopeless = time > ClearlySlower * usual && _trial.Count > 1;
        if (_trial.Count <= TrialSteps && !hopeless)
            return;
        var better = !hopeless && Median(_trial.Skip(1)) < ClearlyFaster * usual;
        _interval = better ? ShortestInterval : Math.Min(2 * _interval, LongestInterval);
        if (better)
        {
            _current = _tried;
            _recent.Clear();
        }
        _tried = -1;
        _trial.Clear();
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
