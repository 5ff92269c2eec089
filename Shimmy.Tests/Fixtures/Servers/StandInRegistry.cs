using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>
/// A registry on this machine that answers as Hugging Face's hub and as Ollama's do: listings with hashes, redirects to where files lie,
/// ranges, manifests and blobs. It breaks off, refuses and lies where a test asks it to.
/// </summary>
internal sealed class StandInRegistry : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<string, Func<StandInRequest, StandInAnswer>> _routes = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _end = new();
    private readonly Task _serving;

    public StandInRegistry()
    {
        _listener.Start();
        Address = new Uri($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/");
        _serving = Task.Run(ServeAsync);
    }

    public Uri Address { get; }

    /// <summary>What was asked, in its order.</summary>
    public ConcurrentQueue<StandInRequest> Asked { get; } = new();

    /// <summary>Whether parts of files are given.</summary>
    public bool HasRanges { get; set; } = true;

    /// <summary>Body bytes after which the next answers with a file are broken off, one each.</summary>
    public ConcurrentQueue<long> Cuts { get; } = new();

    /// <summary>Answers in place of the routes; null leaves it to them.</summary>
    public Func<StandInRequest, StandInAnswer?>? Instead { get; set; }

    /// <summary>How long an answer with a file waits after each 64 KiB.</summary>
    public TimeSpan Pause { get; set; }

    /// <summary>Body bytes that were sent of files.</summary>
    public long Sent;

    public static string Sha256(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    // Git names what it keeps so.
#pragma warning disable CA5350
    public static string GitHash(byte[] content) =>
        Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {content.Length}\0"), .. content]));
#pragma warning restore CA5350

    public void Route(string path, Func<StandInRequest, StandInAnswer> answer) => _routes[path] = answer;

    /// <summary>
    /// A repository of the hub. Large files (all but <c>.json</c>) have SHA-256 and are redirected to; small ones have Git's hash.
    /// </summary>
    public void AddHub(string repository, string commit, params (string Path, byte[] Content)[] files)
    {
        // Once: the hashes of a gigabyte, for every request, would be counted as the time that a pull takes.
        var listing = StandInAnswer.Json(Listing(commit, files));
        Route($"/api/models/{repository}/revision/main", _ => listing);
        Route($"/api/models/{repository}/revision/{commit}", _ => listing);
        foreach (var (path, content) in files)
        {
            var hash = HashOf(path, content);
            var answer = new StandInAnswer
            {
                Headers = [("X-Repo-Commit", commit), ("X-Linked-Etag", $"\"{hash}\""), ("X-Linked-Size", $"{content.Length}")],
            };
            Route($"/{repository}/resolve/{commit}/{path}", _ => IsSmall(path)
                ? answer with { File = content, Headers = [("X-Repo-Commit", commit), ("ETag", $"\"{hash}\"")] }
                : answer with { Status = 302, Headers = [.. answer.Headers, ("Location", $"/cdn/{hash}")] });
            Route($"/cdn/{hash}", _ => new StandInAnswer { File = content, Headers = [("ETag", "\"of-the-cdn\"")] });
        }
    }

    /// <summary>A model of Ollama's; layers by the end of their media type. Gives the manifest.</summary>
    public byte[] AddOllama(string repository, string tag, params (string Kind, byte[] Content)[] layers)
    {
        var config = """{"model_format":"gguf"}"""u8.ToArray();
        string Part(string type, byte[] content) =>
            $$"""{"mediaType":"{{type}}","digest":"sha256:{{Sha256(content)}}","size":{{content.Length}}}""";
        var manifest = Encoding.UTF8.GetBytes($$"""
            {"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
            "config":{{Part("application/vnd.docker.container.image.v1+json", config)}},
            "layers":[{{string.Join(',', layers.Select(layer => Part("application/vnd.ollama.image." + layer.Kind, layer.Content)))}}]}
            """);
        Route($"/v2/{repository}/manifests/{tag}", _ => StandInAnswer.Json(manifest));
        foreach (var content in layers.Select(layer => layer.Content).Append(config))
        {
            var hash = Sha256(content);
            Route($"/v2/{repository}/blobs/sha256:{hash}",
                _ => new StandInAnswer { Status = 307, Headers = [("Location", $"{Address}cdn/{hash}")] });
            Route($"/cdn/{hash}", _ => new StandInAnswer { File = content });
        }
        return manifest;
    }

    public void Dispose()
    {
        _end.Cancel();
        _listener.Stop();
        _serving.Wait();
        _end.Dispose();
    }

    private static bool IsSmall(string path) => path.EndsWith(".json", StringComparison.Ordinal);

    private static string HashOf(string path, byte[] content) => IsSmall(path) ? GitHash(content) : Sha256(content);

    private static byte[] Listing(string commit, (string Path, byte[] Content)[] files)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("sha", commit);
            json.WriteStartArray("siblings");
            foreach (var (path, content) in files)
            {
                json.WriteStartObject();
                json.WriteString("rfilename", path);
                json.WriteNumber("size", content.Length);
                json.WriteString("blobId", GitHash(content));
                if (!IsSmall(path))
                {
                    json.WriteStartObject("lfs");
                    json.WriteString("sha256", Sha256(content));
                    json.WriteNumber("size", content.Length);
                    json.WriteNumber("pointerSize", 134);
                    json.WriteEndObject();
                }
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return buffer.ToArray();
    }

    private async Task ServeAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                var client = await _listener.AcceptSocketAsync(_end.Token);
                _ = Task.Run(() => AnswerAllAsync(client));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task AnswerAllAsync(Socket client)
    {
        using var socket = client;
        socket.NoDelay = true;
        try
        {
            await using var stream = new NetworkStream(socket);
            using var reader = new StreamReader(stream, Encoding.Latin1, leaveOpen: true);
            while (await ReadAsync(reader) is { } request)
            {
                Asked.Enqueue(request);
                var answer = Instead?.Invoke(request) ?? (_routes.TryGetValue(request.Path, out var route)
                    ? route(request)
                    : new StandInAnswer { Status = 404, Body = "no such thing"u8.ToArray() });
                if (!await SendAsync(stream, request, answer))
                {
                    socket.LingerState = new LingerOption(true, 0);
                    return;
                }
            }
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
        {
            // The client has left.
        }
    }

    private static async Task<StandInRequest?> ReadAsync(StreamReader reader)
    {
        if (await reader.ReadLineAsync() is not { Length: > 0 } line || line.Split(' ') is not [var method, var target, _])
            return null;
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        while (await reader.ReadLineAsync() is { Length: > 0 } header)
        {
            var colon = header.IndexOf(':', StringComparison.Ordinal);
            headers[header[..colon]] = header[(colon + 1)..].Trim();
        }
        var path = Uri.UnescapeDataString(target.Split('?')[0]);
        return new StandInRequest(method, path, headers);
    }

    // False where the connection is to be broken.
    private async Task<bool> SendAsync(NetworkStream stream, StandInRequest request, StandInAnswer answer)
    {
        var body = answer.File ?? answer.Body;
        var (from, length, status) = (0, body.Length, answer.Status);
        var head = new StringBuilder();
        if (answer.File is { } file && HasRanges && request.Headers.TryGetValue("Range", out var range)
            && range.StartsWith("bytes=", StringComparison.Ordinal) && range[6..].Split('-') is [var first, var last])
        {
            from = int.Parse(first, CultureInfo.InvariantCulture);
            var to = last.Length == 0 ? file.Length - 1 : Math.Min(int.Parse(last, CultureInfo.InvariantCulture), file.Length - 1);
            (length, status) = (to - from + 1, 206);
            head.Append(CultureInfo.InvariantCulture, $"Content-Range: bytes {from}-{to}/{file.Length}\r\n");
        }
        foreach (var (name, value) in answer.Headers)
            head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        var start = $"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{head}\r\n";
        await stream.WriteAsync(Encoding.Latin1.GetBytes(start), _end.Token);
        if (request.Method == "HEAD")
            return true;
        var cut = answer.File is not null && Cuts.TryDequeue(out var bytes) ? bytes : long.MaxValue;
        const int piece = 64 << 10;
        for (var at = 0; at < length;)
        {
            var count = (int)Math.Min(Math.Min(Pause > TimeSpan.Zero ? piece : 1 << 20, length - at), cut - at);
            if (count <= 0)
                return false;
            await stream.WriteAsync(body.AsMemory(from + at, count), _end.Token);
            at += count;
            Interlocked.Add(ref Sent, answer.File is null ? 0 : count);
            if (Pause > TimeSpan.Zero)
                await Task.Delay(Pause, _end.Token);
        }
        return true;
    }
}

/// <summary>A request to a <see cref="StandInRegistry"/>.</summary>
internal sealed record StandInRequest(string Method, string Path, IReadOnlyDictionary<string, string> Headers);

/// <summary>What a <see cref="StandInRegistry"/> answers.</summary>
internal sealed record StandInAnswer
{
    public int Status { get; init; } = 200;

    public IReadOnlyList<(string Name, string Value)> Headers { get; init; } = [];

    /// <summary>A body that is sent as it is.</summary>
    public byte[] Body { get; init; } = [];

    /// <summary>A body of which parts may be asked for, and which may be broken off.</summary>
    public byte[]? File { get; init; }

    public static StandInAnswer Json(byte[] body) => new() { Body = body, Headers = [("Content-Type", "application/json")] };
}
