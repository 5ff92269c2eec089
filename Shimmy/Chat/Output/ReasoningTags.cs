namespace Shimmy.Chat.Output;

/// <summary>The texts between which a model thinks.</summary>
/// <param name="Open">What opens the block, such as <c>&lt;think&gt;</c>.</param>
/// <param name="Close">What closes it.</param>
internal sealed record ReasoningTags(string Open, string Close);

/// <summary>How long a model may think before it answers.</summary>
/// <param name="Tokens">Most tokens that it may think.</param>
/// <param name="Marks">What stands around its thoughts.</param>
/// <param name="Begun">Whether the prompt opens them.</param>
internal sealed record ReasoningLimit(int Tokens, ReasoningTags Marks, bool Begun);
