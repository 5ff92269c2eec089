using System.Text;

namespace Shimmy.Engine;

/// <summary>One answer to generate.</summary>
public sealed record GenerationRequest
{
    /// <summary>The prompt.</summary>
    public required Prompt Prompt { get; init; }

    /// <summary>Sampling options and limits.</summary>
    public GenerationOptions Options { get; init; } = new();

    /// <summary>GBNF grammar that the answer must match from its first token, or behind its trigger; null leaves it free.</summary>
    public string? Grammar { get; init; }

    /// <summary>
    /// The answer is free until this text appears in it, and what follows the text must match the grammar; null where all of the answer
    /// must.
    /// </summary>
    public string? GrammarTrigger { get; init; }

    /// <summary>Its place in the queue.</summary>
    public QueuePlace Place { get; init; } = QueuePlace.Default;

    /// <summary>
    /// Texts whose control tokens are written into the answer where the model generates them: tags of tool calls and of reasoning. All
    /// other control tokens add nothing to an answer's text.
    /// </summary>
    public IReadOnlyList<string> ShownControlTokens { get; init; } = [];
}

/// <summary>
/// A prompt: either tokens, or text in parts, where each part says whether it may hold special tokens. Text that users wrote
/// may not, so that a message holding <c>&lt;|im_end|&gt;</c> stays text.
/// </summary>
public sealed record Prompt
{
    /// <summary>Tokens taken as they are; null where the prompt is text.</summary>
    public IReadOnlyList<int>? Tokens { get; init; }

    /// <summary>The text in order; empty where the prompt is tokens. Neighbouring parts are tokenized as one text.</summary>
    public IReadOnlyList<PromptPart> Parts { get; init; } = [];

    /// <summary>The pictures and sounds that parts name by their index, in the order of the parts.</summary>
    public IReadOnlyList<Medium> Media { get; init; } = [];

    /// <summary>Whether BOS is put first where the vocabulary wants it; it is never doubled.</summary>
    public bool AddBos { get; init; } = true;

    /// <summary>Whether EOS ends the tokens where the model's vocabulary asks for it, as embedding models do; not for generating.</summary>
    public bool AddEos { get; init; }

    /// <summary>The whole text; empty where the prompt is tokens.</summary>
    public string WholeText() => Parts.Count == 1 ? Parts[0].Text : string.Concat(Parts.Select(part => part.Text));

    /// <summary>The text that a model reads: the prompt's tokens as text, special ones spelled out.</summary>
    internal async Task<string> TextReadByAsync(ILoadedModel model, CancellationToken cancellation)
    {
        var tokens = Tokens ?? await model.TokenizeAsync(this, cancellation).ConfigureAwait(false);
        var bytes = await model.DetokenizeAsync([.. tokens.Where(token => token >= 0)], cancellation).ConfigureAwait(false);
        return Encoding.UTF8.GetString(bytes.Span);
    }

    /// <summary>A prompt of plain text in which special tokens are recognised, as raw completions have it.</summary>
    public static Prompt FromText(string text) => new() { Parts = [new PromptPart(text, ParseSpecial: true)] };

    /// <summary>A prompt of tokens.</summary>
    public static Prompt FromTokens(IReadOnlyList<int> tokens) => new() { Tokens = tokens, AddBos = false };
}

/// <summary>A piece of prompt text, or the place of a picture or sound in it.</summary>
/// <param name="Text">The text; empty where a medium stands.</param>
/// <param name="ParseSpecial">True for a template's own text, false for text from a user.</param>
/// <param name="Medium">Index in <see cref="Prompt.Media"/>; null where the part is text.</param>
public readonly record struct PromptPart(string Text, bool ParseSpecial, int? Medium = null);

/// <summary>Kinds of media.</summary>
public enum MediumKind
{
    /// <summary>A picture: rows of pixels from the top, each pixel three bytes, red, green and blue.</summary>
    Picture,

    /// <summary>A sound: samples of one channel, 32-bit floats, at the rate that the model's projector wants.</summary>
    Sound,
}

/// <summary>The error of a medium that a model does not take, in the field's words, by which people search.</summary>
public static class UnsupportedMedium
{
    /// <summary>The most frequent reason.</summary>
    public const string NoProjector = "it has no multimodal projector (mmproj)";

    /// <summary>The error's text.</summary>
    /// <param name="model">Name of the model; null where it is not known.</param>
    /// <param name="kind">What it does not take.</param>
    /// <param name="reason">Why; null where that is not known.</param>
    public static string Text(string? model, MediumKind kind, string? reason) =>
        $"{(model is null ? "this model" : $"the model '{model}'")} does not support "
        + $"{(kind == MediumKind.Picture ? "image input (vision)" : "audio input")}{(reason is null ? "" : ": " + reason)}";
}

/// <summary>A picture or sound of a prompt, decoded.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Width">Pixels of a row; samples of a sound.</param>
/// <param name="Height">Rows of pixels; 1 for a sound.</param>
/// <param name="Hash">SHA-256 of <see cref="Data"/> and the size, in hexadecimal; empty where there is no data.</param>
public sealed record Medium(MediumKind Kind, int Width, int Height, string Hash)
{
    /// <summary>The pixels or samples; empty where only tokens are counted. On the pipe they follow the request as they are.</summary>
    public ReadOnlyMemory<byte> Data { get; init; }

    /// <summary>Bytes that <see cref="Data"/> has where it is there.</summary>
    public long DataLength => (long)Width * Height * (Kind == MediumKind.Picture ? 3 : sizeof(float));
}

/// <summary>A LoRA adapter that a request applies to its answer.</summary>
/// <param name="Id">The adapter's <see cref="AdapterFacts.Id"/>; null where it is named.</param>
/// <param name="Name">The adapter's <see cref="AdapterFacts.Name"/>; null where it is given by id.</param>
/// <param name="Scale">Strength; 1 is the adapter as trained, 0 leaves the model as it is.</param>
public readonly record struct LoraChoice(int? Id, string? Name, float Scale);

/// <summary>
/// The place of a request in the queue for a slot. Clients of a higher rank come first; clients of one rank take turns; a client's
/// own requests go by priority, then by their arrival.
/// </summary>
/// <param name="Client">Name of the client's API key; requests without a key count as one client.</param>
/// <param name="Rank">The client's rank; higher comes first.</param>
/// <param name="Priority">The request's priority among those of its client; as in vLLM lower comes first.</param>
public sealed record QueuePlace(string Client, int Rank = 0, int Priority = 0)
{
    /// <summary>The place of a request without client, rank and priority.</summary>
    public static QueuePlace Default { get; } = new("");
}

/// <summary>One text to embed, or a query and a document to be scored together by a reranker.</summary>
public sealed record EmbeddingRequest
{
    /// <summary>
    /// The text or the tokens. Special tokens that the model wants around a text are added; tokens are taken as they are.
    /// </summary>
    public required Prompt Prompt { get; init; }

    /// <summary>
    /// The document to be scored for the query in <see cref="Prompt"/>: for rerankers (models whose pooling is <c>rank</c>), else null.
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
