using Shimmy.Chat.Templates.Jinja.Methods;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>A list.</summary>
internal sealed class ListValue(Value[] items) : SequenceValue(items)
{
    /// <summary>The empty list.</summary>
    public static ListValue Empty { get; } = new([]);

    /// <inheritdoc/>
    public override string TypeName => "list";

    /// <inheritdoc/>
    public override bool IsHashable => false;

    /// <inheritdoc/>
    public override SequenceValue Create(Value[] items) => new ListValue(items);

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => SequenceMethods.Find(this, name);

    /// <inheritdoc/>
    public override bool IsUnsafe(string name) => SequenceMethods.ChangesList(name) || base.IsUnsafe(name);

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => WriteItems(text, '[', "]");
}
