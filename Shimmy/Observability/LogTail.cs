using Microsoft.Extensions.Logging;

namespace Shimmy.Observability;

/// <summary>
/// Keeps the last lines of the log in memory, for <c>/api/events</c>. Rendered prompts are left out: who may see them is decided there.
/// </summary>
internal sealed class LogTail : ILoggerProvider
{
    private const int Most = 300;
    private const int LongestLine = 2000;

    private readonly Lock _lock = new();
    private readonly Queue<LogLine> _lines = new(Most);
    private long _last;

    /// <summary>The lines after a number, oldest first, as far as they are still there.</summary>
    public IReadOnlyList<LogLine> After(long number)
    {
        lock (_lock)
            return _last <= number ? [] : [.. _lines.Where(line => line.Number > number)];
    }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private void Add(LogLevel level, string category, string text)
    {
        var cut = ShownText.Cut(text, LongestLine);
        lock (_lock)
        {
            if (_lines.Count == Most)
                _lines.Dequeue();
            _lines.Enqueue(new LogLine(++_last, DateTimeOffset.UtcNow, level, category, cut));
        }
    }

    private sealed class Logger(LogTail tail, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            if (eventId.Name == PromptEvent)
                return;
            var text = formatter(state, exception);
            tail.Add(logLevel, category, exception is null ? text : $"{text}: {exception.GetType().Name}: {exception.Message}");
        }
    }

    /// <summary>Name of the event under which rendered prompts are logged.</summary>
    public const string PromptEvent = "LogPrompt";
}

/// <summary>A line of the log.</summary>
/// <param name="Number">Counts up by one a line.</param>
/// <param name="Time">When it was written.</param>
/// <param name="Level">Its severity.</param>
/// <param name="Category">Who wrote it.</param>
/// <param name="Text">What it says.</param>
internal readonly record struct LogLine(long Number, DateTimeOffset Time, LogLevel Level, string Category, string Text);
