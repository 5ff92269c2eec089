using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Shimmy.Observability;

/// <summary>
/// Sends the spans of requests to an OpenTelemetry collector: OTLP over HTTP with JSON, without TLS, which every collector takes on port 4318. The
/// exporter of OpenTelemetry's package would add two megabytes of HTTP client and TLS for this one request.
/// </summary>
internal sealed partial class TraceExport : IAsyncDisposable
{
    private const int MostWaiting = 2048;
    private const int LargestBatch = 256;
    private static readonly TimeSpan Gathering = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SendTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LastSendTime = TimeSpan.FromSeconds(2);

    private readonly Channel<RequestSummary> _waiting = Channel.CreateBounded<RequestSummary>(
        new BoundedChannelOptions(MostWaiting) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    private readonly Uri _endpoint;
    private readonly string _head;
    private readonly string _service;
    private readonly string _version;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource _ending = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _end = new();
    private readonly Task _sending;
    private bool _failing;

    private TraceExport(Uri endpoint, string headers, string service, string version, ILogger logger)
    {
        (_endpoint, _head, _service, _version, _logger) = (endpoint, headers, service, version, logger);
        _sending = Task.Run(SendAllAsync);
    }

    /// <summary>
    /// Reads OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME and
    /// OTEL_SDK_DISABLED (OpenTelemetry, "OTLP exporter configuration"). Null where nothing is to be sent; what cannot be done is logged.
    /// </summary>
    public static TraceExport? Of(Func<string, string?> environment, string version, ILogger logger)
    {
        var own = environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        var shared = environment("OTEL_EXPORTER_OTLP_ENDPOINT");
        var given = string.IsNullOrEmpty(own) ? shared : own;
        if (string.IsNullOrEmpty(given) || string.Equals(environment("OTEL_SDK_DISABLED"), "true", StringComparison.OrdinalIgnoreCase))
            return null;
        if (!Uri.TryCreate(given, UriKind.Absolute, out var uri) || uri.Scheme != "http")
        {
            LogUnusable(logger, given);
            return null;
        }
        // The endpoint of all signals is a base, that of traces is complete.
        if (string.IsNullOrEmpty(own))
            uri = new Uri(uri.AbsoluteUri.TrimEnd('/') + "/v1/traces");
        var headers = new StringBuilder();
        foreach (var pair in (environment("OTEL_EXPORTER_OTLP_HEADERS") ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = pair.Split('=', 2) is [var left, var right] ? (left.Trim(), Uri.UnescapeDataString(right.Trim())) : (pair, "");
            if (name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_') && !value.Any(char.IsControl))
                headers.Append(name).Append(": ").Append(value).Append("\r\n");
        }
        LogBegins(logger, uri);
        return new TraceExport(uri, headers.ToString(), environment("OTEL_SERVICE_NAME") is { Length: > 0 } service ? service : "shimmy", version, logger);
    }

    /// <summary>Sends the spans of a request soon. Where they come faster than they can be sent, the oldest are lost.</summary>
    public void Add(RequestSummary request)
    {
        if (request.Trace is { IsKnown: true, Sampled: true })
            _waiting.Writer.TryWrite(request);
    }

    /// <summary>Sends what waits, then ends. Nobody's stop waits long for a collector that does not answer: what is left then is lost.</summary>
    public async ValueTask DisposeAsync()
    {
        _waiting.Writer.TryComplete();
        _end.CancelAfter(LastSendTime);
        _ending.TrySetResult();
        await _sending.ConfigureAwait(false);
        _end.Dispose();
    }

    private async Task SendAllAsync()
    {
        while (!_end.IsCancellationRequested && await _waiting.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            await Task.WhenAny(_ending.Task, Task.Delay(Gathering)).ConfigureAwait(false);
            var batch = new List<RequestSummary>();
            while (batch.Count < LargestBatch && _waiting.Reader.TryRead(out var request))
                batch.Add(request);
            try
            {
                await PostAsync(RequestSpans.Write(_service, _version, batch)).ConfigureAwait(false);
                _failing = false;
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
            {
                // Said once, and again after it has worked meanwhile.
                if (!_failing)
                    LogFailed(_logger, _endpoint, e is OperationCanceledException ? "it does not answer in time" : e.Message);
                _failing = true;
            }
        }
    }

    private async Task PostAsync(ReadOnlyMemory<byte> body)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        limit.CancelAfter(SendTime);
        using var client = new TcpClient();
        await client.ConnectAsync(_endpoint.Host, _endpoint.Port, limit.Token).ConfigureAwait(false);
        var stream = client.GetStream();
        var head = $"POST {_endpoint.PathAndQuery} HTTP/1.1\r\nHost: {_endpoint.Authority}\r\nContent-Type: application/json\r\n" +
            $"Content-Length: {body.Length.ToString(CultureInfo.InvariantCulture)}\r\nConnection: close\r\n{_head}\r\n";
        await stream.WriteAsync(Encoding.UTF8.GetBytes(head), limit.Token).ConfigureAwait(false);
        await stream.WriteAsync(body, limit.Token).ConfigureAwait(false);
        using var reader = new StreamReader(stream, Encoding.Latin1);
        var status = await reader.ReadLineAsync(limit.Token).ConfigureAwait(false);
        if (status?.Split(' ') is not [_, ['2', _, _], ..])
            throw new IOException($"it answered '{status}'");
    }

    [LoggerMessage(LogLevel.Information, "traces go to {Endpoint} (OTLP over HTTP, JSON)")]
    private static partial void LogBegins(ILogger logger, Uri endpoint);

    [LoggerMessage(LogLevel.Warning, "no traces are sent: the endpoint '{Endpoint}' is no http:// address. OTLP goes over plain HTTP here; a collector on this machine passes it on with TLS")]
    private static partial void LogUnusable(ILogger logger, string endpoint);

    [LoggerMessage(LogLevel.Warning, "traces cannot be sent to {Endpoint}: {Reason}")]
    private static partial void LogFailed(ILogger logger, Uri endpoint, string reason);
}
