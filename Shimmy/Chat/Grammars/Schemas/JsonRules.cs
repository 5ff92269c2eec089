using System.Text;
using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Rules of JSON's own syntax (RFC 8259), each added to a grammar at first use. Narrower than JSON where a weak model would not stop or a
/// parser would fail: whitespace, digits and exponents are bounded, and surrogates cannot be escaped.
/// </summary>
internal sealed class JsonRules(GrammarBuilder builder)
{
    private readonly Dictionary<string, Fragment> _rules = [];

    /// <summary>Whitespace after a comma or a bracket: none, a space, or a line break with indentation.</summary>
    public Fragment Space =>
        Get("json-space", () => Choice(Fragment.Empty, Literal(" "), Sequence(Literal("\n"), builder.Repeat(Literal(" "), 0, 20))));

    /// <summary>Whitespace after a colon: none or a space.</summary>
    public Fragment Gap => Get("json-gap", () => Choice(Literal(" "), Fragment.Empty));

    /// <summary>One character of a string, escaped or not.</summary>
    public Fragment Character => Get("json-character", () => Choice(OneOf(CharacterSet.Plain), Sequence(Literal("\\"), Choice(
        OneOf(CharacterSet.Of("\"\\/bfnrt".Select(c => ((int)c, (int)c)))),
        Sequence(Literal("u"), Choice(
            Sequence(OneOf(NoSurrogate), Hex, Hex, Hex),
            Sequence(OneOf(CharacterSet.Of(('D', 'D'), ('d', 'd'))), OneOf(CharacterSet.Of(('0', '7'))), Hex, Hex)))))));

    /// <summary>Any string.</summary>
    public Fragment String => Get("json-string", () => Quoted(builder.Repeat(Character, 0, null)));

    /// <summary>An integer of up to 16 digits.</summary>
    public Fragment Integer => Get("json-integer", () => Choice(Literal("0"), Sequence(Optional(Literal("-")), Positive)));

    /// <summary>Any number in the range of a double.</summary>
    public Fragment Number => Get("json-number", () => Sequence(
        Optional(Literal("-")), Choice(Literal("0"), Positive), Optional(DecimalPlaces),
        Optional(Sequence(OneOf(CharacterSet.Of(('e', 'e'), ('E', 'E'))),
            Optional(OneOf(CharacterSet.Of(('+', '+'), ('-', '-')))), builder.Repeat(Digit, 1, 2)))));

    /// <summary><c>true</c> or <c>false</c>.</summary>
    public Fragment Boolean => Get("json-boolean", () => Choice(Literal("true"), Literal("false")));

    /// <summary><c>null</c>.</summary>
    public static Fragment Null => Literal("null");

    /// <summary>Any value.</summary>
    public Fragment Value => Get("json-value", rule =>
    {
        var member = builder.Rule("json-member", Sequence(String, Literal(":"), Gap, rule));
        var objects =
            Braced("{", builder.Repeat(builder.Rule("json-more-members", Sequence(Literal(","), Space, member)), 0, null), member, "}");
        var arrays = Braced("[", builder.Repeat(builder.Rule("json-more-items", Sequence(Literal(","), Space, rule)), 0, null), rule, "]");
        _rules.Add("json-object", builder.Rule("json-object", objects));
        _rules.Add("json-array", builder.Rule("json-array", arrays));
        return Choice(_rules["json-object"], _rules["json-array"], String, Number, Boolean, Null);
    });

    /// <summary>Any object.</summary>
    public Fragment Object => Part("json-object");

    /// <summary>Any array.</summary>
    public Fragment Array => Part("json-array");

    /// <summary>One digit.</summary>
    public static Fragment Digit { get; } = OneOf(CharacterSet.Of(('0', '9')));

    /// <summary>A decimal point and up to 16 digits.</summary>
    public Fragment DecimalPlaces => Get("json-decimal-places", () => Sequence(Literal("."), builder.Repeat(Digit, 1, 16)));

    private static readonly CharacterSet NoSurrogate = CharacterSet.Of(('0', '9'), ('a', 'c'), ('A', 'C'), ('e', 'f'), ('E', 'F'));

    private static Fragment Hex { get; } = OneOf(CharacterSet.Of(('0', '9'), ('a', 'f'), ('A', 'F')));

    private Fragment Positive => Get("json-positive", () => Sequence(OneOf(CharacterSet.Of(('1', '9'))), builder.Repeat(Digit, 0, 15)));

    /// <summary>Puts quotes around the content of a string.</summary>
    public static Fragment Quoted(Fragment content) => Sequence(Literal("\""), content, Literal("\""));

    /// <summary>A text as a JSON string, with quotes and the fewest escapes.</summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder("\"", text.Length + 2);
        foreach (var c in text)
        {
            switch (c)
            {
                case '"' or '\\':
                    quoted.Append('\\').Append(c);
                    break;
                case '\n':
                    quoted.Append("\\n");
                    break;
                case '\r':
                    quoted.Append("\\r");
                    break;
                case '\t':
                    quoted.Append("\\t");
                    break;
                case < ' ' or '\x7F':
                    quoted.Append("\\u").Append(((int)c).ToString("x4", System.Globalization.CultureInfo.InvariantCulture));
                    break;
                default:
                    quoted.Append(c);
                    break;
            }
        }
        return quoted.Append('"').ToString();
    }

    private Fragment Braced(string open, Fragment more, Fragment first, string close) =>
        Choice(Literal(open + close), Sequence(Literal(open), Space, first, more, Space, Literal(close)));

    private Fragment Part(string name)
    {
        _ = Value;
        return _rules[name];
    }

    private Fragment Get(string name, Func<Fragment> make) => Get(name, _ => make());

    // Reserved before it is defined, since values nest.
    private Fragment Get(string name, Func<Fragment, Fragment> make)
    {
        if (_rules.TryGetValue(name, out var rule))
            return rule;
        rule = builder.Reserve(name);
        _rules.Add(name, rule);
        builder.Define(rule, make(rule));
        return rule;
    }
}
