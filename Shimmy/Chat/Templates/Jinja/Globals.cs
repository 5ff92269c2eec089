using System.Numerics;
using Shimmy.Chat.Templates.Jinja.Formats;
using Shimmy.Chat.Templates.Jinja.Methods;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja;

/// <summary>
/// The functions that every template has: Jinja's own, without <c>lipsum</c>, whose random text no chat template can want, and
/// those that transformers adds.
/// </summary>
internal static class Globals
{
    private static readonly Signature Message = new("message");
    private static readonly Signature Separator = new("sep=");
    private static readonly Signature TimeFormatText = new("format");

    /// <summary>The functions by name.</summary>
    public static IReadOnlyDictionary<string, Value> All { get; } = new Dictionary<string, Value>
    {
        ["range"] = BuiltIn.Function("range", (arguments, _) => Range(arguments)),
        ["dict"] = new BuiltIn("dict", "type", Dictionary),
        ["cycler"] = new BuiltIn("cycler", "type", (arguments, _) => Cycler(arguments)),
        ["joiner"] = new BuiltIn("joiner", "type", (arguments, _) =>
            new JoinerValue(Separator.Bind("joiner", arguments)[0] ?? TextValue.Own(", "))),
        ["namespace"] = new BuiltIn("namespace", "type", (arguments, rendering) =>
            new NamespaceValue(Dictionary(arguments, rendering))),
        ["raise_exception"] = BuiltIn.Function("raise_exception", (arguments, rendering) => throw new TemplateException(
            TemplateFailure.Refused, Message.Bind("raise_exception", arguments)[0]!.ToText(rendering).Text)),
        ["strftime_now"] = BuiltIn.Function("strftime_now", (arguments, rendering) => TextValue.Own(TimeFormat.Format(
            rendering.Clock.GetLocalNow().DateTime, Parameters.Text(TimeFormatText.Bind("strftime_now", arguments)[0]).Text, rendering))),
    };

    private static RangeValue Range(Arguments arguments)
    {
        if (arguments.Named.Length > 0)
            throw TemplateException.Evaluation("range() takes no keyword arguments");
        var bounds = Array.ConvertAll(arguments.Positional, Integer);
        return bounds.Length switch
        {
            1 => RangeValue.Of(BigInteger.Zero, bounds[0], BigInteger.One),
            2 => RangeValue.Of(bounds[0], bounds[1], BigInteger.One),
            3 => RangeValue.Of(bounds[0], bounds[1], bounds[2]),
            _ => throw TemplateException.Evaluation($"range expected 1 to 3 arguments, got {bounds.Length}"),
        };
    }

    private static BigInteger Integer(Value value) => value is IntegerLikeValue integer
        ? integer.Number
        : throw TemplateException.Evaluation($"'{value.TypeName}' object cannot be interpreted as an integer");

    private static CyclerValue Cycler(Arguments arguments) => arguments.Positional.Length > 0
        ? new CyclerValue(arguments.Positional)
        : throw TemplateException.Evaluation("at least one item has to be provided");

    private static DictionaryValue Dictionary(Arguments arguments, Rendering rendering)
    {
        var entries = new List<KeyValuePair<Value, Value>>();
        switch (arguments.Positional)
        {
            case []:
                break;
            case [DictionaryValue dictionary]:
                entries.AddRange(dictionary.Entries);
                break;
            case [var pairs]:
                foreach (var pair in Parameters.Elements(pairs, rendering))
                    entries.Add(Parameters.Elements(pair, rendering) is [var key, var value]
                        ? new(key, value)
                        : throw TemplateException.Evaluation("dictionary update sequence elements must have length 2"));
                break;
            default:
                throw TemplateException.Evaluation("dict expected at most 1 argument");
        }

        foreach (var (name, value) in arguments.Named)
            entries.Add(new(TextValue.Own(name), value));
        return DictionaryValue.Of(entries, rendering);
    }
}
