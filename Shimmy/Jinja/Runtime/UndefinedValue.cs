namespace Shimmy.Jinja.Runtime;

/// <summary>
/// Jinja's Undefined, the value of a variable, attribute or item that does not exist: it prints as nothing, is false and empty, and
/// every other use of it fails.
/// </summary>
internal sealed class UndefinedValue : Value
{
    private readonly Value? _owner;
    private readonly Value? _name;
    private readonly string? _hint;

    private UndefinedValue(string? hint, Value? owner, Value? name) => (_hint, _owner, _name) = (hint, owner, name);

    public override string TypeName => "Undefined";

    public override string ObjectName => "jinja2.runtime.Undefined object";

    public override bool IsTrue => false;

    public override bool IsIterable => true;

    public override bool IsSequence => true;

    public override bool IsCallable => true;

    public override bool HasLength => true;

    /// <summary>A variable that does not exist.</summary>
    public static UndefinedValue Variable(string name) => new(null, null, TextValue.Own(name));

    /// <summary>An attribute or item that an object does not have.</summary>
    public static UndefinedValue Member(Value owner, Value name) => new(null, owner, name);

    /// <summary>Something else that does not exist, said in words.</summary>
    public static UndefinedValue Because(string hint) => new(hint, null, null);

    /// <summary>An attribute that the sandbox forbids.</summary>
    public static UndefinedValue Unsafe(Value owner, string name) =>
        new($"access to attribute '{name}' of '{owner.TypeName}' object is unsafe.", owner, null);

    /// <summary>The failure of using the value.</summary>
    public TemplateException Fail() => new(TemplateFailure.Undefined, Message());

    public override int Length(RenderContext context) => 0;

    public override IEnumerator<Value> Iterate(RenderContext context)
    {
        yield break;
    }

    public override Value? Attribute(string name, RenderContext context) =>
        name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal) ? null : throw Fail();

    public override Value? Item(Value key, RenderContext context) => throw Fail();

    public override Value Slice(Value start, Value stop, Value step, RenderContext context) => throw Fail();

    public override Value Call(Arguments arguments, RenderContext context) => throw Fail();

    public override bool EqualTo(Value other, RenderContext context) => other is UndefinedValue;

    public override int Hash(RenderContext context) => 0;

    public override void Write(TextBuilder text)
    {
    }

    public override void WriteRepr(TextBuilder text) => text.Append("Undefined");

    private string Message()
    {
        if (_hint is not null)
            return _hint;
        if (_owner is null)
            return $"{Quote(_name)} is undefined";
        return _name is TextValue
            ? $"{TextRepr.Quote(_owner.ObjectName)} has no attribute {Quote(_name)}"
            : $"{_owner.ObjectName} has no element {Quote(_name)}";
    }

    private static string Quote(Value? name) => name switch
    {
        TextValue text => TextRepr.Quote(text.Text),
        IntegerValue integer => integer.Number.ToString(System.Globalization.CultureInfo.InvariantCulture),
        NoneValue => "None",
        null => "None",
        _ => name.TypeName,
    };
}

/// <summary>Python's None.</summary>
internal sealed class NoneValue : Value
{
    private NoneValue()
    {
    }

    /// <summary>The only instance.</summary>
    public static NoneValue Instance { get; } = new();

    public override string TypeName => "NoneType";

    public override string ObjectName => "None";

    public override bool IsTrue => false;

    public override void WriteRepr(TextBuilder text) => text.Append("None");
}
