using Shimmy.Models.Residency;
using Shimmy.Observability;

namespace Shimmy.Http;

/// <summary>
/// The figures of the last quarter of an hour, one point every five seconds, for <c>/api/events</c>. Asks workers only while requests run,
/// so that a server without work wakes none of them.
/// </summary>
internal sealed class LiveFigures : IAsyncDisposable
{
    /// <summary>Time between two points.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    private const int Most = 180;

    private readonly LiveRequests _requests;
    private readonly RequestMetrics _metrics;
    private readonly ModelResidency _residency;
    private readonly Lock _lock = new();
    private readonly Queue<Figures> _points = new(Most);
    private readonly PeriodicTimer _timer = new(Interval);
    private readonly Task _measuring;
    private long _ended;
    private long _tokens;
    private long _last;

    public LiveFigures(LiveRequests requests, RequestMetrics metrics, ModelResidency residency)
    {
        (_requests, _metrics, _residency) = (requests, metrics, residency);
        _measuring = MeasureAsync();
    }

    /// <summary>The points after the one with a number, oldest first.</summary>
    public IReadOnlyList<Figures> After(long number)
    {
        lock (_lock)
            return _last <= number ? [] : [.. _points.Where(point => point.Number > number)];
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _timer.Dispose();
        await _measuring.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task MeasureAsync()
    {
        while (await _timer.WaitForNextTickAsync().ConfigureAwait(false))
        {
            var running = _requests.Running;
            var ended = _requests.EndedAfter(_ended);
            _ended = ended.Count == 0 ? _ended : ended[^1].Number;
            double[] firsts = [.. ended.Select(request => request.Summary.ToFirstToken).OfType<TimeSpan>()
                .Select(time => time.TotalMilliseconds)];
            // A request that is broken off counts with what it had, so the sum may fall by a token; a rate may not.
            var tokens = _metrics.GeneratedTokens + _requests.TokensOfRunning;
            var rate = Math.Max(0, tokens - _tokens) / Interval.TotalSeconds;
            _tokens = tokens;
            var waiting = running.Count == 0 ? 0 : await WaitingAsync().ConfigureAwait(false);
            lock (_lock)
            {
                if (_points.Count == Most)
                    _points.Dequeue();
                _points.Enqueue(new Figures(++_last, DateTimeOffset.UtcNow, rate, firsts.Length == 0 ? null : firsts.Average(),
                    running.Count, waiting, ProcessFacts.ResidentBytes, _residency.Resident.Sum(model => model.MemoryBytes)));
            }
        }
    }

    // Those that wait for their model to be loaded, and those that wait for a slot of it.
    private async Task<int> WaitingAsync()
    {
        var asked = await ModelMetrics.AskAsync(_residency, CancellationToken.None).ConfigureAwait(false);
        return asked.Sum(model => model.Statistics?.Waiting ?? 0)
            + _residency.Resident.Where(model => model.Model is null).Sum(model => model.Requests);
    }
}

/// <summary>The figures of five seconds.</summary>
/// <param name="Number">Counts up by one a point.</param>
/// <param name="Time">The end of the five seconds.</param>
/// <param name="TokensPerSecond">Tokens generated a second, by all models.</param>
/// <param name="FirstTokenMilliseconds">Mean time to the first token of the requests that ended; null where none did.</param>
/// <param name="Running">Requests in flight.</param>
/// <param name="Waiting">Requests that wait for a model or a slot.</param>
/// <param name="ServerBytes">Memory of the server's process.</param>
/// <param name="ModelsBytes">Memory of the models.</param>
internal sealed record Figures(long Number, DateTimeOffset Time, double TokensPerSecond, double? FirstTokenMilliseconds, int Running,
    int Waiting, long ServerBytes, long ModelsBytes);
