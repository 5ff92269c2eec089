using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>A generator or iterator: can be gone through once.</summary>
internal sealed class IteratorValue(string typeName, IEnumerator<Value> items) : Value
{
    /// <inheritdoc/>
    public override string TypeName => typeName;

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <summary>A generator, as filters like <c>map</c> give.</summary>
    public static IteratorValue Generator(IEnumerator<Value> items) => new("generator", items);

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering)
    {
        // The state is shared: going through it a second time finds what the first left.
        while (items.MoveNext())
        {
            rendering.Step();
            yield return items.Current;
        }
    }

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text)
    {
        text.Append('<');
        text.Append(typeName);
        text.Append(" object>");
    }
}
