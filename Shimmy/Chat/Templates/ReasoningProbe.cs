using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;

namespace Shimmy.Chat.Templates;

/// <summary>Detects the tags around reasoning by rendering a message with reasoning.</summary>
internal static class ReasoningProbe
{
    private const string Thought = "needle-thought";
    private const string Answer = "needle-answer";

    private static readonly ReasoningTags Usual = new("<think>", "</think>");
    private static readonly ChatMessage User = new() { Role = "user", Content = [new ContentPart("needle-user")] };

    /// <summary>
    /// The tags; null where the model does not reason. <paramref name="render"/> renders messages without opening an answer;
    /// <paramref name="text"/> is the template's source.
    /// </summary>
    public static ReasoningTags? Run(TemplateCapabilities capabilities, string text, Func<IReadOnlyList<ChatMessage>, string?> render)
    {
        if (capabilities.Reasoning && render([User, Message(Thought)]) is { } thinking
            && Read(thinking, render([User, Message(null)])) is { } tags)
        {
            return tags;
        }
        // Many templates remove the reasoning from earlier answers, and contain the closing tag to find it.
        return text.Contains(Usual.Close, StringComparison.Ordinal) ? Usual : null;
    }

    private static ChatMessage Message(string? thought) =>
        new() { Role = "assistant", Content = [new ContentPart(Answer)], Reasoning = thought };

    private static ReasoningTags? Read(string thinking, string? plain)
    {
        var thought = thinking.IndexOf(Thought, StringComparison.Ordinal);
        var answer = thought < 0 ? -1 : thinking.IndexOf(Answer, thought, StringComparison.Ordinal);
        if (answer < 0)
            return null;
        // Without reasoning, some templates omit the tags and some write them empty; both write the beginning of the turn.
        var start = Math.Min(thought, plain is null ? 0 : plain.AsSpan().CommonPrefixLength(thinking));
        var user = thinking.IndexOf("needle-user", StringComparison.Ordinal) + "needle-user".Length;
        var before = thinking[Math.Max(start, user)..thought];
        if (string.IsNullOrWhiteSpace(before))
            before = LastTag(thinking[user..thought]);
        var (open, close) = (before.Trim(), thinking[(thought + Thought.Length)..answer].Trim());
        // The opening tag may have been cut by the common prefix.
        if (open.Length > 0 && open[0] != '<' && LastTag(thinking[user..thought]).Trim() is { Length: > 0 } tag
            && tag.EndsWith(open, StringComparison.Ordinal))
        {
            open = tag;
        }

        return open.Length > 0 && close.Length > 0 ? new ReasoningTags(open, close) : null;
    }

    private static string LastTag(string text)
    {
        var begin = text.LastIndexOfAny(['<', '[']);
        return begin < 0 ? "" : text[begin..];
    }
}
