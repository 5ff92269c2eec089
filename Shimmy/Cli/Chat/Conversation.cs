using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Cli.Terminal;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Chat;

/// <summary>One message of a conversation.</summary>
/// <param name="Role"><c>user</c> or <c>assistant</c>.</param>
/// <param name="Text">Its text.</param>
internal sealed record ChatEntry(string Role, string Text)
{
    /// <summary>The model's reasoning before it.</summary>
    public string Reasoning { get; init; } = "";

    /// <summary>How the data: URL of a sound begins; others are pictures.</summary>
    public const string Sound = "data:audio/wav;base64,";

    /// <summary>Pictures and sounds, each as a data: URL.</summary>
    public IReadOnlyList<string> Media { get; init; } = [];

    /// <summary>The model that answered; null for what the user said.</summary>
    public string? Model { get; init; }

    /// <summary>Whether the answer was stopped before its end.</summary>
    public bool IsPart { get; init; }

    /// <summary>Whether the user said it.</summary>
    public bool IsQuestion => Role == "user";
}

/// <summary>A conversation that was kept, as lists show it.</summary>
internal sealed record KeptConversation(string Id, string? Model, string FirstWords);

/// <summary>
/// A conversation, and the file that keeps it as JSON lines. What is said is appended at once, so that nothing has to be saved at the end;
/// a line <c>{"undo":N}</c> takes back the last N messages.
/// </summary>
internal sealed class Conversation
{
    private const string Extension = ".jsonl";
    private const int ShownWords = 60;
    private const int MostKept = 50;

    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly string? _folder;
    private readonly List<ChatEntry> _entries = [];
    private readonly List<string> _unwritten = [];
    private bool _begun;

    /// <summary>An empty one. Its file is made with the first message.</summary>
    /// <param name="folder">The folder of conversations; null keeps nothing.</param>
    public Conversation(string? folder)
    {
        _folder = folder;
        Id = string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:yyyyMMdd-HHmmss}-{Guid.NewGuid().ToString("N")[..4]}");
    }

    /// <summary>Its name, which begins with the time.</summary>
    public string Id { get; private init; }

    /// <summary>The model of the last answer, or that the conversation was begun with; null where none is known.</summary>
    public string? Model { get; set; }

    /// <summary>The system message; null where there is none.</summary>
    public string? System { get; private set; }

    /// <summary>The messages so far.</summary>
    public IReadOnlyList<ChatEntry> Entries => _entries;

    /// <summary>The folder of the user's conversations.</summary>
    public static string FolderOf(HostEnvironment host) => host.Join(host.StateFolder(), "shimmy", "chats");

    /// <summary>Those that are kept, the last changed first, and no more than so many.</summary>
    public static IReadOnlyList<KeptConversation> Kept(string folder, int most = MostKept)
    {
        var kept = new List<KeptConversation>();
        if (!Directory.Exists(folder))
            return kept;
        var files = new DirectoryInfo(folder).GetFiles("*" + Extension);
        Array.Sort(files, (one, other) => other.LastWriteTimeUtc.CompareTo(one.LastWriteTimeUtc));
        foreach (var file in files)
        {
            if (kept.Count == most)
                break;
            var conversation = Read(file.FullName, null);
            if (conversation.Entries is not [var first, ..])
                continue;
            var words = first.Text.ReplaceLineEndings(" ");
            kept.Add(new KeptConversation(conversation.Id, conversation.Model,
                words.Length > ShownWords ? words[..ShownWords] + "…" : words));
        }
        return kept;
    }

    /// <summary>The one that was changed last. Throws <see cref="CommandException"/> where there is none.</summary>
    public static Conversation Last(string folder) => Kept(folder, 1) is [var last]
        ? Open(folder, last.Id)
        : throw new CommandException(ExitCode.Failed, "--continue: no conversation is kept here");

    /// <summary>
    /// The one of this name, or in a file of this path. Throws <see cref="CommandException"/> where there is none.
    /// </summary>
    public static Conversation Open(string folder, string id)
    {
        var path = Path.Join(folder, id + Extension);
        if (id.AsSpan().IndexOfAny('/', '\\') < 0 && File.Exists(path))
            return Read(path, folder);
        return File.Exists(id)
            ? Read(id, null)
            : throw new CommandException(ExitCode.Failed, $"there is no conversation '{id}', and no file of this name");
    }

    /// <summary>A copy that is kept from here on, as one of its own.</summary>
    public Conversation Copy(string? folder)
    {
        var copy = new Conversation(folder) { Model = Model };
        copy.SetSystem(System);
        foreach (var entry in _entries)
            copy.Add(entry);
        return copy;
    }

    /// <summary>Adds what was said.</summary>
    public void Add(ChatEntry entry)
    {
        Model = entry.Model ?? Model;
        _entries.Add(entry);
        Keep(JsonOf(entry));
    }

    /// <summary>Takes back the last messages.</summary>
    public void Drop(int count)
    {
        _entries.RemoveRange(_entries.Count - count, count);
        if (_entries.Count == 0 && _begun)
            Forget();
        else
            Keep(new JsonObject { ["undo"] = count });
    }

    /// <summary>Removes a last question that got no answer, which would stand before the next one.</summary>
    public void RemoveUnansweredTurn()
    {
        if (_entries is [.., { IsQuestion: true }])
            Drop(1);
    }

    /// <summary>Changes the system message; null removes it.</summary>
    public void SetSystem(string? text)
    {
        if (text == System)
            return;
        System = text;
        Keep(Message("system", text));
    }

    /// <summary>The lines of its file.</summary>
    public string ToLines()
    {
        var lines = new List<string> { Head() };
        if (System is not null)
            lines.Add(LineOf(Message("system", System)));
        foreach (var entry in _entries)
            lines.Add(LineOf(JsonOf(entry)));
        return string.Join('\n', lines) + "\n";
    }

    /// <summary>The conversation as readable text.</summary>
    public string ToMarkdown()
    {
        var parts = new List<string>();
        if (System is not null)
            parts.Add($"> {System.ReplaceLineEndings("\n> ")}");
        foreach (var entry in _entries)
            parts.Add($"## {(entry.IsQuestion ? "Question" : entry.Model ?? "Answer")}\n\n{entry.Text.Trim()}");
        return string.Join("\n\n", parts) + "\n";
    }

    /// <summary>
    /// The messages of a request. What the model thought goes with them as such: its template decides whether it reads that again.
    /// </summary>
    /// <param name="skipped">The first messages that are left out.</param>
    public JsonArray ToMessages(int skipped)
    {
        var messages = new JsonArray();
        if (System is not null)
            messages.Add((JsonNode)Message("system", System));
        for (var i = skipped; i < _entries.Count; i++)
        {
            var entry = _entries[i];
            if (entry.Media.Count > 0)
            {
                var parts = new JsonArray();
                foreach (var medium in entry.Media)
                {
                    var type = medium.StartsWith(ChatEntry.Sound, StringComparison.Ordinal) ? "audio_url" : "image_url";
                    parts.Add((JsonNode)new JsonObject { ["type"] = type, [type] = new JsonObject { ["url"] = medium } });
                }
                parts.Add((JsonNode)new JsonObject { ["type"] = "text", ["text"] = entry.Text });
                messages.Add((JsonNode)new JsonObject { ["role"] = entry.Role, ["content"] = parts });
                continue;
            }
            var message = Message(entry.Role, entry.Text);
            if (entry.Reasoning.Length > 0)
                message["reasoning_content"] = entry.Reasoning;
            messages.Add((JsonNode)message);
        }
        return messages;
    }

    private static JsonObject Message(string role, string? text) => new JsonObject { ["role"] = role, ["content"] = text };

    private static JsonObject JsonOf(ChatEntry entry)
    {
        var json = new JsonObject { ["role"] = entry.Role, ["content"] = entry.Text };
        if (entry.Reasoning.Length > 0)
            json["reasoning"] = entry.Reasoning;
        if (entry.Media.Count > 0)
        {
            var images = new JsonArray();
            foreach (var medium in entry.Media)
                images.Add((JsonNode?)medium);
            json["images"] = images;
        }
        if (entry.Model is { } model)
            json["model"] = model;
        if (entry.IsPart)
            json["part"] = true;
        return json;
    }

    private string Head() => LineOf(new JsonObject { ["conversation"] = Id, ["model"] = Model });

    private static string LineOf(JsonObject json) => json.ToJsonString(Plain);

    // What comes before the first message waits for it: a conversation in which nothing was said is not kept.
    private void Keep(JsonObject json)
    {
        if (_folder is null)
            return;
        _unwritten.Add(LineOf(json));
        if (_entries.Count == 0 && !_begun)
            return;
        try
        {
            var text = string.Join('\n', _begun ? _unwritten : [Head(), .. _unwritten]) + "\n";
            var path = Path.Join(_folder, Id + Extension);
            PrivateFile.MakeFolder(_folder);
            PrivateFile.Append(path, EndsInsideLine(path) ? "\n" + text : text);
            _begun = true;
            _unwritten.Clear();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A full disk ends no conversation; what could not be written is tried again with the next message.
        }
    }

    // As where the disk was full, or a machine stopped.
    private static bool EndsInsideLine(string path)
    {
        if (!File.Exists(path))
            return false;
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1);
        if (file.Length == 0)
            return false;
        file.Seek(-1, SeekOrigin.End);
        return file.ReadByte() != '\n';
    }

    // Nothing is said in it any more.
    private void Forget()
    {
        try
        {
            File.Delete(Path.Join(_folder, Id + Extension));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // An empty one is not shown.
        }
        _begun = false;
        _unwritten.Clear();
        if (System is { } system)
            Keep(Message("system", system));
    }

    // A line that cannot be read, as one that was cut off by a full disk or a crash, is left out.
    private static Conversation Read(string path, string? folder)
    {
        var conversation = new Conversation(null) { Id = Path.GetFileNameWithoutExtension(path) };
        try
        {
            foreach (var line in File.ReadLines(path))
            {
                try
                {
                    if (line.Length > 0 && JsonNode.Parse(line) is JsonObject json)
                        conversation.Take(json);
                }
                catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or ArgumentException)
                {
                    // An ArgumentException is a field that is there twice.
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.Failed, $"{path}: {e.Message}");
        }
        return folder is null ? conversation : new Conversation(conversation, folder);
    }

    private Conversation(Conversation read, string folder) : this(folder)
    {
        Id = read.Id;
        Model = read.Model;
        System = read.System;
        _entries = read._entries;
        _begun = true;
    }

    // All of a line, or nothing where something in it is not as it should be.
    private void Take(JsonObject json)
    {
        var count = json["undo"]?.GetValue<int>() ?? 0;
        var model = json["model"]?.GetValue<string>();
        var role = json["role"]?.GetValue<string>();
        var text = json["content"]?.GetValue<string>();
        var reasoning = json["reasoning"]?.GetValue<string>() ?? "";
        var isPart = json["part"]?.GetValue<bool>() ?? false;
        var images = new List<string>();
        foreach (var image in json["images"]?.AsArray() ?? [])
            images.Add(image?.GetValue<string>() ?? throw new FormatException("an image that is null"));
        if (count < 0)
            throw new FormatException("undo is negative");

        _entries.RemoveRange(Math.Max(0, _entries.Count - count), Math.Min(count, _entries.Count));
        Model = model ?? Model;
        if (role == "system")
            System = text;
        else if (role is not null)
            _entries.Add(new ChatEntry(role, text ?? "") { Reasoning = reasoning, Media = images, Model = model, IsPart = isPart });
    }
}
