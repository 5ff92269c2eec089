using System.Globalization;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Editing;
using Shimmy.Cli.Terminal.Markdown;

namespace Shimmy.Cli.Chat;

/// <summary>A list of models to choose from, which what is typed filters: those used last come first.</summary>
internal sealed class ModelPicker
{
    private const int MostRows = 12;

    private readonly List<ChatModel> _models;
    private string _filter = "";
    private int _chosen;

    /// <summary>A picker of these models.</summary>
    /// <param name="models">The models.</param>
    /// <param name="lastUsed">Names of models, the one that was used last at first.</param>
    public ModelPicker(IEnumerable<ChatModel> models, IReadOnlyList<string> lastUsed)
    {
        _models = [.. models];
        var order = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var name in lastUsed)
            order.TryAdd(name, order.Count);
        _models.Sort((one, other) => (Rank(one), one.Name).CompareTo((Rank(other), other.Name)));

        int Rank(ChatModel model) => order.GetValueOrDefault(model.Name, int.MaxValue);
    }

    /// <summary>The model that was chosen; null where none was.</summary>
    public ChatModel? Chosen { get; private set; }

    /// <summary>Does what a key asks for; true where the choice is made, or was given up.</summary>
    public bool Handle(Key key)
    {
        var shown = Shown();
        switch (key.Code)
        {
            case KeyCode.Enter when shown.Count > 0:
                Chosen = shown[_chosen];
                return true;
            case KeyCode.Escape or KeyCode.Closed:
                return true;
            case KeyCode.Control when key.Text is "c" or "d" or "g":
                return true;
            case KeyCode.Text or KeyCode.Paste:
                (_filter, _chosen) = (_filter + key.Text, 0);
                break;
            case KeyCode.Backspace when _filter.Length > 0:
                (_filter, _chosen) = (TerminalText.WithoutLast(_filter), 0);
                break;
            case KeyCode.Control when key.Text == "u":
                (_filter, _chosen) = ("", 0);
                break;
            case KeyCode.Up or KeyCode.BackTab:
                _chosen = Math.Max(0, _chosen - 1);
                break;
            case KeyCode.Control when key.Text == "p":
                _chosen = Math.Max(0, _chosen - 1);
                break;
            case KeyCode.Down or KeyCode.Tab:
                _chosen = Math.Min(Math.Max(0, shown.Count - 1), _chosen + 1);
                break;
            case KeyCode.Control when key.Text == "n":
                _chosen = Math.Min(Math.Max(0, shown.Count - 1), _chosen + 1);
                break;
        }
        return false;
    }

    /// <summary>The rows of the list: the filter, and the models that match it.</summary>
    public Frame Layout(int width, bool isStyled)
    {
        var frame = new FrameBuilder(width);
        var shown = Shown();
        frame.Begin("model: " + TerminalText.EscapedLine(_filter));
        frame.MarkCursor();
        frame.End();
        var first = Math.Clamp(_chosen - MostRows + 1, 0, Math.Max(0, shown.Count - MostRows));
        var names = 0;
        foreach (var model in shown)
            names = Math.Max(names, TerminalText.WidthOf(TerminalText.EscapedLine(model.Name)));
        // Size, quantization and the sign of a loaded model have their place behind the names.
        names = Math.Min(names, Math.Max(8, width - 32));
        for (var i = first; i < Math.Min(shown.Count, first + MostRows); i++)
        {
            var model = shown[i];
            var name = TerminalText.Padded(TerminalText.Cut(TerminalText.EscapedLine(model.Name), names), names);
            var quantization = TerminalText.EscapedLine(model.Quantization);
            var row = string.Create(CultureInfo.InvariantCulture,
                $"{(i == _chosen ? ">" : " ")} {name}  {ByteCount.Text(model.Bytes),8}  {quantization,-8}"
                + $"{(model.Loaded ? "  loaded" : "")}");
            row = TerminalText.Cut(row.TrimEnd(), width - 1);
            frame.Row(i == _chosen && isStyled ? StyledText.Styled(row, TextStyle.Bold) : row);
        }
        if (shown.Count == 0)
            frame.Row("  no model has this in its name");
        else if (shown.Count > MostRows)
            frame.Row($"  {shown.Count} models");
        return frame.Build();
    }

    // All words of the filter, in any order.
    private List<ChatModel> Shown()
    {
        var shown = new List<ChatModel>();
        var words = _filter.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        foreach (var model in _models)
        {
            if (Array.TrueForAll(words, word => model.Name.Contains(word, StringComparison.OrdinalIgnoreCase)
                || model.Quantization.Contains(word, StringComparison.OrdinalIgnoreCase)))
            {
                shown.Add(model);
            }
        }
        _chosen = Math.Clamp(_chosen, 0, Math.Max(0, shown.Count - 1));
        return shown;
    }
}
