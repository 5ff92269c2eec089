using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;

namespace Shimmy.Models.Pull;

/// <summary>A pull of a server, which several requests may follow.</summary>
internal sealed class PullRun
{
    private readonly CancellationTokenSource _end;
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<PulledModel> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private PullStep _latest;
    private int _followers;
    private bool _isEnding; // it was ended, and only has not noticed yet

    /// <summary>A run that is not begun.</summary>
    public PullRun(PullName name, CancellationToken end)
    {
        Name = name;
        _end = CancellationTokenSource.CreateLinkedTokenSource(end);
        // Nobody may be there to see it fail.
        _ = _done.Task.ContinueWith(static task => _ = task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted,
            TaskScheduler.Default);
    }

    /// <summary>The name of the model.</summary>
    public PullName Name { get; }

    /// <summary>When it began.</summary>
    public DateTimeOffset StartedAt { get; } = DateTimeOffset.UtcNow;

    /// <summary>When it failed; null where it did not, yet.</summary>
    public DateTimeOffset? FailedAt { get; private set; }

    /// <summary>Completes once the registry has said what there is, and where it fails before.</summary>
    public Task Begun => _begun.Task;

    /// <summary>Completes with it.</summary>
    public Task<PulledModel> Done => _done.Task;

    /// <summary>How far it is.</summary>
    public PullStep Latest
    {
        get
        {
            lock (_lock)
                return _latest;
        }
    }

    /// <summary>
    /// Follows it, until what is given is disposed of: a pull that nobody follows any more is ended. Null where it is being ended.
    /// </summary>
    public IDisposable? Follow()
    {
        lock (_lock)
        {
            if (_isEnding)
                return null;
            _followers++;
        }
        return new Follower(this);
    }

    /// <summary>Does the work, once it is its turn.</summary>
    public async Task RunAsync(Func<Action<PullStep>, CancellationToken, Task<PulledModel>> pull)
    {
        try
        {
            _done.SetResult(await pull(Take, _end.Token).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            _done.SetCanceled();
        }
        catch (Exception e)
        {
            FailedAt = DateTimeOffset.UtcNow;
            _done.SetException(e);
        }
        finally
        {
            _begun.TrySetResult();
            lock (_lock)
                _end.Dispose();
        }
    }

    private void Take(PullStep step)
    {
        lock (_lock)
            _latest = step;
        if (step.Total > 0)
            _begun.TrySetResult();
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_followers > 0 || _done.Task.IsCompleted)
                return;
            _isEnding = true;
        }
        _ = Task.Run(Cancel);
    }

    private void Cancel()
    {
        try
        {
            _end.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has come to its end by itself meanwhile.
        }
    }

    private sealed class Follower(PullRun run) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
                run.Leave();
        }
    }
}

/// <summary>
/// The pulls of a server: one at a time, the others wait. Requests for one model share its pull. A client chooses among the models of the
/// registries; which hosts are asked is the owner's choice.
/// </summary>
/// <param name="puller">Pulls.</param>
/// <param name="host">The folders of this machine.</param>
/// <param name="registry">Learns of what came.</param>
/// <param name="pullsMissing">Whether a model that a request names and that is not here is pulled.</param>
/// <param name="log">Gets a line for the begin and the end of each.</param>
internal sealed class PullService(Puller puller, HostEnvironment host, ModelRegistry registry, bool pullsMissing, Action<string> log)
    : IAsyncDisposable
{
    private const int MostWaiting = 16;
    private const int MostFailed = 100;
    private static readonly TimeSpan FailureHolds = TimeSpan.FromMinutes(1);

    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Residency.BackgroundTasks _tasks = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<string, PullRun> _running = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, PullRun> _failed = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Whether a model that a request names and that is not here is pulled.</summary>
    public bool PullsMissing => pullsMissing && !puller.IsOffline;

    /// <summary>How long a request for a model that is being pulled waits for it.</summary>
    public TimeSpan PullWait { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The pulls that run or wait, in their order.</summary>
    public IReadOnlyList<PullRun> Runs
    {
        get
        {
            lock (_lock)
                return [.. _running.Values.OrderBy(run => run.StartedAt)];
        }
    }

    /// <summary>
    /// Pulls a model for a client, or joins the pull of it. Dispose of <paramref name="follower"/> at the end of the request. Throws
    /// <see cref="PullException"/> where the name is none that clients may pull.
    /// </summary>
    /// <param name="text">The name.</param>
    /// <param name="ofOllama">Whether a name of two parts is Ollama's.</param>
    /// <param name="follower">The client's interest in it.</param>
    public PullRun Begin(string text, bool ofOllama, out IDisposable follower)
    {
        var name = puller.NameOf(text, ofOllama);
        // A server that asks any host for its clients reaches what they cannot.
        if (name.Source == PullSource.Url || name.Host is not null)
        {
            throw new PullException(PullFailure.BadName,
                $"'{RegistryPath.Shown(text)}' names a URL or a host of its own, which is not allowed over HTTP; models of Hugging Face and of "
                + "Ollama's library are pulled by their names, others by shimmy pull on the server's machine");
        }
        return Begin(name, out follower);
    }

    /// <summary>
    /// The pull of a model that a request names and that is not here; null where the name is none that could be pulled. One that failed a
    /// moment ago is not tried again.
    /// </summary>
    public PullRun? BeginMissing(string text)
    {
        if (PullName.TryParse(text) is not { Source: not PullSource.Url, Host: null } name)
            return null;
        lock (_lock)
        {
            if (_failed.TryGetValue(name.Canonical, out var failed) && DateTimeOffset.UtcNow - failed.FailedAt < FailureHolds)
                return failed;
        }
        // Nobody waits for it, so nobody ends it.
        return Begin(name, out _);
    }

    /// <summary>Whether a model is one that was pulled.</summary>
    public bool HasPulled(string name, ModelEntry entry) => PulledModels.Has(host, name, entry);

    /// <summary>
    /// Removes a model that was pulled, as <see cref="PulledModels.Remove(HostEnvironment, string, ModelEntry?)"/> does, and looks again
    /// what there is.
    /// </summary>
    public async Task<RemovedModel> RemoveAsync(string name, ModelEntry entry, CancellationToken cancellation)
    {
        var removed = PulledModels.Remove(host, name, entry);
        log($"{removed.Name} was removed for a client");
        await registry.RefreshAsync(cancellation).ConfigureAwait(false);
        return removed;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _tasks.EndAsync().ConfigureAwait(false);
    }

    private PullRun Begin(PullName name, out IDisposable follower)
    {
        lock (_lock)
        {
            if (_running.TryGetValue(name.Canonical, out var run) && run.Follow() is { } joined)
            {
                follower = joined;
                return run;
            }
            if (_running.Count >= MostWaiting)
            {
                throw new PullException(PullFailure.QueueFull, $"{_running.Count} models are being pulled or wait; try again later")
                {
                    RetryAfterSeconds = 60,
                };
            }
            var started = new PullRun(name, _end.Token);
            follower = started.Follow()!;
            _running[name.Canonical] = started;
            _failed.Remove(name.Canonical);
            _tasks.Add(Task.Run(() => RunAsync(started)));
            return started;
        }
    }

    private async Task RunAsync(PullRun run)
    {
        try
        {
            await run.RunAsync(async (report, cancellation) =>
            {
                await _turn.WaitAsync(cancellation).ConfigureAwait(false);
                try
                {
                    log($"pulling {run.Name.Canonical}");
                    var pulled = await puller.PullAsync(run.Name, report, cancellation).ConfigureAwait(false);
                    log($"{pulled.Plan.Name} is pulled, {pulled.Fetched} bytes");
                    await registry.RefreshAsync(cancellation).ConfigureAwait(false);
                    return pulled;
                }
                finally
                {
                    _turn.Release();
                }
            }).ConfigureAwait(false);
        }
        finally
        {
            lock (_lock)
            {
                if (_running.GetValueOrDefault(run.Name.Canonical) == run)
                    _running.Remove(run.Name.Canonical);
                if (run.FailedAt is not null)
                {
                    if (_failed.Count >= MostFailed)
                        _failed.Clear();
                    _failed[run.Name.Canonical] = run;
                }
            }
            if (run.Done.Exception?.InnerException is { } failure)
                log($"{run.Name.Canonical} was not pulled: {failure.Message}");
        }
    }
}
