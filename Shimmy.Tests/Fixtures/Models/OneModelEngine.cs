using Shimmy.Engine;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// One model in memory under every name that is loaded, with the chat template that the test says: what a template does to prompts and
/// answers needs no worker of its own.
/// </summary>
internal sealed class OneModelEngine(ILoadedModel model, string? template) : IInferenceEngine
{
    public bool CanLoad(ModelSpec spec) => true;

    public Task<ILoadedModel> LoadAsync(ModelSpec spec, IProgress<float>? progress, CancellationToken cancellation) =>
        Task.FromResult(Under(spec));

    /// <summary>The model under a spec; its disposal leaves it in memory.</summary>
    public ILoadedModel Under(ModelSpec spec) => new Shared(model, spec,
        model.Facts with
        {
            ChatTemplates = template is null ? new Dictionary<string, string>() : new Dictionary<string, string> { ["default"] = template },
        });

    private sealed class Shared(ILoadedModel model, ModelSpec spec, ModelFacts facts) : ILoadedModel
    {
        private readonly TaskCompletionSource _disposed = new();

        public ModelSpec Spec => spec;

        public ModelFacts Facts => facts;

        public Task Completion => Task.WhenAny(_disposed.Task, model.Completion);

        public IAsyncEnumerable<GenerationEvent> GenerateAsync(
            GenerationRequest request, CancellationToken cancellation, CancellationToken finish = default) =>
            model.GenerateAsync(request, cancellation, finish);

        public Task<Embedding> EmbedAsync(EmbeddingRequest request, CancellationToken cancellation) =>
            model.EmbedAsync(request, cancellation);

        public Task<IReadOnlyList<int>> TokenizeAsync(Prompt prompt, CancellationToken cancellation) =>
            model.TokenizeAsync(prompt, cancellation);

        public Task<ReadOnlyMemory<byte>> DetokenizeAsync(IReadOnlyList<int> tokens, CancellationToken cancellation) =>
            model.DetokenizeAsync(tokens, cancellation);

        public Task<SlotResult> DoAsync(SlotAction action, CancellationToken cancellation) => model.DoAsync(action, cancellation);

        public Task<EngineStatistics> GetStatisticsAsync(CancellationToken cancellation) => model.GetStatisticsAsync(cancellation);

        public ValueTask DisposeAsync()
        {
            _disposed.TrySetResult();
            return ValueTask.CompletedTask;
        }
    }
}
