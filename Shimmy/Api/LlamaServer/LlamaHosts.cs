using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Shimmy.Http;
using Shimmy.Models;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// What llama-server has for the places that it runs in: the proxy for pages whose tools are elsewhere (<c>/cors-proxy</c>, with
/// <c>--ui-mcp-proxy</c>), Vertex AI's predictions (<c>AIP_MODE</c>), and the files that its own page leaves browsers asking for.
/// </summary>
internal static class LlamaHosts
{
    private const string HeaderPrefix = "x-llama-server-proxy-header-";
    private const string FormatField = "@requestFormat";
    private const int MostInstances = 128;

    // A browser that had llama-server's page open at this address keeps its worker, and shows that page still.
    private const string Worker = """
        self.addEventListener('install', () => self.skipWaiting());
        self.addEventListener('activate', event => event.waitUntil(
          caches.keys().then(keys => Promise.all(keys.map(key => caches.delete(key)))).then(() => self.registration.unregister())));

        """;

    public static void Map(RouteTable routes)
    {
        routes.MapRead("/cors-proxy", HandleProxyAsync);
        routes.MapPost("/cors-proxy", HandleProxyAsync);
    }

    /// <summary>Maps the routes of Vertex AI.</summary>
    public static void MapPredictions(RouteTable routes, LlamaServerMode mode)
    {
        if (mode.PredictRoute is { } predict)
            routes.MapPost(predict, context => HandlePredictAsync(context, routes));
        if (mode.HealthRoute is { } health && health != "/health")
            routes.MapRead(health, LlamaModeRoutes.HandleHealth, RoutePolicy.Open | RoutePolicy.Quiet | RoutePolicy.DuringDrain);
    }

    /// <summary>Maps the files beside the page.</summary>
    public static void MapFiles(RouteTable routes)
    {
        Map("/sw.js", "text/javascript", Worker);
        Map("/manifest.webmanifest", "application/manifest+json", """{"name":"Shimmy","start_url":"./","display":"browser"}""");
        Map("/_app/version.json", "application/json", $$"""{"version":"{{ServerState.Version}}"}""");

        void Map(string path, string type, string text) => routes.MapRead(path, context =>
        {
            context.Response.ContentType = type;
            context.Response.Headers.CacheControl = "no-cache";
            return context.Response.WriteAsync(text, context.RequestAborted);
        }, RoutePolicy.Open | RoutePolicy.Quiet);
    }

    private static async Task HandleProxyAsync(HttpContext context)
    {
        if (!LlamaServerMode.Of(context).Proxies)
            throw new ApiException(403, "the proxy for pages is not enabled here; --ui-mcp-proxy enables it");
        if (!Uri.TryCreate(context.Request.Query["url"], UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https")
            || url.UserInfo.Length > 0)
        {
            throw ApiException.BadField("url", "must be an http(s) URL without a password");
        }

        using var client = Outbound.Client(proxy: true);
        using var request = new HttpRequestMessage(new HttpMethod(context.Request.Method), url);
        if (HttpMethods.IsPost(context.Request.Method))
            request.Content = new StreamContent(context.Request.Body);
        // Nothing of the page's own goes on: its cookies and keys are this server's.
        foreach (var (name, values) in context.Request.Headers)
        {
            if (name.Length <= HeaderPrefix.Length || !name.StartsWith(HeaderPrefix, StringComparison.OrdinalIgnoreCase))
                continue;
            var meant = name[HeaderPrefix.Length..];
            if (!request.Headers.TryAddWithoutValidation(meant, (IEnumerable<string?>)values))
                request.Content?.Headers.TryAddWithoutValidation(meant, (IEnumerable<string?>)values);
        }

        HttpResponseMessage answer;
        try
        {
            answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, context.RequestAborted);
        }
        catch (HttpRequestException e)
        {
            throw new ApiException(502, $"'{url.Authority}' did not answer: {e.Message}");
        }
        using (answer)
            await PassOnAsync(context, answer);
    }

    private static async Task PassOnAsync(HttpContext context, HttpResponseMessage answer)
    {
        context.Response.StatusCode = (int)answer.StatusCode;
        foreach (var (name, values) in answer.Headers.NonValidated.Concat(answer.Content.Headers.NonValidated))
        {
            // Connection and CORS are between this server and the page.
            if (name.ToLowerInvariant() is not ("connection" or "keep-alive" or "transfer-encoding" or "set-cookie" or "upgrade" or "server"
                or "date") && !name.StartsWith("access-control-", StringComparison.OrdinalIgnoreCase))
            {
                context.Response.Headers[name] = new StringValues([.. values]);
            }
        }
        if (answer.StatusCode is HttpStatusCode.NoContent or HttpStatusCode.NotModified)
            return;
        await using var body = await answer.Content.ReadAsStreamAsync(context.RequestAborted);
        var buffer = new byte[16 << 10];
        // What comes in pieces goes on in pieces.
        while (await body.ReadAsync(buffer, context.RequestAborted) is > 0 and var count)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, count), context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }

    // Each instance is a request to another route, which it names; its answer, or its error, is a prediction.
    private static async Task HandlePredictAsync(HttpContext context, RouteTable routes)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var instances = fields.List("instances") ?? throw ApiException.BadField("instances", "is missing; an array of objects is required");
        if (instances.Count > MostInstances)
            throw ApiException.BadField("instances", $"has {instances.Count} entries; at most {MostInstances} are allowed");
        var predictions = await Task.WhenAll(instances.Select((instance, i) => PredictAsync(context, routes, instance, $"instances[{i}]")));
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("predictions");
            foreach (var prediction in predictions)
                json.WriteRawValue(prediction.Span);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task<ReadOnlyMemory<byte>> PredictAsync(HttpContext outer, RouteTable routes, JsonElement instance, string name)
    {
        using var answer = new MemoryStream();
        var inner = new DefaultHttpContext { RequestServices = outer.RequestServices, RequestAborted = outer.RequestAborted };
        try
        {
            var fields = RequestFields.Of(instance, name);
            var format = fields.RequiredText(FormatField);
            inner.Request.Method = HttpMethods.Post;
            inner.Request.Path = routes.Routes.Where(route => route.Methods.Contains(HttpMethods.Post)).Select(route => route.Pattern)
                .FirstOrDefault(pattern => pattern == format || FormatOf(pattern) == format)
                ?? throw ApiException.BadField(fields.FullName(FormatField), $"names no route: {RequestFields.Quote(format)}");
            inner.Request.ContentType = "application/json";
            inner.Request.Body = new MemoryStream(RequestOf(instance));
            inner.Response.Body = answer;
            var log = RequestContext.Of(inner);
            log.Match = routes.Match(inner.Request);
            log.Client = RequestContext.Of(outer).Client;
            await routes.InvokeAsync(inner);
            await inner.Response.CompleteAsync();
            return answer.ToArray();
        }
        catch (Exception e) when (ApiError.Of(e, inner) is { } error && !ClientConnection.IsGone(outer))
        {
            return LlamaServerDialect.Instance.ErrorBody(error, outer.TraceIdentifier);
        }
    }

    // A prediction is one answer, whatever the instance says.
    private static byte[] RequestOf(JsonElement instance)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            foreach (var property in instance.EnumerateObject())
            {
                if (property.Name is not (FormatField or "stream"))
                    property.WriteTo(json);
            }
            json.WriteEndObject();
        }
        return buffer.ToArray();
    }

    // "chatCompletions" is /v1/chat/completions.
    private static string FormatOf(string pattern)
    {
        var words = pattern.Split(['/', '-', '_'], StringSplitOptions.RemoveEmptyEntries);
        var text = new StringBuilder();
        foreach (var word in words is ["v1", .. var rest] ? rest : words)
            text.Append(text.Length == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]);
        return text.ToString();
    }
}
