using System.Diagnostics;
using System.Globalization;

namespace Shimmy.Cli.Terminal;

/// <summary>
/// A line that says what is being done, with a sign that turns and, where the share that is done is known, a bar. It comes once that has
/// taken half a second: what is quicker needs no sign of life.
/// </summary>
/// <param name="write">Writes to the terminal.</param>
internal sealed class ProgressLine(Action<string> write) : IDisposable
{
    /// <summary>How long nothing is shown.</summary>
    public static readonly TimeSpan ShowAfter = TimeSpan.FromMilliseconds(500);

    private const string Turning = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
    private const int BarCells = 20;
    private const string Erase = "\r\u001b[K";

    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private Timer? _timer;
    private (string Text, float? Share)? _now;
    private long _began;
    private bool _shown;

    /// <summary>Says what is being done now.</summary>
    public void Set(string text, float? share)
    {
        lock (_lock)
        {
            if (_now is null)
            {
                _began = Stopwatch.GetTimestamp();
                _timer ??= new Timer(_ => Draw());
                _timer.Change(ShowAfter, Turn);
            }
            _now = (text, share);
        }
    }

    /// <summary>Takes the line away, before anything else is written.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            if (_now is null)
                return;
            _timer!.Change(Timeout.Infinite, Timeout.Infinite);
            if (_shown)
                write(Erase);
            (_now, _shown) = (null, false);
        }
    }

    /// <summary>The sign that turns, at a time since it began.</summary>
    public static char Sign(TimeSpan elapsed) => Turning[(int)(elapsed / Turn % Turning.Length)];

    /// <summary>The line, cut to the width.</summary>
    public static string Row(string text, float? share, TimeSpan elapsed, int width)
    {
        var row = $"{Sign(elapsed)} {text}";
        if (share is { } done)
        {
            var full = (int)Math.Round(Math.Clamp(done, 0, 1) * BarCells);
            row += string.Create(CultureInfo.InvariantCulture, $" {new string('█', full)}{new string('░', BarCells - full)} {done:P0}");
        }
        return TerminalText.Cut(row, width - 1);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        _timer?.Dispose();
    }

    private void Draw()
    {
        lock (_lock)
        {
            if (_now is not var (text, share))
                return;
            write(Erase + Row(text, share, Stopwatch.GetElapsedTime(_began), Console.WindowWidth));
            _shown = true;
        }
    }
}
