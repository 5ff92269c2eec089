using System.Runtime.InteropServices;
using System.Text;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Editing;
using Shimmy.Cli.Terminal.Markdown;
using Shimmy.Cli.Terminal.Native;

namespace Shimmy.Cli.Chat;

/// <summary>
/// The terminal of a conversation, in raw mode until its disposal: the screen, the keys, and the waiting for keys and for something else at
/// once. Keys that come while nobody reads a line are kept for the next.
/// </summary>
internal sealed class ChatTerminal : IDisposable
{
    private const string Dim = "2";
    private const string Red = "31";
    private const string Yellow = "33";

    // Pastes come marked; Shift+Enter comes as itself where a terminal can tell it (xterm's modifyOtherKeys, kitty's protocol).
    private const string BeginKeys = "\u001b[?2004h";
    private const string EndKeys = "\u001b[?2004l";
    private const string BeginShifts = "\u001b[>4;1m\u001b[>1u";
    private const string EndShifts = "\u001b[>4;0m\u001b[<u";

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(120);

    private readonly RawTerminal _terminal = new();
    private readonly KeyReader _keys = new(RawTerminal.OpenInput());
    private readonly CancellationTokenSource _gone;
    private readonly List<PosixSignalRegistration> _signals = [];
    private Task<Key>? _key;
    private volatile TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Takes the terminal of stdin. Throws <see cref="IOException"/> where there is none.</summary>
    public ChatTerminal(CancellationToken cancellation)
    {
        _gone = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (!OperatingSystem.IsWindows())
        {
            // A terminal that was closed: what was said is saved, and then the program ends.
            _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
            {
                signal.Cancel = true;
                _gone.Cancel();
            }));
            _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Wake()));
        }
        Printer.ShowsProgress = false;
        Tell(BeginKeys, BeginShifts);
    }

    /// <summary>Cancelled where the program or the terminal ends.</summary>
    public CancellationToken Ending => _gone.Token;

    /// <summary>The screen.</summary>
    public Screen Screen { get; } = new(Printer.Text, () => (Math.Max(2, Console.WindowWidth), Math.Max(2, Console.WindowHeight)));

    /// <summary>Whether text is laid out and coloured.</summary>
    public bool IsStyled { get; } = Printer.IsStyled;

    /// <summary>Whether the terminal is gone.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>The stream for the log in place of stderr: lines above what is typed.</summary>
    public Stream OpenLog() => new NoteStream(Screen);

    /// <summary>Shows a text as it is, on lines of its own.</summary>
    public void Show(string text) => Screen.Print(TerminalText.Escaped(text));

    /// <summary>Says something to the user.</summary>
    public void Say(string text) => Screen.Print(Lines(text, ""));

    /// <summary>Prints an error, in red.</summary>
    public void PrintError(string text) => Screen.Print(Lines(text, Red));

    /// <summary>Prints an error, without the name of the request where a server said it.</summary>
    public void PrintError(Exception e) => PrintError(e is ServerRefusal refusal ? refusal.Text : e.Message);

    /// <summary>Prints a warning, in yellow.</summary>
    public void Warn(string text) => Screen.Print(Lines(text, Yellow));

    /// <summary>Prints a remark, dimmed.</summary>
    public void Remark(string text) => Screen.Print(Lines(text, Dim));

    /// <summary>A dimmed row of the frame.</summary>
    public string Row(string text) => Styled(TerminalText.Cut(TerminalText.EscapedLine(text), Screen.Width - 1), Dim);

    /// <summary>Stops the program until the shell lets it go on.</summary>
    public void Suspend()
    {
        Screen.Hide();
        Tell(EndKeys, EndShifts);
        _terminal.Suspend();
        Tell(BeginKeys, BeginShifts);
    }

    /// <summary>Makes who waits for a key look at what has changed.</summary>
    public void Wake() => _wake.TrySetResult();

    /// <summary>Keeps a key for who reads the next line.</summary>
    public void Keep(Key key)
    {
        IsClosed |= key.Code == KeyCode.Closed;
        if (!IsClosed)
            _keys.Hold(key);
    }

    /// <summary>The next key, also one that was kept; null where something is to be drawn again before it.</summary>
    public async Task<Key?> KeyAsync(bool ticks) => _keys.TryTakeHeld(out var held) ? held : await KeyOrAsync(null, ticks);

    /// <summary>
    /// Waits for a task, with a row that says for what; null where the user gave up, by Ctrl+C.
    /// </summary>
    public async Task<T?> WaitAsync<T>(Task<T> task, Func<string?> row) where T : class
    {
        while (!task.IsCompleted)
        {
            if (row() is { } text)
                Screen.Show(new Frame([Row(text)], 0, 0));
            if (await KeyOrAsync(task) is not { } key)
                continue;
            if (key.IsControl('c') || key.Code == KeyCode.Closed)
            {
                IsClosed |= key.Code == KeyCode.Closed;
                Screen.Hide();
                return null;
            }
            Keep(key);
        }
        Screen.Hide();
        return await task;
    }

    /// <summary>
    /// The next key that is typed; null where something else has happened: the other task is done, the terminal has another size, or, where
    /// something moves, time has passed.
    /// </summary>
    public async Task<Key?> KeyOrAsync(Task? other, bool ticks = true)
    {
        Ending.ThrowIfCancellationRequested();
        _key ??= _keys.ReadAsync(Ending).AsTask();
        var wake = _wake;
        if (!_key.IsCompleted)
        {
            using var passed = CancellationTokenSource.CreateLinkedTokenSource(Ending);
            var time = Task.Delay(ticks ? Tick : Timeout.InfiniteTimeSpan, passed.Token);
            await Task.WhenAny(other is null ? [_key, wake.Task, time] : [_key, wake.Task, time, other]);
            await passed.CancelAsync();
        }
        if (wake.Task.IsCompleted)
            _wake = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!_key.IsCompleted)
            return null;
        var key = await _key;
        _key = null;
        return key;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Screen.Hide();
        Tell(EndKeys, EndShifts);
        _terminal.Dispose();
        foreach (var signal in _signals)
            signal.Dispose();
        // What still goes on behind the prompt ends with it.
        _gone.Cancel();
        _gone.Dispose();
    }

    // Broken between words; what follows an indented line's break is indented, too.
    private List<string> Lines(string text, string codes)
    {
        var rows = new List<string>();
        foreach (var line in TerminalText.Escaped(text).Split('\n'))
        {
            var words = new StyledText();
            var trimmed = line.TrimStart();
            words.Append(trimmed, TextStyle.None);
            var indent = line[..^trimmed.Length];
            foreach (var row in words.Wrap(Math.Max(8, Screen.Width - 1), indent, indent))
                rows.Add(Styled(row, codes));
        }
        return rows;
    }

    private string Styled(string text, string codes) => IsStyled && codes.Length > 0 ? $"\u001b[{codes}m{text}\u001b[0m" : text;

    private void Tell(string keys, string shifts) =>
        Screen.Write(keys + (Environment.GetEnvironmentVariable("TERM") is "linux" ? "" : shifts));

    private sealed class NoteStream(Screen screen) : Stream
    {
        private readonly MemoryStream _line = new();

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            lock (_line)
                _line.Write(buffer);
        }

        public override void Flush()
        {
            lock (_line)
            {
                if (_line.Length == 0)
                    return;
                var text = Encoding.UTF8.GetString(_line.GetBuffer(), 0, (int)_line.Length).TrimEnd();
                _line.SetLength(0);
                screen.Print(TerminalText.Escaped(text));
            }
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
