using System.Globalization;

namespace Shimmy.Tests.Fixtures;

/// <summary>
/// Reads the part of YAML that the manifests are written in: block and flow mappings and lists, plain and quoted scalars, literal (|) and
/// folded (&gt;-) texts, comments, several documents. A mapping is an ordered dictionary, a list a list; scalars are string, long, bool or
/// null as YAML 1.2's core schema has them. Throws <see cref="FormatException"/>, with the line, for anything else.
/// </summary>
internal sealed class Yaml
{
    private readonly List<(int Indent, string Text, int Number)> _lines = [];
    private readonly string[] _raw;
    private int _at;

    private Yaml(string[] raw, int from, int to)
    {
        _raw = raw;
        for (var i = from; i < to; i++)
        {
            var text = WithoutComment(raw[i]).TrimEnd();
            if (text.Contains('\t', StringComparison.Ordinal))
                throw new FormatException($"line {i + 1}: a tab");
            if (text.Trim().Length > 0)
                _lines.Add((text.Length - text.TrimStart().Length, text.TrimStart(), i));
        }
    }

    /// <summary>The documents of a text.</summary>
    public static IReadOnlyList<object?> Documents(string text)
    {
        var raw = text.Split('\n');
        var documents = new List<object?>();
        var from = 0;
        for (var i = 0; i <= raw.Length; i++)
        {
            if (i < raw.Length && raw[i].TrimEnd() != "---")
                continue;
            var reader = new Yaml(raw, from, i);
            if (reader._lines.Count > 0)
            {
                documents.Add(reader.Block(reader._lines[0].Indent));
                if (reader._at < reader._lines.Count)
                    throw reader.Wrong("is indented like nothing before it");
            }
            from = i + 1;
        }
        return documents;
    }

    private object? Block(int indent) => Here.Text.StartsWith("- ", StringComparison.Ordinal)
        || Here.Text == "-" ? List(indent) : Map(indent);

    private (int Indent, string Text, int Number) Here => _lines[_at];

    private List<object?> List(int indent)
    {
        var list = new List<object?>();
        while (_at < _lines.Count && Here.Indent == indent && (Here.Text == "-" || Here.Text.StartsWith("- ", StringComparison.Ordinal)))
        {
            var rest = Here.Text[1..].TrimStart();
            if (rest.Length == 0)
            {
                _at++;
                list.Add(Block(Here.Indent));
                continue;
            }
            var inner = indent + Here.Text.Length - rest.Length;
            if (KeyEnd(rest) > 0)
            {
                // What follows the dash is the first line of a mapping.
                _lines[_at] = (inner, rest, Here.Number);
                list.Add(Map(inner));
                continue;
            }
            _at++;
            list.Add(Flow(rest));
        }
        return list;
    }

    private OrderedDictionary<string, object?> Map(int indent)
    {
        var map = new OrderedDictionary<string, object?>();
        while (_at < _lines.Count && Here.Indent == indent && !Here.Text.StartsWith("- ", StringComparison.Ordinal))
        {
            var line = Here;
            var end = KeyEnd(line.Text);
            if (end <= 0)
                throw Wrong("is no key");
            var key = (string)Scalar(line.Text[..end], isKey: true)!;
            var rest = line.Text[(end + 1)..].Trim();
            if (map.ContainsKey(key))
                throw Wrong($"has '{key}' a second time");
            _at++;
            map[key] = rest switch
            {
                "" when _at < _lines.Count && (Here.Indent > indent
                    || (Here.Indent == indent && Here.Text.StartsWith("- ", StringComparison.Ordinal))) => Block(Here.Indent),
                "" => null,
                "|" or ">-" => Text(line.Number, indent, rest == "|"),
                _ => Flow(rest),
            };
        }
        if (_at < _lines.Count && Here.Indent > indent)
            throw Wrong("is indented too far");
        return map;
    }

    private string Text(int number, int indent, bool isLiteral)
    {
        var lines = new List<string>();
        var inner = -1;
        for (var i = number + 1; i < _raw.Length && _raw[i].TrimEnd() != "---"; i++)
        {
            var own = _raw[i].Length - _raw[i].TrimStart().Length;
            if (_raw[i].Trim().Length > 0 && own <= indent)
                break;
            inner = inner < 0 ? own : inner;
            lines.Add(_raw[i].Length >= inner ? _raw[i][inner..] : "");
        }
        while (_at < _lines.Count && Here.Indent > indent)
            _at++;
        return isLiteral ? string.Join('\n', lines).TrimEnd() + "\n" : string.Join(' ', lines).TrimEnd();
    }

    private object? Flow(string text)
    {
        var at = 0;
        var value = Flow(text, ref at);
        return text[at..].Trim().Length == 0 ? value : throw Wrong($"has '{text[at..]}' behind a value");
    }

    private object? Flow(string text, ref int at)
    {
        Skip(text, ref at);
        if (at < text.Length && text[at] is '[' or '{')
        {
            var isMap = text[at] == '{';
            var (list, map) = (new List<object?>(), new OrderedDictionary<string, object?>());
            at++;
            while (true)
            {
                Skip(text, ref at);
                if (at >= text.Length)
                    throw Wrong("has a bracket that is not closed");
                if (text[at] == (isMap ? '}' : ']'))
                {
                    at++;
                    return isMap ? map : list;
                }
                if (isMap)
                {
                    var colon = text.IndexOf(':', at);
                    var key = text[at..colon].Trim();
                    at = colon + 1;
                    map[key] = Flow(text, ref at);
                }
                else
                {
                    list.Add(Flow(text, ref at));
                }
                Skip(text, ref at);
                if (at < text.Length && text[at] == ',')
                    at++;
            }
        }
        var begin = at;
        if (at < text.Length && text[at] is '"' or '\'')
        {
            var quote = text[at++];
            while (at < text.Length && text[at] != quote)
                at += quote == '"' && text[at] == '\\' ? 2 : 1;
            at++;
        }
        else
        {
            // Outside of brackets a plain text ends with the line.
            var inside = text.TrimStart() is ['[' or '{', ..];
            while (at < text.Length && !(inside && text[at] is ',' or ']' or '}'))
                at++;
        }
        return Scalar(text[begin..Math.Min(at, text.Length)].Trim(), isKey: false);
    }

    private static void Skip(string text, ref int at)
    {
        while (at < text.Length && text[at] == ' ')
            at++;
    }

    private object? Scalar(string text, bool isKey)
    {
        if (text is ['"', .., '"'])
            return System.Text.Json.JsonSerializer.Deserialize<string>(text);
        if (text is ['\'', .., '\''])
            return text[1..^1].Replace("''", "'", StringComparison.Ordinal);
        if (text.Length > 0 && "\"'&*!|>%@`{[".Contains(text[0], StringComparison.Ordinal))
            throw Wrong($"begins a value with '{text[0]}'");
        if (isKey)
            return text;
        return text switch
        {
            "" or "null" or "~" => null,
            "true" => true,
            "false" => false,
            _ when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => whole,
            _ when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) => number,
            _ => text,
        };
    }

    // Where the colon of a key is; -1 in a line without one.
    private static int KeyEnd(string text)
    {
        if (text is ['"' or '\'' or '[' or '{', ..])
            return -1;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == ':' && (i + 1 == text.Length || text[i + 1] == ' '))
                return i;
        }
        return -1;
    }

    private static string WithoutComment(string line)
    {
        var quote = '\0';
        for (var i = 0; i < line.Length; i++)
        {
            if (quote != '\0')
                quote = line[i] == quote ? '\0' : quote;
            else if (line[i] is '"' or '\'' && (i == 0 || line[i - 1] is ' ' or '[' or '{' or ','))
                quote = line[i];
            else if (line[i] == '#' && (i == 0 || line[i - 1] == ' '))
                return line[..i];
        }
        return line;
    }

    private FormatException Wrong(string what) => new($"line {_lines[Math.Min(_at, _lines.Count - 1)].Number + 1} {what}");
}
