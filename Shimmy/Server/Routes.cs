using Shimmy.Api.Anthropic;
using Shimmy.Api.Native;
using Shimmy.Api.OpenAI;
using Shimmy.Api.OpenAI.Responses;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>The route table; the inventory's test reads it.</summary>
internal static class Routes
{
    /// <summary>Maps every route.</summary>
    public static void Map(RouteTable routes)
    {
        Health.Map(routes);
        Metrics.Map(routes);
        Diagnostics.Map(routes);
        ModelList.Map(routes);
        ChatCompletions.Map(routes);
        Completions.Map(routes);
        CreateResponse.Map(routes);
        StoredResponses.Map(routes);
        ResponseInputTokens.Map(routes);
        Messages.Map(routes);
        Embeddings.Map(routes);
        Rerank.Map(routes);
        ModelsEndpoint.Map(routes);
        ModelLifecycle.Map(routes);
        Generate.Map(routes);
        GenerateSocket.Map(routes);
        ApplyTemplate.Map(routes);
        Tokenize.Map(routes);
        Detokenize.Map(routes);
    }
}
