using System.Text;

namespace Shimmy.Cli.Terminal.Editing;

/// <summary>
/// The lines that were sent, the last at the end, and the file that keeps them, which only its owner may read. A line that begins with a
/// blank is not kept, as in shells.
/// </summary>
internal sealed class InputHistory
{
    private const int Most = 2000;

    private readonly string? _path;
    private readonly List<string> _lines = [];

    /// <summary>Reads a file; null keeps nothing beyond this process.</summary>
    public InputHistory(string? path)
    {
        _path = path;
        try
        {
            if (path is null || !File.Exists(path))
                return;
            foreach (var line in File.ReadLines(path))
                _lines.Add(Unescaped(line));
            if (_lines.Count <= Most)
                return;
            _lines.RemoveRange(0, _lines.Count - (Most / 2));
            var kept = new StringBuilder();
            foreach (var line in _lines)
                kept.Append(Escaped(line)).Append('\n');
            PrivateFile.Write(path, kept.ToString());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without the file there is a history of this process alone.
        }
    }

    /// <summary>The lines, the oldest first.</summary>
    public IReadOnlyList<string> Lines => _lines;

    /// <summary>Adds a line, unless it is the last one again.</summary>
    public void Add(string line)
    {
        if (line.Length == 0 || char.IsWhiteSpace(line[0]) || (_lines.Count > 0 && _lines[^1] == line))
            return;
        _lines.Add(line);
        if (_path is null)
            return;
        try
        {
            PrivateFile.MakeFolder(Path.GetDirectoryName(_path)!);
            PrivateFile.Append(_path, Escaped(line) + "\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    /// <summary>The newest line before <paramref name="before"/> that contains a text, whatever its case; -1 where there is none.</summary>
    public int Find(string text, int before)
    {
        for (var i = Math.Min(before, _lines.Count) - 1; i >= 0; i--)
        {
            if (_lines[i].Contains(text, StringComparison.OrdinalIgnoreCase))
                return i;
        }
        return -1;
    }

    private static string Escaped(string line) =>
        line.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static string Unescaped(string line)
    {
        if (!line.Contains('\\'))
            return line;
        var text = new StringBuilder();
        for (var i = 0; i < line.Length; i++)
            text.Append(line[i] != '\\' || i + 1 == line.Length ? line[i] : line[++i] == 'n' ? '\n' : line[i]);
        return text.ToString();
    }
}
