using Shimmy.Chat.Output;

namespace Shimmy.Chat;

/// <summary>How long a model may think before it answers.</summary>
/// <param name="Tokens">Most tokens that it may think.</param>
/// <param name="Marks">What stands around its thoughts.</param>
/// <param name="Begun">Whether the prompt opens them.</param>
internal sealed record ThoughtLimit(int Tokens, ReasoningMarks Marks, bool Begun);
