using Shimmy.Chat.Messages;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>Items as the messages of a conversation: what the assistant thought, said and called in one turn is one message.</summary>
internal static class ItemConversation
{
    /// <summary>The messages, <paramref name="instructions"/> first where there are any.</summary>
    public static IReadOnlyList<ChatMessage> Of(string? instructions, IEnumerable<ResponseItem> items)
    {
        var messages = new List<ChatMessage>();
        if (!string.IsNullOrEmpty(instructions))
            messages.Add(new ChatMessage { Role = "developer", Content = [new ContentPart(instructions)] });
        ChatMessage? turn = null;
        foreach (var item in items)
        {
            switch (item is ForeignItem foreign ? foreign.Meaning : item)
            {
                case ReasoningItem thoughts:
                    // A turn begins with its thoughts.
                    Begin(isNew: turn is { Content.Count: > 0 } or { ToolCalls.Count: > 0 });
                    turn = turn! with { Reasoning = turn.Reasoning + thoughts.Text };
                    break;
                case MessageItem { Role: "assistant" } message:
                    Begin(isNew: turn is { Content.Count: > 0 } or { ToolCalls.Count: > 0 });
                    turn = turn! with { Content = ContentOf(message.Parts) };
                    break;
                case FunctionCallItem call:
                    Begin(isNew: false);
                    turn = turn! with { ToolCalls = [.. turn.ToolCalls, new ToolCall(call.CallId, call.Name, call.Arguments)] };
                    break;
                case FunctionOutputItem output:
                    End();
                    messages.Add(new ChatMessage { Role = "tool", Content = ContentOf(output.Parts), ToolCallId = output.CallId });
                    break;
                case MessageItem message:
                    End();
                    messages.Add(new ChatMessage { Role = message.Role, Content = ContentOf(message.Parts) });
                    break;
            }
        }
        End();
        return ChatMessages.WithCallIds(messages);

        void Begin(bool isNew)
        {
            if (isNew)
                End();
            turn ??= new ChatMessage { Role = "assistant" };
        }

        // Thoughts that nobody could read leave nothing of a turn that had nothing else.
        void End()
        {
            if (turn is { Content.Count: > 0 } or { ToolCalls.Count: > 0 } or { Reasoning.Length: > 0 })
                messages.Add(turn with { Reasoning = string.IsNullOrEmpty(turn.Reasoning) ? null : turn.Reasoning });
            turn = null;
        }
    }

    private static IReadOnlyList<ContentPart> ContentOf(IReadOnlyList<ItemPart> parts) =>
        [.. parts.Select(part => part.Content)];
}
