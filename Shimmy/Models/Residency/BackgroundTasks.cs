namespace Shimmy.Models.Residency;

/// <summary>Tasks that are awaited on disposal only. From any thread.</summary>
internal sealed class BackgroundTasks
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _tasks = [];

    /// <summary>Adds one that has begun.</summary>
    public void Add(Task task)
    {
        lock (_lock)
        {
            _tasks.RemoveWhere(other => other.IsCompleted);
            _tasks.Add(task);
        }
    }

    /// <summary>Waits until all have ended, also those that they began. Never faults.</summary>
    public async Task EndAsync()
    {
        while (true)
        {
            Task[] open;
            lock (_lock)
                open = [.. _tasks.Where(task => !task.IsCompleted)];
            if (open.Length == 0)
                return;
            await Task.WhenAll(open).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
