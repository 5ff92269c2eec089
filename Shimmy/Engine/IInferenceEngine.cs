using Shimmy.SafeTensors;

namespace Shimmy.Engine;

/// <summary>Loads models of the formats it knows. Implemented by the worker-backed llama engine and by the tests' scripted one.</summary>
public interface IInferenceEngine
{
    /// <summary>Whether this engine runs files of this format.</summary>
    bool CanLoad(ModelSpec spec);

    /// <summary>How far the conversion is of a folder that this engine converts; null for anything else.</summary>
    internal ConversionState? ConversionOf(string path) => null;

    /// <summary>
    /// Loads a model. <paramref name="progress"/> gets the share done, 0 to 1.
    /// Throws <see cref="EngineException"/> with <see cref="EngineFailure.LoadFailed"/> where it cannot be loaded.
    /// </summary>
    Task<ILoadedModel> LoadAsync(ModelSpec spec, IProgress<float>? progress, CancellationToken cancellation);
}

/// <summary>A model that is ready to generate. Disposing it unloads it and ends what still runs on it.</summary>
public interface ILoadedModel : IAsyncDisposable
{
    /// <summary>The spec that was loaded.</summary>
    ModelSpec Spec { get; }

    /// <summary>Facts read from the loaded model.</summary>
    ModelFacts Facts { get; }

    /// <summary>Ends when the model can no longer be used, by disposal or because its worker died. Never faults.</summary>
    Task Completion { get; }

    /// <summary>
    /// Generates one answer, as <see cref="GenerationEvent"/> describes. It can be ended before the model ends it, in two ways, both of
    /// which free the slot within one decode step. Throws <see cref="EngineException"/>: from the first move for what is wrong with the
    /// request, later only where the worker died.
    /// </summary>
    /// <param name="request">The request.</param>
    /// <param name="cancellation">
    /// Gives the answer up: the enumeration throws <see cref="OperationCanceledException"/> at once. Leaving the enumeration does the same
    /// without the throw.
    /// </param>
    /// <param name="finish">
    /// Asks for the end: the enumeration goes on with the tokens that are on their way until the end event, which has the counts and times
    /// of the engine and <see cref="FinishReason.Cancelled"/>, or the reason for which the answer ended by itself meanwhile. Without a
    /// start event where no slot was free yet.
    /// </param>
    IAsyncEnumerable<GenerationEvent> GenerateAsync(
        GenerationRequest request, CancellationToken cancellation, CancellationToken finish = default);

    /// <summary>
    /// Embeds a text, or scores a document for a query. Throws <see cref="EngineException"/> for what is wrong with the request or the
    /// model.
    /// </summary>
    Task<Embedding> EmbedAsync(EmbeddingRequest request, CancellationToken cancellation);

    /// <summary>The tokens that this prompt has for the model.</summary>
    Task<IReadOnlyList<int>> TokenizeAsync(Prompt prompt, CancellationToken cancellation);

    /// <summary>The text of these tokens, special ones included, in UTF-8.</summary>
    Task<ReadOnlyMemory<byte>> DetokenizeAsync(IReadOnlyList<int> tokens, CancellationToken cancellation);

    /// <summary>
    /// Writes the cells of a slot to a file, reads them from one, or erases them. Throws <see cref="EngineException"/> where the file is
    /// none of this model's, or does not fit.
    /// </summary>
    Task<SlotResult> DoAsync(SlotAction action, CancellationToken cancellation) =>
        throw new EngineException(EngineFailure.InvalidRequest, "the slots of this model cannot be saved");

    /// <summary>
    /// Counters of the model's scheduler since it was loaded, of this moment; <see cref="EngineStatistics.ResidentBytes"/> may be some
    /// seconds old.
    /// </summary>
    Task<EngineStatistics> GetStatisticsAsync(CancellationToken cancellation);

    /// <summary>The answer of <see cref="GetStatisticsAsync"/> where it is known without asking the worker; else null.</summary>
    EngineStatistics? StandingStatistics => null;

    /// <summary>The last answer of <see cref="GetStatisticsAsync"/>, however old; null before the first.</summary>
    EngineStatistics? LastStatistics => null;
}
