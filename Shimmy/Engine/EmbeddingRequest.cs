namespace Shimmy.Engine;

/// <summary>One text to embed, or a query and a document to be judged together by a reranker.</summary>
public sealed record EmbeddingRequest
{
    /// <summary>
    /// The text or the tokens. Special tokens that the model wants around a text are added; tokens are taken as they are.
    /// </summary>
    public required Prompt Prompt { get; init; }

    /// <summary>
    /// The document to be judged by the query in <see cref="Prompt"/>: for rerankers (models whose pooling is <c>rank</c>), else null.
    /// </summary>
    public Prompt? Document { get; init; }

    /// <summary>Whether a text that is too long is cut at its end (the document, where there is one); else it is refused.</summary>
    public bool Truncate { get; init; }

    /// <summary>The only LoRA adapters to apply; null applies those that the model was loaded with.</summary>
    public IReadOnlyList<LoraChoice>? Loras { get; init; }

    /// <summary>Its place in the queue.</summary>
    public QueuePlace Place { get; init; } = QueuePlace.Default;
}

/// <summary>The result of an <see cref="EmbeddingRequest"/>.</summary>
/// <param name="Values">
/// The pooled embedding as the model gives it, not normalised; or, of a reranker, its scores, the relevance first.
/// </param>
/// <param name="Tokens">Tokens that were computed.</param>
public sealed record Embedding(float[] Values, int Tokens);
