using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>What <c>cycler()</c> gives: takes its items in turn.</summary>
internal sealed class CyclerValue(Value[] items) : Value
{
    private int position;

    /// <inheritdoc/>
    public override string TypeName => "Cycler";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.utils.Cycler object";

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => name switch
    {
        "current" => items[position],
        "pos" => IntegerValue.Of(position),
        "items" => new TupleValue(items),
        "next" => BuiltIn.WithoutArguments(name, Next),
        "reset" => BuiltIn.WithoutArguments(name, Reset),
        _ => null,
    };

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append("<jinja2.utils.Cycler object>");

    private Value Next()
    {
        var current = items[position];
        position = (position + 1) % items.Length;
        return current;
    }

    private NoneValue Reset()
    {
        position = 0;
        return NoneValue.Instance;
    }
}
