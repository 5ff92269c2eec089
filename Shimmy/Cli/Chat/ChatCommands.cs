using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Editing;
using Shimmy.Cli.Terminal.Markdown;
using Shimmy.Engine;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;

namespace Shimmy.Cli.Chat;

/// <summary>The kind of completion for the argument of a command.</summary>
internal enum ChatArgument
{
    /// <summary>Free text, no completion.</summary>
    Free,

    /// <summary>Names of models.</summary>
    Model,

    /// <summary>Paths.</summary>
    Path,

    /// <summary>Names of sampling fields.</summary>
    Field,

    /// <summary>Conversations that are kept, and paths.</summary>
    Conversation,

    /// <summary>The words that the help of the argument names.</summary>
    Words,
}

/// <summary>A command of a conversation.</summary>
internal sealed record ChatCommandRow(
    string Name, string Argument, string Help, ChatArgument Kind, bool NeedsModel, Func<ChatLoop, string, Task> Run);

/// <summary>The commands of a conversation, from <c>/help</c> to <c>/exit</c>.</summary>
internal static class ChatCommands
{
    private static readonly ChatCommandRow[] Rows =
    [
        new("/help", "", "These commands", ChatArgument.Free, false, (loop, _) => Help(loop)),
        new("/model", "[NAME]", "Another model; without NAME, one to choose", ChatArgument.Model, true, ModelCommands.ModelAsync),
        new("/new", "", "A new conversation", ChatArgument.Free, false, (loop, _) => ConversationCommands.New(loop)),
        new("/system", "[TEXT|none]", "The system message", ChatArgument.Free, false, ConversationCommands.System),
        new("/set", "[FIELD VALUE]", "A sampling field, as temperature 0.2; default gives it back to the model", ChatArgument.Field, true,
            ModelCommands.Set),
        new("/show", "", "What is known of the model", ChatArgument.Free, true, (loop, _) => ModelCommands.ShowAsync(loop)),
        new("/think", "[on|off|show|hide]", "Whether the model thinks, and whether that stays to be read", ChatArgument.Words, true,
            ModelCommands.Think),
        new("/regen", "", "The last answer again", ChatArgument.Free, true, (loop, _) => ConversationCommands.RegenerateAsync(loop)),
        new("/undo", "", "Takes the last question and its answer back", ChatArgument.Free, false,
            (loop, _) => ConversationCommands.Undo(loop, toLine: false)),
        new("/edit", "", "Takes the last question back into the line", ChatArgument.Free, false,
            (loop, _) => ConversationCommands.Undo(loop, toLine: true)),
        new("/read", "FILE|GLOB", "Puts the text of files before the next question", ChatArgument.Path, false, ConversationCommands.Read),
        new("/image", "FILE", "Puts a picture before the next question", ChatArgument.Path, false,
            (loop, path) => ConversationCommands.Show(loop, path, isSound: false)),
        new("/audio", "FILE", "Puts a sound before the next question", ChatArgument.Path, false,
            (loop, path) => ConversationCommands.Show(loop, path, isSound: true)),
        new("/save", "[FILE]", "Writes the conversation: Markdown into .md, else JSON lines",
            ChatArgument.Path, false, ConversationCommands.Save),
        new("/load", "[ID|FILE]", "Goes on with a conversation; without ID, shows those that are kept", ChatArgument.Conversation, false,
            ConversationCommands.Load),
        new("/copy", "", "The last answer into the clipboard, where the terminal allows that",
            ChatArgument.Free, false, (loop, _) => ConversationCommands.Copy(loop)),
        new("/stats", "[on|off]", "Whether a line of figures follows each answer", ChatArgument.Words, false, ConversationCommands.Stats),
        new("/tokens", "[TEXT]", "How many tokens a text has, or the conversation", ChatArgument.Free, true, ModelCommands.TokensAsync),
        new("/prompt", "", "The exact text that the model reads", ChatArgument.Free, true, (loop, _) => ModelCommands.PromptAsync(loop)),
        new("/schema", "[FILE|off]", "A JSON schema that answers must satisfy", ChatArgument.Path, true, ModelCommands.SchemaOf),
        new("/lora", "[NAME SCALE|off]", "The strength of an adapter; alone, those that there are",
            ChatArgument.Free, true, ModelCommands.LoraAsync),
        new("/exit", "", "Ends the conversation, as Ctrl+D", ChatArgument.Free, false, (loop, _) => ConversationCommands.Exit(loop)),
    ];

    /// <summary>Whether a line is a command, and not a text that begins with a path.</summary>
    public static bool IsCommand(string line)
    {
        var word = WordOf(line);
        return word.Length > 1 && word[0] == '/' && char.IsAsciiLetter(word[1]) && word.IndexOf('/', 1) < 0;
    }

    /// <summary>Does what a line asks for, and says what failed.</summary>
    public static async Task RunAsync(ChatLoop loop, string line)
    {
        var word = WordOf(line);
        if (Array.Find(Rows, row => string.Equals(row.Name, word, StringComparison.OrdinalIgnoreCase)) is not { } command)
        {
            var nearest = NameSuggestions.Of(word, Rows.Select(row => row.Name), 1)[0];
            loop.Terminal.PrintError($"there is no command {word}; did you mean {nearest}? /help shows all");
            return;
        }
        try
        {
            if (command.NeedsModel && !await loop.LoadedAsync())
                return;
            await command.Run(loop, line[word.Length..].Trim());
        }
        catch (Exception e) when ((!command.NeedsModel || loop.Session is not null)
            && e is CommandException or UsageException or EngineException or IOException or UnauthorizedAccessException)
        {
            loop.Terminal.PrintError(e);
        }
    }

    /// <summary>The completions of the text before the cursor.</summary>
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
            ChatArgument.Field => Choices(start, typed, ModelCommands.Fields.Select(name => name + " ")),
            ChatArgument.Words => Choices(start, typed, command.Argument.Trim('[', ']').Split('|')),
            ChatArgument.Path => Paths(start, typed),
            ChatArgument.Conversation =>
                Choices(start, typed, Conversation.Kept(loop.ChatFolder).Select(kept => kept.Id)) ?? Paths(start, typed),
            _ => null,
        };
    }

    /// <summary>The first word of a text.</summary>
    public static string WordOf(string line)
    {
        var end = line.AsSpan().IndexOfAny(' ', '\n', '\t');
        return end < 0 ? line : line[..end];
    }

    /// <summary>
    /// A path as it is typed, in which ~ is the user's folder; or as terminals paste a file that is dropped on them, in quotes or with a \
    /// before what is special to a shell, where there is none of the typed name.
    /// </summary>
    public static string PlaceOf(string path)
    {
        var host = HostEnvironment.Current();
        var place = host.WithHome(path);
        if (Path.Exists(place))
            return place;
        var pasted = path is ['"', .. var quoted, '"'] ? quoted
            : path is ['\'', .. var single, '\''] ? single
            : host.System == HostSystem.Windows ? path
            : string.Concat(path.Where((letter, i) => letter != '\\' || (i > 0 && path[i - 1] == '\\')));
        return Path.Exists(host.WithHome(pasted)) ? host.WithHome(pasted) : place;
    }

    private static Task Help(ChatLoop loop)
    {
        var lead = Rows.Max(row => row.Name.Length + row.Argument.Length) + 3;
        var rows = new List<string>();
        foreach (var row in Rows)
        {
            var help = new StyledText();
            help.Append(row.Help, TextStyle.None);
            rows.AddRange(help.Wrap(loop.Terminal.Screen.Width - 1, $"{row.Name} {row.Argument}".PadRight(lead), new string(' ', lead)));
        }
        loop.Terminal.Screen.Print(rows);
        loop.Terminal.Say(
            "Keys: Alt+Enter, Ctrl+J or a \\ at the end begin a line, \"\"\" several; Ctrl+R searches what was typed, Tab completes.");
        return Task.CompletedTask;
    }

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
