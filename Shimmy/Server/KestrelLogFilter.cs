using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// The loggers that the framework gets: ours, less what Kestrel says of streams that broke off, which have their own line already, and of
/// bodies that it cannot read to their end because their clients left or sent what is no HTTP, which it calls an error of the server. What it
/// says of requests that are no HTTP quotes their headers, with the keys in them, and is said here without.
/// </summary>
internal sealed partial class KestrelLogFilter(ILoggerFactory loggers) : ILoggerFactory
{
    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => categoryName switch
    {
        "Microsoft.AspNetCore.Server.Kestrel" => new WithoutClients(loggers.CreateLogger(categoryName), quotes: false),
        "Microsoft.AspNetCore.Server.Kestrel.BadRequests" => new WithoutClients(loggers.CreateLogger(categoryName), quotes: true),
        _ => loggers.CreateLogger(categoryName),
    };

    /// <inheritdoc/>
    public void AddProvider(ILoggerProvider provider) => loggers.AddProvider(provider);

    /// <summary>Does nothing: the loggers belong to whoever made them.</summary>
    public void Dispose()
    {
    }

    // One class for both categories: each costs a copy of its code for every message of the framework.
    private sealed class WithoutClients(ILogger logger, bool quotes) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => logger.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => logger.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (exception is StreamBrokenException || eventId.Name == "RequestBodyDrainBodyReaderInvalidState")
                return;
            if (!quotes || exception is null)
            {
                logger.Log(logLevel, eventId, state, exception, formatter);
                return;
            }
            var connection = ConnectionIn(state);
            LogBadRequest(logger, eventId.Name ?? "", connection, (exception as BadHttpRequestException)?.StatusCode.ToString(CultureInfo.InvariantCulture) ?? "nothing");
        }

        private static string ConnectionIn(object? state) => state is IEnumerable<KeyValuePair<string, object?>> values
            ? values.FirstOrDefault(value => value.Key == "ConnectionId").Value as string ?? "-"
            : "-";
    }

    [LoggerMessage(LogLevel.Debug, "{Event} on connection {ConnectionId}, answered with {Status}")]
    private static partial void LogBadRequest(ILogger logger, string @event, string connectionId, string status);
}
