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
        Add("attr", new("name"), (value, a, context) => Attribute(value, a[0]!, context));
        Add("batch", new("linecount", "fill_with="), SequenceFilters.Batch);
        Add("capitalize", None, (value, _, context) => CaseMapping.Capitalize(value.ToText(context), context));
        Add("center", new("width="), (value, a, context) => TrimMethods.Pad(
            value.ToText(context), Parameters.Integer(a[0], 80), null, Alignment.Center, context));
        Add("count", None, (value, _, context) => IntegerValue.Of(value.Length(context)));
        Add("d", new("default_value=", "boolean="), (value, a, _) => Default(value, a));
        Add("default", new("default_value=", "boolean="), (value, a, _) => Default(value, a));
        Add("dictsort", new("case_sensitive=", "by=", "reverse="), SequenceFilters.SortDictionary);
        Add("e", None, (value, _, context) => Html.Escape(value, context));
        Add("escape", None, (value, _, context) => Html.Escape(value, context));
        Add("filesizeformat", new("binary="), (value, a, _) => NumberFilters.FileSize(value, a));
        Add("first", None, (value, _, context) => SequenceFilters.First(value, context));
        Add("float", new("default="), NumberFilters.ToFloat);
        Add("forceescape", None, (value, _, context) => Html.ForceEscape(value.ToText(context), context));
        Add("groupby", new("attribute", "default=", "case_sensitive="), SequenceFilters.GroupBy);
        Add("indent", new("width=", "first=", "blank="), TextFilters.Indent);
        Add("int", new("default=", "base="), NumberFilters.ToInteger);
        Add("items", None, (value, _, _) => SequenceFilters.Items(value));
        Add("join", new("d=", "attribute="), TextFilters.Join);
        Add("last", None, (value, _, context) => SequenceFilters.Last(value, context));
        Add("length", None, (value, _, context) => IntegerValue.Of(value.Length(context)));
        Add("list", None, (value, _, context) => new ListValue(Parameters.Elements(value, context)));
        Add("lower", None, (value, _, context) => CaseMapping.ToLower(value.ToText(context), context));
        Add("max", CaseAndAttribute, (value, a, context) => SequenceFilters.Extreme(value, a, largest: true, context));
        Add("min", CaseAndAttribute, (value, a, context) => SequenceFilters.Extreme(value, a, largest: false, context));
        Add("replace", new("old", "new", "count="), TextFilters.Replace);
        Add("reverse", None, (value, _, context) => SequenceFilters.Reverse(value, context));
        Add("round", new("precision=", "method="), (value, a, _) => NumberFilters.Round(value, a));
        Add("safe", None, (value, _, context) => value.ToText(context).Marked(true));
        Add("slice", new("slices", "fill_with="), SequenceFilters.Slice);
        Add("sort", new("reverse=", "case_sensitive=", "attribute="), SequenceFilters.Sort);
        Add("string", None, (value, _, context) => value.ToText(context));
        Add("striptags", None, (value, _, context) => Html.StripTags(value.ToText(context), context));
        Add("sum", new("attribute=", "start="), SequenceFilters.Sum);
        Add("title", None, (value, _, context) => TextFilters.Title(value, context));
        Add("tojson", JsonFilter.Signature, JsonFilter.Apply);
        Add("trim", new("chars="), (value, a, context) =>
            TrimMethods.Strip(value.ToText(context), a[0], left: true, right: true, context));
        Add("truncate", new("length=", "killwords=", "end=", "leeway="), TextFilters.Truncate);
        Add("unique", CaseAndAttribute, SequenceFilters.Unique);
        Add("upper", None, (value, _, context) => CaseMapping.ToUpper(value.ToText(context), context));
        Add("urlencode", None, (value, _, context) => TextFilters.UrlEncode(value, context));
        Add("wordcount", None, (value, _, context) => TextFilters.CountWords(value, context));
        Add("xmlattr", new("autospace="), TextFilters.XmlAttributes);
        AddAny("format", TextFilters.Format);
        AddAny("map", SequenceFilters.Map);
        AddAny("reject", (value, a, context) => SequenceFilters.Select(value, a, byAttribute: false, wanted: false, context));
        AddAny("rejectattr", (value, a, context) => SequenceFilters.Select(value, a, byAttribute: true, wanted: false, context));
        AddAny("select", (value, a, context) => SequenceFilters.Select(value, a, byAttribute: false, wanted: true, context));
        AddAny("selectattr", (value, a, context) => SequenceFilters.Select(value, a, byAttribute: true, wanted: true, context));
        return table;

        void Add(string name, Signature signature, Func<Value, Value?[], RenderContext, Value> body) =>
            table.Add(name, Filter.Of(name, signature, body));

        void AddAny(string name, Func<Value, Arguments, RenderContext, Value> body) => table.Add(name, Filter.OfAny(name, body));
    }

    private static Value Default(Value value, Value?[] arguments) =>
        value is UndefinedValue || (Parameters.Flag(arguments[1]) && !value.IsTrue) ? arguments[0] ?? TextValue.Empty : value;

    /// <summary><c>attr</c>: looks up as the dot does, but attributes alone, never items.</summary>
    private static Value Attribute(Value value, Value name, RenderContext context)
    {
        var attribute = Parameters.Text(name);
        if (value is UndefinedValue undefined && !attribute.Text.StartsWith("__", StringComparison.Ordinal))
            throw undefined.Fail();
        return Lookup.Member(value, attribute.Text, context) is { } found
            ? value.IsUnsafe(attribute.Text) ? UndefinedValue.Unsafe(value, attribute.Text) : found
            : UndefinedValue.Member(value, attribute);
    }
}

/// <summary>A filter, as in <c>value | name(arguments)</c>: a built-in function from a value to another.</summary>
internal sealed class Filter(string name, Signature? signature, Func<Value, Value?[], Arguments, RenderContext, Value> body)
{
    /// <summary>A filter with parameters.</summary>
    public static Filter Of(string name, Signature signature, Func<Value, Value?[], RenderContext, Value> body) =>
        new(name, signature, (value, bound, _, context) => body(value, bound, context));

    /// <summary>A filter that takes any arguments.</summary>
    public static Filter OfAny(string name, Func<Value, Arguments, RenderContext, Value> body) =>
        new(name, null, (value, _, arguments, context) => body(value, arguments, context));

    /// <summary>Applies the filter.</summary>
    public Value Apply(Value value, Arguments arguments, RenderContext context)
    {
        context.Step();
        return body(value, signature?.Bind(name, arguments) ?? [], arguments, context);
    }
}
