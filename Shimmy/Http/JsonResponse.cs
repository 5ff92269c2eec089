using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>Options of the JSON reader and writer for requests and responses.</summary>
internal static class JsonText
{
    // The answers go to programs, never into a page: text stays readable instead of \u escapes.
    public static JsonWriterOptions WriterOptions { get; } =
        new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    public static JsonDocumentOptions ReaderOptions { get; } = new() { MaxDepth = 64, AllowDuplicateProperties = false };
}

/// <summary>Responses with a JSON body.</summary>
internal static class JsonResponse
{
    /// <summary>Sends what <paramref name="write"/> writes as the JSON body.</summary>
    public static async Task WriteAsync(HttpContext context, Action<Utf8JsonWriter> write, int status = 200)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        await using (var json = new Utf8JsonWriter(context.Response.BodyWriter, JsonText.WriterOptions))
            write(json);
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted).ConfigureAwait(false);
    }
}
