using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Shimmy.Api;

/// <summary>Plain JSON answers.</summary>
internal static class Reply
{
    /// <summary>Sends what <paramref name="write"/> writes as the JSON body.</summary>
    public static async Task JsonAsync(HttpContext context, Action<Utf8JsonWriter> write, int status = 200)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        await using (var json = new Utf8JsonWriter(context.Response.BodyWriter, JsonText.WriterOptions))
            write(json);
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted).ConfigureAwait(false);
    }
}
