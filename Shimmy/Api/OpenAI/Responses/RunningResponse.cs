namespace Shimmy.Api.OpenAI.Responses;

/// <summary>An answer that is being given, which another request may cancel.</summary>
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

    /// <summary>Ends the generation.</summary>
    public CancellationToken Token { get; }

    /// <summary>Whether somebody asked for its end.</summary>
    public bool Cancelled => _cancelled;

    /// <summary>The answer as it stands at its beginning; null before that.</summary>
    public byte[]? Json { get; set; }

    /// <summary>What became of it; null where it broke off without an answer.</summary>
    public Task<StoredResponse?> Outcome => _outcome.Task;

    /// <summary>Ends it; <see cref="Outcome"/> tells when it has ended.</summary>
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

    /// <summary>Says what became of it.</summary>
    public void End(StoredResponse outcome) => _outcome.TrySetResult(outcome);

    /// <inheritdoc/>
    public void Dispose()
    {
        _ended(this);
        _outcome.TrySetResult(null);
        _end.Dispose();
    }
}
