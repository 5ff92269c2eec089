using System.Runtime.CompilerServices;
using Shimmy.Engine;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>A model whose tokens are the bytes that the test says, cut anywhere.</summary>
internal sealed class FixedTokensModel(IReadOnlyList<byte[]> pieces, FinishReason reason = FinishReason.Stop) : ILoadedModel
{
    /// <summary>What was asked for last.</summary>
    public GenerationRequest? Request { get; private set; }

    /// <summary>What its tokens tell of drafts, the first first.</summary>
    public IReadOnlyList<TokenDraft> Drafts { get; init; } = [];

    /// <summary>Tokens that were taken from it.</summary>
    public int Given { get; private set; }

    /// <summary>Whether the last enumeration was left or ended.</summary>
    public bool Left { get; private set; }

    public ModelSpec Spec { get; } = new() { Name = "spoken", Path = "" };

    public ModelFacts Facts { get; init; } = new() { Architecture = "spoken", Description = "spoken" };

    public Task Completion { get; } = new TaskCompletionSource().Task;

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation, CancellationToken finish = default)
    {
        Request = request;
        try
        {
            yield return GenerationEvent.OfStart(new GenerationStart(7, 3, 42));
            foreach (var piece in pieces)
            {
                await Task.Yield();
                yield return GenerationEvent.OfToken(++Given, piece, null, Drafts.ElementAtOrDefault(Given - 1));
            }
            yield return GenerationEvent.OfEnd(new GenerationEnd(reason, pieces.Count, new GenerationTimings(1, 2, 3)));
        }
        finally
        {
            Left = true;
        }
    }

    public Task<Embedding> EmbedAsync(EmbeddingRequest request, CancellationToken cancellation) => throw new NotSupportedException();

    public Task<IReadOnlyList<int>> TokenizeAsync(Prompt prompt, CancellationToken cancellation) => Task.FromResult<IReadOnlyList<int>>([1]);

    public Task<ReadOnlyMemory<byte>> DetokenizeAsync(IReadOnlyList<int> tokens, CancellationToken cancellation) =>
        throw new NotSupportedException();

    public Task<EngineStatistics> GetStatisticsAsync(CancellationToken cancellation) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
