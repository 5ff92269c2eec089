using Shimmy.Engine;

namespace Shimmy.Api;

/// <summary>
/// A loaded model as one request sees it: what it generates and embeds takes the client's place in the queue, and what it embeds is logged where that is
/// wanted. Prompts of answers are logged before the response cache is asked (<see cref="CacheControl"/>).
/// </summary>
internal sealed class AskedModel(ILoadedModel model, QueuePlace place, PromptLog? prompts) : ILoadedModel
{
    public ModelSpec Spec => model.Spec;

    public ModelFacts Facts => model.Facts;

    public Task Completion => model.Completion;

    public IAsyncEnumerable<GenerationEvent> GenerateAsync(GenerationRequest request, CancellationToken cancellation, CancellationToken finish = default) =>
        model.GenerateAsync(request with { Place = place }, cancellation, finish);

    public Task<Embedding> EmbedAsync(EmbeddingRequest request, CancellationToken cancellation)
    {
        prompts?.Write(request.Prompt);
        return model.EmbedAsync(request with { Place = place }, cancellation);
    }

    public Task<IReadOnlyList<int>> TokenizeAsync(Prompt prompt, CancellationToken cancellation) => model.TokenizeAsync(prompt, cancellation);

    public Task<ReadOnlyMemory<byte>> DetokenizeAsync(IReadOnlyList<int> tokens, CancellationToken cancellation) => model.DetokenizeAsync(tokens, cancellation);

    public Task<EngineStatistics> GetStatisticsAsync(CancellationToken cancellation) => model.GetStatisticsAsync(cancellation);

    /// <summary>Does nothing: the model is the residency's.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
