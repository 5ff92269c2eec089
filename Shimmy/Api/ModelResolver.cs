using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api;

/// <summary>From the name in a request to a loaded model.</summary>
internal static class ModelResolver
{
    private const int MostPriority = 1000;

    /// <summary>
    /// The model that the request names, loaded; the lease keeps it so. Throws <see cref="ApiException"/> where no name was given or no
    /// model has it: nothing is ever answered by another model than the one asked for. <c>keep_alive</c> says how long the model stays
    /// afterwards, in Ollama's forms; <c>timeout</c> how many seconds the request may take; <c>priority</c> where it stands among the waiting
    /// requests of its client, lower first as in vLLM.
    /// </summary>
    public static Task<ModelLease> AcquireAsync(HttpContext context, RequestFields fields) => AcquireAsync(context, fields, context.RequestAborted);

    /// <inheritdoc cref="AcquireAsync(HttpContext, RequestFields)"/>
    /// <param name="context">The request, or the connection that it came on.</param>
    /// <param name="fields">What it asks for.</param>
    /// <param name="cancellation">Ends with the request, where that is not all of the connection.</param>
    public static async Task<ModelLease> AcquireAsync(HttpContext context, RequestFields fields, CancellationToken cancellation)
    {
        var keepAlive = KeepAliveOf(fields);
        RequestDeadline.Read(context, fields);
        var priority = fields.Whole("priority", -MostPriority, MostPriority) ?? 0;
        var log = RequestContext.Of(context);
        var client = log.Client;
        var entry = await FindAsync(context, fields.RequiredText("model"), cancellation).ConfigureAwait(false);
        log.Model = entry.Name;
        var entered = client?.Enter();
        try
        {
            var lease = await context.RequestServices.GetRequiredService<ModelResidency>()
                .AcquireAsync(entry, null, keepAlive, cancellation).ConfigureAwait(false);
            log.NoteLoaded();
            var asked = new AskedModel(lease.Model, new QueuePlace(client?.Name ?? "", client?.Rank ?? 0, priority), PromptLog.Of(context));
            return new ModelLease(lease.Entry, asked, () =>
            {
                lease.Dispose();
                entered?.Dispose();
            });
        }
        catch
        {
            entered?.Dispose();
            throw;
        }
    }

    /// <summary>The field <c>keep_alive</c>; null where it is absent. Throws <see cref="ApiException"/> for a value that is no duration.</summary>
    public static TimeSpan? KeepAliveOf(RequestFields fields)
    {
        const string name = "keep_alive";
        if (fields.Find(name) is not { } value)
            return null;
        return KeepAlive.TryParse(value, out var duration)
            ? duration
            : throw ApiException.BadField(name, $"must be {KeepAlive.Allowed}, not {RequestFields.Describe(value)}");
    }

    /// <summary>The log for what becomes known of a model while it serves.</summary>
    public static ILogger LoggerOf(HttpContext context) =>
        context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("shimmy");

    /// <summary>A name that is part of the path. Clients escape its slashes, and those are what Kestrel leaves escaped.</summary>
    public static string NameInPath(HttpContext context, string routeValue) =>
        ((string?)context.Request.RouteValues[routeValue] ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);

    /// <summary>The model of this name; throws <see cref="ApiException"/> (404) naming close ones.</summary>
    public static Task<ModelEntry> FindAsync(HttpContext context, string name) => FindAsync(context, name, context.RequestAborted);

    private static async Task<ModelEntry> FindAsync(HttpContext context, string name, CancellationToken cancellation)
    {
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        if (await registry.FindAsync(name, cancellation).ConfigureAwait(false) is { } entry)
            return entry;
        throw new ApiException(
            404, $"the model {RequestFields.Quote(name)} does not exist here; {registry.ExplainUnknown(name)}", "model_not_found", "model");
    }
}
