namespace Shimmy.Api.OpenAI.Responses;

/// <summary>An answer that is being generated, which another request may cancel.</summary>
internal sealed class RunningResponse : IDisposable
{
    private readonly CancellationTokenSource _end;
    private readonly Action<RunningResponse> _ended;
    private readonly TaskCompletionSource<StoredResponse?> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _cancelled;

    public RunningResponse(string id, Action<RunningResponse> ended, CancellationToken cancellation)
    {
        Id = id;
        _ended = ended;
        _end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Token = _end.Token;
    }

    /// <summary>The answer's id.</summary>
    public string Id { get; }

    /// <summary>Cancels the generation.</summary>
    public CancellationToken Token { get; }

    /// <summary>Whether a client has cancelled it.</summary>
    public bool Cancelled => _cancelled;

    /// <summary>The answer as it stands at its beginning; null before that.</summary>
    public byte[]? Json { get; set; }

    /// <summary>The finished answer; null where it broke off without one.</summary>
    public Task<StoredResponse?> Outcome => _outcome.Task;

    /// <summary>Ends it; <see cref="Outcome"/> completes when it has ended.</summary>
    public void Cancel()
    {
        _cancelled = true;
        try
        {
            _end.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It ended meanwhile by itself.
        }
    }

    /// <summary>Sets <see cref="Outcome"/>.</summary>
    public void End(StoredResponse outcome) => _outcome.TrySetResult(outcome);

    /// <inheritdoc/>
    public void Dispose()
    {
        _ended(this);
        _outcome.TrySetResult(null);
        _end.Dispose();
    }
}
