using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Syntax;

/// <summary>
/// Cuts a template into tokens. White space is dropped as transformers sets Jinja up: a newline after a block or comment
/// (trim_blocks), white space from the start of the line to a block or comment (lstrip_blocks), and one newline at the template's
/// end. A sign inside the tag overrules: <c>-</c> drops all white space on its side, <c>+</c> none.
/// </summary>
internal sealed class Lexer
{
    private static readonly string[] LongOperators = ["//", "**", "==", "!=", ">=", "<="];

    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private readonly Stack<char> _brackets = new();
    private int _at;
    private int _line = 1;
    private int _lineStart;
    private int _measured;
    private bool _atLineStart = true;

    private Lexer(string source) => _source = source;

    /// <summary>The tokens of a template, the last being <see cref="TokenKind.End"/>.</summary>
    public static IReadOnlyList<Token> Tokenize(string template) => new Lexer(Normalize(template)).Run();

    private static string Normalize(string template)
    {
        var text = template.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        return text.EndsWith('\n') ? text[..^1] : text;
    }

    private List<Token> Run()
    {
        while (_at < _source.Length)
            Data();
        Add(TokenKind.End, "", _source.Length);
        return _tokens;
    }

    private void Data()
    {
        var tag = NextTag(_at);
        if (tag < 0)
        {
            Add(TokenKind.Data, _source[_at..], _at);
            _at = _source.Length;
            return;
        }

        var kind = _source[tag + 1];
        var inside = tag + 2;
        var sign = inside < _source.Length && _source[inside] is '-' or '+' ? _source[inside++] : '\0';
        AddData(_at, tag, sign, canStripLine: kind != '{');
        if (kind == '#')
            Comment(tag, inside);
        else if (kind == '%' && RawBegin(inside) is >= 0 and var content)
            Raw(tag, content);
        else
            Tag(tag, inside, kind);
    }

    private int NextTag(int from)
    {
        while (_source.IndexOf('{', from) is >= 0 and var brace && brace + 1 < _source.Length)
        {
            if (_source[brace + 1] is '{' or '%' or '#')
                return brace;
            from = brace + 1;
        }

        return -1;
    }

    /// <summary>Adds the text before a tag, without the white space that the tag drops.</summary>
    private void AddData(int start, int end, char sign, bool canStripLine)
    {
        var text = _source.AsSpan(start, end - start);
        if (sign == '-')
        {
            while (text.Length > 0 && CharacterClasses.IsSpace(text[^1]))
                text = text[..^1];
        }
        else if (sign != '+' && canStripLine)
        {
            var lineBegin = text.LastIndexOf('\n') + 1;
            if ((lineBegin > 0 || _atLineStart) && lineBegin < text.Length && IsSpace(text[lineBegin..]))
                text = text[..lineBegin];
        }

        if (text.Length > 0)
            Add(TokenKind.Data, text.ToString(), start);
    }

    private void Comment(int tag, int content)
    {
        var end = _source.IndexOf("#}", content, StringComparison.Ordinal);
        if (end < 0)
            throw Error("Missing end of comment tag", tag);
        CloseTag(end + 2, end > content ? _source[end - 1] : '\0');
    }

    /// <summary>Moves past a closing tag and the white space that it drops.</summary>
    private void CloseTag(int end, char sign)
    {
        _at = end;
        if (sign == '-')
            _at = SkipSpace(_at);
        else if (sign != '+' && _at < _source.Length && _source[_at] == '\n')
            _at++;
        _atLineStart = _source[_at - 1] == '\n';
    }

    /// <summary>The position after <c>raw %}</c>, or -1 where the tag is another.</summary>
    private int RawBegin(int inside)
    {
        var word = SkipSpace(inside);
        if (!_source.AsSpan(word).StartsWith("raw"))
            return -1;
        var end = SkipSpace(word + 3);
        if (_source.AsSpan(end).StartsWith("-%}"))
            return SkipSpace(end + 3);
        return _source.AsSpan(end).StartsWith("%}") ? end + 2 : -1;
    }

    private void Raw(int tag, int content)
    {
        _atLineStart = _source[content - 1] == '\n';
        for (var from = content; _source.IndexOf("{%", from, StringComparison.Ordinal) is >= 0 and var open; from = open + 1)
        {
            var inside = open + 2;
            var sign = inside < _source.Length && _source[inside] is '-' or '+' ? _source[inside++] : '\0';
            var word = SkipSpace(inside);
            if (!_source.AsSpan(word).StartsWith("endraw"))
                continue;
            var end = SkipSpace(word + "endraw".Length);
            var closing = end < _source.Length && _source[end] is '-' or '+' ? _source[end++] : '\0';
            if (!_source.AsSpan(end).StartsWith("%}"))
                continue;
            AddData(content, open, sign, canStripLine: true);
            CloseTag(end + 2, closing);
            return;
        }

        throw Error("Missing end of raw directive", tag);
    }

    private void Tag(int tag, int inside, char kind)
    {
        var isBlock = kind == '%';
        Add(isBlock ? TokenKind.BlockBegin : TokenKind.VariableBegin, _source[tag..inside], tag);
        _at = inside;
        while (_at < _source.Length)
        {
            if (_brackets.Count == 0 && TagEnd(isBlock))
                return;
            if (CharacterClasses.IsSpace(_source[_at]))
                _at = SkipSpace(_at);
            else
                Expression();
        }
    }

    private bool TagEnd(bool isBlock)
    {
        var sign = _source[_at] == '-' || (isBlock && _source[_at] == '+') ? _source[_at] : '\0';
        var end = sign == '\0' ? _at : _at + 1;
        if (!_source.AsSpan(end).StartsWith(isBlock ? "%}" : "}}"))
            return false;
        Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, _source[_at..(end + 2)], _at);
        // A newline after a variable stays.
        CloseTag(end + 2, isBlock || sign == '-' ? sign : '+');
        return true;
    }

    private void Expression()
    {
        var unit = _source[_at];
        if (unit is '\'' or '"')
            String(unit);
        else if (char.IsAsciiDigit(unit))
            Number();
        else if (IsNameUnit(unit))
            Name();
        else
            Operator(unit);
    }

    private void String(char quote)
    {
        var end = _at + 1;
        while (end < _source.Length && _source[end] != quote)
            end += _source[end] == '\\' ? 2 : 1;
        if (end >= _source.Length)
            throw Error($"unexpected char {TextRepr.Quote(quote.ToString())}: the string does not end", _at);
        var text = StringLiteral.Unescape(_source.AsSpan(_at + 1, end - _at - 1), problem => Error(problem, _at));
        Add(TokenKind.String, text, _at);
        _at = end + 1;
    }

    private void Number()
    {
        var length = NumberLiteral.FloatLength(_source, _at);
        if (length > 0 && (_at == 0 || _source[_at - 1] != '.'))
        {
            Add(TokenKind.Float, _source.Substring(_at, length).Replace("_", "", StringComparison.Ordinal), _at);
        }
        else
        {
            length = NumberLiteral.IntegerLength(_source, _at);
            Add(TokenKind.Integer, _source.Substring(_at, length).Replace("_", "", StringComparison.Ordinal), _at);
        }

        _at += length;
    }

    private void Name()
    {
        var end = _at;
        while (end < _source.Length && (IsNameUnit(_source[end]) || char.IsAsciiDigit(_source[end])))
            end++;
        Add(TokenKind.Name, _source[_at..end], _at);
        _at = end;
    }

    private void Operator(char unit)
    {
        var text = Array.Find(LongOperators, candidate => _source.AsSpan(_at).StartsWith(candidate)) ?? unit.ToString();
        switch (unit)
        {
            case '(' or '[' or '{':
                _brackets.Push(unit switch { '(' => ')', '[' => ']', _ => '}' });
                break;
            case ')' or ']' or '}':
                if (!_brackets.TryPop(out var expected))
                    throw Error($"unexpected '{unit}'", _at);
                if (expected != unit)
                    throw Error($"unexpected '{unit}', expected '{expected}'", _at);
                break;
            default:
                if (text.Length == 1 && !"+-/*%~<>=.:|,;".Contains(unit))
                    throw Error($"unexpected char {TextRepr.Quote(text)}", _at);
                break;
        }

        Add(TokenKind.Operator, text, _at);
        _at += text.Length;
    }

    private static bool IsNameUnit(char unit) => unit == '_' || char.IsAsciiLetter(unit) ||
        (unit > '\x7F' && (char.IsLetterOrDigit(unit) || char.IsSurrogate(unit) ||
            char.GetUnicodeCategory(unit) is System.Globalization.UnicodeCategory.NonSpacingMark));

    private static bool IsSpace(ReadOnlySpan<char> text)
    {
        foreach (var unit in text)
        {
            if (!CharacterClasses.IsSpace(unit))
                return false;
        }

        return true;
    }

    private int SkipSpace(int from)
    {
        while (from < _source.Length && CharacterClasses.IsSpace(_source[from]))
            from++;
        return from;
    }

    private void Add(TokenKind kind, string text, int position)
    {
        Measure(position);
        _tokens.Add(new Token(kind, text, _line, position - _lineStart + 1));
    }

    private void Measure(int position)
    {
        for (; _measured < position; _measured++)
        {
            if (_source[_measured] == '\n')
                (_line, _lineStart) = (_line + 1, _measured + 1);
        }
    }

    private TemplateException Error(string message, int position)
    {
        Measure(position);
        return TemplateException.Syntax(message, _line, position - _lineStart + 1);
    }
}
