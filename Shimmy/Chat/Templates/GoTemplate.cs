using System.Globalization;
using System.Text;

namespace Shimmy.Chat.Templates;

/// <summary>
/// Reads chat templates in Go's template language, as Ollama keeps them beside a model, and writes them down in Jinja, which renders,
/// probes and guards them like any other.
/// <code>
///   text and {{ actions }} ─► pieces, trimmed ─► Jinja: texts as literals, fields as variables, range as for, $names in a namespace
/// </code>
/// Two kinds: a template that ranges over <c>.Messages</c> renders the conversation; an older one renders one exchange
/// (<c>.System .Prompt .Response</c>) and is called for each. (pkg.go.dev/text/template; github.com/ollama/ollama, docs/template.md)
/// </summary>
internal sealed class GoTemplate
{
    private const string Root = "$";
    private const int MostBlocks = 64;

    // What both kinds begin with: the system messages together; and how a value is printed, which is JSON where it is no text.
    private const string Prologue = """
        {%- set go = namespace() -%}
        {%- macro show(value) -%}
        {%- if value is string %}{{ value }}{% elif value is defined and value is not none -%}
        {{ value | tojson(separators=(',', ':')) }}{% endif -%}
        {%- endmacro -%}
        """;

    private const string SystemOfAll = """
        {%- set go.System = '' -%}
        {%- for message in messages -%}{%- if message.role == 'system' -%}
        {%- set go.System = go.System ~ ('\n\n' if go.System else '') ~ message.content -%}
        {%- endif -%}{%- endfor -%}
        """;

    // An exchange is rendered when the next one begins; the last is left open at its response.
    private const string Exchanges = """
        {%- set turn = namespace(system='', prompt='', response='') -%}
        {%- for message in messages -%}
        {%- if (message.role == 'system' and (turn.prompt or turn.response)) or (message.role != 'assistant' and turn.response) -%}
        {{ exchange(turn.system, turn.prompt, turn.response) }}
        {%- set turn.system = '' -%}{%- set turn.prompt = '' -%}{%- set turn.response = '' -%}
        {%- endif -%}
        {%- if message.role == 'system' -%}{%- set turn.system = message.content -%}
        {%- elif message.role == 'assistant' -%}{%- set turn.response = message.content -%}
        {%- else -%}{%- set turn.prompt = turn.prompt ~ ('\n\n' if turn.prompt else '') ~ message.content -%}{%- endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt and turn.response -%}
        {{ exchange(turn.system, turn.prompt, turn.response) }}
        {%- set turn.system = '' -%}{%- set turn.prompt = '' -%}{%- set turn.response = '' -%}
        {%- endif -%}
        {{ open(turn.system, turn.prompt, turn.response) }}
        """;

    private static readonly Dictionary<string, string> RootFields = new(StringComparer.Ordinal)
    {
        ["System"] = "go.System",
        ["Messages"] = "messages",
        ["Tools"] = "tools",
        ["Prompt"] = "go.Prompt",
        ["Response"] = "go.Response",
        ["Suffix"] = "''",
        ["Think"] = "enable_thinking",
        ["IsThinkSet"] = "(enable_thinking is defined)",
        ["ThinkLevel"] = "''",
    };

    private readonly List<(bool IsAction, string Text)> _pieces;
    private readonly List<(string Name, string Place)> _variables = [];
    private readonly StringBuilder _jinja = new();
    private readonly bool _endsAtResponse;
    private int _at;
    private int _blocks;
    private int _places;
    private bool _ended;

    private GoTemplate(List<(bool IsAction, string Text)> pieces, bool endsAtResponse)
    {
        _pieces = pieces;
        _endsAtResponse = endsAtResponse;
    }

    /// <summary>
    /// The template in Jinja. Throws <see cref="FormatException"/> for one that uses more of the language than is read here.
    /// </summary>
    public static string ToJinja(string template)
    {
        var pieces = Split(template);
        if (pieces.Exists(piece => piece.IsAction && piece.Text.Contains(".Messages", StringComparison.Ordinal)))
            return Prologue + SystemOfAll + new GoTemplate(pieces, endsAtResponse: false).Body();
        // A field may be a macro's argument only where it is not in a namespace.
        var whole = new GoTemplate(pieces, endsAtResponse: false).Body();
        var open = new GoTemplate(pieces, endsAtResponse: true).Body();
        return $"{Prologue}{Macro("exchange", whole)}{Macro("open", open)}{Exchanges}";

        static string Macro(string name, string body) => "{%- macro " + name + "(system, prompt, response) -%}" + body
            .Replace("go.System", "system", StringComparison.Ordinal)
            .Replace("go.Prompt", "prompt", StringComparison.Ordinal)
            .Replace("go.Response", "response", StringComparison.Ordinal) + "{%- endmacro -%}";
    }

    private string Body()
    {
        if (Block(Root) is { } end)
            throw new FormatException($"'{{{{ {end} }}}}' ends nothing");
        return _jinja.ToString();
    }

    // Text and actions in turn; trim marks have taken their blanks, and comments are gone.
    private static List<(bool IsAction, string Text)> Split(string template)
    {
        var pieces = new List<(bool, string)>();
        var trims = false;
        for (var at = 0; at <= template.Length;)
        {
            var open = template.IndexOf("{{", at, StringComparison.Ordinal);
            var text = open < 0 ? template[at..] : template[at..open];
            if (trims)
                text = text.TrimStart(' ', '\t', '\r', '\n');
            if (open < 0)
            {
                pieces.Add((false, text));
                break;
            }

            var begin = open + 2;
            if (begin + 1 < template.Length && template[begin] == '-' && char.IsWhiteSpace(template[begin + 1]))
            {
                text = text.TrimEnd(' ', '\t', '\r', '\n');
                begin++;
            }

            var close = CloseOf(template, begin);
            var end = close;
            trims = end - 2 >= begin && template[end - 1] == '-' && char.IsWhiteSpace(template[end - 2]);
            if (trims)
                end--;
            pieces.Add((false, text));
            var action = template[begin..end].Trim();
            if (!action.StartsWith("/*", StringComparison.Ordinal))
                pieces.Add((true, action));
            at = close + 2;
        }

        return pieces;
    }

    // The braces that end an action, not those in a text of it.
    private static int CloseOf(string template, int from)
    {
        var quote = '\0';
        for (var at = from; at < template.Length - 1; at++)
        {
            var c = template[at];
            if (quote != '\0')
            {
                if (c == '\\' && quote == '"')
                    at++;
                else if (c == quote)
                    quote = '\0';
            }
            else if (c is '"' or '`')
            {
                quote = c;
            }
            else if (c == '}' && template[at + 1] == '}')
            {
                return at;
            }
        }

        throw new FormatException("an action is not closed");
    }

    // Writes pieces up to an action that ends a block, which it gives back; null at the end of the template. The dot is a Jinja expression,
    // or Root. Templates come with requests, too, so blocks are counted: the stack would end the process.
    private string? Block(string dot)
    {
        if (++_blocks > MostBlocks)
            throw new FormatException($"blocks are nested too deeply; {MostBlocks} are allowed");
        var end = ReadBlock(dot);
        _blocks--;
        return end;
    }

    private string? ReadBlock(string dot)
    {
        var outer = _variables.Count;
        while (_at < _pieces.Count)
        {
            var (isAction, text) = _pieces[_at++];
            if (!isAction)
            {
                if (text.Length > 0)
                    Write("{{ " + Literal(text) + " }}");
                continue;
            }

            var word = text.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries) is [var first, ..] ? first : "";
            var rest = text.Length > word.Length ? text[word.Length..].Trim() : "";
            switch (word)
            {
                case "end" or "else":
                    _variables.RemoveRange(outer, _variables.Count - outer);
                    return text;
                case "if":
                    If(rest, dot, dot);
                    break;
                case "with":
                    With(rest, dot);
                    break;
                case "range":
                    Range(rest, dot);
                    break;
                case "break" or "continue" or "define" or "template" or "block":
                    throw GoExpression.Unsupported($"'{word}'");
                default:
                    Statement(text, dot);
                    break;
            }
        }

        return null;
    }

    private void Statement(string text, string dot)
    {
        if (Assignment(text) is { } assignment)
        {
            var value = Pipeline(assignment.Value, dot);
            Write("{%- set " + (assignment.Declares ? Declare(assignment.Name) : Place(assignment.Name)) + " = " + value + " -%}");
            return;
        }

        Write("{{ show(" + Pipeline(text, dot) + ") }}");
        // What an open exchange has behind its response belongs to its end.
        _ended |= _endsAtResponse && text.Trim() is ".Response" or "$.Response";
    }

    private void If(string condition, string dot, string inner)
    {
        var written = Write("{%- if " + Pipeline(condition, dot) + " -%}");
        Branches(dot, inner, written);
    }

    private void With(string value, string dot)
    {
        var place = Declare("with");
        if (Assignment(value) is { } assignment)
        {
            Write("{%- set " + place + " = " + Pipeline(assignment.Value, dot) + " -%}");
            Write("{%- set " + Declare(assignment.Name) + " = " + place + " -%}");
        }
        else
        {
            Write("{%- set " + place + " = " + Pipeline(value, dot) + " -%}");
        }

        Branches(dot, place, Write("{%- if " + place + " -%}"));
    }

    // Behind an opened if: its block, else if, else, end. Where the template is cut in one branch, the others are whole.
    private void Branches(string dot, string inner, bool written)
    {
        var (ended, any) = (_ended, false);
        var close = Block(inner);
        while (close is not null && close.StartsWith("else", StringComparison.Ordinal))
        {
            any |= _ended;
            _ended = ended;
            var rest = close["else".Length..].Trim();
            if (rest.StartsWith("if ", StringComparison.Ordinal))
                Close("{%- elif " + Pipeline(rest[3..], dot) + " -%}", written);
            else if (rest.Length == 0)
                Close("{%- else -%}", written);
            else
                throw GoExpression.Unsupported($"'{close}'");
            close = Block(dot);
        }

        _ended |= any;
        Expect(close, "end");
        Close("{%- endif -%}", written);
    }

    private void Range(string text, string dot)
    {
        var names = Array.Empty<string>();
        var declare = text.IndexOf(":=", StringComparison.Ordinal);
        if (declare >= 0)
        {
            names = [.. text[..declare].Split(',').Select(name => name.Trim().TrimStart('$'))];
            text = text[(declare + 2)..].Trim();
        }

        var number = ++_places;
        var (list, item) = ($"go.list{number}", $"item{number}");
        Write("{%- set " + list + " = " + Pipeline(text, dot) + " -%}");
        var written = Write($"{{%- for {item} in ({list}.items() if {list} is mapping else {list} or []) -%}}");
        // Of a map the dot is the value.
        Write($"{{%- set dot{number} = {item}[1] if {list} is mapping else {item} -%}}");
        var outer = _variables.Count;
        if (names.Length > 2)
            throw new FormatException("a range has at most two variables");
        if (names.Length == 2)
            Write($"{{%- set {Declare(names[0])} = {item}[0] if {list} is mapping else loop.index0 -%}}");
        if (names.Length > 0)
            Write($"{{%- set {Declare(names[^1])} = dot{number} -%}}");
        var close = Block($"dot{number}");
        _variables.RemoveRange(outer, _variables.Count - outer);
        if (close == "else")
        {
            Close("{%- else -%}", written);
            close = Block(dot);
        }

        Expect(close, "end");
        Close("{%- endfor -%}", written);
    }

    private static void Expect(string? close, string wanted)
    {
        if (close is null)
            throw new FormatException($"'{{{{ {wanted} }}}}' is missing: a block of the Go template is not closed");
        if (close != wanted)
            throw GoExpression.Unsupported($"'{close}' in place of '{wanted}'");
    }

    // Nothing behind the cut.
    private bool Write(string jinja)
    {
        if (!_ended)
            _jinja.Append(jinja);
        return !_ended;
    }

    // Of what was opened before the cut.
    private void Close(string jinja, bool written)
    {
        if (written)
            _jinja.Append(jinja);
    }

    private static (string Name, string Value, bool Declares)? Assignment(string text)
    {
        if (!text.StartsWith('$'))
            return null;
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        if (equals < 1)
            return null;
        var declares = text[equals - 1] == ':';
        var name = text[1..(declares ? equals - 1 : equals)].Trim();
        return name.All(c => char.IsLetterOrDigit(c) || c == '_') ? (name, text[(equals + 1)..].Trim(), declares) : null;
    }

    // In a namespace, since what is set in a loop of Jinja's is gone behind it.
    private string Declare(string name)
    {
        var place = $"go.v{++_places}";
        _variables.Add((name, place));
        return place;
    }

    private string Place(string name) =>
        _variables.FindLast(variable => variable.Name == name).Place ?? throw new FormatException($"there is no variable ${name}");

    private string Pipeline(string text, string dot) =>
        new GoExpression(text, dot == Root ? name => RootField(name) : null, dot, Place, RootField).Read();

    private static string RootField(string name) => RootFields.GetValueOrDefault(name)
        ?? throw new FormatException($".{name} is not a field of the template's data");

    /// <summary>A text as a literal of Jinja's.</summary>
    internal static string Literal(string text)
    {
        var literal = new StringBuilder("'");
        foreach (var c in text)
        {
            literal.Append(c switch
            {
                '\'' => "\\'",
                '\\' => @"\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                _ when char.IsControl(c) => string.Create(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}"),
                _ => c.ToString(),
            });
        }

        return literal.Append('\'').ToString();
    }
}
