using System.Globalization;
using System.Text;

namespace Shimmy.Chat.Grammars.Patterns;

/// <summary>
/// Parser of JSON Schema's regular expressions (ECMA-262 with the u flag), as far as a grammar can express them: characters, classes,
/// groups, alternatives, quantifiers, and anchors at either end. Without an anchor, any text may precede or follow: a pattern matches
/// anywhere in the string.
/// </summary>
internal sealed class PatternParser
{
    private const int Longest = 4096;
    private const int Deepest = 40;
    private const int MostTimes = 100_000;
    private const int MostSteps = 1000;

    private static readonly CharacterSet Digits = CharacterSet.Of(('0', '9'));
    private static readonly CharacterSet Word = CharacterSet.Of(('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z'));

    // ECMA-262: WhiteSpace and LineTerminator.
    private static readonly CharacterSet Space = CharacterSet.Of(
        (9, 13), (' ', ' '), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
            (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF));

    private static readonly CharacterSet NotLineEnd = CharacterSet.Of(('\n', '\n'), ('\r', '\r'), (0x2028, 0x2029)).Inverted();
    private static readonly PatternNode Anything = new PatternRepeat(new PatternSet(CharacterSet.All), 0, null);

    private readonly string _pattern;
    private int _at;
    private int _depth;
    private int _steps;

    private PatternParser(string pattern) => _pattern = pattern;

    /// <summary>Parses a pattern. Throws <see cref="FormatException"/> where it is invalid or a grammar cannot express it.</summary>
    public static PatternNode Parse(string pattern)
    {
        if (pattern.Length > Longest)
            throw new FormatException($"has {pattern.Length} characters; at most {Longest} are allowed");
        var parser = new PatternParser(pattern);
        var alternatives = new List<PatternNode>();
        do
        {
            alternatives.Add(parser.Anchored());
        }
        while (parser.Take('|'));
        if (parser._at < pattern.Length)
            throw parser.Fault("has a ')' without '('");
        return alternatives.Count == 1 ? alternatives[0] : new PatternChoice(alternatives);
    }

    private char Here => _at < _pattern.Length ? _pattern[_at] : '\0';

    private PatternSequence Anchored()
    {
        var parts = new List<PatternNode>();
        if (!Take('^'))
            parts.Add(Anything);
        while (Here == '^' && _at < _pattern.Length)
            _at++;
        parts.Add(Sequence());
        if (!Take('$'))
            parts.Add(Anything);
        while (Here == '$')
            _at++;
        return new PatternSequence(parts);
    }

    private PatternNode Alternatives()
    {
        if (++_depth > Deepest)
            throw Fault($"nests groups more than {Deepest} deep");
        var alternatives = new List<PatternNode>();
        do
        {
            alternatives.Add(Sequence());
        }
        while (Take('|'));
        _depth--;
        return alternatives.Count == 1 ? alternatives[0] : new PatternChoice(alternatives);
    }

    private PatternSequence Sequence()
    {
        var parts = new List<PatternNode>();
        while (_at < _pattern.Length && Here is not ('|' or ')'))
        {
            if (Here == '$')
            {
                // At the end of a top-level alternative: Anchored handles it.
                if (_depth == 0 && _pattern.AsSpan(_at).TrimStart('$') is [] or ['|', ..])
                    break;
                throw Fault("has '$' elsewhere than at its end, which a grammar cannot express");
            }
            if (Here == '^')
                throw Fault("has '^' elsewhere than at its beginning, which a grammar cannot express");
            parts.Add(Counted(Atom()));
        }
        return new PatternSequence(parts);
    }

    private PatternNode Atom()
    {
        switch (Here)
        {
            case '(':
                return Group();
            case '[':
                return new PatternSet(Class());
            case '.':
                _at++;
                return new PatternSet(NotLineEnd);
            case '\\':
                return new PatternSet(Escape(inClass: false));
            case '*' or '+' or '?' or '{':
                throw Fault($"has '{Here}' with nothing to repeat");
            default:
                return new PatternSet(One(Character()));
        }
    }

    private PatternNode Group()
    {
        _at++;
        if (Take('?'))
        {
            if (Take('<') && Here is not ('=' or '!'))
            {
                while (char.IsLetterOrDigit(Here) || Here is '_' or '$')
                    _at++;
                if (!Take('>'))
                    throw Fault("has a group whose name does not end");
            }
            else if (!Take(':'))
            {
                throw Fault("uses a lookahead or lookbehind, which a grammar cannot express");
            }
        }
        var inner = Alternatives();
        return Take(')') ? inner : throw Fault("has a '(' without ')'");
    }

    private PatternNode Counted(PatternNode part)
    {
        while (_at < _pattern.Length)
        {
            int least;
            int? most;
            switch (Here)
            {
                case '*':
                    (least, most) = (0, null);
                    break;
                case '+':
                    (least, most) = (1, null);
                    break;
                case '?':
                    (least, most) = (0, 1);
                    break;
                case '{':
                    (least, most) = Count();
                    break;
                default:
                    return part;
            }
            _at++;
            // Lazy quantifiers match the same texts.
            if (!Take('?') && Here is '*' or '+' or '?' or '{')
                throw Fault("has a nested quantifier without parentheses");
            return Repeat(part, least, most);
        }
        return part;
    }

    // A nullable node is repeated without its empty match: to llama.cpp, an unbounded repetition of an empty item is left recursion.
    private PatternNode Repeat(PatternNode part, int least, int? most) => part.Shortest > 0
        ? new PatternRepeat(part, least, most)
        : NotEmpty(part) is { } full ? new PatternRepeat(full, 0, most) : part;

    // The node without its empty match; null where it matches nothing else.
    private PatternNode? NotEmpty(PatternNode part)
    {
        if (++_steps > MostSteps)
            throw Fault("repeats a group that can be empty in too many ways");
        switch (part)
        {
            case { Shortest: > 0 }:
                return part;
            case { Longest: 0 }:
                return null;
            case PatternRepeat repeat:
                return new PatternRepeat(NotEmpty(repeat.Part)!, 1, repeat.Most);
            case PatternChoice choice:
                return new PatternChoice([.. choice.Alternatives.Select(NotEmpty).OfType<PatternNode>()]);
            default:
                // One alternative for each part that can be the first non-empty one; the parts behind it are unchanged.
                var parts = ((PatternSequence)part).Parts;
                return new PatternChoice(
                    [.. parts.Select((one, i) => NotEmpty(one) is { } first ? new PatternSequence([first, .. parts.Skip(i + 1)]) : null)
                        .OfType<PatternNode>()]);
        }
    }

    // Ends before the closing brace.
    private (int Least, int? Most) Count()
    {
        _at++;
        var least = Whole();
        int? most = least;
        if (Take(','))
            most = char.IsAsciiDigit(Here) ? Whole() : null;
        if (Here != '}')
            throw Fault("has a '{' that does not begin a quantifier such as {2}, {2,} or {2,5}");
        return most < least ? throw Fault($"has a quantifier that is out of order, from {least} to {most}") : (least, most);
    }

    private int Whole()
    {
        var begin = _at;
        while (char.IsAsciiDigit(Here))
            _at++;
        if (begin == _at)
            throw Fault("has a '{' that does not begin a quantifier such as {2}, {2,} or {2,5}");
        return int.TryParse(_pattern.AsSpan(begin, _at - begin), NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            && value <= MostTimes
            ? value
            : throw Fault($"has a quantifier above {MostTimes}");
    }

    private CharacterSet Class()
    {
        _at++;
        var inverted = Take('^');
        var ranges = new List<(int, int)>();
        while (Here != ']')
        {
            if (_at == _pattern.Length)
                throw Fault("has a '[' without ']'");
            var low = ClassAtom();
            if (Here == '-' && _at + 1 < _pattern.Length && _pattern[_at + 1] != ']')
            {
                _at++;
                var high = ClassAtom();
                if (Single(low) is not { } from || Single(high) is not { } to)
                    throw Fault("has a range between classes");
                ranges.Add(from <= to
                    ? (from, to)
                    : throw Fault($"has a character range that is out of order, from U+{from:X4} to U+{to:X4}"));
            }
            else
            {
                ranges.AddRange(low.Ranges);
            }
        }
        _at++;
        var set = CharacterSet.Of(ranges);
        return inverted ? set.Inverted() : set;
    }

    private CharacterSet ClassAtom() => Here == '\\' ? Escape(inClass: true) : One(Character());

    private CharacterSet Escape(bool inClass)
    {
        _at++;
        var letter = Here;
        if (_at++ >= _pattern.Length)
            throw Fault("ends with a backslash");
        switch (letter)
        {
            case 'd':
                return Digits;
            case 'D':
                return Digits.Inverted();
            case 'w':
                return Word;
            case 'W':
                return Word.Inverted();
            case 's':
                return Space;
            case 'S':
                return Space.Inverted();
            case 'n':
                return One('\n');
            case 'r':
                return One('\r');
            case 't':
                return One('\t');
            case 'f':
                return One('\f');
            case 'v':
                return One('\v');
            case 'b' when inClass:
                return One('\b');
            case 'x':
                return One(Hex(2));
            case 'u':
                return One(Unicode());
            case 'b' or 'B':
                throw Fault($"uses \\{letter}, a word boundary, which a grammar cannot express");
            case 'p' or 'P':
                throw Fault($"uses \\{letter}, a Unicode property; write the characters as ranges");
            case 'k' or (>= '0' and <= '9'):
                throw Fault($"uses \\{letter}, a backreference, which a grammar cannot express");
            default:
                return char.IsAsciiLetter(letter) ? throw Fault($"uses the unknown escape \\{letter}") : One(letter);
        }
    }

    private int Unicode()
    {
        if (!Take('{'))
        {
            var unit = Hex(4);
            if (!char.IsHighSurrogate((char)unit) || string.CompareOrdinal(_pattern, _at, "\\u", 0, 2) != 0)
                return unit;
            _at += 2;
            var low = Hex(4);
            return char.IsLowSurrogate((char)low) ? char.ConvertToUtf32((char)unit, (char)low) : throw Fault("has an unpaired surrogate");
        }
        var end = _pattern.IndexOf('}', _at);
        if (end < 0 || end == _at || end - _at > 6)
            throw Fault("has a \\u{} escape that is not a valid code point");
        var value = Hex(end - _at);
        _at++;
        return value;
    }

    private int Hex(int digits)
    {
        if (_at + digits > _pattern.Length
            || !int.TryParse(_pattern.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
        {
            throw Fault($"has an escape without {digits} hexadecimal digits");
        }

        _at += digits;
        return value <= 0x10FFFF ? value : throw Fault("has an escape beyond U+10FFFF");
    }

    private int Character()
    {
        if (!Rune.TryGetRuneAt(_pattern, _at, out var rune))
            throw Fault("has an unpaired surrogate");
        _at += rune.Utf16SequenceLength;
        return rune.Value;
    }

    private bool Take(char c)
    {
        if (_at >= _pattern.Length || _pattern[_at] != c)
            return false;
        _at++;
        return true;
    }

    private static CharacterSet One(int character) => CharacterSet.Of((character, character));

    private static int? Single(CharacterSet set) => set.Ranges is [var (low, high)] && low == high ? low : null;

    private FormatException Fault(string problem) => new($"{problem} (character {_at + 1})");
}
