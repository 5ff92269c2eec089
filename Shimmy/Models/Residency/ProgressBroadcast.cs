namespace Shimmy.Models.Residency;

/// <summary>Reports the progress of one load to all requests that wait for it. Thread-safe.</summary>
internal sealed class ProgressBroadcast : IProgress<float>
{
    private readonly Lock _lock = new();
    private readonly List<IProgress<float>> _listeners = [];

    /// <summary>Progress of the load, 0 to 1.</summary>
    public float Value { get; private set; }

    /// <summary>Adds a listener; it gets the current progress at once, unless that is 0. Null is ignored.</summary>
    public void Add(IProgress<float>? listener)
    {
        if (listener is null)
            return;

        lock (_lock)
        {
            _listeners.Add(listener);
        }

        if (Value > 0)
            listener.Report(Value);
    }

    /// <summary>Removes a listener. Null is ignored.</summary>
    public void Remove(IProgress<float>? listener)
    {
        lock (_lock)
        {
            if (listener is not null)
                _listeners.Remove(listener);
        }
    }

    /// <inheritdoc/>
    public void Report(float value)
    {
        IProgress<float>[] listeners;
        lock (_lock)
        {
            Value = value;
            listeners = [.. _listeners];
        }

        foreach (var listener in listeners)
            listener.Report(value);
    }
}
