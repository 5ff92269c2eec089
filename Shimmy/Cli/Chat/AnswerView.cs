using System.Diagnostics;
using System.Globalization;
using System.Text;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Markdown;

namespace Shimmy.Cli.Chat;

/// <summary>
/// An answer on the screen while it comes: what the model thinks is dim, and folds to the time that it took; its text is Markdown, or plain
/// where the output is not styled. What would steer the terminal is shown instead.
/// </summary>
/// <param name="screen">The screen.</param>
/// <param name="isStyled">Whether text is laid out and coloured.</param>
/// <param name="showsReasoning">Whether what was thought stays.</param>
internal sealed class AnswerView(Screen screen, bool isStyled, bool showsReasoning)
{
    private const int LiveReasoningRows = 6;
    private const int ShownReasoning = 4000;

    private readonly MarkdownPrinter _markdown = new(() => screen.Width);
    private readonly StringBuilder _reasoning = new();
    private readonly long _began = Stopwatch.GetTimestamp();
    private bool _hasText;
    private bool _thinks;
    private bool _lineOpen;
    private long _thinkingBegan;

    /// <summary>Takes the next piece.</summary>
    public void Add(in ChatPiece piece)
    {
        var text = TerminalText.Escaped(piece.Text.Replace("\r\n", "\n", StringComparison.Ordinal));
        if (piece.IsReasoning)
        {
            if (!_thinks)
                _thinkingBegan = Stopwatch.GetTimestamp();
            _thinks = true;
            _reasoning.Append(text);
            Draw();
            return;
        }
        EndReasoning();
        if (!_hasText)
            text = text.TrimStart('\n', ' ');
        if (text.Length == 0)
            return;
        _hasText = true;
        if (!isStyled)
        {
            screen.Write(text);
            _lineOpen = text[^1] != '\n';
            return;
        }
        _markdown.Append(text);
        Draw();
    }

    /// <summary>Draws what moves, and what a terminal of another width shows otherwise.</summary>
    public void Draw()
    {
        if (!isStyled)
            return;
        var frame = new FrameBuilder(screen.Width);
        if (_thinks)
        {
            frame.Row(Dim($"{Sign(_thinkingBegan)}thinking, {Seconds(_thinkingBegan)}"));
            var rows = ReasoningRows(_reasoning.Length > ShownReasoning
                ? _reasoning.ToString(_reasoning.Length - ShownReasoning, ShownReasoning)
                : _reasoning.ToString());
            for (var i = Math.Max(0, rows.Count - LiveReasoningRows); i < rows.Count; i++)
                frame.Row(rows[i]);
        }
        else if (_hasText)
        {
            foreach (var row in _markdown.Live())
                frame.Row(row);
        }
        else if (Stopwatch.GetElapsedTime(_began) > ProgressLine.ShowAfter)
        {
            frame.Row(Dim(Sign(_began) + Seconds(_began)));
        }
        var finished = _markdown.TakeFinished();
        if (finished.Count > 0)
            screen.Print(finished, frame.Build());
        else
            screen.Show(frame.Build());
    }

    /// <summary>Ends it.</summary>
    public void End()
    {
        EndReasoning();
        _markdown.Finish();
        screen.Hide();
        if (_markdown.TakeFinished() is { Count: > 0 } rows)
            screen.Print(rows);
        if (_lineOpen)
            screen.Write("\n");
    }

    private void EndReasoning()
    {
        if (!_thinks)
            return;
        _thinks = false;
        screen.Hide();
        var rows = new List<string>();
        if (showsReasoning)
            rows.AddRange(isStyled ? ReasoningRows(_reasoning.ToString().Trim()) : [_reasoning.ToString().Trim()]);
        rows.Add(Dim($"thought for {Seconds(_thinkingBegan)}"));
        _reasoning.Clear();
        screen.Print(rows);
    }

    private List<string> ReasoningRows(string text)
    {
        var rows = new List<string>();
        foreach (var line in text.Split('\n'))
        {
            var styled = new StyledText();
            styled.Append(line.Replace("\t", "    ", StringComparison.Ordinal), TextStyle.Dim);
            rows.AddRange(styled.Wrap(Math.Max(8, screen.Width - 3), "  ", "  "));
        }
        return rows;
    }

    private string Dim(string text) => isStyled ? StyledText.Styled(text, TextStyle.Dim) : text;

    private static string Sign(long since) => $"{ProgressLine.Sign(Stopwatch.GetElapsedTime(since))} ";

    private static string Seconds(long since) =>
        string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(since).TotalSeconds:F1} s");
}
