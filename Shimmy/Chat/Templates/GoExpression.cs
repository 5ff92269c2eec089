using System.Text;

namespace Shimmy.Chat.Templates;

/// <summary>One pipeline of a Go template, written down as an expression of Jinja's.</summary>
/// <param name="text">The pipeline.</param>
/// <param name="field">Fields of the dot where that is the template's data; null where it is an element.</param>
/// <param name="dot">The dot as an expression.</param>
/// <param name="variable">Where a variable is kept.</param>
/// <param name="rootField">Fields of the template's data, behind <c>$</c>.</param>
internal sealed class GoExpression(
    string text, Func<string, string>? field, string dot, Func<string, string> variable, Func<string, string> rootField)
{
    // Expressions in parentheses, one in the other.
    private const int MostDepth = 50;
    private const int MostCharacters = 16_384;

    // Names of Ollama's data that are not the field's name in small letters with underscores.
    private static readonly Dictionary<string, string> Fields = new(StringComparer.Ordinal)
    {
        ["Thinking"] = "reasoning_content",
        ["ToolName"] = "name",
        ["ToolCallID"] = "tool_call_id",
    };

    private int _at;
    private int _depth;

    /// <summary>The expression. Throws <see cref="FormatException"/> for what is not read here.</summary>
    public string Read()
    {
        var value = Pipe();
        Blanks();
        return _at == text.Length ? value : throw Unsupported($"'{text[_at..]}'");
    }

    /// <summary>The error of a construct of Go's templates that is not converted to Jinja.</summary>
    public static FormatException Unsupported(string what) =>
        new($"{what} is not supported in a Go template; give a Jinja template with --template");

    private string Pipe()
    {
        if (++_depth > MostDepth)
            throw new FormatException("an expression is too deep");
        var value = Command(null);
        for (Blanks(); _at < text.Length && text[_at] == '|'; Blanks())
        {
            _at++;
            value = Command(value);
        }

        _depth--;
        return value;
    }

    // A function with its arguments, to which a pipe adds the last; or a single operand.
    private string Command(string? piped)
    {
        Blanks();
        var name = Word();
        if (name.Length == 0 || char.IsAsciiDigit(name[0]) || name is "true" or "false" or "nil")
        {
            _at -= name.Length;
            return piped is null ? Operand() : throw new FormatException("a value cannot be piped into a value");
        }

        var arguments = new List<string>();
        for (Blanks(); _at < text.Length && text[_at] is not ('|' or ')'); Blanks())
            arguments.Add(Operand());
        if (piped is not null)
            arguments.Add(piped);
        // Each function writes its arguments, some more than once: without a bound a small template becomes gigabytes.
        return arguments.Sum(one => (long)one.Length) * Math.Max(1, arguments.Count) <= MostCharacters
            ? Call(name, arguments)
            : throw new FormatException($"an expression is too long; it may have {MostCharacters} characters as Jinja");
    }

    private static string Call(string name, List<string> given) => (name, given) switch
    {
        ("and", [_, ..]) => $"({string.Join(" and ", given)})",
        ("or", [_, ..]) => $"({string.Join(" or ", given)})",
        ("not", [var one]) => $"(not {one})",
        // Equal to one of the others.
        ("eq", [var one, _, ..]) => $"({string.Join(" or ", given.Skip(1).Select(other => $"{one} == {other}"))})",
        ("ne", [var one, var other]) => $"({one} != {other})",
        ("lt", [var one, var other]) => $"({one} < {other})",
        ("le", [var one, var other]) => $"({one} <= {other})",
        ("gt", [var one, var other]) => $"({one} > {other})",
        ("ge", [var one, var other]) => $"({one} >= {other})",
        ("len", [var one]) => $"({one} | length)",
        ("index", [var one, _, ..]) => one + string.Concat(given.Skip(1).Select(key => $"[{key}]")),
        ("slice", [var one, var from]) => $"{one}[{from}:]",
        ("slice", [var one, var from, var to]) => $"{one}[{from}:{to}]",
        ("json", [var one]) => $"({one} | tojson(separators=(',', ':')))",
        ("print", [_, ..]) => $"({string.Join(" ~ ", given)})",
        ("currentDate", []) => "strftime_now('%Y-%m-%d')",
        _ => throw Unsupported($"the function '{name}' with {given.Count} arguments"),
    };

    private string Operand()
    {
        Blanks();
        if (_at >= text.Length)
            throw new FormatException("a value is missing");
        switch (text[_at])
        {
            case '(':
                _at++;
                var inner = Pipe();
                Blanks();
                if (_at >= text.Length || text[_at++] != ')')
                    throw new FormatException("a parenthesis is not closed");
                return Path($"({inner})");
            case '"':
                return Quoted();
            case '`':
                var end = text.IndexOf('`', _at + 1);
                if (end < 0)
                    throw new FormatException("a text is not closed");
                var raw = text[(_at + 1)..end];
                _at = end + 1;
                return GoTemplate.Literal(raw);
            case '.':
                return Dot();
            case '$':
                _at++;
                var name = Word();
                // $ alone is the template's data.
                return name.Length > 0 ? Path(variable(name)) : _at < text.Length && text[_at] == '.'
                    ? Path(rootField(Field()))
                    : throw Unsupported("'$' without a field name");
            case '-' or (>= '0' and <= '9'):
                var from = _at++;
                while (_at < text.Length && char.IsAsciiDigit(text[_at]))
                    _at++;
                return text[from.._at];
        }

        var word = Word();
        return word switch
        {
            "true" or "false" => word,
            "nil" => "none",
            "currentDate" => Call(word, []),
            _ => throw Unsupported($"'{(word.Length > 0 ? word : text[_at..])}'"),
        };
    }

    private string Dot()
    {
        if (_at + 1 >= text.Length || !char.IsLetter(text[_at + 1]))
        {
            _at++;
            return field is null ? dot : throw Unsupported("'.' without a field name");
        }

        var name = Field();
        return Path(field is null ? $"{dot}.{NameOf(name)}" : field(name));
    }

    // Fields behind a value.
    private string Path(string value)
    {
        while (_at < text.Length && text[_at] == '.')
            value += "." + NameOf(Field());
        return value;
    }

    private string Field()
    {
        _at++;
        var name = Word();
        return name.Length > 0 ? name : throw new FormatException("the name of a field is missing");
    }

    private string Word()
    {
        var from = _at;
        while (_at < text.Length && (char.IsLetterOrDigit(text[_at]) || text[_at] == '_'))
            _at++;
        return text[from.._at];
    }

    private string Quoted()
    {
        var value = new StringBuilder();
        for (_at++; _at < text.Length && text[_at] != '"'; _at++)
        {
            if (text[_at] != '\\' || _at + 1 >= text.Length)
            {
                value.Append(text[_at]);
                continue;
            }

            value.Append(text[++_at] switch
            {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '"' => '"',
                '\\' => '\\',
                var other => throw Unsupported($"the escape sequence '\\{other}'"),
            });
        }

        if (_at >= text.Length)
            throw new FormatException("a text is not closed");
        _at++;
        return GoTemplate.Literal(value.ToString());
    }

    private void Blanks()
    {
        while (_at < text.Length && char.IsWhiteSpace(text[_at]))
            _at++;
    }

    // ToolCalls is tool_calls.
    private static string NameOf(string name)
    {
        if (Fields.TryGetValue(name, out var known))
            return known;
        var snake = new StringBuilder();
        foreach (var c in name)
        {
            if (char.IsUpper(c) && snake.Length > 0)
                snake.Append('_');
            snake.Append(char.ToLowerInvariant(c));
        }

        return snake.ToString();
    }
}
