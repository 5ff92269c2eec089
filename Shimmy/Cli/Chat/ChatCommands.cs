using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Chat.Media;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Markdown;
using Shimmy.Engine;
using Shimmy.Models.Registry;
using Shimmy.Models;

namespace Shimmy.Cli.Chat;

/// <summary>What completes the argument of a command.</summary>
internal enum ChatArgument
{
    /// <summary>Nothing does.</summary>
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
    string Name, string Argument, string Help, ChatArgument Kind, bool NeedsModel, Func<ChatCommands, string, Task> Run);

/// <summary>The commands of a conversation, from <c>/help</c> to <c>/exit</c>.</summary>
internal sealed partial class ChatCommands(ChatLoop loop)
{
    private const int ShownConversations = 12;
    private const int MostFiles = 200;
    private const int MostBytes = 4 << 20;
    private const string MaxTokens = "max_tokens";
    private const string Lora = "lora";
    private const string Schema = "response_format";
    private const string Thinking = "enable_thinking";

    private static readonly ChatCommandRow[] Rows =
    [
        new("/help", "", "These commands", ChatArgument.Free, false, (c, _) => c.Help()),
        new("/model", "[NAME]", "Another model; without NAME, one to choose", ChatArgument.Model, true, (c, a) => c.ModelAsync(a)),
        new("/new", "", "A new conversation", ChatArgument.Free, false, (c, _) => c.New()),
        new("/system", "[TEXT|none]", "The system message", ChatArgument.Free, false, (c, a) => c.System(a)),
        new("/set", "[FIELD VALUE]", "A sampling field, as temperature 0.2; default gives it back to the model", ChatArgument.Field, true,
            (c, a) => c.Set(a)),
        new("/show", "", "What is known of the model", ChatArgument.Free, true, (c, _) => c.ShowAsync()),
        new("/think", "[on|off|show|hide]", "Whether the model thinks, and whether that stays to be read", ChatArgument.Words, true,
            (c, a) => c.Think(a)),
        new("/regen", "", "The last answer again", ChatArgument.Free, true, (c, _) => c.RegenerateAsync()),
        new("/undo", "", "Takes the last question and its answer back", ChatArgument.Free, false, (c, _) => c.Undo(toLine: false)),
        new("/edit", "", "Takes the last question back into the line", ChatArgument.Free, false, (c, _) => c.Undo(toLine: true)),
        new("/read", "FILE|GLOB", "Puts the text of files before the next question", ChatArgument.Path, false, (c, a) => c.Read(a)),
        new("/image", "FILE", "Puts a picture before the next question", ChatArgument.Path, false, (c, a) => c.Image(a)),
        new("/save", "[FILE]", "Writes the conversation: Markdown into .md, else JSON lines",
            ChatArgument.Path, false, (c, a) => c.Save(a)),
        new("/load", "[ID|FILE]", "Goes on with a conversation; without ID, shows those that are kept", ChatArgument.Conversation, false,
            (c, a) => c.Load(a)),
        new("/copy", "", "The last answer into the clipboard, where the terminal allows that",
            ChatArgument.Free, false, (c, _) => c.Copy()),
        new("/stats", "[on|off]", "Whether a line of figures follows each answer", ChatArgument.Words, false, (c, a) => c.Stats(a)),
        new("/tokens", "[TEXT]", "How many tokens a text has, or the conversation", ChatArgument.Free, true, (c, a) => c.TokensAsync(a)),
        new("/prompt", "", "The exact text that the model reads", ChatArgument.Free, true, (c, _) => c.PromptAsync()),
        new("/schema", "[FILE|off]", "A JSON schema that answers must satisfy", ChatArgument.Path, true, (c, a) => c.SchemaOf(a)),
        new("/lora", "[NAME SCALE|off]", "The strength of an adapter; alone, those that there are",
            ChatArgument.Free, true, (c, a) => c.LoraAsync(a)),
        new("/exit", "", "Ends the conversation, as Ctrl+D", ChatArgument.Free, false, (c, _) => c.Exit()),
    ];

    /// <summary>Whether a line is a command, and not a text that begins with a path.</summary>
    public static bool IsCommand(string line)
    {
        var word = WordOf(line);
        return word.Length > 1 && word[0] == '/' && char.IsAsciiLetter(word[1]) && word.IndexOf('/', 1) < 0;
    }

    /// <summary>Does what a line asks for, and says what failed.</summary>
    public async Task RunAsync(string line)
    {
        var word = WordOf(line);
        if (Array.Find(Rows, row => string.Equals(row.Name, word, StringComparison.OrdinalIgnoreCase)) is not { } command)
        {
            var nearest = NameSuggestions.Of(word, Rows.Select(row => row.Name), 1)[0];
            loop.Terminal.SayError($"there is no command {word}; did you mean {nearest}? /help shows all");
            return;
        }
        try
        {
            if (command.NeedsModel && !await loop.LoadedAsync())
                return;
            await command.Run(this, line[word.Length..].Trim());
        }
        catch (Exception e) when ((!command.NeedsModel || loop.Session is not null)
            && e is CommandException or UsageException or EngineException or IOException or UnauthorizedAccessException)
        {
            loop.Terminal.SayError(e);
        }
    }

    private static string WordOf(string line)
    {
        var end = line.AsSpan().IndexOfAny(' ', '\n', '\t');
        return end < 0 ? line : line[..end];
    }

    private static string PlaceOf(string path) => path is "~" || path.StartsWith("~/", StringComparison.Ordinal)
        ? Path.Join(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), path[1..])
        : path;

    private Task Help()
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

    private async Task ModelAsync(string name)
    {
        if (name.Length == 0)
        {
            if (await loop.PickAsync() is not { } chosen)
                return;
            name = chosen.Name;
        }
        await loop.UseAsync(name);
    }

    private Task New()
    {
        var fresh = new Conversation(loop.KeepingFolder) { Model = loop.Conversation.Model };
        fresh.SetSystem(loop.Conversation.System);
        loop.Take(fresh);
        loop.Terminal.Remark("a new conversation");
        return Task.CompletedTask;
    }

    private Task System(string text)
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

    private Task Set(string words)
    {
        var fields = loop.Session!.Fields;
        if (words.Length == 0)
        {
            loop.Terminal.Say(fields.Count == 0 ? "all fields are the model's own; /set FIELD VALUE changes one: "
                + string.Join(", ", Fields().Append(MaxTokens))
                : string.Join('\n', fields.Select(pair => $"{pair.Key} {pair.Value?.ToJsonString()}")));
            return Task.CompletedTask;
        }
        var name = WordOf(words).Replace('-', '_');
        var value = words[WordOf(words).Length..].Trim();
        var field = SamplingField.All.FirstOrDefault(field => field.Help is not null && field.Name == name);
        if (field is null && name != MaxTokens)
        {
            throw new UsageException($"there is no field {name}; did you mean "
                + $"{NameSuggestions.Of(name, Fields().Append(MaxTokens), 1)[0]}?");
        }
        if (value.Length == 0)
        {
            loop.Terminal.Say(fields[name] is { } now ? $"{name} {now.ToJsonString()}" : $"{name} is the model's own");
            return Task.CompletedTask;
        }
        if (value == "default")
        {
            fields.Remove(name);
            loop.Terminal.Remark($"{name} is the model's own again");
            return Task.CompletedTask;
        }
        var given = new OptionValue(name, [value]);
        if (field is null)
            fields[name] = given.Whole(1);
        else if (given.Sampling(field) is { } read)
            loop.Session.Set(field, read);
        else
            fields.Remove(name);
        loop.Terminal.Remark($"{name} {value}");
        return Task.CompletedTask;
    }

    private async Task ShowAsync()
    {
        var model = loop.Session!.Model;
        var lines = new StringBuilder();
        lines.Append(CultureInfo.InvariantCulture,
            $"{model.Name}\n  {model.Path}\n  {ModelPicker.SizeOf(model.Bytes)}, {model.Quantization}, ");
        lines.Append(CultureInfo.InvariantCulture, $"context {model.Context}\n  can: {string.Join(", ", model.Capabilities)}\n");
        using var status = await StatusAsync();
        var facts = status.RootElement;
        foreach (var name in (string[])["runtime", "backend", "gpu_layers", "layers"])
        {
            if (facts.TryGetProperty(name, out var fact))
                lines.Append(CultureInfo.InvariantCulture, $"  {name.Replace('_', ' ')}: {fact}\n");
        }
        lines.Append(CultureInfo.InvariantCulture, $"  memory: {ModelPicker.SizeOf(facts.GetProperty("memory_bytes").GetInt64())}");
        foreach (var adapter in facts.GetProperty("adapters").EnumerateArray())
            lines.Append(CultureInfo.InvariantCulture, $"\n  adapter {adapter.GetProperty("name")}: {adapter.GetProperty("scale")}");
        loop.Terminal.Say(lines.ToString());
    }

    private Task Think(string word)
    {
        var fields = loop.Session!.Fields;
        switch (word)
        {
            case "on" or "off":
                fields[Thinking] = word == "on";
                break;
            case "show" or "hide":
                loop.ShowsThoughts = word == "show";
                break;
            case "":
                break;
            default:
                throw new UsageException($"'{word}' is not on, off, show or hide");
        }
        var thinks = fields[Thinking]?.GetValue<bool>() switch
        {
            true => "the model thinks",
            false => "the model does not think",
            null => "the model thinks as its template has it",
        };
        loop.Terminal.Remark($"{thinks}; what it thinks {(loop.ShowsThoughts ? "stays to be read" : "folds to its time")}");
        return Task.CompletedTask;
    }

    private async Task RegenerateAsync()
    {
        var entries = loop.Conversation.Entries;
        if (entries.Count == 0)
            throw new UsageException("nothing was asked yet");
        if (!entries[^1].IsQuestion)
            loop.Conversation.Drop(1);
        await loop.AskAsync();
    }

    private Task Undo(bool toLine)
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

    private Task Read(string pattern)
    {
        if (pattern.Length == 0)
            throw new UsageException("FILE is missing: /read FILE, or a pattern such as src/*.cs");
        var path = PlaceOf(pattern);
        var files = File.Exists(path) ? [path] : Matching(path);
        if (files.Count == 0)
            throw new UsageException($"there is no file '{pattern}'");
        if (files.Count > MostFiles)
            throw new UsageException($"'{pattern}' is {files.Count} files; {MostFiles} are allowed");
        foreach (var file in files)
        {
            if (new FileInfo(file).Length > MostBytes)
                throw new UsageException($"'{file}' is larger than {MostBytes >> 20} MB");
            var text = File.ReadAllText(file);
            if (text.Contains('\0'))
                throw new UsageException($"'{file}' is no text");
            loop.Texts.Add((file, text));
        }
        loop.Terminal.Remark(files is [var only]
            ? $"{Path.GetFileName(only)} goes before the next question"
            : $"{files.Count} files go before the next question");
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

    private Task Image(string path)
    {
        if (path.Length == 0)
            throw new UsageException("FILE is missing: /image FILE");
        var bytes = File.ReadAllBytes(PlaceOf(path));
        try
        {
            PictureHeader.Read(bytes);
        }
        catch (FormatException e)
        {
            throw new UsageException($"'{path}' {e.Message}");
        }
        if (loop.Session is { } session && !session.Model.Capabilities.Contains("vision"))
            throw new UsageException($"{session.Model.Name} does not see pictures");
        loop.Images.Add((Path.GetFileName(path), ChatCommand.DataUrl(bytes)));
        loop.Terminal.Remark($"{Path.GetFileName(path)} goes before the next question");
        return Task.CompletedTask;
    }

    private Task Save(string path)
    {
        var conversation = loop.Conversation;
        if (path.Length == 0)
        {
            loop.Terminal.Say(loop.KeepingFolder is { } folder
                ? $"kept as {conversation.Id} in {folder}; shimmy chat --resume {conversation.Id} goes on with it"
                : "this conversation is not kept (--no-history); /save FILE writes it");
            return Task.CompletedTask;
        }
        path = PlaceOf(path);
        if (File.Exists(path))
            throw new UsageException($"'{path}' is there already");
        PrivateFile.Write(path, path.EndsWith(".md", StringComparison.OrdinalIgnoreCase)
            ? conversation.ToMarkdown()
            : conversation.ToLines());
        loop.Terminal.Remark($"written to {path}");
        return Task.CompletedTask;
    }

    private Task Load(string id)
    {
        if (id.Length == 0)
        {
            var kept = Conversation.Kept(loop.ChatFolder, ShownConversations);
            loop.Terminal.Show(kept.Count == 0 ? "no conversation is kept yet" : string.Join('\n', kept
                .Select(one => $"{one.Id}  {one.Model ?? "-"}  {one.FirstWords}")));
            return Task.CompletedTask;
        }
        var opened = Conversation.Open(loop.ChatFolder, PlaceOf(id));
        var isOurs = File.Exists(Path.Join(loop.ChatFolder, id + ".jsonl"));
        loop.Take(isOurs && loop.KeepingFolder is not null ? opened : opened.Copy(loop.KeepingFolder));
        loop.ShowLast();
        return Task.CompletedTask;
    }

    private Task Copy()
    {
        var last = loop.Conversation.Entries.LastOrDefault(entry => !entry.IsQuestion)
            ?? throw new UsageException("there is no answer yet");
        loop.Terminal.Screen.Write($"\u001b]52;c;{Convert.ToBase64String(Encoding.UTF8.GetBytes(last.Text))}\a");
        loop.Terminal.Remark("given to the terminal's clipboard");
        return Task.CompletedTask;
    }

    private Task Stats(string word)
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

    private async Task TokensAsync(string text)
    {
        var body = text.Length > 0 ? new JsonObject { ["content"] = text } : Messages();
        body["model"] = loop.Session!.Model.Name;
        using var answer = await loop.Session.Client.AskAsync(
            HttpMethod.Post, "tokenize", body, ServerClient.LongestAnswer, loop.Terminal.Ending);
        var count = answer.RootElement.GetProperty("tokens").GetArrayLength();
        loop.Terminal.Say(
            string.Create(CultureInfo.InvariantCulture, $"{count} tokens{(text.Length > 0 ? "" : $" of {loop.Session.Model.Context}")}"));
    }

    private async Task PromptAsync()
    {
        using var answer = await loop.Session!.Client.AskAsync(
            HttpMethod.Post, "apply-template", Messages(), ServerClient.LongestAnswer, loop.Terminal.Ending);
        loop.Terminal.Show(answer.RootElement.GetProperty("prompt").GetString()!);
    }

    // What the template is given: the messages, and whether to think.
    private JsonObject Messages()
    {
        if (loop.Conversation.Entries.Count == 0)
            throw new UsageException("nothing was asked yet");
        var whole = loop.Session!.Body();
        var body = new JsonObject { ["model"] = loop.Session.Model.Name, ["messages"] = whole["messages"]!.DeepClone() };
        if (whole[Thinking] is { } thinking)
            body[Thinking] = thinking.DeepClone();
        if (!loop.Conversation.Entries[^1].IsQuestion)
            body["add_generation_prompt"] = false;
        return body;
    }

    private Task SchemaOf(string path)
    {
        var fields = loop.Session!.Fields;
        if (path == "off")
            fields.Remove(Schema);
        else if (path.Length > 0)
            fields[Schema] = ChatCommand.ResponseFormat(GrammarFiles.SchemaText(new OptionValue("/schema", [PlaceOf(path)])));
        loop.Terminal.Remark(fields[Schema] is null
            ? "answers are free; /schema FILE binds them"
            : "answers satisfy the schema; /schema off frees them");
        return Task.CompletedTask;
    }

    private async Task LoraAsync(string words)
    {
        using var status = await StatusAsync();
        var adapters = status.RootElement.GetProperty("adapters");
        if (adapters.GetArrayLength() == 0)
            throw new UsageException($"{loop.Session!.Model.Name} was loaded without adapters; --lora FILE names them");
        var fields = loop.Session!.Fields;
        if (words == "off")
        {
            fields[Lora] = new JsonArray();
            loop.Terminal.Remark("no adapter acts");
            return;
        }
        if (words.Length == 0)
        {
            loop.Terminal.Say(string.Join('\n', adapters.EnumerateArray().Select(adapter => $"{adapter.GetProperty("name")}: "
                + $"{ScaleOf(fields[Lora], adapter.GetProperty("id").GetInt32()) ?? adapter.GetProperty("scale").GetDouble():0.###}")));
            return;
        }
        var blank = words.LastIndexOf(' ');
        if (blank < 0 || !double.TryParse(words[(blank + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out var scale))
            throw new UsageException("NAME and SCALE are needed, as /lora style 0.8");
        var name = words[..blank].Trim();
        var choice = new JsonArray();
        var found = false;
        foreach (var adapter in adapters.EnumerateArray())
        {
            var id = adapter.GetProperty("id").GetInt32();
            var isMeant = adapter.GetProperty("name").GetString() == name || id.ToString(CultureInfo.InvariantCulture) == name;
            found |= isMeant;
            choice.Add((JsonNode)new JsonObject
            {
                ["id"] = id,
                ["scale"] = isMeant ? scale : ScaleOf(fields[Lora], id) ?? adapter.GetProperty("scale").GetDouble(),
            });
        }
        if (!found)
            throw new UsageException($"there is no adapter '{name}'; /lora shows them");
        fields[Lora] = choice;
        loop.Terminal.Remark($"{name} acts with {words[(blank + 1)..]}");
    }

    private static double? ScaleOf(JsonNode? chosen, int id)
    {
        if (chosen is not JsonArray list)
            return null;
        foreach (var one in list)
        {
            if (one!["id"]!.GetValue<int>() == id)
                return one["scale"]!.GetValue<double>();
        }
        return 0;
    }

    private Task Exit()
    {
        loop.Ends = true;
        return Task.CompletedTask;
    }

    private Task<JsonDocument> StatusAsync() => loop.Session!.Client.AskAsync(HttpMethod.Get,
        $"api/models/{Outbound.PathOf(loop.Session.Model.Name)}/status", loop.Terminal.Ending);
}
