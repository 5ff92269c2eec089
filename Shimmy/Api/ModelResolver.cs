using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Pull;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api;

/// <summary>Resolves the model name of a request to a lease on the loaded model.</summary>
internal static class ModelResolver
{
    private const double LongestRetry = 60;

    /// <summary>The models that a client may choose from, after the first scan. One that cannot be loaded is nothing to choose.</summary>
    public static async Task<IReadOnlyList<ModelEntry>> ListedAsync(HttpContext context)
    {
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        await registry.ScannedAsync(context.RequestAborted);
        if (LlamaServerMode.Of(context) is { IsOn: true, Routes: false })
            return registry.Default is { } only ? [only] : [];
        return [.. registry.Entries.Where(entry => entry is not { Source: ModelSource.Registered, WhyUnloadable: not null })];
    }

    /// <summary>The adapters of models, which a client may name in their place.</summary>
    public static IReadOnlyList<AdapterModel> AdaptersOf(HttpContext context, IReadOnlyList<ModelEntry> models)
    {
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        return AdapterModel.Of(registry, models, entry => residency.Tunings.SpecOf(entry).Loras);
    }

    /// <summary>
    /// The model that the request names, loaded; the lease keeps it so. Throws <see cref="ApiException"/> where no model has the name:
    /// nothing is ever answered by another model than the one asked for.
    /// </summary>
    public static Task<ModelLease> AcquireAsync(HttpContext context, ModelRequest request) =>
        AcquireAsync(context, request, context.RequestAborted);

    /// <inheritdoc cref="AcquireAsync(HttpContext, ModelRequest)"/>
    /// <param name="context">The request, or the connection that it came on.</param>
    /// <param name="request">What it says of the model.</param>
    /// <param name="cancellation">Ends with the request, where that is not all of the connection.</param>
    public static async Task<ModelLease> AcquireAsync(HttpContext context, ModelRequest request, CancellationToken cancellation)
    {
        if (request.Timeout is { } timeout)
            RequestDeadline.Shorten(context, timeout);
        var log = RequestContext.Of(context);
        var client = log.Client;
        var (entry, adapter) = await FindAsync(context, request.Model, cancellation, pulls: true).ConfigureAwait(false);
        log.Model = entry.Name;
        LlamaServerMode.CheckLoaded(context, entry);
        var entered = client?.Enter();
        try
        {
            var lease = await context.RequestServices.GetRequiredService<ModelResidency>()
                .AcquireAsync(entry, null, request.KeepAlive, cancellation).ConfigureAwait(false);
            log.NoteLoaded();
            return lease.For(new QueuePlace(client?.Name ?? "", client?.Rank ?? 0, request.Priority), () => entered?.Dispose(),
                adapter?.Entry, adapter?.Choice);
        }
        catch
        {
            entered?.Dispose();
            throw;
        }
    }

    /// <summary>The server's log.</summary>
    public static ILogger LoggerOf(HttpContext context) =>
        context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("shimmy");

    /// <summary>A name that is part of the path. Clients escape its slashes, and those are what Kestrel leaves escaped.</summary>
    public static string NameInPath(HttpContext context, string routeValue) =>
        ((string?)context.Request.RouteValues[routeValue] ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);

    /// <summary>
    /// The model of this name, or the one that an adapter of this name changes; throws <see cref="ApiException"/> (404) naming close ones.
    /// </summary>
    /// <param name="context">The request.</param>
    /// <param name="name">The name.</param>
    /// <param name="pulls">Whether a model that is missing is pulled, where the server does so: for what needs the model itself.</param>
    /// <param name="anyName">Whether llama-server's model may be meant by a name that is none of its own.</param>
    public static async Task<ModelEntry> FindAsync(HttpContext context, string? name, bool pulls = false, bool anyName = true) =>
        (await FindAsync(context, name, context.RequestAborted, pulls, anyName)).Entry;

    /// <summary>The model of this name, with the adapter where it is one's; throws as the other.</summary>
    public static async Task<(ModelEntry Entry, AdapterModel? Adapter)> FindAsync(
        HttpContext context, string? name, CancellationToken cancellation, bool pulls = false, bool anyName = true)
    {
        RequestContext.Of(context).RequestedModel = name;
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        // llama-server has one model, which answers every name.
        if (LlamaServerMode.Of(context) is { IsOn: true, Routes: false } mode && registry.Default is { } only)
        {
            return anyName || name is null || mode.Aliases.Contains(name, StringComparer.OrdinalIgnoreCase)
                || ReferenceEquals(registry.Find(name), only) ? (only, null) : throw Unknown(registry, name);
        }
        if (name is null)
        {
            return (registry.Default ?? throw ApiException.BadField("model",
                "is missing; a string is required, because no model is registered by hand that answers where none is named",
                "missing_required_parameter"), null);
        }

        // Before an alias with wildcards, which may match everything, and before a scan for what is known already.
        var before = registry.Entries;
        if (AdapterOf(context, registry, name) is { } known)
            return (known.Base, known);
        var entry = await registry.FindAsync(name, cancellation).ConfigureAwait(false);
        // What an alias with wildcards leads to is only right once all models, and so their adapters, are known.
        if (entry is not null && registry.IsFirstScan && !entry.IsCalled(name) && !registry.PlainAliases.Any(alias => Is(alias.Name, name)))
        {
            await registry.ScannedAsync(cancellation).ConfigureAwait(false);
            entry = registry.Find(name) ?? entry;
        }
        if (!ReferenceEquals(registry.Entries, before) && AdapterOf(context, registry, name) is { } late)
            return (late.Base, late);
        if (entry is not null)
            return (entry, null);
        var service = context.RequestServices.GetService<PullService>();
        if (pulls && service is { PullsMissing: true } && service.BeginMissing(name) is { } run)
            return (await PulledAsync(registry, name, run, service.PullWait, cancellation).ConfigureAwait(false), null);
        throw Unknown(registry, name, service is null ? "" : PullName.Hint(name));
    }

    private static ApiException Unknown(ModelRegistry registry, string name, string hint = "") => new(404,
        $"the model {RequestFields.Quote(name)} does not exist here; {registry.ExplainUnknown(name)}{hint}", "model_not_found", "model")
    {
        UnknownModel = name,
    };

    /// <summary>The adapter that a name means; null where it means none, or a model has it.</summary>
    public static AdapterModel? AdapterOf(HttpContext context, string name) =>
        AdapterOf(context, context.RequestServices.GetRequiredService<ModelRegistry>(), name);

    private static AdapterModel? AdapterOf(HttpContext context, ModelRegistry registry, string name) =>
        registry.Find(name) is { WhyUnloadable: null } model && Is(model.Name, name)
            ? null
            : AdaptersOf(context, registry.Entries).FirstOrDefault(adapter => adapter.IsCalled(name));

    private static bool Is(string name, string other) => string.Equals(name, other, StringComparison.OrdinalIgnoreCase);

    // Waits a moment: a small model is here then, and a name that no registry knows is refused as such.
    private static async Task<ModelEntry> PulledAsync(
        ModelRegistry registry, string name, PullRun run, TimeSpan pullWait, CancellationToken cancellation)
    {
        var until = Task.Delay(pullWait, cancellation);
        await Task.WhenAny(run.Done, until).ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
        if (run.Done.IsCompleted)
        {
            var pulled = await run.Done.ConfigureAwait(false);
            return registry.Find(name) ?? registry.Find(pulled.Plan.Name) ?? throw new ApiException(404,
                $"{pulled.Plan.Name} was pulled, but cannot be used: {registry.ExplainUnknown(name)}",
                    "model_not_found", "model");
        }
        var step = run.Latest;
        var elapsed = (DateTimeOffset.UtcNow - run.StartedAt).TotalSeconds;
        var left = step.Done > 0 ? elapsed * (step.Total - step.Done) / step.Done : LongestRetry;
        throw new ApiException(202,
            $"{run.Name.Canonical} is being pulled: {ByteCount.DownloadMegabytes(step.Done)} of "
            + $"{ByteCount.DownloadMegabytes(step.Total)} MB are here; "
            + "ask again. POST /api/models/pull and GET /api/events follow it", "model_pulling", "model")
        {
            RetryAfterSeconds = (int)Math.Clamp(left, 1, LongestRetry),
        };
    }
}
