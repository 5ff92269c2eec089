using Microsoft.Extensions.Logging;
using Shimmy.Api;

namespace Shimmy.Server;

/// <summary>
/// The loggers that the framework gets: ours, less what Kestrel says of streams that broke off, which have their own line already, and of
/// bodies that it cannot read to their end because their clients left or sent what is no HTTP, which it calls an error of the server.
/// </summary>
internal sealed class FrameworkLog(ILoggerFactory loggers) : ILoggerFactory
{
    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => categoryName == "Microsoft.AspNetCore.Server.Kestrel"
        ? new WithoutWhatClientsBroke(loggers.CreateLogger(categoryName))
        : loggers.CreateLogger(categoryName);

    /// <inheritdoc/>
    public void AddProvider(ILoggerProvider provider) => loggers.AddProvider(provider);

    /// <summary>Does nothing: the loggers belong to whoever made them.</summary>
    public void Dispose()
    {
    }

    private sealed class WithoutWhatClientsBroke(ILogger logger) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => logger.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => logger.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (exception is not StreamBrokenException && eventId.Name != "RequestBodyDrainBodyReaderInvalidState")
                logger.Log(logLevel, eventId, state, exception, formatter);
        }
    }
}
