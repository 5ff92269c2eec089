using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Shimmy.Observability;

/// <summary>
/// Exports the spans of requests to an OpenTelemetry collector by OTLP over HTTP with JSON, without TLS, which every collector accepts on
/// port 4318. OpenTelemetry's own exporter would add two megabytes of HTTP client and TLS to the executable.
/// </summary>
internal sealed partial class TraceExport : IAsyncDisposable
{
    private const int QueueCapacity = 2048;
    private const int MaxBatch = 256;
    private static readonly TimeSpan BatchDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SendTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(2);

    private readonly Channel<RequestSummary> _waiting = Channel.CreateBounded<RequestSummary>(
        new BoundedChannelOptions(QueueCapacity) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
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
    /// Configures the export by OpenTelemetry's standard environment variables: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    /// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME and OTEL_SDK_DISABLED (opentelemetry.io, "OTLP exporter
    /// configuration"). Null where no endpoint is set, the SDK is disabled, or the endpoint is not http://, which is logged.
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
        // By the specification, the common endpoint is a base URL, and the one for traces is used as it is.
        if (string.IsNullOrEmpty(own))
            uri = new Uri(uri.AbsoluteUri.TrimEnd('/') + "/v1/traces");
        var headers = new StringBuilder();
        var pairs = (environment("OTEL_EXPORTER_OTLP_HEADERS") ?? "")
            .Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (var pair in pairs)
        {
            var (name, value) = pair.Split('=', 2) is [var left, var right]
                ? (left.Trim(), Uri.UnescapeDataString(right.Trim())) : (pair, "");
            if (name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_') && !value.Any(char.IsControl))
                headers.Append(name).Append(": ").Append(value).Append("\r\n");
        }
        LogBegins(logger, uri);
        var service = environment("OTEL_SERVICE_NAME");
        return new TraceExport(uri, headers.ToString(), string.IsNullOrEmpty(service) ? "shimmy" : service, version, logger);
    }

    /// <summary>Queues the spans of a request for the next export. If the queue is full, the oldest entry is dropped.</summary>
    public void Add(RequestSummary request)
    {
        if (request.Trace is { IsKnown: true, Sampled: true })
            _waiting.Writer.TryWrite(request);
    }

    /// <summary>
    /// Exports the queue, then stops. Waits at most 2 s, so that a collector that does not answer cannot delay the shutdown; the rest is
    /// dropped.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        _waiting.Writer.TryComplete();
        _end.CancelAfter(ShutdownTimeout);
        _ending.TrySetResult();
        await _sending.ConfigureAwait(false);
        _end.Dispose();
    }

    private async Task SendAllAsync()
    {
        while (!_end.IsCancellationRequested && await _waiting.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            await Task.WhenAny(_ending.Task, Task.Delay(BatchDelay)).ConfigureAwait(false);
            var batch = new List<RequestSummary>();
            while (batch.Count < MaxBatch && _waiting.Reader.TryRead(out var request))
                batch.Add(request);
            try
            {
                await PostAsync(RequestSpans.Write(_service, _version, batch)).ConfigureAwait(false);
                _failing = false;
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
            {
                // Logged once per outage.
                if (!_failing)
                    LogFailed(_logger, _endpoint, e is OperationCanceledException ? "no answer in time" : e.Message);
                _failing = true;
            }
        }
    }

    private async Task PostAsync(ReadOnlyMemory<byte> body)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        limit.CancelAfter(SendTimeout);
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
            throw new IOException($"the collector answered '{status}'");
    }

    [LoggerMessage(LogLevel.Information, "exporting traces to {Endpoint} (OTLP over HTTP, JSON)")]
    private static partial void LogBegins(ILogger logger, Uri endpoint);

    [LoggerMessage(LogLevel.Warning, "no traces are sent: the OTLP endpoint '{Endpoint}' is not an http:// URL. "
        + "Only plain HTTP is supported; run a collector on this machine to forward with TLS")]
    private static partial void LogUnusable(ILogger logger, string endpoint);

    [LoggerMessage(LogLevel.Warning, "cannot export traces to {Endpoint}: {Reason}")]
    private static partial void LogFailed(ILogger logger, Uri endpoint, string reason);
}
