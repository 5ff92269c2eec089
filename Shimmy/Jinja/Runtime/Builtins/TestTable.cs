namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>The tests by name.</summary>
internal static class TestTable
{
    private static readonly Dictionary<string, Test> Table = All();

    /// <summary>A test, or null.</summary>
    public static Test? Find(string name) => Table.GetValueOrDefault(name);

    private static Dictionary<string, Test> All()
    {
        var table = new Dictionary<string, Test>();
        Add("boolean", value => value is BooleanValue);
        Add("callable", value => value.IsCallable);
        Add("defined", value => value is not UndefinedValue);
        Add("escaped", value => value is TextValue { IsMarkup: true });
        Add("false", value => value == BooleanValue.False);
        Add("float", value => value is FloatValue);
        Add("integer", value => value is IntegerValue);
        Add("iterable", value => value.IsIterable);
        Add("mapping", value => value is DictionaryValue);
        Add("none", value => value is NoneValue);
        Add("number", value => value is NumberValue);
        Add("sequence", value => value.IsSequence);
        Add("string", value => value is TextValue);
        Add("true", value => value == BooleanValue.True);
        Add("undefined", value => value is UndefinedValue);
        Add("filter", value => Key(value) is { } name && FilterTable.Find(name) is not null);
        Add("test", value => Key(value) is { } name && Find(name) is not null);
        table.Add("lower", new("lower", Signature.Empty, (value, _, context) =>
            PredicateMethods.IsOfCase(value.ToText(context).Text, upper: false, context)));
        table.Add("upper", new("upper", Signature.Empty, (value, _, context) =>
            PredicateMethods.IsOfCase(value.ToText(context).Text, upper: true, context)));
        table.Add("odd", new("odd", Signature.Empty, (value, _, context) => Remainder(value, 2, 1, context)));
        table.Add("even", new("even", Signature.Empty, (value, _, context) => Remainder(value, 2, 0, context)));
        AddWith("divisibleby", "num", (value, other, context) =>
            Arithmetic.Modulo(value, other, context).EqualTo(IntegerValue.Of(0), context));
        AddWith("sameas", "other", (value, other, _) => IsSame(value, other));
        AddWith("in", "seq", (value, other, context) => other.Contains(value, context));
        Compare("==", "eq", "equalto");
        Compare("!=", "ne");
        Compare(">", "gt", "greaterthan");
        Compare(">=", "ge");
        Compare("<", "lt", "lessthan");
        Compare("<=", "le");
        return table;

        void Add(string name, Func<Value, bool> holds) => table.Add(name, new(name, Signature.Empty, (value, _, _) => holds(value)));

        void AddWith(string name, string parameter, Func<Value, Value, RenderContext, bool> holds) =>
            table.Add(name, new(name, new(parameter), (value, a, context) => holds(value, a[0]!, context)));

        void Compare(string @operator, params string[] names)
        {
            foreach (var name in (string[])[@operator, .. names])
            {
                table.Add(name, new(name, new("/other"), (value, a, context) =>
                    Comparison.Holds(value, @operator, a[0]!, context)));
            }
        }
    }

    /// <summary>The name to look up in a table; null where the value is no text, since names are texts.</summary>
    private static string? Key(Value value) => value.IsHashable
        ? (value as TextValue)?.Text
        : throw TemplateException.Evaluation($"unhashable type: '{value.TypeName}'");

    private static bool Remainder(Value value, int divisor, int remainder, RenderContext context) =>
        Arithmetic.Modulo(value, IntegerValue.Of(divisor), context).EqualTo(IntegerValue.Of(remainder), context);

    /// <summary>Python's <c>is</c>: small integers and texts that are equal are one object in practice.</summary>
    private static bool IsSame(Value value, Value other) => ReferenceEquals(value, other) ||
        (value, other) switch
        {
            (IntegerValue a, IntegerValue b) => a.Number == b.Number && a.Number >= -5 && a.Number <= 256,
            (TextValue a, TextValue b) => a.Text == b.Text && a.IsMarkup == b.IsMarkup,
            _ => false,
        };
}

/// <summary>A test, as in <c>value is name(arguments)</c>: a built-in function from a value to true or false.</summary>
internal sealed class Test(string name, Signature signature, Func<Value, Value?[], RenderContext, bool> body)
{
    /// <summary>Whether the test holds.</summary>
    public bool Holds(Value value, Arguments arguments, RenderContext context)
    {
        context.Step();
        return body(value, signature.Bind(name, arguments), context);
    }
}
