using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>The right to use a loaded model, which stays in memory until the lease is disposed.</summary>
internal sealed class ModelLease : IDisposable
{
    private Action? _release;

    internal ModelLease(ModelEntry entry, ILoadedModel model, Action release)
    {
        Entry = entry;
        Model = model;
        _release = release;
    }

    /// <summary>The model's entry as the request named it.</summary>
    public ModelEntry Entry { get; }

    /// <summary>The model. If its worker dies, <see cref="ILoadedModel.Completion"/> completes and its methods throw.</summary>
    public ILoadedModel Model { get; }

    /// <summary>Ends the lease. Idempotent.</summary>
    public void Dispose() => Interlocked.Exchange(ref _release, null)?.Invoke();
}
