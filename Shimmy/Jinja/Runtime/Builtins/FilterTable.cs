namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>
/// The filters by name: Jinja's own with <c>tojson</c> as transformers defines it. <c>random</c>, <c>urlize</c>, <c>wordwrap</c> and
/// <c>pprint</c> are left out: a prompt must not depend on chance, and no chat template makes links or wraps lines.
/// </summary>
internal static class FilterTable
{
    private static readonly Signature None = Signature.Empty;
    private static readonly Signature CaseAndAttribute = new("case_sensitive=", "attribute=");

    private static readonly Dictionary<string, Filter> Table = All();

    /// <summary>A filter, or null.</summary>
    public static Filter? Find(string name) => Table.GetValueOrDefault(name);

    private static Dictionary<string, Filter> All()
    {
        var table = new Dictionary<string, Filter>();
        Add("abs", None, (value, _, _) => Arithmetic.Absolute(value));
        Add("attr", new("name"), (value, a, rendering) => Attribute(value, a[0]!, rendering));
        Add("batch", new("linecount", "fill_with="), SequenceFilters.Batch);
        Add("capitalize", None, (value, _, rendering) => CaseMapping.Capitalize(value.ToText(rendering), rendering));
        Add("center", new("width="), (value, a, rendering) => TrimMethods.Pad(
            value.ToText(rendering), Parameters.Integer(a[0], 80), null, Alignment.Center, rendering));
        Add("count", None, (value, _, rendering) => IntegerValue.Of(value.Length(rendering)));
        Add("d", new("default_value=", "boolean="), (value, a, _) => Default(value, a));
        Add("default", new("default_value=", "boolean="), (value, a, _) => Default(value, a));
        Add("dictsort", new("case_sensitive=", "by=", "reverse="), SequenceFilters.SortDictionary);
        Add("e", None, (value, _, rendering) => Html.Escape(value, rendering));
        Add("escape", None, (value, _, rendering) => Html.Escape(value, rendering));
        Add("filesizeformat", new("binary="), (value, a, _) => NumberFilters.FileSize(value, a));
        Add("first", None, (value, _, rendering) => SequenceFilters.First(value, rendering));
        Add("float", new("default="), NumberFilters.ToFloat);
        Add("forceescape", None, (value, _, rendering) => Html.ForceEscape(value.ToText(rendering), rendering));
        Add("groupby", new("attribute", "default=", "case_sensitive="), SequenceFilters.GroupBy);
        Add("indent", new("width=", "first=", "blank="), TextFilters.Indent);
        Add("int", new("default=", "base="), NumberFilters.ToInteger);
        Add("items", None, (value, _, _) => SequenceFilters.Items(value));
        Add("join", new("d=", "attribute="), TextFilters.Join);
        Add("last", None, (value, _, rendering) => SequenceFilters.Last(value, rendering));
        Add("length", None, (value, _, rendering) => IntegerValue.Of(value.Length(rendering)));
        Add("list", None, (value, _, rendering) => new ListValue(Parameters.Elements(value, rendering)));
        Add("lower", None, (value, _, rendering) => CaseMapping.ToLower(value.ToText(rendering), rendering));
        Add("max", CaseAndAttribute, (value, a, rendering) => SequenceFilters.Extreme(value, a, largest: true, rendering));
        Add("min", CaseAndAttribute, (value, a, rendering) => SequenceFilters.Extreme(value, a, largest: false, rendering));
        Add("replace", new("old", "new", "count="), TextFilters.Replace);
        Add("reverse", None, (value, _, rendering) => SequenceFilters.Reverse(value, rendering));
        Add("round", new("precision=", "method="), (value, a, _) => NumberFilters.Round(value, a));
        Add("safe", None, (value, _, rendering) => value.ToText(rendering).Marked(true));
        Add("slice", new("slices", "fill_with="), SequenceFilters.Slice);
        Add("sort", new("reverse=", "case_sensitive=", "attribute="), SequenceFilters.Sort);
        Add("string", None, (value, _, rendering) => value.ToText(rendering));
        Add("striptags", None, (value, _, rendering) => Html.StripTags(value.ToText(rendering), rendering));
        Add("sum", new("attribute=", "start="), SequenceFilters.Sum);
        Add("title", None, (value, _, rendering) => TextFilters.Title(value, rendering));
        Add("tojson", JsonFilter.Signature, JsonFilter.Apply);
        Add("trim", new("chars="), (value, a, rendering) =>
            TrimMethods.Strip(value.ToText(rendering), a[0], left: true, right: true, rendering));
        Add("truncate", new("length=", "killwords=", "end=", "leeway="), TextFilters.Truncate);
        Add("unique", CaseAndAttribute, SequenceFilters.Unique);
        Add("upper", None, (value, _, rendering) => CaseMapping.ToUpper(value.ToText(rendering), rendering));
        Add("urlencode", None, (value, _, rendering) => TextFilters.UrlEncode(value, rendering));
        Add("wordcount", None, (value, _, rendering) => TextFilters.CountWords(value, rendering));
        Add("xmlattr", new("autospace="), TextFilters.XmlAttributes);
        AddAny("format", TextFilters.Format);
        AddAny("map", SequenceFilters.Map);
        AddAny("reject", (value, a, rendering) => SequenceFilters.Select(value, a, byAttribute: false, wanted: false, rendering));
        AddAny("rejectattr", (value, a, rendering) => SequenceFilters.Select(value, a, byAttribute: true, wanted: false, rendering));
        AddAny("select", (value, a, rendering) => SequenceFilters.Select(value, a, byAttribute: false, wanted: true, rendering));
        AddAny("selectattr", (value, a, rendering) => SequenceFilters.Select(value, a, byAttribute: true, wanted: true, rendering));
        return table;

        void Add(string name, Signature signature, Func<Value, Value?[], Rendering, Value> body) =>
            table.Add(name, Filter.Of(name, signature, body));

        void AddAny(string name, Func<Value, Arguments, Rendering, Value> body) => table.Add(name, Filter.OfAny(name, body));
    }

    private static Value Default(Value value, Value?[] arguments) =>
        value is UndefinedValue || (Parameters.Flag(arguments[1]) && !value.IsTrue) ? arguments[0] ?? TextValue.Empty : value;

    /// <summary><c>attr</c>: as the dot, but attributes alone, never items.</summary>
    private static Value Attribute(Value value, Value name, Rendering rendering)
    {
        var attribute = Parameters.Text(name);
        if (value is UndefinedValue undefined && !attribute.Text.StartsWith("__", StringComparison.Ordinal))
            throw undefined.Fail();
        return Lookup.Member(value, attribute.Text, rendering) is { } found
            ? value.IsUnsafe(attribute.Text) ? UndefinedValue.Unsafe(value, attribute.Text) : found
            : UndefinedValue.Member(value, attribute);
    }
}

/// <summary>A filter: makes a value of another.</summary>
internal sealed class Filter(string name, Signature? signature, Func<Value, Value?[], Arguments, Rendering, Value> body)
{
    /// <summary>A filter with parameters.</summary>
    public static Filter Of(string name, Signature signature, Func<Value, Value?[], Rendering, Value> body) =>
        new(name, signature, (value, bound, _, rendering) => body(value, bound, rendering));

    /// <summary>A filter that takes any arguments.</summary>
    public static Filter OfAny(string name, Func<Value, Arguments, Rendering, Value> body) =>
        new(name, null, (value, _, arguments, rendering) => body(value, arguments, rendering));

    /// <summary>Applies the filter.</summary>
    public Value Apply(Value value, Arguments arguments, Rendering rendering)
    {
        rendering.Step();
        return body(value, signature?.Bind(name, arguments) ?? [], arguments, rendering);
    }
}
