using Microsoft.Extensions.Logging;
using Shimmy.Engine;

namespace Shimmy.Api;

/// <summary>A loaded model as one request sees it: what it generates and embeds takes the client's place in the queue, and its prompts are logged where that is wanted.</summary>
internal sealed partial class AskedModel(ILoadedModel model, QueuePlace place, string requestId, ILogger? promptLog) : ILoadedModel
{
    public ModelSpec Spec => model.Spec;

    public ModelFacts Facts => model.Facts;

    public Task Completion => model.Completion;

    public IAsyncEnumerable<GenerationEvent> GenerateAsync(GenerationRequest request, CancellationToken cancellation)
    {
        if (promptLog is not null)
        {
            LogPrompt(promptLog, requestId, request.Prompt.Tokens is { } tokens
                ? $"{tokens.Count} tokens"
                : string.Concat(request.Prompt.Parts.Select(part => part.Text)));
        }
        return model.GenerateAsync(request with { Place = place }, cancellation);
    }

    public Task<Embedding> EmbedAsync(EmbeddingRequest request, CancellationToken cancellation) =>
        model.EmbedAsync(request with { Place = place }, cancellation);

    public Task<IReadOnlyList<int>> TokenizeAsync(Prompt prompt, CancellationToken cancellation) => model.TokenizeAsync(prompt, cancellation);

    public Task<ReadOnlyMemory<byte>> DetokenizeAsync(IReadOnlyList<int> tokens, CancellationToken cancellation) => model.DetokenizeAsync(tokens, cancellation);

    public Task<EngineStatistics> GetStatisticsAsync(CancellationToken cancellation) => model.GetStatisticsAsync(cancellation);

    /// <summary>Does nothing: the model is the residency's.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [LoggerMessage(LogLevel.Information, "{RequestId} reads: {Prompt}")]
    private static partial void LogPrompt(ILogger logger, string requestId, string prompt);
}
