using System.Text.Json.Nodes;
using Shimmy.Chat.Media;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Chat;

/// <summary>The command <c>chat</c>: a conversation in the terminal, or one answer where TEXT or a pipe asks for it.</summary>
internal static class ChatCommand
{
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        var goesOn = options.Continue || options.Resume is not null;
        // Who goes on with a conversation has its model: what stands alone is the question.
        if (goesOn && options is { Text: null, Name: { } only })
            options = options with { Name = null, Text = only };
        var folder = Conversation.FolderOf(HostEnvironment.Current());
        var conversation = options.Resume is { } id ? Conversation.Open(folder, id)
            : options.Continue ? Conversation.Last(folder)
            : new Conversation(options.KeepsHistory ? folder : null);
        if (goesOn && !options.KeepsHistory)
            conversation = conversation.Copy(null);
        conversation.SetSystem(options.System ?? conversation.System);
        options = options with { Name = string.IsNullOrEmpty(options.Name) ? conversation.Model : options.Name };
        if (options.Text is null && !Console.IsInputRedirected)
        {
            if (Console.IsOutputRedirected)
                throw new UsageException("TEXT is missing: a conversation needs a terminal to write to");
            if (options.Json)
                throw new UsageException("--json: is for one answer, and TEXT is missing");
            if (Environment.GetEnvironmentVariable("TERM") is "dumb")
                await LinesAsync(options, conversation, cancellation);
            else
                await ChatLoop.RunAsync(options, conversation, cancellation);
            return;
        }
        await AnswerAsync(options, conversation, cancellation);
    }

    // One answer: only its text on stdout, or with --json all that is known of it.
    private static async Task AnswerAsync(CommandOptions options, Conversation conversation, CancellationToken cancellation)
    {
        var piped = Console.IsInputRedirected ? await StandardStreams.ReadInputAsync("TEXT", cancellation) : "";
        var text = options.Text is not { } given ? piped : piped.Trim().Length == 0 ? given : $"{given}\n\n{piped}";
        if (text.Trim().Length == 0)
            throw new UsageException("TEXT is missing: an argument, or what a pipe brings");
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        await using var server = await ChatServer.ConnectAsync(options, options.Name, loggers, cancellation);
        Printer.Progress($"loading {options.Name ?? "the model"}");
        ChatModel model;
        try
        {
            model = await server.LoadAsync(options.Name, cancellation);
        }
        finally
        {
            Printer.ClearProgress();
        }
        var session = NewSession(server, model, conversation, options);
        conversation.Add(new ChatEntry("user", text) { Media = [.. MediaOf(options).Select(medium => medium.Url)] });
        await AskAsync(session, prints: !options.Json, cancellation);
        if (session.Skipped > 0)
        {
            Printer.Notice("chat",
                $"the first {session.Skipped} messages were left out: the context of {model.Context} tokens does not hold them");
        }
        if (options.Json)
            Printer.Line(JsonOf(session).ToJsonString(Printer.IndentedJson));
        else
            Printer.EndText();
        if (session.Figures.FinishReason == "length")
            Printer.Notice("chat", "the answer was cut off: --max-tokens, or the end of the context");
    }

    // A terminal that only writes line after line: a question a line, without commands.
    private static async Task LinesAsync(CommandOptions options, Conversation conversation, CancellationToken cancellation)
    {
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        await using var server = await ChatServer.ConnectAsync(options, options.Name, loggers, cancellation);
        var session = NewSession(server, await server.LoadAsync(options.Name, cancellation), conversation, options);
        List<string> media = [.. MediaOf(options).Select(medium => medium.Url)];
        while (true)
        {
            Printer.Text("> ");
            if (await Task.Run(Console.In.ReadLine, cancellation).WaitAsync(cancellation) is not { } line || line.Trim() == "/exit")
                return;
            if (line.Trim().Length == 0)
                continue;
            conversation.Add(new ChatEntry("user", line) { Media = media });
            media = [];
            await AskAsync(session, prints: true, cancellation);
            Printer.EndText();
        }
    }

    private static async Task AskAsync(ChatSession session, bool prints, CancellationToken cancellation)
    {
        try
        {
            await foreach (var piece in session.AskAsync(cancellation))
            {
                if (prints && !piece.IsReasoning)
                    Printer.Text(Console.IsOutputRedirected ? piece.Text : TerminalText.Escaped(piece.Text));
            }
        }
        finally
        {
            if (session.Answer is null)
                session.Conversation.RemoveUnansweredTurn();
        }
    }

    /// <summary>A session with what the command line asks for.</summary>
    public static ChatSession NewSession(ChatServer server, ChatModel model, Conversation conversation, CommandOptions options)
    {
        var session = new ChatSession(server.Client, model, conversation);
        foreach (var (field, value) in options.Asked)
            session.Set(field, value);
        if (options.MostTokens is { } most)
            session.Fields["max_tokens"] = most;
        if (options.Schema is { } schema)
            session.Fields["response_format"] = ResponseFormat(schema);
        return session;
    }

    /// <summary>OpenAI's field for a JSON schema.</summary>
    public static JsonObject ResponseFormat(string schema) => new()
    {
        ["type"] = "json_schema",
        ["json_schema"] = new JsonObject { ["name"] = "answer", ["schema"] = JsonNode.Parse(schema) },
    };

    /// <summary>The pictures and sounds of <c>--image</c> and <c>--audio</c>.</summary>
    public static IEnumerable<(string Name, string Url)> MediaOf(CommandOptions options) =>
        options.Images.Select(file => Medium(file.Path, file.Bytes, isSound: false, "--image"))
            .Concat(options.Sounds.Select(file => Medium(file.Path, file.Bytes, isSound: true, "--audio")));

    /// <summary>
    /// A picture or sound by its name, as a message takes it. Throws <see cref="UsageException"/> for a file that is none, which
    /// <paramref name="asked"/> asked for.
    /// </summary>
    public static (string Name, string Url) Medium(string path, byte[] bytes, bool isSound, string asked)
    {
        try
        {
            if (isSound)
                SoundDecoder.FormatOf(bytes);
            else
                PictureHeader.Read(bytes);
        }
        catch (FormatException e)
        {
            throw new UsageException($"{asked} '{path}' {e.Message}");
        }

        return (Path.GetFileName(path), DataUrl(bytes));
    }

    /// <summary>A picture or sound in a message. The server reads off the bytes of which kind it is.</summary>
    public static string DataUrl(byte[] file) =>
        $"{(SoundDecoder.IsSound(file) ? ChatEntry.Sound : "data:image/png;base64,")}{Convert.ToBase64String(file)}";

    private static JsonObject JsonOf(ChatSession session)
    {
        var figures = session.Figures;
        var json = new JsonObject
        {
            ["conversation"] = session.Conversation.Id,
            ["model"] = session.Model.Name,
            ["text"] = session.Answer?.Text ?? "",
        };
        if (session.Answer is { Reasoning.Length: > 0 } answer)
            json["reasoning"] = answer.Reasoning;
        json["finish_reason"] = figures.FinishReason;
        json["prompt_tokens"] = figures.PromptTokens;
        json["cached_tokens"] = figures.CachedTokens;
        json["completion_tokens"] = figures.AnswerTokens;
        json["tokens_per_second"] = figures.PerSecond;
        json["first_token_seconds"] = Math.Round(figures.First.TotalSeconds, 4);
        if (figures.Drafted > 0)
        {
            json["drafted_tokens"] = figures.Drafted;
            json["accepted_tokens"] = figures.Accepted;
        }
        return json;
    }
}
