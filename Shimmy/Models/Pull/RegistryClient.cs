using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Shimmy.Models.Pull;

/// <summary>
/// Asks one registry over HTTP, and the hosts that it sends its clients on to. A key goes to the registry alone. Proxies are those of the
/// environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY), but none stands before this machine's own addresses.
/// </summary>
internal sealed class RegistryClient : IDisposable
{
    private const int MostRedirects = 5;

    // A petabyte: a number that no file has, and of which a thousand can be added.
    private const long MostBytes = 1L << 50;
    private const int MostDepth = 32;
    private const int LongestWaitSeconds = 24 * 60 * 60;

    private readonly Uri _registry;
    private readonly string? _key;
    private readonly HttpClient _http;

    /// <summary>A client of a registry.</summary>
    /// <param name="registry">Its address.</param>
    /// <param name="key">The key for it; null where there is none.</param>
    public RegistryClient(Uri registry, string? key = null)
    {
        _registry = registry;
        // In the clear it would be everybody's.
        _key = registry.Scheme == "https" || registry.IsLoopback ? key : null;
        _http = Outbound.Client(proxy: true);
    }

    /// <summary>Longest silence of a registry, before its answer and within it.</summary>
    public static TimeSpan MostSilence { get; } = TimeSpan.FromSeconds(60);

    /// <summary>The name of the registry, for messages.</summary>
    public string Name => _registry.IsDefaultPort ? _registry.Host : _registry.Authority;

    /// <summary>
    /// Sends a request, follows redirects, and gives an answer that is a success, of which only the head was read. Throws
    /// <see cref="PullException"/> for every other.
    /// </summary>
    /// <param name="method">GET or HEAD.</param>
    /// <param name="url">What to ask for.</param>
    /// <param name="prepare">Adds headers.</param>
    /// <param name="what">What is asked for, for messages.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task<RegistryAnswer> SendAsync(
        HttpMethod method, Uri url, Action<HttpRequestHeaders>? prepare, string what, CancellationToken cancellation)
    {
        string? etag = null;
        long? size = null;
        var first = url;
        for (var i = 0; i <= MostRedirects; i++)
        {
            var answer = await SendOnceAsync(method, url, prepare, what, cancellation).ConfigureAwait(false);
            // What the hub says of a file stands beside the redirect to where it lies.
            etag ??= Header(answer, "X-Linked-Etag");
            size ??= long.TryParse(Header(answer, "X-Linked-Size"), NumberStyles.None, CultureInfo.InvariantCulture, out var linked)
                && linked <= MostBytes ? linked : null;
            if (answer.IsSuccessStatusCode)
            {
                return new RegistryAnswer(answer, url)
                {
                    Etag = Unquoted(etag ?? answer.Headers.ETag?.ToString()),
                    Size = size ?? (answer.Content.Headers.ContentRange?.Length ?? answer.Content.Headers.ContentLength),
                };
            }
            using (answer)
            {
                if ((int)answer.StatusCode is not (301 or 302 or 303 or 307 or 308))
                    throw Explain(answer, url, what);
                url = answer.Headers.Location is { } location && Uri.TryCreate(url, location, out var next) && WhyNot(url, next) is null
                    ? next
                    : throw new PullException(PullFailure.BadAnswer,
                        $"{Name} redirects to '{RegistryPath.Shown(answer.Headers.Location?.ToString()
                        ?? "")}' for {what}, which is not allowed: {(answer.Headers.Location is { } bad
                            && Uri.TryCreate(url, bad, out var asked) ? WhyNot(url, asked) : "it is not a URL")}");
            }
        }
        throw new PullException(PullFailure.BadAnswer, $"{first.Host} redirects more than {MostRedirects} times for {what}");
    }

    /// <summary>The body of a small answer. Throws <see cref="PullException"/> for one above <paramref name="most"/> bytes.</summary>
    public async Task<byte[]> ReadAsync(Uri url, int most, string accept, string what, CancellationToken cancellation)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        silence.CancelAfter(MostSilence);
        try
        {
            using var answer = await SendAsync(HttpMethod.Get, url, headers => headers.Accept.ParseAdd(accept), what, silence.Token)
                .ConfigureAwait(false);
            await using var stream = await answer.Message.Content.ReadAsStreamAsync(silence.Token).ConfigureAwait(false);
            using var body = new MemoryStream();
            var buffer = new byte[16 << 10];
            for (int count; (count = await stream.ReadAsync(buffer, silence.Token).ConfigureAwait(false)) > 0;)
            {
                body.Write(buffer, 0, count);
                if (body.Length > most)
                    throw new PullException(PullFailure.BadAnswer, $"{Name} answers with more than {most >> 10} KiB for {what}");
            }
            return body.ToArray();
        }
        catch (Exception e) when (IsBroken(e, cancellation))
        {
            throw Unreachable(e, what);
        }
    }

    /// <summary>
    /// A small answer as JSON, of bounded depth; dispose of it. Throws <see cref="PullException"/> where it is none.
    /// </summary>
    public async Task<JsonDocument> JsonAsync(Uri url, int most, string accept, string what, CancellationToken cancellation) =>
        Parse(await ReadAsync(url, most, accept, what, cancellation).ConfigureAwait(false), what);

    /// <summary>Bytes as JSON, of bounded depth. Throws <see cref="PullException"/> where they are none.</summary>
    public JsonDocument Parse(byte[] bytes, string what)
    {
        try
        {
            return JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = MostDepth });
        }
        catch (JsonException e)
        {
            throw new PullException(PullFailure.BadAnswer, $"{Name} answers with invalid JSON for {what}: {e.Message}", e);
        }
    }

    /// <summary>A value of a JSON object; null where it has none of that name. Never fails: bytes may be no text at all.</summary>
    public static JsonElement? Property(JsonElement element, string property)
    {
        try
        {
            return element.ValueKind == JsonValueKind.Object && element.TryGetProperty(property, out var value) ? value : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>A text of a JSON object; null where it has none of that name, or no valid one.</summary>
    public static string? Text(JsonElement element, string property)
    {
        try
        {
            return Property(element, property) is { ValueKind: JsonValueKind.String } value ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null; // half a surrogate
        }
    }

    /// <summary>A number of a JSON object that is a size in bytes; null where it has none.</summary>
    public static long? Bytes(JsonElement element, string property) =>
        Property(element, property) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out var bytes)
            && bytes is >= 0 and <= MostBytes ? bytes : null;

    /// <summary>Whether an exception is that of a connection.</summary>
    public static bool IsBroken(Exception e, CancellationToken cancellation) =>
        e is HttpRequestException or HttpIOException or System.Net.Sockets.SocketException
            or System.Security.Authentication.AuthenticationException
            || (e is IOException { InnerException: System.Net.Sockets.SocketException })
            || (e is OperationCanceledException && !cancellation.IsCancellationRequested);

    /// <summary>The error for a connection that broke.</summary>
    public PullException Unreachable(Exception e, string what) => new(PullFailure.Unreachable, e is OperationCanceledException
        ? $"{Name} timed out: no data for {MostSilence.TotalSeconds} s while fetching {what}"
        : $"{Name} cannot be reached for {what}: {(e.InnerException ?? e).Message}", e);

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(
        HttpMethod method, Uri url, Action<HttpRequestHeaders>? prepare, string what, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, url);
        request.Headers.AcceptEncoding.ParseAdd("identity");
        prepare?.Invoke(request.Headers);
        if (_key is not null && IsOwn(url))
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _key);
        try
        {
            return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is UriFormatException or NotSupportedException or InvalidOperationException)
        {
            throw new PullException(PullFailure.BadAnswer,
                $"{RegistryPath.Shown(url.OriginalString)} is not a valid request URL for {what}: {e.Message}", e);
        }
    }

    private bool IsOwn(Uri url) => url.Scheme == _registry.Scheme && url.Authority == _registry.Authority;

    // From a secure host only to a secure one, and to this machine only from this machine.
    private static string? WhyNot(Uri from, Uri to) =>
        to.Scheme is not ("https" or "http") ? "it is neither https nor http"
        : to.UserInfo.Length > 0 ? "it holds a name or a password"
        : to.IsLoopback && !from.IsLoopback ? "it is on this machine"
        : to.Scheme == "http" && from.Scheme == "https" ? "it is not https"
        : null;

    private PullException Explain(HttpResponseMessage answer, Uri url, string what)
    {
        var host = IsOwn(url) ? Name : url.Host;
        var wait = answer.Headers.RetryAfter is { } after
            ? after.Delta ?? (after.Date - DateTimeOffset.UtcNow) : null;
        var seconds = wait is { } time ? (int)Math.Clamp(Math.Ceiling(time.TotalSeconds), 0, LongestWaitSeconds) : (int?)null;
        var again = seconds is { } known ? $"; it asks to wait {known} s" : "";
        var code = Header(answer, "X-Error-Code");
        return (int)answer.StatusCode switch
        {
            401 or 403 when code == "GatedRepo" => new PullException(PullFailure.Refused,
                $"{host} gives {what} only to users who accepted its terms: accept them on its page, and set HF_TOKEN to a token of yours"),
            401 or 403 =>
                new PullException(PullFailure.Refused,
                    $"{host} refuses {what} ({(int)answer.StatusCode}): it is private, it does not exist, "
                + (_key is null ? "or it needs a token (HF_TOKEN for Hugging Face)" : "or the token that was sent does not open it")),
            404 or 410 => new PullException(PullFailure.NotFound, $"{host} has no {what}"),
            429 => new PullException(PullFailure.TooMany,
                $"{host} has had too many requests from here (429){again}")
            { RetryAfterSeconds = seconds },
            503 => new PullException(PullFailure.Unreachable, $"{host} is busy (503){again}") { RetryAfterSeconds = seconds },
            var status => new PullException(status >= 500 ? PullFailure.Unreachable : PullFailure.BadAnswer,
                $"{host} answered {status} while fetching {what}"),
        };
    }

    private static string? Header(HttpResponseMessage answer, string name)
    {
        if (!answer.Headers.TryGetValues(name, out var values))
            return null;
        foreach (var value in values)
            return value;
        return null;
    }

    // Of a weak tag the same bytes are not promised, but a mirror may make any tag weak.
    private static string? Unquoted(string? etag) => etag is null ? null
        : (etag.StartsWith("W/", StringComparison.Ordinal) ? etag[2..] : etag).Trim('"');
}

/// <summary>A registry's answer.</summary>
/// <param name="Message">The answer itself.</param>
/// <param name="Url">Where it came from, after all redirects.</param>
internal sealed record RegistryAnswer(HttpResponseMessage Message, Uri Url) : IDisposable
{
    /// <summary>The ETag of this version of the content, without quotes; null where it has none.</summary>
    public string? Etag { get; init; }

    /// <summary>Bytes of the whole content; null where the server does not say.</summary>
    public long? Size { get; init; }

    /// <inheritdoc/>
    public void Dispose() => Message.Dispose();
}
