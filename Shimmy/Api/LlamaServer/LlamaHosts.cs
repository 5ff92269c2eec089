using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// llama-server's routes for the places that it runs in: Vertex AI's predictions (<c>AIP_MODE</c>), and the files that its own page leaves
/// browsers asking for. Its proxy for pages is left out: any page that reaches the server could read this machine's network by it.
/// </summary>
internal static class LlamaHosts
{
    private const string FormatField = "@requestFormat";
    private const int MostInstances = 128;

    // A browser that had llama-server's page open at this address keeps its worker, and shows that page still.
    private const string Worker = """
        self.addEventListener('install', () => self.skipWaiting());
        self.addEventListener('activate', event => event.waitUntil(
          caches.keys().then(keys => Promise.all(keys.map(key => caches.delete(key)))).then(() => self.registration.unregister())));

        """;

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

    // Each instance is a request to another route, which it names; its answer, or its error, is a prediction.
    private static async Task HandlePredictAsync(HttpContext context, RouteTable routes)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var instances = fields.List("instances") ?? throw ApiException.BadField("instances", "is missing; an array of objects is required");
        if (instances.Count > MostInstances)
            throw ApiException.BadField("instances", $"has {instances.Count} entries; at most {MostInstances} are allowed");
        var log = RequestContext.Of(context);
        DefaultHttpContext[] inner = [.. instances.Select(_ => new DefaultHttpContext { RequestServices = context.RequestServices })];
        ReadOnlyMemory<byte>[] predictions;
        try
        {
            predictions = await Task.WhenAll(
                instances.Select((instance, i) => PredictAsync(context, inner[i], routes, instance, $"instances[{i}]")));
        }
        finally
        {
            // They count as this request's, for the log and for what its key may use: those of one that fails or is left as well.
            var records = Array.ConvertAll(inner, RequestContext.Of);
            log.Model = Array.Find(records, record => record.Model is not null)?.Model;
            foreach (var record in records)
            {
                if (record.Usage is { } usage)
                    log.Usage = log.Usage is { } sum ? sum + usage : usage;
            }
        }
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("predictions");
            foreach (var prediction in predictions)
                json.WriteRawValue(prediction.Span, skipInputValidation: true);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task<ReadOnlyMemory<byte>> PredictAsync(
        HttpContext outer, HttpContext inner, RouteTable routes, JsonElement instance, string name)
    {
        using var answer = new MemoryStream();
        // Its own, for the field timeout.
        using var deadline = RequestDeadline.Begin(inner, null);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(outer.RequestAborted, deadline.Token);
        inner.RequestAborted = outer.RequestAborted;
        ClientConnection.EndWith(inner, either.Token, deadline.Token);
        try
        {
            var fields = RequestFields.Of(instance, name);
            var format = fields.RequiredText(FormatField);
            inner.Request.Method = HttpMethods.Post;
            // Not itself: predictions in predictions would multiply.
            var own = LlamaServerMode.Of(outer).PredictRoute;
            inner.Request.Path = routes.Routes.Where(route => route.Methods.Contains(HttpMethods.Post)).Select(route => route.Pattern)
                .FirstOrDefault(pattern => pattern != own && (pattern == format || FormatOf(pattern) == format))
                ?? throw ApiException.BadField(fields.FullName(FormatField), $"names no route: {RequestFields.Quote(format)}");
            inner.Request.ContentType = "application/json";
            inner.Request.Body = new MemoryStream(RequestOf(instance));
            inner.Response.Body = answer;
            var log = RequestContext.Of(inner);
            log.Match = routes.Match(inner.Request);
            log.Client = RequestContext.Of(outer).Client;
            await routes.InvokeAsync(inner);
            await inner.Response.CompleteAsync();
            var bytes = answer.ToArray();
            return IsJson(bytes) ? bytes
                : throw ApiException.BadField(fields.FullName(FormatField),
                    $"names a route that does not answer with one JSON value: {RequestFields.Quote(format)}");
        }
        catch (Exception e) when (!outer.RequestAborted.IsCancellationRequested && ApiError.Of(e, inner) is { } error)
        {
            return LlamaServerDialect.Instance.ErrorBody(error, outer.TraceIdentifier);
        }
    }

    private static bool IsJson(byte[] bytes)
    {
        try
        {
            JsonDocument.Parse(bytes).Dispose();
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    // A prediction is one answer, whatever the instance says and a route does without a word.
    private static byte[] RequestOf(JsonElement instance)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteBoolean("stream"u8, false);
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
