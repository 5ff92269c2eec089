namespace Shimmy.Models.Residency;

/// <summary>Tasks that run in the background until <see cref="EndAsync"/> awaits them. Thread-safe.</summary>
internal sealed class BackgroundTasks
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _tasks = [];

    /// <summary>Registers a task that is already running; completed tasks are forgotten.</summary>
    public void Add(Task task)
    {
        lock (_lock)
        {
            _tasks.RemoveWhere(other => other.IsCompleted);
            _tasks.Add(task);
        }
    }

    /// <summary>
    /// Waits until all tasks have completed, also those registered meanwhile. Never throws: their failures are suppressed.
    /// </summary>
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
