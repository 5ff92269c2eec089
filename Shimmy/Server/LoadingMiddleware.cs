using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// Answers 503 until the model of <c>shimmy llama-server</c> is in memory, as its clients expect: they ask <c>/health</c> until it is well.
/// </summary>
internal sealed class LoadingMiddleware(Task loaded)
{
    /// <summary>Lets the request through, or throws <see cref="ApiException"/> (503).</summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate next) => loaded.IsCompletedSuccessfully
        ? next(context)
        : throw new ApiException(503, "Loading model", "loading") { RetryAfterSeconds = 1 };
}
