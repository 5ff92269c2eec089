namespace Shimmy.Jinja.Runtime;

/// <summary>What a name, attribute or item that does not exist gives: prints as nothing, is false and empty, fails otherwise.</summary>
internal sealed class UndefinedValue : Value
{
    private readonly Value? owner;
    private readonly Value? name;
    private readonly string? hint;

    private UndefinedValue(string? hint, Value? owner, Value? name) => (this.hint, this.owner, this.name) = (hint, owner, name);

    /// <inheritdoc/>
    public override string TypeName => "Undefined";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.runtime.Undefined object";

    /// <inheritdoc/>
    public override bool IsTrue => false;

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <inheritdoc/>
    public override bool IsSequence => true;

    /// <inheritdoc/>
    public override bool IsCallable => true;

    /// <inheritdoc/>
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

    /// <inheritdoc/>
    public override int Length(Rendering rendering) => 0;

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering)
    {
        yield break;
    }

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) =>
        name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal) ? null : throw Fail();

    /// <inheritdoc/>
    public override Value? Item(Value key, Rendering rendering) => throw Fail();

    /// <inheritdoc/>
    public override Value Slice(Value start, Value stop, Value step, Rendering rendering) => throw Fail();

    /// <inheritdoc/>
    public override Value Call(Arguments arguments, Rendering rendering) => throw Fail();

    /// <inheritdoc/>
    public override bool EqualTo(Value other, Rendering rendering) => other is UndefinedValue;

    /// <inheritdoc/>
    public override int Hash(Rendering rendering) => 0;

    /// <inheritdoc/>
    public override void Write(TextBuilder text)
    {
    }

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append("Undefined");

    private string Message()
    {
        if (hint is not null)
            return hint;
        if (owner is null)
            return $"{Quote(name)} is undefined";
        return name is TextValue
            ? $"{TextRepr.Quote(owner.ObjectName)} has no attribute {Quote(name)}"
            : $"{owner.ObjectName} has no element {Quote(name)}";
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

    /// <inheritdoc/>
    public override string TypeName => "NoneType";

    /// <inheritdoc/>
    public override string ObjectName => "None";

    /// <inheritdoc/>
    public override bool IsTrue => false;

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append("None");
}
