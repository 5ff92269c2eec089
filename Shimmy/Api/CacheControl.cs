using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Primitives;
using Shimmy.Chat.Cache;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>The response cache in HTTP: <c>Cache-Control</c> of a request, <c>x-shimmy-cache</c> of its response.</summary>
internal static class CacheControl
{
    private const string Name = "x-shimmy-cache";

    /// <summary>
    /// The cache for a request that generates. A successful answer says <c>hit</c>, <c>miss</c> or <c>bypass</c>, of several answers the
    /// worst; nothing is said where the response has begun, as a WebSocket's has.
    /// </summary>
    public static CachedExecution Use(HttpContext context)
    {
        var use = new CachedExecution(context.RequestServices.GetRequiredService<ResponseCache>(),
            PolicyOf(context.Request.Headers.CacheControl),
            PromptLog.Of(context) is { } prompts ? prompts.Write : null);
        RequestContext.Of(context).Cache = use;
        if (!context.Response.HasStarted)
            context.Response.OnStarting(static state => Tell(((HttpContext, CachedExecution))state), (context, use));
        return use;
    }

    private static Task Tell((HttpContext Context, CachedExecution Use) state)
    {
        if (state.Context.Response.StatusCode < 400 && state.Use.OutcomeName is { } outcome)
            state.Context.Response.Headers[Name] = outcome;
        return Task.CompletedTask;
    }

    // Directives stand side by side or in headers of their own, in any case; those of other kinds are for other caches.
    private static CachePolicy PolicyOf(StringValues header)
    {
        var policy = CachePolicy.Use;
        foreach (var directive in header.SelectMany(value => value?.Split(',') ?? []).Select(directive => directive.Trim()))
        {
            if (directive.Equals("no-store", StringComparison.OrdinalIgnoreCase))
                return CachePolicy.Bypass;
            if (directive.Equals("no-cache", StringComparison.OrdinalIgnoreCase))
                policy = CachePolicy.Renew;
        }
        return policy;
    }
}
