using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// The requests in flight, and how a server stops: first it takes no new ones and lets these end (drain), then it ends them.
/// </summary>
internal sealed class InFlightRequests : IDisposable
{
    private readonly ServerState _state;
    private readonly IdleGarbageCollection _collection;
    private readonly CancellationTokenSource _end = new();
    private readonly Lock _lock = new();
    private readonly TimeSpan? _limit;
    private TaskCompletionSource? _empty;
    private int _count;

    /// <summary>Makes one; <paramref name="state"/> learns when the server drains.</summary>
    public InFlightRequests(ServerState state)
    {
        _state = state;
        _limit = state.RequestTimeout;
        _collection = new IdleGarbageCollection(() => Volatile.Read(ref _count) == 0, TimeProvider.System);
    }

    /// <summary>
    /// Counts a request in until it is disposed, and lets its <see cref="HttpContext.RequestAborted"/> end with the drain time. Throws
    /// <see cref="ApiException"/> (503) while the server drains; routes that are <see cref="RoutePolicy.DuringDrain"/> go on.
    /// </summary>
    public IDisposable Enter(HttpContext context)
    {
        if (RequestContext.Of(context).Match!.Is(RoutePolicy.DuringDrain))
            return Nothing.Instance;
        lock (_lock)
        {
            if (_state.Draining)
                throw new ApiException(503, "the server is stopping", "draining") { RetryAfterSeconds = 1 };
            _count++;
        }
        return new Entry(this, context);
    }

    /// <summary>
    /// Takes no new requests from now on, waits for those that run, at most <paramref name="limit"/>, then ends what is left.
    /// </summary>
    public async Task DrainAsync(TimeSpan limit)
    {
        TaskCompletionSource empty;
        lock (_lock)
        {
            _state.BeginDrain();
            empty = _empty = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_count == 0)
                empty.SetResult();
        }
        await empty.Task.WaitAsync(limit).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _end.CancelAsync().ConfigureAwait(false);
        // Those that were ended still say so to their clients.
        await empty.Task.WaitAsync(TimeSpan.FromSeconds(2)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _collection.Dispose();
        _end.Dispose();
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_count > 0)
                return;
            _empty?.TrySetResult();
        }
        _collection.Begin();
    }

    private sealed class Nothing : IDisposable
    {
        public static readonly Nothing Instance = new();

        public void Dispose()
        {
        }
    }

    private sealed class Entry : IDisposable
    {
        private readonly InFlightRequests _requests;
        private readonly CancellationTokenSource _either;
        private readonly CancellationTokenSource _servers;
        private readonly RequestDeadline _deadline;

        public Entry(InFlightRequests requests, HttpContext context)
        {
            _requests = requests;
            // Each message on a socket has a deadline of its own; the socket has none.
            _deadline =
                RequestDeadline.Begin(context, RequestContext.Of(context).Match!.OpensSocket(context.Request) ? null : requests._limit);
            _servers = CancellationTokenSource.CreateLinkedTokenSource(requests._end.Token, _deadline.Token);
            _either = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, _servers.Token);
            ClientConnection.EndWith(context, _either.Token, _servers.Token);
        }

        public void Dispose()
        {
            _either.Dispose();
            _servers.Dispose();
            _deadline.Dispose();
            _requests.Leave();
        }
    }
}
