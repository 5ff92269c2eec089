using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Shimmy.Tests.Fixtures;

/// <summary>Keeps what is logged, a line an entry: level, message, exception.</summary>
internal sealed class CapturedLog : ILoggerFactory
{
    /// <summary>What was logged so far.</summary>
    public ConcurrentQueue<string> Lines { get; } = [];

    /// <summary>The least severe entries that are kept of loggers that are not ours.</summary>
    public LogLevel LeastOfOthers { get; init; } = LogLevel.Warning;

    /// <summary>Waits until a line holds this text: the line of a request is written after its answer.</summary>
    public async Task<string> WaitForAsync(string text)
    {
        string? found = null;
        try
        {
            await Poll.UntilAsync(() => (found = Lines.FirstOrDefault(line => line.Contains(text, StringComparison.Ordinal))) is not null,
                "it was logged");
        }
        catch (TimeoutException e)
        {
            throw new InvalidOperationException($"nothing with '{text}' was logged but:\n{string.Join('\n', Lines)}", e);
        }
        return found!;
    }

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
    }

    private sealed class Logger(CapturedLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= (category == "shimmy" ? LogLevel.Debug : log.LeastOfOthers);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                log.Lines.Enqueue($"{logLevel} {category} {formatter(state, exception)} {exception}");
        }
    }
}
