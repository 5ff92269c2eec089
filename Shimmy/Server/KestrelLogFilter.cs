using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// The framework's loggers, filtered. Dropped are Kestrel's lines about streams that broke off, which have a line of their own already, and
/// about bodies that cannot be read to their end because the client left or sent invalid HTTP, which Kestrel logs as errors of the server.
/// Its lines about invalid requests quote headers, API keys included, and are logged here without.
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

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            if (exception is StreamBrokenException || eventId.Name == "RequestBodyDrainBodyReaderInvalidState")
                return;
            if (!quotes || exception is null)
            {
                logger.Log(logLevel, eventId, state, exception, formatter);
                return;
            }
            var connection = ConnectionIn(state);
            LogBadRequest(logger, eventId.Name ?? "", connection,
                (exception as BadHttpRequestException)?.StatusCode.ToString(CultureInfo.InvariantCulture) ?? "nothing");
        }

        private static string ConnectionIn(object? state) => state is IEnumerable<KeyValuePair<string, object?>> values
            ? values.FirstOrDefault(value => value.Key == "ConnectionId").Value as string ?? "-"
            : "-";
    }

    [LoggerMessage(LogLevel.Debug, "{Event} on connection {ConnectionId}, answered with {Status}")]
    private static partial void LogBadRequest(ILogger logger, string @event, string connectionId, string status);
}
