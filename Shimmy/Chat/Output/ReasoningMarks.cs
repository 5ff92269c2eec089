namespace Shimmy.Chat.Output;

/// <summary>The texts between which a model thinks.</summary>
/// <param name="Open">What opens the block, such as <c>&lt;think&gt;</c>.</param>
/// <param name="Close">What closes it.</param>
internal sealed record ReasoningMarks(string Open, string Close);
