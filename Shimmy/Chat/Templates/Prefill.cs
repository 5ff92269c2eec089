using Shimmy.Chat.Messages;
using Shimmy.Engine;

namespace Shimmy.Chat.Templates;

/// <summary>
/// Cuts a prompt behind the text of its last message, so that the model continues that message. As in transformers
/// (<c>continue_final_message</c>), the message is rendered as a complete one first.
/// </summary>
internal static class Prefill
{
    /// <summary>The prompt's parts up to the end of the message's text.</summary>
    /// <param name="parts">The parts of the whole prompt.</param>
    /// <param name="message">The message.</param>
    /// <param name="field">The field by which it is to be continued.</param>
    /// <exception cref="EngineException">The template does not render the text unchanged.</exception>
    public static IReadOnlyList<PromptPart> Cut(IReadOnlyList<PromptPart> parts, ChatMessage message, string field)
    {
        var whole = message.Text.Length > 0 ? message.Text : message.Reasoning!;
        var trimmed = whole.Trim();
        var text = string.Concat(parts.Select(part => part.Text));
        var end = text.Length;
        while (trimmed.Length > 0 && text.LastIndexOf(trimmed, end, StringComparison.Ordinal) is >= 0 and var start)
        {
            if (IsFromRequest(parts, start, trimmed.Length))
                // White space that the template trimmed is not in the prompt.
                return Take(parts, start + (Follows(text, start, whole, trimmed) ? whole.TrimStart().Length : trimmed.Length));
            if (start == 0)
                break;
            end = start + trimmed.Length - 2;
        }

        throw ChatTemplate.Refusal(field,
            "the chat template of this model does not show the last message as it is, so it cannot be continued");
    }

    private static bool Follows(string text, int start, string whole, string trimmed) =>
        whole.Length > trimmed.Length && text.AsSpan(start).StartsWith(whole.AsSpan().TrimStart());

    private static bool IsFromRequest(IReadOnlyList<PromptPart> parts, int start, int length)
    {
        var at = 0;
        foreach (var part in parts)
        {
            var overlaps = at < start + length && at + part.Text.Length > start;
            if (overlaps && part.ParseSpecial)
                return false;
            at += part.Text.Length;
        }

        return true;
    }

    private static List<PromptPart> Take(IReadOnlyList<PromptPart> parts, int length)
    {
        var taken = new List<PromptPart>(parts.Count);
        foreach (var part in parts)
        {
            if (length <= 0)
                break;
            taken.Add(part.Text.Length <= length ? part : part with { Text = part.Text[..length] });
            length -= part.Text.Length;
        }

        return taken;
    }
}
