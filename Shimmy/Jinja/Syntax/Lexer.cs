using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Syntax;

/// <summary>
/// Cuts a template into tokens, with white space treated as transformers sets Jinja up: a newline after a block or comment goes
/// (trim_blocks), white space from the start of the line to a block or comment goes (lstrip_blocks), and so does one newline at
/// the template's end. A sign inside the tag overrules: <c>-</c> takes all white space on its side, <c>+</c> none.
/// </summary>
internal sealed class Lexer
{
    private static readonly string[] LongOperators = ["//", "**", "==", "!=", ">=", "<="];

    private readonly string source;
    private readonly List<Token> tokens = [];
    private readonly Stack<char> brackets = new();
    private int at;
    private int line = 1;
    private int lineStart;
    private int measured;
    private bool atLineStart = true;

    private Lexer(string source) => this.source = source;

    /// <summary>The tokens of a template, the last being <see cref="TokenKind.End"/>.</summary>
    public static IReadOnlyList<Token> Tokenize(string template) => new Lexer(Normalize(template)).Run();

    private static string Normalize(string template)
    {
        var text = template.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        return text.EndsWith('\n') ? text[..^1] : text;
    }

    private List<Token> Run()
    {
        while (at < source.Length)
            Data();
        Add(TokenKind.End, "", source.Length);
        return tokens;
    }

    private void Data()
    {
        var tag = NextTag(at);
        if (tag < 0)
        {
            Add(TokenKind.Data, source[at..], at);
            at = source.Length;
            return;
        }

        var kind = source[tag + 1];
        var inside = tag + 2;
        var sign = inside < source.Length && source[inside] is '-' or '+' ? source[inside++] : '\0';
        AddData(at, tag, sign, canStripLine: kind != '{');
        if (kind == '#')
            Comment(tag, inside);
        else if (kind == '%' && RawBegin(inside) is >= 0 and var content)
            Raw(tag, content);
        else
            Tag(tag, inside, kind);
    }

    private int NextTag(int from)
    {
        while (source.IndexOf('{', from) is >= 0 and var brace && brace + 1 < source.Length)
        {
            if (source[brace + 1] is '{' or '%' or '#')
                return brace;
            from = brace + 1;
        }

        return -1;
    }

    /// <summary>Adds text before a tag, without the white space that the tag takes.</summary>
    private void AddData(int start, int end, char sign, bool canStripLine)
    {
        var text = source.AsSpan(start, end - start);
        if (sign == '-')
        {
            while (text.Length > 0 && CharacterClasses.IsSpace(text[^1]))
                text = text[..^1];
        }
        else if (sign != '+' && canStripLine)
        {
            var lineBegin = text.LastIndexOf('\n') + 1;
            if ((lineBegin > 0 || atLineStart) && lineBegin < text.Length && IsSpace(text[lineBegin..]))
                text = text[..lineBegin];
        }

        if (text.Length > 0)
            Add(TokenKind.Data, text.ToString(), start);
    }

    private void Comment(int tag, int content)
    {
        var end = source.IndexOf("#}", content, StringComparison.Ordinal);
        if (end < 0)
            throw Error("Missing end of comment tag", tag);
        CloseTag(end + 2, end > content ? source[end - 1] : '\0');
    }

    /// <summary>Goes behind a closing tag and the white space that it takes.</summary>
    private void CloseTag(int end, char sign)
    {
        at = end;
        if (sign == '-')
            at = SkipSpace(at);
        else if (sign != '+' && at < source.Length && source[at] == '\n')
            at++;
        atLineStart = source[at - 1] == '\n';
    }

    /// <summary>The position after <c>raw %}</c>, or -1 where the tag is another.</summary>
    private int RawBegin(int inside)
    {
        var word = SkipSpace(inside);
        if (!source.AsSpan(word).StartsWith("raw"))
            return -1;
        var end = SkipSpace(word + 3);
        if (source.AsSpan(end).StartsWith("-%}"))
            return SkipSpace(end + 3);
        return source.AsSpan(end).StartsWith("%}") ? end + 2 : -1;
    }

    private void Raw(int tag, int content)
    {
        atLineStart = source[content - 1] == '\n';
        for (var from = content; source.IndexOf("{%", from, StringComparison.Ordinal) is >= 0 and var open; from = open + 1)
        {
            var inside = open + 2;
            var sign = inside < source.Length && source[inside] is '-' or '+' ? source[inside++] : '\0';
            var word = SkipSpace(inside);
            if (!source.AsSpan(word).StartsWith("endraw"))
                continue;
            var end = SkipSpace(word + "endraw".Length);
            var closing = end < source.Length && source[end] is '-' or '+' ? source[end++] : '\0';
            if (!source.AsSpan(end).StartsWith("%}"))
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
        Add(isBlock ? TokenKind.BlockBegin : TokenKind.VariableBegin, source[tag..inside], tag);
        at = inside;
        while (at < source.Length)
        {
            if (brackets.Count == 0 && TagEnd(isBlock))
                return;
            if (CharacterClasses.IsSpace(source[at]))
                at = SkipSpace(at);
            else
                Expression();
        }
    }

    private bool TagEnd(bool isBlock)
    {
        var sign = source[at] == '-' || (isBlock && source[at] == '+') ? source[at] : '\0';
        var end = sign == '\0' ? at : at + 1;
        if (!source.AsSpan(end).StartsWith(isBlock ? "%}" : "}}"))
            return false;
        Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, source[at..(end + 2)], at);
        // A newline after a variable stays.
        CloseTag(end + 2, isBlock || sign == '-' ? sign : '+');
        return true;
    }

    private void Expression()
    {
        var unit = source[at];
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
        var end = at + 1;
        while (end < source.Length && source[end] != quote)
            end += source[end] == '\\' ? 2 : 1;
        if (end >= source.Length)
            throw Error($"unexpected char {TextRepr.Quote(quote.ToString())}: the string does not end", at);
        var text = StringLiteral.Unescape(source.AsSpan(at + 1, end - at - 1), problem => Error(problem, at));
        Add(TokenKind.String, text, at);
        at = end + 1;
    }

    private void Number()
    {
        var length = NumberLiteral.FloatLength(source, at);
        if (length > 0 && (at == 0 || source[at - 1] != '.'))
        {
            Add(TokenKind.Float, source.Substring(at, length).Replace("_", "", StringComparison.Ordinal), at);
        }
        else
        {
            length = NumberLiteral.IntegerLength(source, at);
            Add(TokenKind.Integer, source.Substring(at, length).Replace("_", "", StringComparison.Ordinal), at);
        }

        at += length;
    }

    private void Name()
    {
        var end = at;
        while (end < source.Length && (IsNameUnit(source[end]) || char.IsAsciiDigit(source[end])))
            end++;
        Add(TokenKind.Name, source[at..end], at);
        at = end;
    }

    private void Operator(char unit)
    {
        var text = Array.Find(LongOperators, candidate => source.AsSpan(at).StartsWith(candidate)) ?? unit.ToString();
        switch (unit)
        {
            case '(' or '[' or '{':
                brackets.Push(unit switch { '(' => ')', '[' => ']', _ => '}' });
                break;
            case ')' or ']' or '}':
                if (!brackets.TryPop(out var expected))
                    throw Error($"unexpected '{unit}'", at);
                if (expected != unit)
                    throw Error($"unexpected '{unit}', expected '{expected}'", at);
                break;
            default:
                if (text.Length == 1 && !"+-/*%~<>=.:|,;".Contains(unit))
                    throw Error($"unexpected char {TextRepr.Quote(text)}", at);
                break;
        }

        Add(TokenKind.Operator, text, at);
        at += text.Length;
    }

    private static bool IsNameUnit(char unit) => unit == '_' || char.IsAsciiLetter(unit) ||
        (unit > '\x7F' && (char.IsLetterOrDigit(unit) || char.IsSurrogate(unit) ||
            char.GetUnicodeCategory(unit) is System.Globalization.UnicodeCategory.NonSpacingMark));

    private static bool IsSpace(ReadOnlySpan<char> text)
    {
        foreach (var unit in text)
            if (!CharacterClasses.IsSpace(unit))
                return false;
        return true;
    }

    private int SkipSpace(int from)
    {
        while (from < source.Length && CharacterClasses.IsSpace(source[from]))
            from++;
        return from;
    }

    private void Add(TokenKind kind, string text, int position)
    {
        Measure(position);
        tokens.Add(new Token(kind, text, line, position - lineStart + 1));
    }

    private void Measure(int position)
    {
        for (; measured < position; measured++)
            if (source[measured] == '\n')
                (line, lineStart) = (line + 1, measured + 1);
    }

    private TemplateException Error(string message, int position)
    {
        Measure(position);
        return TemplateException.Syntax(message, line, position - lineStart + 1);
    }
}
