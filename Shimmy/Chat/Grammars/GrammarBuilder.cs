using System.Globalization;
using System.Text;
using Shimmy.Engine.Grammars;

namespace Shimmy.Chat.Grammars;

/// <summary>
/// Builds a GBNF grammar. <see cref="Sequence"/>, <see cref="Choice"/> and <see cref="Repeat"/> combine expressions; <see cref="Rule"/>
/// gives a name to one that is long or used more than once. Names, texts and counts are escaped or rewritten, so that no input breaks the
/// syntax or llama.cpp's bound on repetitions.
/// </summary>
internal sealed class GrammarBuilder
{
    /// <summary>Most rules of a grammar; far more than a schema within OpenAI's limits needs.</summary>
    public const int MostRules = 20_000;

    // Longer repetitions are written as repeated blocks of this many, below llama.cpp's bound.
    private const int Block = 1000;
    private const int LongestName = 40;

    private readonly List<(string Name, string Text)> _rules = [];
    private readonly HashSet<string> _names = ["root"];
    private readonly Dictionary<string, int> _lastNumbers = [];
    private readonly Dictionary<string, Fragment> _shared = [];
    private readonly Dictionary<string, string> _mustEnd = [];
    private long _length;

    /// <summary>A literal.</summary>
    public static Fragment Literal(string text)
    {
        if (text.Length == 0)
            return Fragment.Empty;
        var literal = new StringBuilder("\"", text.Length + 8);
        foreach (var rune in text.EnumerateRunes())
            CharacterSet.Write(literal, rune.Value);
        return new Fragment(literal.Append('"').ToString(), FragmentForm.Item);
    }

    /// <summary>A character class.</summary>
    public static Fragment OneOf(CharacterSet set) => set.IsEmpty ? Fragment.Nothing : new Fragment(set.ToClass(), FragmentForm.Item);

    /// <summary>Concatenation.</summary>
    public static Fragment Sequence(params IEnumerable<Fragment> parts)
    {
        var items = new List<Fragment>();
        foreach (var part in parts)
        {
            if (part.IsNothing)
                return Fragment.Nothing;
            if (!part.IsEmpty)
                items.Add(part);
        }
        return items.Count switch
        {
            0 => Fragment.Empty,
            1 => items[0],
            _ => new Fragment(string.Join(' ', items.Select(item => item.Form == FragmentForm.Choice ? $"({item.Text})" : item.Text)),
                FragmentForm.Sequence),
        };
    }

    /// <summary>Alternatives, without duplicates; <see cref="Fragment.Nothing"/> where there is none.</summary>
    public static Fragment Choice(params IEnumerable<Fragment> alternatives)
    {
        var texts = new List<Fragment>();
        var seen = new HashSet<string>();
        foreach (var alternative in alternatives)
        {
            if (!alternative.IsNothing && seen.Add(alternative.Text))
                texts.Add(alternative);
        }
        return texts.Count switch
        {
            0 => Fragment.Nothing,
            1 => texts[0],
            _ => new Fragment(string.Join(" | ", texts.Select(text => text.Text)), FragmentForm.Choice),
        };
    }

    /// <summary>An optional expression.</summary>
    public static Fragment Optional(Fragment fragment) => fragment.Form switch
    {
        FragmentForm.Nothing or FragmentForm.Empty => Fragment.Empty,
        _ => Choice(fragment, Fragment.Empty),
    };

    /// <summary>Defines a rule and gives the reference to it. The name is adapted: valid in GBNF and unique.</summary>
    public Fragment Rule(string name, Fragment fragment)
    {
        if (fragment.Form is FragmentForm.Nothing or FragmentForm.Empty or FragmentForm.Rule)
            return fragment;
        var rule = Reserve(name);
        Define(rule, fragment);
        return rule;
    }

    /// <summary>Like <see cref="Rule"/>, but shares the rule of an equal expression that was defined so before.</summary>
    public Fragment SharedRule(string name, Fragment fragment)
    {
        if (!_shared.TryGetValue(fragment.Text, out var rule))
            _shared.Add(fragment.Text, rule = Rule(name, fragment));
        return rule;
    }

    /// <summary>A reference to a rule that <see cref="Define"/> defines later, as recursive rules need.</summary>
    public Fragment Reserve(string name)
    {
        if (_names.Count > MostRules)
            throw TooLarge();
        var plain = new StringBuilder();
        foreach (var c in name)
        {
            if (plain.Length < LongestName)
                plain.Append(char.IsAsciiLetterOrDigit(c) ? c : '-');
        }
        var stem = plain.ToString().Trim('-') is { Length: > 0 } trimmed ? trimmed : "rule";
        var unique = stem;
        while (!_names.Add(unique))
        {
            var number = _lastNumbers.GetValueOrDefault(stem, 1) + 1;
            _lastNumbers[stem] = number;
            unique = string.Create(CultureInfo.InvariantCulture, $"{stem}-{number}");
        }
        return new Fragment(unique, FragmentForm.Rule);
    }

    /// <summary>Defines a reserved rule.</summary>
    public void Define(Fragment rule, Fragment fragment)
    {
        _rules.Add((rule.Text, fragment.Text));
        _length += rule.Text.Length + fragment.Text.Length + 6;
        if (_length > GrammarLimits.Characters)
            throw TooLarge();
    }

    /// <summary>
    /// Repetition, <paramref name="least"/> to <paramref name="most"/> times; null is unbounded. Counts beyond llama.cpp's bound are
    /// written in blocks.
    /// </summary>
    public Fragment Repeat(Fragment fragment, int least, int? most)
    {
        if (most is 0 || fragment.IsEmpty)
            return Fragment.Empty;
        if (fragment.IsNothing)
            return least == 0 ? Fragment.Empty : Fragment.Nothing;
        if (least == 1 && most == 1)
            return fragment;
        // llama.cpp multiplies the counts of nested repetitions, where a reference to a rule counts as one.
        var item = fragment.Form == FragmentForm.Rule ? fragment : SharedRule("item", fragment);
        if (least < Block && most is null or < Block)
            return new Fragment(item.Text + Times(least, most), FragmentForm.Item);
        var block = SharedRule("block", new Fragment(item.Text + Times(Block, Block), FragmentForm.Item));
        if (least / Block >= GrammarLimits.Repetitions || most / Block >= GrammarLimits.Repetitions)
            throw TooLarge();
        var must = Sequence(
            least >= Block ? new Fragment(block.Text + Times(least / Block, least / Block), FragmentForm.Item) : Fragment.Empty,
            least % Block > 0 ? new Fragment(item.Text + Times(least % Block, least % Block), FragmentForm.Item) : Fragment.Empty);
        if (most is not { } bound)
            return Sequence(must, new Fragment(item.Text + "*", FragmentForm.Item));
        // At most n: either fewer than a block, or one block and then at most n - block.
        var may = UpTo(item, (bound - least) % Block);
        var part = SharedRule("part", UpTo(item, Block - 1));
        for (var left = (bound - least) / Block; left > 0; left--)
            may = SharedRule("up-to", Choice(part, Sequence(block, may)));
        return Sequence(must, may);
    }

    /// <summary>
    /// Requires that a rule matches some finite text, which <see cref="Build"/> checks: under a schema of infinite recursion the model
    /// would write until <c>max_tokens</c>. <paramref name="pointer"/> is the schema's JSON pointer, for the error.
    /// </summary>
    public void RequireEnd(Fragment rule, string pointer) => _mustEnd.Add(rule.Text, pointer);

    /// <summary>
    /// The whole grammar, with this root, checked. Throws <see cref="SchemaException"/> where it exceeds a limit or has infinite recursion.
    /// </summary>
    public Grammar Build(Fragment root)
    {
        Grammar grammar;
        ParsedGrammar parsed;
        try
        {
            grammar = Grammar.Parse(Write(root), out parsed);
        }
        catch (GrammarException e)
        {
            throw new SchemaException("", $"the schema is too large or has too many alternatives for a grammar ({e.Message})");
        }
        if (_mustEnd.Count == 0)
            return grammar;
        var ends = GrammarAnalysis.CanEnd(parsed.Rules);
        for (var i = 0; i < ends.Length; i++)
        {
            if (!ends[i] && _mustEnd.TryGetValue(parsed.Rules[i].Name, out var pointer))
            {
                throw new SchemaException(pointer,
                    "infinite recursion: every value of this schema contains another value of it; make a property of it optional or nullable");
            }
        }
        return grammar;
    }

    private string Write(Fragment root)
    {
        var text = new StringBuilder("root ::= ").Append(root.Text).Append('\n');
        foreach (var (name, rule) in _rules)
            text.Append(name).Append(" ::= ").Append(rule).Append('\n');
        return text.ToString();
    }

    private static Fragment UpTo(Fragment item, int most) =>
        most == 0 ? Fragment.Empty : new Fragment(item.Text + Times(0, most), FragmentForm.Item);

    private static string Times(int least, int? most) => (least, most) switch
    {
        (0, null) => "*",
        (1, null) => "+",
        (0, 1) => "?",
        (_, null) => string.Create(CultureInfo.InvariantCulture, $"{{{least},}}"),
        _ when least == most => string.Create(CultureInfo.InvariantCulture, $"{{{least}}}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{{{least},{most}}}"),
    };

    private static SchemaException TooLarge() => new("", "the schema is too large for a grammar");
}

/// <summary>A JSON schema that is invalid, or that a grammar cannot express.</summary>
/// <param name="pointer">JSON pointer to the invalid subschema; empty for the root.</param>
/// <param name="problem">The message, beginning with the keyword if there is one.</param>
internal sealed class SchemaException(string pointer, string problem) : Exception($"{(pointer.Length == 0 ? "/" : pointer)}: {problem}")
{
    /// <summary>JSON pointer to the invalid subschema; empty for the root.</summary>
    public string Pointer { get; } = pointer;

    /// <summary>The message, beginning with the keyword if there is one.</summary>
    public string Problem { get; } = problem;

    /// <summary>The schema's place in the request; empty where that is known otherwise.</summary>
    public string Place { get; init; } = "";
}

/// <summary>
/// A GBNF expression, with its binding strength, so that <see cref="GrammarBuilder"/> knows where parentheses are needed.
/// </summary>
/// <param name="Text">The GBNF text.</param>
/// <param name="Form">The kind of expression.</param>
internal readonly record struct Fragment(string Text, FragmentForm Form)
{
    /// <summary>The expression that matches the empty text.</summary>
    public static Fragment Empty { get; } = new("\"\"", FragmentForm.Empty);

    /// <summary>The expression that matches no text: as an alternative it is dropped; a sequence with it matches nothing either.</summary>
    public static Fragment Nothing { get; } = new("", FragmentForm.Nothing);

    /// <summary>Whether it matches no text.</summary>
    public bool IsNothing => Form == FragmentForm.Nothing;

    /// <summary>Whether it matches only the empty text.</summary>
    public bool IsEmpty => Form == FragmentForm.Empty;
}

/// <summary>Kinds of GBNF expressions, by how tightly they bind.</summary>
internal enum FragmentForm
{
    /// <summary>Matches no text.</summary>
    Nothing,

    /// <summary>Matches only the empty text.</summary>
    Empty,

    /// <summary>The name of a rule.</summary>
    Rule,

    /// <summary>A literal, a character class, or a repetition.</summary>
    Item,

    /// <summary>Several items in sequence.</summary>
    Sequence,

    /// <summary>Alternatives, separated by <c>|</c>.</summary>
    Choice,
}
