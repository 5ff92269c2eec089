using System.Diagnostics;
using System.Globalization;
using System.Text;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Editing;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Chat;

/// <summary>
/// A conversation in the terminal: reads a line, does the command or asks the model, shows the answer, and again. Keys are read all the
/// time; those that come during an answer wait for the next line, but for Ctrl+C, which stops it.
/// <code>
///   connect ──► choose a model ──► load ─┐ (in the background, while the first line is typed)
///                                        ▼
///      ┌──────────────────────────► read a line ──────────► end (Ctrl+D, /exit)
///      │                  /command │     │ question
///      │  ChatCommands ◄───────────┘     ▼
///      ├───────┘                        ask ──► show pieces as they come ──► keep the answer, or take the question back
///      └──────────────────────────────────────────────────────────────────────┘
/// </code>
/// </summary>
internal sealed class ChatLoop
{
    private const string Prompt = "> ";
    private const int FullContext = 80;

    private readonly CommandOptions _options;
    private readonly LineEditor _editor;
    private ChatServer? _server;
    private Task<ChatModel>? _loading;
    private long _loadingBegan;
    private string? _loadingName;

    private ChatLoop(ChatTerminal terminal, CommandOptions options, Conversation conversation)
    {
        Terminal = terminal;
        _options = options;
        Conversation = conversation;
        var history = options.KeepsHistory ? ChatFolder + "_history" : null;
        _editor = new LineEditor(new InputHistory(history), (text, cursor) => ChatCommands.Complete(this, text, cursor));
    }

    /// <summary>The terminal.</summary>
    public ChatTerminal Terminal { get; }

    /// <summary>The folder of conversations.</summary>
    public string ChatFolder { get; } = Conversation.FolderOf(HostEnvironment.Current());

    /// <summary>The folder that this conversation is kept in; null where it is not.</summary>
    public string? KeepingFolder => _options.KeepsHistory ? ChatFolder : null;

    /// <summary>The conversation.</summary>
    public Conversation Conversation { get; private set; }

    /// <summary>The session; null until the model is loaded.</summary>
    public ChatSession? Session { get; private set; }

    /// <summary>The models that can be chosen, as they were known last.</summary>
    public IReadOnlyList<ChatModel> Models { get; private set; } = [];

    /// <summary>Whether a line of figures follows each answer.</summary>
    public bool ShowsFigures { get; set; } = true;

    /// <summary>Whether what the model thought stays.</summary>
    public bool ShowsReasoning { get; set; }

    /// <summary>Whether the conversation is to end.</summary>
    public bool Ends { get; set; }

    /// <summary>Text that the next line begins with.</summary>
    public string Prefill { get; set; } = "";

    /// <summary>Texts of files that go before the next question.</summary>
    public List<(string Name, string Text)> Texts { get; } = [];

    /// <summary>Pictures and sounds that go before the next question.</summary>
    public List<(string Name, string Url)> Media { get; } = [];

    /// <summary>Runs a conversation until it is ended. Throws what keeps it from beginning.</summary>
    public static async Task RunAsync(CommandOptions options, Conversation conversation, CancellationToken cancellation)
    {
        using var terminal = new ChatTerminal(cancellation);
        var loop = new ChatLoop(terminal, options, conversation);
        using var loggers =
            ConsoleLog.Create(options.LogLevel, options.LogAsJson, to: Console.IsErrorRedirected ? null : terminal.OpenLog());
        try
        {
            // On another thread: the prompt does not wait for what a server does before it first waits itself.
            await loop.TalkAsync(Task.Run(() => ChatServer.ConnectAsync(options, options.Name, loggers, terminal.Ending)));
        }
        finally
        {
            terminal.Screen.Hide();
            if (loop._server is { } server)
                await server.DisposeAsync();
        }
    }

    /// <summary>Asks which model is meant; null where the choice was given up.</summary>
    public async Task<ChatModel?> PickAsync()
    {
        if (await WaitAsync(_server!.ModelsAsync(Terminal.Ending), "looking for models") is not { } models)
            return null;
        Models = models;
        var lastUsed = new List<string>();
        foreach (var kept in Conversation.Kept(ChatFolder))
        {
            if (kept.Model is { } name)
                lastUsed.Add(name);
        }
        var picker = new ModelPicker(models, lastUsed);
        while (true)
        {
            Terminal.Screen.Show(picker.Layout(Terminal.Screen.Width, Terminal.IsStyled));
            if (await Terminal.KeyAsync(ticks: false) is { } key && picker.Handle(key))
                break;
        }
        Terminal.Screen.Hide();
        return picker.Chosen;
    }

    /// <summary>Changes to another model, which is loaded now.</summary>
    public async Task UseAsync(string name)
    {
        BeginLoading(name);
        await LoadedAsync();
    }

    /// <summary>Goes on with another conversation.</summary>
    public void Take(Conversation conversation)
    {
        Conversation = conversation;
        if (Session is { } session)
            session.Conversation = conversation;
        Texts.Clear();
        Media.Clear();
    }

    /// <summary>Waits for the model; false where the user gave up waiting. Throws where it cannot be loaded.</summary>
    public async Task<bool> LoadedAsync()
    {
        if (_loading is not { } loading)
            return true;
        try
        {
            if (await Terminal.WaitAsync(loading, LoadingRow) is not { } model)
                return false;
            Loaded(model);
            return true;
        }
        catch (CommandException) when (Session is not null)
        {
            // The model before goes on.
            _loading = null;
            throw;
        }
    }

    /// <summary>Waits for what the server does, with a sign of life; null where the user gave up.</summary>
    public Task<T?> WaitAsync<T>(Task<T> task, string what) where T : class
    {
        var began = Stopwatch.GetTimestamp();
        return Terminal.WaitAsync(task, () => Stopwatch.GetElapsedTime(began) < ProgressLine.ShowAfter ? null : what);
    }

    /// <summary>Asks the model with what was said last, and shows the answer.</summary>
    public async Task AskAsync()
    {
        var isLoaded = false;
        try
        {
            isLoaded = await LoadedAsync();
        }
        catch (CommandException e) when (Session is not null)
        {
            Terminal.PrintError(e);
        }
        if (!isLoaded)
        {
            Conversation.RemoveUnansweredTurn();
            return;
        }
        var session = Session!;
        var skipped = session.Skipped;
        var view = new AnswerView(Terminal.Screen, Terminal.IsStyled, ShowsReasoning);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Terminal.Ending);
        CommandException? failure = null;
        await using (var pieces = session.AskAsync(stop.Token).GetAsyncEnumerator(stop.Token))
        {
            try
            {
                await ShowAsync(pieces, view, stop);
            }
            catch (OperationCanceledException) when (!Terminal.Ending.IsCancellationRequested)
            {
            }
            catch (CommandException e)
            {
                failure = e;
            }
            finally
            {
                view.End();
            }
        }
        if (failure is not null)
            Terminal.PrintError(failure);
        else if (stop.IsCancellationRequested)
            Terminal.Remark(session.Answer is null ? "stopped before the answer" : "stopped; the part is kept");
        if (session.Answer is null)
            Conversation.RemoveUnansweredTurn();
        if (session.Answer is not null && session.Skipped > skipped)
        {
            Terminal.Warn(
                $"the first {session.Skipped} messages were left out: the context of {session.Model.Context} tokens does not hold them");
        }
        Figure(session);
    }

    // Until the end, or Ctrl+C.
    private async Task ShowAsync(IAsyncEnumerator<ChatPiece> pieces, AnswerView view, CancellationTokenSource stop)
    {
        var next = pieces.MoveNextAsync().AsTask();
        while (true)
        {
            if (next.IsCompleted)
            {
                if (!await next)
                    return;
                view.Add(pieces.Current);
                next = pieces.MoveNextAsync().AsTask();
                continue;
            }
            view.Draw();
            Key? typed;
            try
            {
                typed = await Terminal.KeyOrAsync(next);
            }
            catch (OperationCanceledException)
            {
                // The program ends: first what has come is kept.
                await Task.WhenAny(next);
                throw;
            }
            if (typed is not { } key)
                continue;
            if (!key.IsControl('c'))
                Terminal.Keep(key);
            if (!key.IsControl('c') && !Terminal.IsClosed)
                continue;
            await stop.CancelAsync();
            await next;
        }
    }

    private void Figure(ChatSession session)
    {
        var (figures, context) = (session.Figures, session.Model.Context);
        if (session.Answer is null || figures.AnswerTokens == 0)
            return;
        if (ShowsFigures)
            Terminal.Remark(figures.Line(context));
        var full = context == 0 ? 0 : 100 * (figures.PromptTokens + figures.AnswerTokens) / context;
        if (figures.FinishReason == "length")
            Terminal.Warn("the answer was cut off: max_tokens, or the end of the context");
        else if (full >= FullContext)
            Terminal.Warn($"the context is {full} % full: the oldest messages will be left out; /new begins again");
    }

    private async Task TalkAsync(Task<ChatServer> connecting)
    {
        if (_options.Name is { } name)
            BeginLoading(name, connecting);
        else if (await ChooseAsync(connecting) is { } chosen)
            BeginLoading(chosen.Name);
        else
            return;
        Welcome();
        while (!Ends && !Terminal.IsClosed && await ReadAsync() is { } line)
        {
            if (line.Trim().Length == 0)
                continue;
            if (ChatCommands.IsCommand(line))
            {
                await ChatCommands.RunAsync(this, line);
                continue;
            }
            Conversation.Add(Question(line));
            await AskAsync();
        }
    }

    private async Task<ChatModel?> ChooseAsync(Task<ChatServer> connecting)
    {
        _server = await WaitAsync(connecting, "looking for models");
        if (_server is null || await WaitAsync(_server.ModelsAsync(Terminal.Ending), "looking for models") is not { } models)
            return null;
        return ModelContext.Choice(models, model => model.Name) switch
        {
            [] => throw new CommandException(ExitCode.Failed,
                "NAME is missing, and no models were found (shimmy discover says where they are looked for)"),
            [var only] => only,
            _ => await PickAsync(),
        };
    }

    private ChatEntry Question(string line)
    {
        var text = new StringBuilder();
        foreach (var (name, content) in Texts)
            text.Append($"{name}:\n```\n{content.TrimEnd()}\n```\n\n");
        text.Append(line);
        var question = new ChatEntry("user", text.ToString()) { Media = Media.ConvertAll(medium => medium.Url) };
        Texts.Clear();
        Media.Clear();
        return question;
    }

    private void Welcome()
    {
        Media.AddRange(ChatCommand.MediaOf(_options));
        if (Conversation.Entries.Count > 0)
        {
            Terminal.Remark($"conversation {Conversation.Id}, {Conversation.Entries.Count} messages; the last:");
            ShowLast();
        }
        else
        {
            Terminal.Remark("Enter sends, Alt+Enter breaks the line, Ctrl+D ends; /help shows the commands");
        }
    }

    /// <summary>Shows the last question and its answer, as after a conversation was loaded.</summary>
    public void ShowLast()
    {
        for (var i = Math.Max(0, Conversation.Entries.Count - 2); i < Conversation.Entries.Count; i++)
        {
            var entry = Conversation.Entries[i];
            if (entry.IsQuestion)
            {
                Terminal.Show(Prompt + entry.Text.ReplaceLineEndings("\n  "));
                continue;
            }
            var view = new AnswerView(Terminal.Screen, Terminal.IsStyled, showsReasoning: false);
            view.Add(new ChatPiece(entry.Text, IsReasoning: false));
            view.End();
        }
    }

    private void BeginLoading(string name, Task<ChatServer>? connecting = null)
    {
        _loadingName = name;
        _loadingBegan = Stopwatch.GetTimestamp();
        _loading = LoadAsync();

        async Task<ChatModel> LoadAsync()
        {
            try
            {
                _server ??= await connecting!;
                var model = await _server.LoadAsync(name, Terminal.Ending);
                Models = await _server.ModelsAsync(Terminal.Ending);
                return model;
            }
            finally
            {
                Terminal.Wake();
            }
        }
    }

    private void Loaded(ChatModel model)
    {
        _loading = null;
        Conversation.Model = model.Name;
        if (Session is { } session)
            session.Model = model;
        else
            Session = ChatCommand.NewSession(_server!, model, Conversation, _options);
        var line = string.Create(CultureInfo.InvariantCulture, $"{model.Name}: {ByteCount.Text(model.Bytes)}, {model.Quantization}, "
            + $"context {model.Context}, ready after {Stopwatch.GetElapsedTime(_loadingBegan).TotalSeconds:F1} s");
        if (!_server!.IsOwn)
            line += $", at {_server.Client.Address}";
        if (Console.IsErrorRedirected)
            Printer.Notice("chat", line);
        else
            Terminal.Remark(line);
    }

    private string LoadingRow() => string.Create(CultureInfo.InvariantCulture,
        $"loading {_loadingName}, {Stopwatch.GetElapsedTime(_loadingBegan).TotalSeconds:F0} s");

    // A line of the user's; null where the conversation ends.
    private async Task<string?> ReadAsync()
    {
        _editor.Begin(Prefill);
        Prefill = "";
        var (hint, interrupted) = ("", false);
        while (true)
        {
            if (_loading is { IsCompleted: true } loading)
            {
                Terminal.Screen.Hide();
                try
                {
                    Loaded(await loading);
                }
                catch (CommandException e) when (Session is not null)
                {
                    // The model before goes on.
                    _loading = null;
                    Terminal.PrintError(e);
                }
            }
            Terminal.Screen.Show(Layout(hint));
            if (await Terminal.KeyAsync(ticks: _loading is not null) is not { } key)
                continue;
            var wasInterrupted = interrupted;
            (hint, interrupted) = ("", false);
            switch (_editor.Handle(key))
            {
                case EditOutcome.Sent:
                    Terminal.Screen.Keep(_editor.Layout(Terminal.Screen.Width, Prompt));
                    return _editor.Sent;
                case EditOutcome.Ended:
                    return null;
                case EditOutcome.Interrupted when wasInterrupted:
                    return null;
                case EditOutcome.Interrupted:
                    (hint, interrupted) = ("Ctrl+C again, Ctrl+D or /exit ends the conversation", true);
                    break;
                case EditOutcome.Clear:
                    Terminal.Screen.Clear();
                    break;
                case EditOutcome.Suspend:
                    Terminal.Suspend();
                    break;
            }
        }
    }

    private Frame Layout(string hint)
    {
        var above = new List<string>();
        if (_loading is not null)
            above.Add(Terminal.Row(LoadingRow()));
        foreach (var (name, text) in Texts)
            above.Add(Terminal.Row($"[{name}, {text.Split('\n').Length} lines]"));
        foreach (var (name, url) in Media)
            above.Add(Terminal.Row($"[{(url.StartsWith(ChatEntry.Sound, StringComparison.Ordinal) ? "sound" : "picture")} {name}]"));
        if (hint.Length > 0)
            above.Add(Terminal.Row(hint));
        return _editor.Layout(Terminal.Screen.Width, Prompt, [.. above]);
    }
}
