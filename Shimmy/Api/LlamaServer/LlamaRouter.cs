using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// llama-server as a router: started without a model, it serves those that are found, each by its name, and loads and unloads them as it
/// is asked to (<c>POST /models/load</c>, <c>/models/unload</c>) or as they are asked for.
/// </summary>
internal static class LlamaRouter
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/models/load", HandleLoadAsync);
        routes.MapPost("/models/unload", HandleUnloadAsync);
    }

    /// <summary>Writes <c>/props</c> of the router itself.</summary>
    public static Task WritePropsAsync(HttpContext context, LlamaServerMode mode) => JsonResponse.WriteAsync(context, json =>
    {
        json.WriteStartObject();
        json.WriteString("role"u8, "router"u8);
        json.WriteNumber("max_instances", mode.MostModels);
        json.WriteBoolean("models_autoload", mode.LoadsModels);
        json.WriteString("model_alias"u8, "llama-server"u8);
        json.WriteString("model_path"u8, "none"u8);
        json.WriteStartObject("default_generation_settings");
        json.WriteStartObject("params");
        json.WriteEndObject();
        json.WriteNumber("n_ctx", 0);
        json.WriteEndObject();
        json.WriteString("build_info", LlamaServerMode.BuildInfo);
        json.WriteBoolean("cors_proxy_enabled", false);
        json.WriteEndObject();
    });

    // The answer does not wait for the load: the list of models says how it stands.
    private static async Task HandleLoadAsync(HttpContext context)
    {
        var (entry, residency, isRunning) = await AskedAsync(context);
        if (isRunning)
            throw ApiException.BadField("model", "is already running");
        var failed = LlamaServerMode.Of(context).Failed;
        failed.TryRemove(entry.Name, out _);
        _ = LoadAsync();
        await SucceedAsync(context);

        async Task LoadAsync()
        {
            try
            {
                (await residency.AcquireAsync(entry, null, CancellationToken.None).ConfigureAwait(false)).Dispose();
            }
            catch (Exception)
            {
                // The load has logged why.
                failed[entry.Name] = 1;
            }
        }
    }

    private static async Task HandleUnloadAsync(HttpContext context)
    {
        var (entry, residency, isRunning) = await AskedAsync(context);
        if (!isRunning)
            throw ApiException.BadField("model", "is not running");
        // It ends once its requests have.
        _ = residency.UnloadAsync(entry.Name, CancellationToken.None);
        await SucceedAsync(context);
    }

    private static async Task<(ModelEntry Entry, ModelResidency Residency, bool IsRunning)> AskedAsync(HttpContext context)
    {
        if (!LlamaServerMode.Of(context).Routes)
            throw new ApiException(501, "This server has one model; started without one it is a router, and serves those that are found");
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var entry = await ModelResolver.FindAsync(context, fields.RequiredText("model"));
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        return (entry, residency, LlamaServerMode.StatusOf(residency, entry) != "unloaded");
    }

    private static Task SucceedAsync(HttpContext context) => JsonResponse.WriteAsync(context, json =>
    {
        json.WriteStartObject();
        json.WriteBoolean("success", true);
        json.WriteEndObject();
    });
}
