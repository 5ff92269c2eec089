using System.Globalization;
using System.Text;

namespace Shimmy.Engine.Grammars;

/// <summary>
/// Parser of GBNF, like llama.cpp's (grammars/README.md and src/llama-grammar.cpp): a rule is <c>name ::= alternatives</c> up to the end of
/// the line; inside parentheses lines may break. Groups and repetitions become rules of their own:
/// <code>
///   S*  S+  S{m,}   S m times, then R ::= S R | empty
///   S?  S{m,n}      S m times, then a chain of n-m rules: R1 ::= S | empty, R2 ::= S R1 | empty, …
/// </code>
/// Stricter than llama.cpp: it also refuses duplicate rules, empty classes, ranges and counts that are out of order, invalid code points,
/// and token references (<c>&lt;[123]&gt;</c>), at which llama.cpp ends its process when the text of a sampled token meets one.
/// </summary>
internal sealed class GrammarParser(string text)
{
    private readonly List<string> _names = [];
    private readonly List<int> _offsets = [];
    private readonly List<int> _firstMentions = [];
    private readonly List<GrammarElement[]?> _rules = [];
    private readonly Dictionary<string, int> _numbers = [];
    private int _at;
    private int _nesting;
    private long _elements;

    /// <summary>Parses the text, once for each parser. Throws <see cref="GrammarException"/>.</summary>
    public ParsedGrammar Parse()
    {
        if (text.Length > GrammarLimits.Characters)
            throw new GrammarException(1, 1, $"the grammar has {text.Length} characters; at most {GrammarLimits.Characters} are allowed");
        SkipSpace(newlines: true);
        if (_at == text.Length)
            throw Fault("the grammar is empty; expected a rule such as root ::= \"yes\" | \"no\"");
        while (_at < text.Length)
            Rule();
        for (var i = 0; i < _rules.Count; i++)
        {
            if (_rules[i] is null)
                throw FaultAt(_firstMentions[i], $"the rule '{_names[i]}' is not defined");
        }
        if (!_numbers.TryGetValue("root", out var root))
            throw new GrammarException(1, 1, "there is no rule 'root'; every grammar starts with it");
        return new ParsedGrammar([.. _rules.Select((rule, i) => new GrammarRule(_names[i], rule!, _offsets[i]))], root);
    }

    private char Here => _at < text.Length ? text[_at] : '\0';

    private void Rule()
    {
        var begin = _at;
        if (!IsWord(Here))
        {
            throw Fault(Here == '|'
                ? "expected the name of a rule; an alternative goes on with the next line only if '|' ends the line before or parentheses are open"
                : $"expected the name of a rule (letters, digits and '-'), not {Shown()}");
        }
        var name = Word();
        var number = Number(name, begin);
        SkipSpace(newlines: false);
        if (string.CompareOrdinal(text, _at, "::=", 0, 3) != 0)
            throw Fault($"expected '::=' after the rule name '{name}', not {Shown()}");
        if (_rules[number] is not null)
            throw FaultAt(begin, $"the rule '{name}' is defined twice");
        _offsets[number] = begin;
        _at += 3;
        SkipSpace(newlines: true);
        Alternatives(name, number, begin, nested: false);
        if (_at < text.Length && Here is not ('\r' or '\n'))
            throw Fault($"expected an item, '|' or the end of the line, not {Shown()}");
        SkipSpace(newlines: true);
    }

    private void Alternatives(string name, int number, int begin, bool nested)
    {
        var rule = new List<GrammarElement>();
        Sequence(name, begin, rule, nested);
        while (Here == '|')
        {
            _at++;
            Add(rule, new GrammarElement(GrammarElementKind.Alternative, 0));
            SkipSpace(newlines: true);
            Sequence(name, begin, rule, nested);
        }
        Add(rule, new GrammarElement(GrammarElementKind.End, 0));
        _rules[number] = [.. rule];
    }

    private void Sequence(string name, int begin, List<GrammarElement> rule, bool nested)
    {
        var last = rule.Count; // start of the item that a repetition operator applies to
        var cost = 1L; // expanded size of the item, as llama.cpp counts it
        while (_at < text.Length)
        {
            switch (Here)
            {
                case '"':
                    (last, cost) = (rule.Count, 1);
                    Literal(rule);
                    break;
                case '[':
                    (last, cost) = (rule.Count, 1);
                    Class(rule);
                    break;
                case '(':
                    var before = _names.Count;
                    var group = Group(name, begin);
                    (last, cost) = (rule.Count, Math.Max(1, _names.Count - before));
                    Add(rule, new GrammarElement(GrammarElementKind.Rule, group));
                    break;
                case '.':
                    (last, cost) = (rule.Count, 1);
                    _at++;
                    Add(rule, new GrammarElement(GrammarElementKind.Any, 0));
                    break;
                case '*' or '+' or '?' or '{':
                    var at = _at;
                    var (least, most) = Count(nested);
                    cost = Repeat(name, begin, rule, last, cost, least, most, at);
                    break;
                case '<' or '!':
                    throw Fault("token references (<...>) are not supported; write the token's text as a literal");
                default:
                    if (!IsWord(Here))
                        return;
                    (last, cost) = (rule.Count, 1);
                    var mention = _at;
                    Add(rule, new GrammarElement(GrammarElementKind.Rule, Number(Word(), mention)));
                    break;
            }
            SkipSpace(nested);
        }
    }

    private void Literal(List<GrammarElement> rule)
    {
        var begin = _at++;
        while (Here != '"')
        {
            if (_at == text.Length)
                throw FaultAt(begin, "the literal that begins here has no closing '\"'");
            Add(rule, new GrammarElement(GrammarElementKind.Character, Character()));
        }
        _at++;
    }

    private void Class(List<GrammarElement> rule)
    {
        var begin = _at++;
        var kind = GrammarElementKind.Character;
        if (Here == '^')
        {
            kind = GrammarElementKind.NotCharacter;
            _at++;
        }
        if (Here == ']')
            throw FaultAt(begin, "the character class is empty");
        while (Here != ']')
        {
            if (_at == text.Length)
                throw FaultAt(begin, "the character class that begins here has no closing ']'");
            var at = _at;
            var low = Character();
            Add(rule, new GrammarElement(kind, low));
            kind = GrammarElementKind.OrCharacter;
            if (Here != '-' || _at + 1 >= text.Length || text[_at + 1] == ']')
                continue;
            _at++;
            var high = Character();
            if (high < low)
                throw FaultAt(at, $"the character range is out of order, from U+{low:X4} to U+{high:X4}");
            Add(rule, new GrammarElement(GrammarElementKind.RangeEnd, high));
        }
        _at++;
    }

    private int Group(string name, int begin)
    {
        var open = _at++;
        if (++_nesting > GrammarLimits.Nesting)
            throw FaultAt(open, $"parentheses are nested more than {GrammarLimits.Nesting} deep");
        SkipSpace(newlines: true);
        var number = NewRule(name, begin);
        Alternatives(name, number, begin, nested: true);
        if (Here != ')')
        {
            throw _at == text.Length
                ? FaultAt(open, "the parenthesis that opens here is not closed")
                : Fault($"expected an item, '|' or ')', not {Shown()}");
        }
        _at++;
        _nesting--;
        return number;
    }

    // {m}, {m,}, {m,n}, *, + and ?; most is null where unbounded.
    private (int Least, int? Most) Count(bool nested)
    {
        var begin = _at;
        switch (text[_at++])
        {
            case '*':
                return (0, null);
            case '+':
                return (1, null);
            case '?':
                return (0, 1);
        }
        SkipSpace(nested);
        var least = Whole();
        SkipSpace(nested);
        int? most = least;
        if (Here == ',')
        {
            _at++;
            SkipSpace(nested);
            most = char.IsAsciiDigit(Here) ? Whole() : null;
            SkipSpace(nested);
            if (Here != '}')
                throw Fault($"expected '}}' at the end of the count, not {Shown()}");
        }
        else if (Here != '}')
        {
            throw Fault($"expected ',' or '}}' in the count, not {Shown()}");
        }
        _at++;
        if (most < least)
            throw FaultAt(begin, $"the repetition count is out of order, from {least} to {most}");
        return (least, most);
    }

    private int Whole()
    {
        var begin = _at;
        while (char.IsAsciiDigit(Here))
            _at++;
        if (begin == _at)
            throw Fault($"expected a whole number, not {Shown()}");
        if (int.TryParse(text.AsSpan(begin, _at - begin), NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            && value < GrammarLimits.Repetitions)
        {
            return value;
        }

        throw FaultAt(begin, $"a count must be below {GrammarLimits.Repetitions}");
    }

    private long Repeat(string name, int begin, List<GrammarElement> rule, int last, long cost, int least, int? most, int at)
    {
        if (last == rule.Count)
            throw FaultAt(at, $"'{text[at]}': nothing to repeat; expected an item before it");
        var times = most is > 0 ? most.Value : Math.Max(1, least);
        if (cost * times >= GrammarLimits.Repetitions)
            throw FaultAt(at, $"nested repetitions: the product of their counts must be below {GrammarLimits.Repetitions}");
        var item = rule[last..].ToArray();
        rule.RemoveRange(last, rule.Count - last);
        for (var i = 0; i < least; i++)
        {
            foreach (var element in item)
                Add(rule, element);
        }
        var previous = -1;
        for (var i = 0; i < (most is { } bound ? bound - least : 1); i++)
        {
            var number = NewRule(name, begin);
            var chain = new List<GrammarElement>(item.Length + 3);
            foreach (var element in item)
                Add(chain, element);
            if (most is null || i > 0)
                Add(chain, new GrammarElement(GrammarElementKind.Rule, most is null ? number : previous));
            Add(chain, new GrammarElement(GrammarElementKind.Alternative, 0));
            Add(chain, new GrammarElement(GrammarElementKind.End, 0));
            _rules[number] = [.. chain];
            previous = number;
        }
        if (previous >= 0)
            Add(rule, new GrammarElement(GrammarElementKind.Rule, previous));
        return cost * times;
    }

    private int Character()
    {
        if (Here == '\\')
            return Escape();
        if (!Rune.TryGetRuneAt(text, _at, out var rune))
            throw Fault("an unpaired surrogate is not valid Unicode");
        if (rune.Value == 0)
            throw Fault("a NUL character cannot be part of a grammar");
        _at += rune.Utf16SequenceLength;
        return rune.Value;
    }

    private int Escape()
    {
        var begin = _at++;
        var letter = Here;
        _at++;
        return letter switch
        {
            'x' => Hex(begin, 2),
            'u' => Hex(begin, 4),
            'U' => Hex(begin, 8),
            't' => '\t',
            'r' => '\r',
            'n' => '\n',
            '\\' or '"' or '[' or ']' or '-' => letter,
            _ => throw FaultAt(begin,
                "unknown escape; allowed are \\xHH, \\uHHHH, \\UHHHHHHHH, \\t, \\r, \\n, \\\\, \\\", \\[, \\] and \\-"),
        };
    }

    private int Hex(int begin, int digits)
    {
        if (_at + digits > text.Length
            || !uint.TryParse(text.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
        {
            throw FaultAt(begin, $"expected {digits} hexadecimal digits after '{text[begin..(begin + 2)]}'");
        }

        if (!Rune.IsValid(value) || value == 0)
            throw FaultAt(begin, $"U+{value:X4} is not a valid character; NUL, surrogates and code points above U+10FFFF are not allowed");
        _at += digits;
        return (int)value;
    }

    private int Number(string name, int mention)
    {
        if (!_numbers.TryGetValue(name, out var number))
            _numbers.Add(name, number = NewRule(name, mention));
        return number;
    }

    private int NewRule(string name, int offset)
    {
        if (_names.Count == GrammarLimits.Rules)
            throw Fault($"the grammar has more than {GrammarLimits.Rules} rules, those included that groups and repetitions become");
        _names.Add(name);
        _offsets.Add(offset);
        _firstMentions.Add(offset);
        _rules.Add(null);
        return _names.Count - 1;
    }

    private void Add(List<GrammarElement> rule, GrammarElement element)
    {
        if (++_elements > GrammarLimits.Elements)
            throw Fault($"the grammar has more than {GrammarLimits.Elements} elements once repetitions are written out");
        rule.Add(element);
    }

    private string Word()
    {
        var begin = _at;
        while (IsWord(Here))
            _at++;
        return text[begin.._at];
    }

    private void SkipSpace(bool newlines)
    {
        while (_at < text.Length)
        {
            if (Here == '#')
            {
                while (_at < text.Length && Here is not ('\r' or '\n'))
                    _at++;
            }
            else if (Here is ' ' or '\t' || (newlines && Here is '\r' or '\n'))
            {
                _at++;
            }
            else
            {
                return;
            }
        }
    }

    /// <summary>Whether a character may stand in the name of a rule.</summary>
    public static bool IsWord(char c) => char.IsAsciiLetterOrDigit(c) || c == '-';

    private string Shown() => _at == text.Length ? "the end of the grammar"
        : Here is '\r' or '\n' ? "the end of the line"
        : !Rune.TryGetRuneAt(text, _at, out var rune) || Rune.IsControl(rune) ? $"U+{(int)Here:X4}"
        : $"'{rune}'";

    private GrammarException Fault(string problem) => FaultAt(_at, problem);

    private GrammarException FaultAt(int offset, string problem) => GrammarException.At(text, offset, problem);
}

/// <summary>A grammar that llama.cpp refuses or that would crash it.</summary>
/// <param name="line">Line of the error, from 1.</param>
/// <param name="column">Column of the error in characters, from 1.</param>
/// <param name="problem">What is wrong, and what is expected.</param>
internal sealed class GrammarException(int line, int column, string problem) : Exception($"line {line}, column {column}: {problem}")
{
    /// <summary>Line of the error, from 1.</summary>
    public int Line { get; } = line;

    /// <summary>Column of the error in characters, from 1.</summary>
    public int Column { get; } = column;

    /// <summary>The exception for an error at an offset of the text, with line and column.</summary>
    public static GrammarException At(string text, int offset, string problem)
    {
        var line = 1;
        var begin = 0;
        for (var i = 0; i < offset; i++)
        {
            if (text[i] == '\n' || (text[i] == '\r' && (i + 1 == text.Length || text[i + 1] != '\n')))
            {
                line++;
                begin = i + 1;
            }
        }
        var column = 1;
        for (var i = begin; i < offset; i++)
            column += char.IsLowSurrogate(text[i]) ? 0 : 1;
        return new GrammarException(line, column, problem);
    }
}

/// <summary>
/// Limits of grammars. llama.cpp's parser and sampler have few of their own: they recurse on the C stack, copy repeated elements, and
/// follow every path, so that a few lines can crash the worker or keep it busy for ever.
/// </summary>
internal static class GrammarLimits
{
    /// <summary>Longest grammar in characters.</summary>
    public const int Characters = 1 << 20;

    /// <summary>Deepest nesting of parentheses, into which llama.cpp's parser recurses.</summary>
    public const int Nesting = 100;

    /// <summary>llama.cpp's bound on repetitions (MAX_REPETITION_THRESHOLD in llama-grammar.cpp); counts must be below it.</summary>
    public const int Repetitions = 2000;

    /// <summary>Most rules, including those that are made of groups and repetitions.</summary>
    public const int Rules = 100_000;

    /// <summary>Most elements after expansion of repetitions: 8 bytes each, in three copies while llama.cpp parses.</summary>
    public const int Elements = 1_000_000;

    /// <summary>Longest chain of rules each of which begins with the next: llama.cpp's test for left recursion recurses along it.</summary>
    public const int LeftDepth = 4000;

    /// <summary>Most elements that llama.cpp's test for left recursion may visit; it visits shared rules again on every path.</summary>
    public const long LeftRecursionSteps = 20_000_000;

    /// <summary>Most ways in which one rule may begin: each is a parser stack that every token is tested against.</summary>
    public const long Beginnings = 20_000;
}
