using System.Text;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;

namespace Shimmy.Cli.Chat;

/// <summary>The commands that concern the conversation: its messages, its file, and what goes before the next question.</summary>
internal static class ConversationCommands
{
    private const int ShownConversations = 12;
    private const int MostFiles = 200;
    private const int MostBytes = 4 << 20;

    /// <summary><c>/new</c>.</summary>
    public static Task New(ChatLoop loop)
    {
        var fresh = new Conversation(loop.KeepingFolder) { Model = loop.Conversation.Model };
        fresh.SetSystem(loop.Conversation.System);
        loop.Take(fresh);
        loop.Terminal.Remark("a new conversation");
        return Task.CompletedTask;
    }

    /// <summary><c>/system</c>.</summary>
    public static Task System(ChatLoop loop, string text)
    {
        if (text.Length == 0)
        {
            loop.Terminal.Say(loop.Conversation.System ?? "there is no system message; /system TEXT sets one");
            return Task.CompletedTask;
        }
        loop.Conversation.SetSystem(text == "none" ? null : text);
        loop.Terminal.Remark(text == "none" ? "no system message any more" : "the system message is set");
        return Task.CompletedTask;
    }

    /// <summary><c>/regen</c>.</summary>
    public static async Task RegenerateAsync(ChatLoop loop)
    {
        var entries = loop.Conversation.Entries;
        if (entries.Count == 0)
            throw new UsageException("nothing was asked yet");
        if (!entries[^1].IsQuestion)
            loop.Conversation.Drop(1);
        await loop.AskAsync();
    }

    /// <summary><c>/undo</c> and <c>/edit</c>.</summary>
    public static Task Undo(ChatLoop loop, bool toLine)
    {
        var entries = loop.Conversation.Entries;
        for (var i = entries.Count - 1; i >= 0; i--)
        {
            if (!entries[i].IsQuestion)
                continue;
            var text = entries[i].Text;
            loop.Conversation.Drop(entries.Count - i);
            if (toLine)
                loop.Prefill = text;
            else
                loop.Terminal.Remark("the last question is taken back");
            return Task.CompletedTask;
        }
        throw new UsageException("nothing was asked yet");
    }

    /// <summary><c>/read</c>.</summary>
    public static Task Read(ChatLoop loop, string pattern)
    {
        if (pattern.Length == 0)
            throw new UsageException("FILE is missing: /read FILE, or a pattern such as src/*.cs");
        var path = ChatCommands.PlaceOf(pattern);
        var files = File.Exists(path) ? [path] : Matching(path);
        if (files.Count == 0)
            throw new UsageException($"there is no file '{pattern}'");
        if (files.Count > MostFiles)
            throw new UsageException($"'{pattern}' is {files.Count} files; {MostFiles} are allowed");
        foreach (var file in files)
        {
            if (new FileInfo(file).Length > MostBytes)
                throw new UsageException($"'{file}' is larger than {ByteCount.Megabytes(MostBytes)} MB");
            var text = File.ReadAllText(file);
            if (text.Contains('\0'))
                throw new UsageException($"'{file}' is a binary file (it has a zero byte); only text files can be added");
            loop.Texts.Add((file, text));
        }
        loop.Terminal.Remark(files is [var only]
            ? $"{Path.GetFileName(only)} goes before the next question"
            : $"{files.Count} files go before the next question");
        return Task.CompletedTask;
    }

    /// <summary><c>/image</c> and <c>/audio</c>.</summary>
    public static Task Show(ChatLoop loop, string path, bool isSound)
    {
        if (path.Length == 0)
            throw new UsageException($"FILE is missing: {(isSound ? "/audio" : "/image")} FILE");
        var medium = ChatCommand.Medium(path, File.ReadAllBytes(ChatCommands.PlaceOf(path)), isSound, isSound ? "/audio" : "/image");
        if (loop.Session is { } session && !session.Model.Capabilities.Contains(isSound ? "audio" : "vision"))
            throw new UsageException(UnsupportedMedium.Text(session.Model.Name, isSound ? MediumKind.Sound : MediumKind.Picture, null));
        loop.Media.Add(medium);
        loop.Terminal.Remark($"{Path.GetFileName(path)} goes before the next question");
        return Task.CompletedTask;
    }

    /// <summary><c>/save</c>.</summary>
    public static Task Save(ChatLoop loop, string path)
    {
        var conversation = loop.Conversation;
        if (path.Length == 0)
        {
            loop.Terminal.Say(loop.KeepingFolder is { } folder
                ? $"kept as {conversation.Id} in {folder}; shimmy chat --resume {conversation.Id} goes on with it"
                : "this conversation is not kept (--no-history); /save FILE writes it");
            return Task.CompletedTask;
        }
        path = ChatCommands.PlaceOf(path);
        if (File.Exists(path))
            throw new UsageException($"'{path}' is there already");
        PrivateFile.Write(path, path.EndsWith(".md", StringComparison.OrdinalIgnoreCase)
            ? conversation.ToMarkdown()
            : conversation.ToLines());
        loop.Terminal.Remark($"written to {path}");
        return Task.CompletedTask;
    }

    /// <summary><c>/load</c>.</summary>
    public static Task Load(ChatLoop loop, string id)
    {
        if (id.Length == 0)
        {
            var kept = Conversation.Kept(loop.ChatFolder, ShownConversations);
            loop.Terminal.Show(kept.Count == 0 ? "no conversation is kept yet" : string.Join('\n', kept
                .Select(one => $"{one.Id}  {one.Model ?? "-"}  {one.FirstWords}")));
            return Task.CompletedTask;
        }
        var opened = Conversation.Open(loop.ChatFolder, ChatCommands.PlaceOf(id));
        var isOurs = File.Exists(Path.Join(loop.ChatFolder, id + ".jsonl"));
        loop.Take(isOurs && loop.KeepingFolder is not null ? opened : opened.Copy(loop.KeepingFolder));
        loop.ShowLast();
        return Task.CompletedTask;
    }

    /// <summary><c>/copy</c>.</summary>
    public static Task Copy(ChatLoop loop)
    {
        var last = loop.Conversation.Entries.LastOrDefault(entry => !entry.IsQuestion)
            ?? throw new UsageException("there is no answer yet");
        loop.Terminal.Screen.Write($"\u001b]52;c;{Convert.ToBase64String(Encoding.UTF8.GetBytes(last.Text))}\a");
        loop.Terminal.Remark("given to the terminal's clipboard");
        return Task.CompletedTask;
    }

    /// <summary><c>/stats</c>.</summary>
    public static Task Stats(ChatLoop loop, string word)
    {
        loop.ShowsFigures = word switch
        {
            "on" => true,
            "off" => false,
            "" => !loop.ShowsFigures,
            _ => throw new UsageException($"'{word}' is not on or off"),
        };
        loop.Terminal.Remark(loop.ShowsFigures ? "figures follow each answer" : "no figures");
        return Task.CompletedTask;
    }

    /// <summary><c>/exit</c>.</summary>
    public static Task Exit(ChatLoop loop)
    {
        loop.Ends = true;
        return Task.CompletedTask;
    }

    // A pattern has its signs in the file's name; ** before that means all folders below.
    private static List<string> Matching(string pattern)
    {
        var (folder, name) = (Path.GetDirectoryName(pattern) ?? "", Path.GetFileName(pattern));
        var below = Path.GetFileName(folder) == "**";
        folder = below ? Path.GetDirectoryName(folder) ?? "" : folder;
        folder = folder.Length == 0 ? "." : folder;
        if (name.AsSpan().IndexOfAny('*', '?') < 0 || !Directory.Exists(folder))
            return [];
        List<string> files = [.. Directory.EnumerateFiles(folder, name, below ? SearchOption.AllDirectories : SearchOption.TopDirectoryOnly)
            .Select(file => file.StartsWith("./", StringComparison.Ordinal) ? file[2..] : file)];
        files.Sort(StringComparer.Ordinal);
        return files;
    }
}
