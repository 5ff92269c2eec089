namespace Shimmy.Worker.Model;

/// <summary>
/// Adjusts the number of threads while the model runs, since the load of the machine changes, and with it how long threads wait for each
/// other. Now and then a few steps run with the next larger or smaller number, which is kept where it was clearly faster. Trials without
/// success become rarer, so that they cost almost nothing on a quiet machine. Where steps suddenly take many times as long, fewer threads
/// are tried at once: if another program takes a core, each barrier of a step waits for it, and fewer threads are a hundred times as fast.
/// </summary>
internal sealed class ThreadTuner
{
    private const int TrialSteps = 4;
    private const int ShortestInterval = 128;
    private const int LongestInterval = 16 * 1024;
    private const double ClearlyFaster = 0.9;
    private const double ClearlySlower = 2.0;

    // So many steps in a row that take SlowdownFactor times as long are no accident.
    private const int SlowdownSteps = 2;
    private const double SlowdownFactor = 5.0;
    private const double RecoveryFactor = 0.5;

    private readonly int[] _candidates;
    private readonly Queue<double> _recent = new();
    private readonly List<double> _slow = [];
    private readonly List<double> _trial = [];
    private int _current;
    private int _tried = -1;
    private bool _alarmed;
    private bool _reduced;
    private int _interval = ShortestInterval;
    private int _steps;
    private bool _up;

    /// <param name="candidates">Numbers of threads, ascending.</param>
    /// <param name="initial">The one to begin with.</param>
    /// <param name="usual">The time of a step with that number, in the unit of <see cref="Observe"/>; null where that is not known.</param>
    public ThreadTuner(IReadOnlyList<int> candidates, int initial, double? usual = null)
    {
        _candidates = [.. candidates];
        _current = Math.Max(0, Array.IndexOf(_candidates, initial));
        if (usual is { } time)
            _recent.Enqueue(time);
    }

    /// <summary>The number of threads for the next step.</summary>
    public int Threads => _candidates[_tried >= 0 ? _tried : _current];

    /// <summary>Whether it went over to fewer threads since the last call because steps took many times as long.</summary>
    public bool TakeReduced()
    {
        var reduced = _reduced;
        _reduced = false;
        return reduced;
    }

    /// <summary>Takes no more threads than another, which changed to fewer because steps were slow.</summary>
    public void Follow(ThreadTuner other)
    {
        if (_current <= other._current)
            return;
        (_current, _tried, _alarmed, _steps) = (other._current, -1, false, 0);
        _recent.Clear();
        _slow.Clear();
        _trial.Clear();
    }

    /// <summary>Records the time of a step; the unit must be the same each time.</summary>
    /// <param name="time">The time.</param>
    public void Observe(double time)
    {
        if (_candidates.Length < 2)
            return;
        if (_tried >= 0)
        {
            ObserveTrial(time);
            return;
        }
        if (IsAlarm(time))
            return;
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

    // Whether a step is slow beyond all measure; where several are, fewer threads are tried at once.
    private bool IsAlarm(double time)
    {
        if (_current == 0 || _recent.Count == 0 || time < SlowdownFactor * Median(_recent))
        {
            _slow.Clear();
            return false;
        }
        _slow.Add(time);
        if (_slow.Count == SlowdownSteps)
        {
            _alarmed = true;
            _tried = _current - 1;
        }
        return true;
    }

    private void ObserveTrial(double time)
    {
        _trial.Add(time);
        var usual = Median(_alarmed ? _slow : _recent);
        // The first step with other threads wakes them up, so it only counts where it is hopeless.
        var hopeless = time > ClearlySlower * usual && _trial.Count > 1;
        if (_trial.Count <= TrialSteps && !hopeless)
            return;
        var better = !hopeless && Median(_trial.Skip(1)) < (_alarmed ? RecoveryFactor : ClearlyFaster) * usual;
        _interval = better ? ShortestInterval : Math.Min(2 * _interval, LongestInterval);
        _reduced = better && _alarmed;
        if (better)
            _current = _tried;
        // The baseline from before the slowdown is stale.
        if (better || _alarmed)
            _recent.Clear();
        _tried = -1;
        _steps = 0;
        _alarmed = false;
        _slow.Clear();
        _trial.Clear();
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
