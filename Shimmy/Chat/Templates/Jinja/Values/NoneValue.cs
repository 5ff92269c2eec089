using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

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
