namespace Shimmy.Models.Residency;

/// <summary>Passes the progress of a load on to all requests that wait for it.</summary>
internal sealed class ProgressBroadcast : IProgress<float>
{
    private readonly Lock _lock = new();
    private readonly List<IProgress<float>> _listeners = [];

    /// <summary>Share done, 0 to 1.</summary>
    public float Value { get; private set; }

    /// <summary>Adds a listener, which gets the current progress at once.</summary>
    public void Add(IProgress<float>? listener)
    {
        if (listener is null)
        {
            return;
        }

        lock (_lock)
        {
            _listeners.Add(listener);
        }

        if (Value > 0)
        {
            listener.Report(Value);
        }
    }

    /// <summary>Removes a listener that waits no longer.</summary>
    public void Remove(IProgress<float>? listener)
    {
        lock (_lock)
        {
            if (listener is not null)
            {
                _listeners.Remove(listener);
            }
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
        {
            listener.Report(value);
        }
    }
}
