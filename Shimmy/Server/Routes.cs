using Shimmy.Api;
using Shimmy.Api.Anthropic;
using Shimmy.Api.LlamaServer;
using Shimmy.Api.Native;
using Shimmy.Api.Ollama;
using Shimmy.Api.OpenAI;
using Shimmy.Api.OpenAI.Responses;
using Shimmy.Http;
using Shimmy.Server.Page;

namespace Shimmy.Server;

/// <summary>
/// The dialects with their endpoints: a new dialect is a folder in <c>Api</c> and a line here. The inventory's test reads the table.
/// </summary>
internal static class Routes
{
    /// <summary>Makes the route table, with the page or without it.</summary>
    public static RouteTable Create(LlamaServerMode? mode = null, bool page = true)
    {
        var routes = new RouteTable { ForcedDialect = mode is null ? null : LlamaServerDialect.Instance };
        routes.Add(NativeDialect.Instance, [Health.Map, Metrics.Map, Diagnostics.Map, ModelsEndpoint.Map, PullEndpoint.Map,
            ModelLifecycle.Map, Generate.Map, GenerateSocket.Map, ApplyTemplate.Map, Tokenize.Map, Events.Map,
            .. page ? [PageEndpoint.Map] : (Action<RouteTable>[])[]]);
        routes.Add(OpenAIDialect.Instance, ModelList.Map, ChatCompletions.Map, Completions.Map, Render.Map, Embeddings.Map, Rerank.Map,
            Transcriptions.Map, CreateResponse.Map, StoredResponses.Map);
        routes.Add(AnthropicDialect.Instance, Messages.Map, AnthropicModels.Map);
        routes.Add(LlamaServerDialect.Instance, LlamaCompletions.Map, LlamaFacts.Map, LlamaSlots.Map, LlamaTexts.Map, StreamRoutes.Map);
        if (mode is not null)
        {
            LlamaModeRoutes.Map(routes);
            LlamaRouter.Map(routes);
            LlamaHosts.MapPredictions(routes, mode);
            if (page)
                LlamaHosts.MapFiles(routes);
            routes.MapInstead("/v1/models", ModelList.HandleListAsync, RoutePolicy.Open);
        }
        routes.Add(OllamaDialect.Instance, Listings.Map, ShowModel.Map, OllamaChat.Map, OllamaGenerate.Map, Embed.Map, Management.Map);
        return routes;
    }
}
