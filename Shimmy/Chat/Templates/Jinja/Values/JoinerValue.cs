using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>What <c>joiner()</c> gives: nothing at its first call, the separator at every later one.</summary>
internal sealed class JoinerValue(Value separator) : Value
{
    private bool used;

    /// <inheritdoc/>
    public override string TypeName => "Joiner";

    /// <inheritdoc/>
    public override string ObjectName => "jinja2.utils.Joiner object";

    /// <inheritdoc/>
    public override bool IsCallable => true;

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => name switch
    {
        "sep" => separator,
        "used" => BooleanValue.Of(used),
        _ => null,
    };

    /// <inheritdoc/>
    public override Value Call(Arguments arguments, Rendering rendering)
    {
        Signature.Empty.Bind("Joiner", arguments);
        if (used)
            return separator;
        used = true;
        return TextValue.Empty;
    }

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append("<jinja2.utils.Joiner object>");
}
