namespace Shimmy.Engine;

/// <summary>One text to embed, or a query and a document to be judged together by a reranker.</summary>
public sealed record EmbeddingRequest
{
    /// <summary>The text or the tokens; special tokens that the model wants around a text are added, to tokens nothing is.</summary>
    public required Prompt Prompt { get; init; }

    /// <summary>The document that <see cref="Prompt"/>, as a query, is held against: for models whose pooling is <c>rank</c>; null else.</summary>
    public Prompt? Document { get; init; }

    /// <summary>Adapters that act, and no others; null leaves those that the model was loaded with.</summary>
    public IReadOnlyList<LoraChoice>? Loras { get; init; }

    /// <summary>Where it stands among those that wait.</summary>
    public QueuePlace Place { get; init; } = QueuePlace.Default;
}

/// <summary>What a model made of an <see cref="EmbeddingRequest"/>.</summary>
/// <param name="Values">
/// The pooled embedding as the model gives it, not normalised; or, of a reranker, its scores, the relevance first.
/// </param>
/// <param name="Tokens">Tokens that were computed.</param>
public sealed record Embedding(float[] Values, int Tokens);
