namespace Shimmy.Engine;

/// <summary>What the native libraries offer on this machine; asked once, since it takes a process of its own.</summary>
/// <param name="ask">Asks.</param>
internal sealed class BackendProbe(Func<CancellationToken, Task<BackendReport>> ask)
{
    private readonly Lock _lock = new();
    private Task<BackendReport>? _asked;

    /// <summary>The report. Throws <see cref="EngineException"/> where the libraries cannot be asked; the next call tries again.</summary>
    public async Task<BackendReport> GetAsync(CancellationToken cancellation)
    {
        Task<BackendReport> asked;
        lock (_lock)
        {
            if (_asked is null or { IsFaulted: true } or { IsCanceled: true })
                _asked = ask(CancellationToken.None);
            asked = _asked;
        }
        return await asked.WaitAsync(cancellation).ConfigureAwait(false);
    }
}
