using System.Buffers;
using System.Globalization;
using System.Text.Json;
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
                options.UseFormatter(() => new JsonLogFormatter());
            }
            else
            {
                options.UsePlainTextFormatter(formatter => formatter.SetPrefixFormatter($"{0:utc-longdate} {1:short} {2}: ",
                    (in MessageTemplate template, in LogInfo info) => template.Format(info.Timestamp, info.LogLevel, info.Category)));
            }
        }
    });
}

/// <summary>
/// An entry of the log as a line of JSON. ZLogger's own formatter writes the same, through .NET's serializer, which nothing else here
/// needs: a megabyte of the executable.
/// </summary>
internal sealed class JsonLogFormatter : IZLoggerFormatter
{
    private readonly ArrayBufferWriter<byte> _message = new();
    private Utf8JsonWriter? _json;

    bool IZLoggerFormatter.WithLineBreak => true;

    /// <inheritdoc/>
    public void FormatLogEntry(IBufferWriter<byte> writer, IZLoggerEntry entry)
    {
        _json?.Reset(writer);
        var json = _json ??= new Utf8JsonWriter(writer);
        json.WriteStartObject();
        json.WriteString("Timestamp", entry.LogInfo.Timestamp.Local);
        json.WriteString("LogLevel", entry.LogInfo.LogLevel.ToString());
        json.WriteString("Category", entry.LogInfo.Category.Name);
        if (entry.LogInfo.Exception is { } exception)
        {
            json.WritePropertyName("Exception");
            Write(json, exception);
        }
        _message.ResetWrittenCount();
        entry.ToString(_message);
        json.WriteString("Message", _message.WrittenSpan);
        for (var i = 0; i < entry.ParameterCount; i++)
        {
            json.WritePropertyName(entry.GetParameterKeyAsString(i));
            Write(json, entry.GetParameterValue(i));
        }
        json.WriteEndObject();
        json.Flush();
    }

    private static void Write(Utf8JsonWriter json, Exception? exception)
    {
        if (exception is null)
        {
            json.WriteNullValue();
            return;
        }
        json.WriteStartObject();
        json.WriteString("Name", exception.GetType().FullName);
        json.WriteString("Message", exception.Message);
        json.WriteString("StackTrace", exception.StackTrace);
        json.WritePropertyName("InnerException");
        Write(json, exception.InnerException);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null:
                json.WriteNullValue();
                break;
            case bool flag:
                json.WriteBooleanValue(flag);
                break;
            case int or long or uint or ushort or short or byte:
                json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
            case double number:
                json.WriteNumberValue(number);
                break;
            case float number:
                json.WriteNumberValue(number);
                break;
            default:
                json.WriteStringValue(value.ToString());
                break;
        }
    }
}
