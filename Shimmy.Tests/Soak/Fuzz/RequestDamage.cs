using System.Text;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Soak.Fuzz;

/// <summary>Makes damaged requests: the body, its framing, the headers, the first line, the way it is sent.</summary>
internal static class RequestDamage
{
    // Harmless or not, HTTP stays whole beside them.
    private static readonly string[] OddHeaders =
    [
        "Content-Type: text/plain; charset=\"", "Content-Type: application/json; charset=utf-7",
            "Content-Type: multipart/form-data", "Content-Type:", "Accept: image/png;q=9",
        "Accept-Encoding: gzip, br;q=\"", "Origin: http://evil.example", "Origin: null",
            "Origin: http://localhost:1:2", "Authorization: Bearer ", "Authorization: Basic ////",
        "x-api-key: a b", "x-request-id: a b\tc", "x-request-id: " + "%0d%0aSet-Cookie: a",
            "traceparent: 00-zz", "Cookie: a=\"; b", "Expect: 100-continue", "Upgrade: h2c", "Upgrade: websocket",
        "Connection: keep-alive, upgrade", "Range: bytes=0-99999999999999999999", "If-None-Match: *",
            "X-Forwarded-For: 1.1.1.1", "X-HTTP-Method-Override: DELETE", "Cache-Control: no-store",
        "anthropic-version: never", "anthropic-beta: a,b", "OpenAI-Organization: \t", "TE: trailers", "Priority: u=9", "Content-Language: ",
        "Sec-WebSocket-Key: a", "Accept: application/json, */*;q=NaN", "User-Agent: " ,
    ];

    private static readonly string[] BrokenHeads =
    [
        "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 1e3",
            "Content-Length: 0x10", "Content-Length:", "Content-Length: 5, 6", "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 70000000", "Content-Length: 9", "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: \u0001", "Header without colon", ": no name", "Name : space", " folded: first",
            "A\0B: c", "A: b\0c", "A: \u0080\u00ff", "x-api-key: \u00ff", "anthropic-version: \u00e4",
                "Host: a\r\nHost: b", "Host: evil.example", "Host: [::1", "Host: localhost:99999",
        "Connection: close, close\r\nConnection: keep-alive", "Content-Length: 2\n\n{}", "A: b\r c",
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: a",
    ];

    private static readonly string[] Paths =
    [
        "/", "//", "*", "/v1", "/v1/", "/v1/chat/completions/", "/v1/chat/completions?a=%",
            "/%", "/%00", "/%ff%fe", "/v1/%2e%2e/health", "/../../etc/passwd", "/v1/models/%2F%2F", "/v1/models/" + "a%20b",
        "/api/models/%F0%9F%98%80/status", "/api/models//status", "/v1/responses/%0d%0a", "http://localhost/health",
            "localhost:80", "/\u00e4", "/health?" , "/health#a", "/metrics", "/v1/responses/x/input_items?limit=9&order=a&after=b",
        "/v1/responses/x?stream=true", "/api/models/x/load", "/v1/models?limit=-1",
    ];

    private static readonly string[] Methods =
        ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "PRI",
            "A B", "", "\u0001", "GETGETGETGETGETGETGETGETGETGETGETGETGETGETGET"];

    private static readonly string[] Versions =
        ["HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "HTTP/1.1 ", "http/1.1", "HTTP", ""];

    /// <summary>The next request made from one of the seeds.</summary>
    public static FuzzCase Next(IReadOnlyList<FuzzSeed> seeds, Random random)
    {
        var seed = seeds[random.Next(seeds.Count)];
        return random.Next(20) switch
        {
            < 9 => Framed(seed, JsonOrNothing(seed, random), random),
            < 12 => Framed(seed, seed.Body.Length == 0 ? [] : JsonFuzz.Mutate(Encoding.UTF8.GetBytes(seed.Body), random), random),
            < 14 => Chunked(seed, JsonOrNothing(seed, random), random),
            < 17 => WithBrokenHead(seed, random),
            < 18 => WithBrokenChunks(seed, random),
            _ => CutOff(seed, random),
        };
    }

    /// <summary>The body of a seed, damaged with knowledge of JSON or without.</summary>
    public static byte[] Body(FuzzSeed seed, Random random) =>
        random.Next(4) == 0 ? JsonFuzz.Mutate(Encoding.UTF8.GetBytes(seed.Body), random) : JsonDamage.Apply(seed.Body, random);

    private static byte[] JsonOrNothing(FuzzSeed seed, Random random) => seed.Body.Length == 0 ? [] : JsonDamage.Apply(seed.Body, random);

    private static FuzzCase Framed(FuzzSeed seed, byte[] body, Random random)
    {
        var odd = random.Next(5) == 0 ? OddHeaders[random.Next(OddHeaders.Length)] + "\r\n" : "";
        if (seed.TakesForm)
        {
            odd = seed.ContentType;
            body = seed.Encoded(body);
            if (random.Next(4) == 0)
                body = JsonFuzz.Mutate(body, random);
        }
        var length = seed.Method == "GET" && body.Length == 0 ? "" : $"Content-Length: {body.Length}\r\n";
        return new FuzzCase(seed.Path, [.. Latin1($"{seed.Method} {seed.Path} HTTP/1.1\r\nHost: localhost\r\n{odd}{length}\r\n"), .. body],
            Framed: IsSafe(odd),
            random.Next(25) switch { 0 => Manner.Pieces, 1 => Manner.Gone, _ => Manner.Plain });
    }

    // In chunks of all sizes, with extensions and trailers, as RFC 9112 allows.
    private static FuzzCase Chunked(FuzzSeed seed, byte[] body, Random random)
    {
        var bytes = new List<byte>(Latin1($"{seed.Method} {seed.Path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for (var at = 0; at < body.Length;)
        {
            var size = Math.Min(body.Length - at, random.Next(3) == 0 ? 1 : random.Next(1, 4000));
            bytes.AddRange(Latin1($"{(random.Next(8) == 0 ? "000" : "")}{size:x}{(random.Next(8) == 0 ? ";a=\"b\"" : "")}\r\n"));
            bytes.AddRange(body.AsSpan(at, size));
            bytes.AddRange("\r\n"u8);
            at += size;
        }
        bytes.AddRange(Latin1($"0\r\n{(random.Next(4) == 0 ? "Trailer-A: b\r\n" : "")}\r\n"));
        return new FuzzCase(seed.Path, [.. bytes], Framed: true, random.Next(10) == 0 ? Manner.Pieces : Manner.Plain);
    }

    private static FuzzCase WithBrokenHead(FuzzSeed seed, Random random)
    {
        var body = Encoding.UTF8.GetBytes(seed.Body);
        var (method, path, version, host, broken, end) = (seed.Method, seed.Path, "HTTP/1.1", "Host: localhost\r\n", "", "\r\n");
        switch (random.Next(9))
        {
            case 0:
                method = Methods[random.Next(Methods.Length)];
                break;
            case 1:
                path = random.Next(10) == 0 ? "/" + new string('a', random.Next(1, 20_000)) : Paths[random.Next(Paths.Length)];
                break;
            case 2:
                version = Versions[random.Next(Versions.Length)];
                break;
            case 3:
                host = "";
                break;
            case 4:
                broken = $"X: {new string('a', random.Next(100, 60_000))}\r\n";
                break;
            case 5:
                broken = string.Concat(Enumerable.Range(0, random.Next(50, 300)).Select(i => $"X{i}: y\r\n"));
                break;
            case 6:
                end = random.Next(2) == 0 ? "\n" : "";
                break;
            default:
                broken = BrokenHeads[random.Next(BrokenHeads.Length)] + "\r\n";
                break;
        }
        var length = broken.Contains("Length", StringComparison.Ordinal)
            || broken.Contains("Transfer", StringComparison.Ordinal) ? "" : $"Content-Length: {body.Length}\r\n";
        var bytes = (byte[])[.. Latin1($"{method} {path} {version}\r\n{host}{broken}{length}{end}"), .. body];
        if (random.Next(6) == 0)
            bytes[random.Next(Math.Min(bytes.Length, 200))] = (byte)random.Next(256);
        return new FuzzCase(path, bytes, Framed: false, Manner.Plain);
    }

    private static FuzzCase WithBrokenChunks(FuzzSeed seed, Random random)
    {
        var size = random.Next(12) switch
        {
            0 => "-1",
            1 => "FFFFFFFFFFFFFFFFF",
            2 => "7FFFFFFF",
            3 => "zz",
            4 => "",
            5 => "5 ",
            6 => "0x5",
            7 => "5;" + new string('a', 20_000),
            8 => "1",
            9 => "FFFFFFFF",
            10 => "5\n",
            _ => "500",
        };
        var tail = random.Next(4) switch { 0 => "\r\n0\r\n\r\n", 1 => "\r\n", 2 => "0\r\n", _ => "\r\n0\r\nA: b" };
        return new FuzzCase(seed.Path,
            Latin1($"{seed.Method} {seed.Path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{seed.Body}{tail}"), Framed: false, Manner.Plain);
    }

    private static FuzzCase CutOff(FuzzSeed seed, Random random)
    {
        var bytes = Framed(seed, Encoding.UTF8.GetBytes(seed.Body), random).Bytes;
        return random.Next(3) switch
        {
            0 => new FuzzCase(seed.Path, bytes, Framed: false, Manner.HalfClosed),
            1 => new FuzzCase(seed.Path, bytes[..random.Next(1, bytes.Length)], Framed: false, Manner.HalfClosed),
            _ => new FuzzCase(seed.Path, bytes[..random.Next(1, bytes.Length)], Framed: false, Manner.Gone),
        };
    }

    // What asks for another protocol may get it.
    private static bool IsSafe(string header) => !header.StartsWith("Upgrade", StringComparison.Ordinal);

    private static byte[] Latin1(string text) => Encoding.Latin1.GetBytes(text);
}
