using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using ZLogger;

namespace Shimmy.Cli.Terminal;

/// <summary>The log of this process: on stderr, because stdout is for results, or in a file.</summary>
internal static class ConsoleLog
{
    /// <summary>
    /// A factory of loggers that write entries of <paramref name="least"/> severity and above to stderr, or to the end of a file; disposing
    /// it flushes; <paramref name="to"/> gets them in place of stderr where it is given. Throws <see cref="IOException"/> where the file
    /// cannot be written.
    /// </summary>
    public static ILoggerFactory Create(LogLevel least, bool asJson, string? file = null, Stream? to = null) =>
        LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(least);
        // ASP.NET logs each request in four entries; the access log has one line for it.
        logging.AddFilter("Microsoft", least <= LogLevel.Debug ? least : LogLevel.Warning);
        // Hosting logs a failed start and throws it as well; the exception becomes one line on stderr.
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        if (to is not null)
        {
            logging.AddZLoggerStream(to, Configure);
        }
        else if (file is not null)
        {
            logging.AddZLoggerStream(new FileStream(file, FileMode.Append, FileAccess.Write, FileShare.ReadWrite), Configure);
        }
        else
        {
            logging.AddZLoggerConsole(options =>
            {
                options.LogToStandardErrorThreshold = LogLevel.Trace;
                Configure(options);
            });
        }

        void Configure(ZLoggerOptions options)
        {
            // Otherwise a value that cannot be formatted vanishes, and may take earlier lines with it.
            options.InternalErrorLogger = error => Console.Error.WriteLine($"shimmy: an entry of the log was lost: {error.Message}");
            if (asJson)
            {
                options.UseJsonFormatter(formatter => formatter.JsonSerializerOptions = LogJson.Default.Options);
            }
            else
            {
                options.UsePlainTextFormatter(formatter => formatter.SetPrefixFormatter($"{0:utc-longdate} {1:short} {2}: ",
                    (in MessageTemplate template, in LogInfo info) => template.Format(info.Timestamp, info.LogLevel, info.Category)));
            }
        }
    });
}

/// <summary>JSON of the values that log entries hold.</summary>
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(bool))]
[JsonSerializable(typeof(int))]
[JsonSerializable(typeof(long))]
[JsonSerializable(typeof(float))]
[JsonSerializable(typeof(double))]
internal sealed partial class LogJson : JsonSerializerContext;
