namespace Shimmy.Server;

/// <summary>
/// A full garbage collection when the server has become idle. Under load, garbage is collected when the collector's own budgets say so,
/// tens of megabytes later than an idle server should keep them; and no request waits for the few milliseconds that a collection takes now.
/// </summary>
internal sealed class IdleGarbageCollection : IDisposable
{
    /// <summary>Time without a request after which the server counts as idle.</summary>
    public static readonly TimeSpan Moment = TimeSpan.FromSeconds(1);

    private const long Worthwhile = 1 << 20;

    private readonly Func<bool> _isQuiet;
    private readonly ITimer _timer;
    private long _allocated;

    /// <summary>Makes it; <paramref name="isQuiet"/> says whether the server is still idle.</summary>
    public IdleGarbageCollection(Func<bool> isQuiet, TimeProvider time)
    {
        _isQuiet = isQuiet;
        _timer = time.CreateTimer(static self => ((IdleGarbageCollection)self!).Collect(),
            this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Number of collections so far.</summary>
    public int Collections { get; private set; }

    /// <summary>The last request that ran has ended.</summary>
    public void Begin()
    {
        try
        {
            _timer.Change(Moment, Timeout.InfiniteTimeSpan);
        }
        catch (ObjectDisposedException)
        {
            // The server has stopped; this request outlived it by a moment.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Collect()
    {
        if (!_isQuiet() || GC.GetTotalAllocatedBytes() - _allocated < Worthwhile)
            return;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        _allocated = GC.GetTotalAllocatedBytes();
        Collections++;
    }
}
