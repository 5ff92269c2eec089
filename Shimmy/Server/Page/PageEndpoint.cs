using System.IO.Compression;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Net.Http.Headers;
using Shimmy.Http;

namespace Shimmy.Server.Page;

/// <summary>
/// <c>GET /</c> and <c>GET /page/{file}</c>: the page that a person finds who opens the server's address. Its files stand in <c>Files</c>
/// as they are written: nothing from others, and the build does no more than to pack them. They need no API key, since they say nothing of
/// the server; what the page asks the server for does.
/// </summary>
internal static class PageEndpoint
{
    // In place of it the style sheet itself is sent, so that the frame is painted before anything else has come.
    private static readonly byte[] FirstStyle = "<link rel=\"stylesheet\" href=\"page/base.css\">"u8.ToArray();

    // Scripts and styles are files of this origin, and the sheet that stands in the page; nothing of the page ever makes markup of a text.
    private const string Policy = Scripts + Rest;
    private const string Scripts = "default-src 'none'; script-src 'self'; style-src 'self'";
    private const string Rest = "; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        + "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

    private static readonly Lazy<Dictionary<string, PageFile>> Files = new(ReadFiles);

    public static void Map(RouteTable routes)
    {
        routes.MapRead("/", HandlePage, RoutePolicy.Open | RoutePolicy.Quiet);
        routes.MapRead("/page/{file}", HandleFile, RoutePolicy.Open | RoutePolicy.Quiet, takes: name => Files.Value.ContainsKey(name));
    }

    private static Task HandlePage(HttpContext context)
    {
        // Below a base path the page's own links count from there, and only behind a slash.
        var asked = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        if (context.Request.PathBase is { HasValue: true, Value: { } path } && !asked.Split('?')[0].EndsWith('/'))
        {
            context.Response.StatusCode = StatusCodes.Status308PermanentRedirect;
            context.Response.Headers.Location = path[(path.LastIndexOf('/') + 1)..] + "/";
            return Task.CompletedTask;
        }
        return SendAsync(context, Files.Value["index.html"]);
    }

    private static Task HandleFile(HttpContext context) =>
        SendAsync(context, Files.Value[(string)context.Request.RouteValues["file"]!]);

    private static async Task SendAsync(HttpContext context, PageFile file)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = file.Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers.ETag = file.Tag;
        // Asked for again each time, which costs an answer without a body: a newer server has a newer page.
        headers.CacheControl = "no-cache";
        headers.Vary = "Accept-Encoding";
        if (context.Request.Headers.IfNoneMatch.ToString() is { Length: > 0 } known && (known == "*" || known.Contains(file.Tag[1..^1])))
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        var packed = TakesGzip(context.Request);
        if (packed)
            headers.ContentEncoding = "gzip";
        var body = packed ? file.Packed : file.Bytes;
        context.Response.ContentType = file.Type;
        context.Response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(body, context.RequestAborted).ConfigureAwait(false);
    }

    private static bool TakesGzip(HttpRequest request) =>
        StringWithQualityHeaderValue.TryParseList([.. request.Headers.AcceptEncoding.OfType<string>()], out var taken)
        && taken.Any(one => one.Value.Equals("gzip", StringComparison.OrdinalIgnoreCase) && one.Quality is null or > 0);

    // Once, at the first request.
    private static Dictionary<string, PageFile> ReadFiles()
    {
        const string prefix = "page/";
        var assembly = typeof(PageEndpoint).Assembly;
        var files = new Dictionary<string, PageFile>(StringComparer.Ordinal);
        foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith(prefix, StringComparison.Ordinal)))
        {
            using var stream = assembly.GetManifestResourceStream(name)!;
            var packed = new byte[stream.Length];
            stream.ReadExactly(packed);
            files.Add(name[prefix.Length..], new PageFile(TypeOf(name), packed, Policy));
        }
        files["index.html"] = WithStyle(files["index.html"], files["base.css"].Bytes);
        return files;
    }

    private static PageFile WithStyle(PageFile page, byte[] style)
    {
        var at = page.Bytes.AsSpan().IndexOf(FirstStyle);
        byte[] bytes =
            [.. page.Bytes.AsSpan(0, at), .. "<style>"u8, .. style, .. "</style>"u8, .. page.Bytes.AsSpan(at + FirstStyle.Length)];
        var hash = $" 'sha256-{Convert.ToBase64String(SHA256.HashData(style))}'";
        return new PageFile(page.Type, Pack(bytes), Scripts + hash + Rest);
    }

    private static string TypeOf(string name) => Path.GetExtension(name) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        var other => other == ".svg" ? "image/svg+xml" : throw new NotSupportedException($"{name} has no content type"),
    };

    private static byte[] Pack(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize))
            gzip.Write(bytes);
        return packed.ToArray();
    }

    private sealed class PageFile(string type, byte[] packed, string policy)
    {
        private readonly Lazy<byte[]> _bytes = new(() => Unpack(packed));

        public string Type => type;

        public string Policy => policy;

        /// <summary>As it is written: for a client that takes nothing packed.</summary>
        public byte[] Bytes => _bytes.Value;

        public byte[] Packed => packed;

        public string Tag { get; } = $"\"{Convert.ToHexStringLower(SHA256.HashData(packed).AsSpan(0, 12))}\"";

        private static byte[] Unpack(byte[] packed)
        {
            using var bytes = new MemoryStream();
            using (var gzip = new GZipStream(new MemoryStream(packed), CompressionMode.Decompress))
                gzip.CopyTo(bytes);
            return bytes.ToArray();
        }
    }
}
