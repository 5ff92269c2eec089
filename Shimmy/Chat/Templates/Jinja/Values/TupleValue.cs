using Shimmy.Chat.Templates.Jinja.Methods;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>A tuple, with names for its elements where it is one of <c>groupby</c>'s.</summary>
internal sealed class TupleValue(Value[] items, params string[] names) : SequenceValue(items)
{
    /// <summary>The empty tuple.</summary>
    public static TupleValue Empty { get; } = new([]);

    /// <inheritdoc/>
    public override string TypeName => names.Length > 0 ? "_GroupTuple" : "tuple";

    /// <inheritdoc/>
    public override string ObjectName => names.Length > 0 ? "jinja2.filters._GroupTuple object" : "tuple object";

    /// <inheritdoc/>
    public override bool IsHashable => Array.TrueForAll(Items, item => item.IsHashable);

    /// <inheritdoc/>
    public override SequenceValue Create(Value[] items) => new TupleValue(items);

    /// <inheritdoc/>
    public override int Hash(Rendering rendering)
    {
        rendering.Descend();
        var hash = new HashCode();
        foreach (var item in Items)
            hash.Add(item.Hash(rendering));
        return hash.ToHashCode();
    }

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) =>
        Array.IndexOf(names, name) is >= 0 and var i ? Items[i] : SequenceMethods.Find(this, name);

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => WriteItems(text, '(', Items.Length == 1 ? ",)" : ")");
}
