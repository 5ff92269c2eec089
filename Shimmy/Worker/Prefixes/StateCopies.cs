using System.Diagnostics;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// Copies states between the slots' cells and the host's memory, and knows what that costs: how long a byte takes, and how much of the time
/// of running streams is left for it.
/// </summary>
/// <param name="context">The context.</param>
/// <param name="store">Where states are kept.</param>
/// <param name="folder">Where they are on disk; null where they are not.</param>
/// <param name="slidingWindow">Positions that a token sees in layers with a window; 0 where none has one.</param>
internal sealed class StateCopies(ContextHandle context, PrefixStore store, StateFolder? folder, int slidingWindow)
{
    // Of the time of running streams so much may go to copies, and so long at once.
    private const double ShareOfTime = 0.05;
    private static readonly TimeSpan LongestSave = TimeSpan.FromMilliseconds(100);

    private double _secondsPerByte = 1e-9;
    private TimeSpan _allowance = LongestSave;
    private long _allowanceAt = Stopwatch.GetTimestamp();

    /// <summary>Time that states took to be brought back.</summary>
    public TimeSpan RestoreTime { get; private set; }

    /// <summary>How long a state of so many bytes takes to be copied, in seconds.</summary>
    public double SecondsFor(long bytes) => bytes * _secondsPerByte;

    /// <summary>Whether so many bytes may be copied now; while streams run, what has been saved up of their time pays for it.</summary>
    /// <param name="bytes">Bytes of the state.</param>
    /// <param name="isNeeded">Whether it would be lost else; half of the time is left for such.</param>
    /// <param name="streamsRun">Whether streams run.</param>
    public bool MayTake(long bytes, bool isNeeded, bool streamsRun)
    {
        var (now, time) = (Stopwatch.GetTimestamp(), TimeSpan.FromSeconds(SecondsFor(bytes)));
        var saved = _allowance + (Stopwatch.GetElapsedTime(_allowanceAt, now) * ShareOfTime);
        (_allowance, _allowanceAt) = (saved < LongestSave ? saved : LongestSave, now);
        if (!streamsRun)
            return true;
        if (time > (isNeeded ? _allowance : _allowance / 2))
            return false;
        _allowance -= time;
        return true;
    }

    /// <summary>Copies a slot's state; null where llama.cpp cannot.</summary>
    public SavedState? Save(Slot slot, StateParts parts, long size)
    {
        var before = Stopwatch.GetTimestamp();
        if (context.SaveState(slot.Id, parts, size) is not { } buffer)
            return null;
        Observe(Stopwatch.GetElapsedTime(before), size);
        return new SavedState([.. slot.Tokens], [.. slot.Media], slot.Key!, buffer)
        {
            IsCheckpoint = parts == StateParts.Uncuttable,
            // Of a window, llama.cpp writes down no more than what the last token saw.
            FirstPosition = Math.Max(context.FirstPosition(slot.Id),
                slidingWindow > 0 ? FirstSeen(context.LastPosition(slot.Id)) : 0),
        };
    }

    /// <summary>
    /// Copies a state into a slot's cells. One that does not go in is given up, unless the cells of running sequences may be in its way.
    /// </summary>
    /// <param name="target">The slot.</param>
    /// <param name="parts">What the state is of.</param>
    /// <param name="state">The state.</param>
    /// <param name="othersRun">Whether other sequences run.</param>
    /// <param name="freeCells">Frees cells; false where none are left to free.</param>
    public bool Restore(Slot target, StateParts parts, SavedState state, bool othersRun, Func<bool> freeCells)
    {
        var before = Stopwatch.GetTimestamp();
        while (!context.RestoreState(target.Id, parts, state.Buffer))
        {
            // llama.cpp wants the cells of a window, of which there are few, side by side.
            if (slidingWindow > 0 && freeCells())
                continue;
            if (slidingWindow > 0 && othersRun)
                return false;
            folder?.Drop(state);
            store.Remove(state);
            return false;
        }
        var elapsed = Stopwatch.GetElapsedTime(before);
        RestoreTime += elapsed;
        Observe(elapsed, state.Buffer.Length);
        store.Hit(state);
        return true;
    }

    /// <summary>
    /// The first position that a token sees through the window, its own counted. llama.cpp's server wants one more (n_past - n_swa), but
    /// the cache gives the cells before this one to other sequences, whose text would have to be computed again for that.
    /// </summary>
    public int FirstSeen(int position) => Math.Max(0, position + 1 - slidingWindow);

    // Small states say little about the speed of memory.
    private void Observe(TimeSpan elapsed, long bytes)
    {
        if (bytes >= 1 << 20)
            _secondsPerByte = 0.5 * (_secondsPerByte + (elapsed.TotalSeconds / bytes));
    }
}
