using System.Diagnostics;
using Shimmy.Worker.Model;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Scheduling;

/// <summary>
/// Rotation among the LoRA adapter sets of the running sequences, because a decode applies one set. A set keeps its turn for 40 ms, since
/// changing it makes llama.cpp build its graph again; next is the set that has waited the longest.
/// </summary>
internal sealed class AdapterRotation
{
    private static readonly TimeSpan TimeEach = TimeSpan.FromMilliseconds(40);

    private readonly Dictionary<AdapterSet, long> _lastTurn = [];
    private AdapterSet? _current;
    private long _since;
    private long _turn;

    /// <summary>The set of this turn; null where nothing runs.</summary>
    public AdapterSet? Choose(List<Sequence> running)
    {
        if (running.Count == 0)
            return _current = null;
        var first = running[0].Adapters;
        if (running.TrueForAll(sequence => sequence.Adapters.Equals(first)))
        {
            if (!first.Equals(_current))
                Begin(first);
            return first;
        }
        // A sequence that waits for another's prefix has nothing to compute.
        var ready = running.Where(sequence => sequence.Joins is null).Select(sequence => sequence.Adapters).Distinct().ToArray();
        if (_current is null || !ready.Contains(_current) || Stopwatch.GetElapsedTime(_since) >= TimeEach)
        {
            foreach (var gone in _lastTurn.Keys.Except(ready).ToArray())
                _lastTurn.Remove(gone);
            Begin(ready.MinBy(set => _lastTurn.GetValueOrDefault(set)) ?? first);
        }
        _lastTurn[_current!] = ++_turn;
        return _current;
    }

    private void Begin(AdapterSet set)
    {
        _current = set;
        _since = Stopwatch.GetTimestamp();
    }
}
