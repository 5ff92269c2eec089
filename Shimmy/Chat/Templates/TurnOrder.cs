using Shimmy.Chat.Messages;

namespace Shimmy.Chat.Templates;

/// <summary>
/// A conversation in which user and assistant take turns, for templates that refuse any other: messages of one role in a row become one.
/// </summary>
internal static class TurnOrder
{
    /// <summary>The conversation with as few messages as say the same.</summary>
    public static IReadOnlyList<ChatMessage> Of(IReadOnlyList<ChatMessage> messages)
    {
        var turns = new List<ChatMessage>();
        foreach (var message in messages)
        {
            if (turns is [.., var last] && last.Role == message.Role && message.Role is "user" or "assistant" or "system")
                turns[^1] = Both(last, message);
            else
                turns.Add(message);
        }
        return turns;
    }

    private static ChatMessage Both(ChatMessage one, ChatMessage other) => one with
    {
        Content = one.Content.Count == 0 ? other.Content : other.Content.Count == 0 ? one.Content
            : [.. one.Content, new ContentPart("\n\n"), .. other.Content],
        Reasoning = one.Reasoning is null ? other.Reasoning : one.Reasoning + other.Reasoning,
        ToolCalls = [.. one.ToolCalls, .. other.ToolCalls],
    };
}
