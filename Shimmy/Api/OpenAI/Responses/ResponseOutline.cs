using Shimmy.Chat.Output;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>What is known of an answer before it is given.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Created">When it began, in seconds since 1970.</param>
/// <param name="Model">The model's name.</param>
/// <param name="Body">What was asked, with the model's defaults.</param>
internal sealed record ResponseOutline(string Id, long Created, string Model, ResponseRequestBody Body);

/// <summary>What became of an answer.</summary>
/// <param name="Status"><c>in_progress</c>, <c>completed</c>, <c>incomplete</c>, <c>cancelled</c> or <c>failed</c>.</param>
/// <param name="Output">Its items.</param>
internal sealed record ResponseOutcome(string Status, IReadOnlyList<ResponseItem> Output)
{
    /// <summary>Tokens; null where the answer did not end by itself.</summary>
    public Usage? Usage { get; init; }

    /// <summary>Those of the answer's tokens that were thoughts.</summary>
    public int ReasoningTokens { get; init; }

    /// <summary>What went wrong; null where nothing did.</summary>
    public ApiError? Error { get; init; }
}
