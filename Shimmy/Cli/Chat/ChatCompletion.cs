using Shimmy.Cli.Terminal.Editing;
using Shimmy.Engine;

namespace Shimmy.Cli.Chat;

internal sealed partial class ChatCommands
{
    /// <summary>What the text before the cursor may become.</summary>
    public static Completion? Complete(ChatLoop loop, string text, int cursor)
    {
        if (text.Length == 0 || text[0] != '/' || text.Contains('\n'))
            return null;
        var blank = text.IndexOf(' ');
        if (blank < 0 || cursor <= blank)
            return Choices(0, text[..cursor], Rows.Select(row => row.Name + (row.Argument.Length > 0 ? " " : "")));
        if (Array.Find(Rows, row => row.Name == text[..blank]) is not { } command)
            return null;
        var start = blank + 1;
        var typed = text[start..cursor];
        return command.Kind switch
        {
            ChatArgument.Model => Choices(start, typed, loop.Models.Select(model => model.Name)),
            ChatArgument.Field => Choices(start, typed, Fields().Append(MaxTokens).Select(name => name + " ")),
            ChatArgument.Words => Choices(start, typed, command.Argument.Trim('[', ']').Split('|')),
            ChatArgument.Path => Paths(start, typed),
            ChatArgument.Conversation =>
                Choices(start, typed, Conversation.Kept(loop.ChatFolder).Select(kept => kept.Id)) ?? Paths(start, typed),
            _ => null,
        };
    }

    private static IEnumerable<string> Fields() => SamplingField.All.Where(field => field.Help is not null).Select(field => field.Name);

    private static Completion? Choices(int start, string typed, IEnumerable<string> all)
    {
        var choices = new List<string>();
        foreach (var one in all)
        {
            if (one.StartsWith(typed, StringComparison.OrdinalIgnoreCase))
                choices.Add(one);
        }
        return choices.Count > 0 ? new Completion(start, choices) : null;
    }

    private static Completion? Paths(int start, string typed)
    {
        var folder = typed[..(typed.LastIndexOf('/') + 1)];
        var place = PlaceOf(folder.Length == 0 ? "." : folder);
        if (!Directory.Exists(place))
            return null;
        var choices = new List<string>();
        foreach (var entry in new DirectoryInfo(place).EnumerateFileSystemInfos())
        {
            var path = folder + entry.Name + (entry is DirectoryInfo ? "/" : "");
            // What is hidden is shown to who asks for it.
            if (path.StartsWith(typed, StringComparison.Ordinal) && (entry.Name[0] != '.' || typed.Length > folder.Length))
                choices.Add(path);
        }
        choices.Sort(StringComparer.Ordinal);
        return choices.Count > 0 ? new Completion(start, choices) : null;
    }
}
