using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

/// <summary>
/// What lists and tuples share. The sandbox forbids every method that would change a list, so both are immutable and values may
/// share one.
/// </summary>
internal abstract class SequenceValue(Value[] items) : Value
{
    /// <summary>The elements; never changed.</summary>
    public Value[] Items { get; } = items;

    /// <inheritdoc/>
    public override bool IsTrue => Items.Length > 0;

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <inheritdoc/>
    public override bool IsSequence => true;

    /// <inheritdoc/>
    public override bool HasLength => true;

    /// <inheritdoc/>
    public override int Length(Rendering rendering) => Items.Length;

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering) => ((IEnumerable<Value>)Items).GetEnumerator();

    /// <inheritdoc/>
    public override Value? Item(Value key, Rendering rendering)
    {
        if (key is not IntegerLikeValue { Number: var index })
            return null;
        if (index.Sign < 0)
            index += Items.Length;
        return index.Sign >= 0 && index < Items.Length ? Items[(int)index] : null;
    }

    /// <inheritdoc/>
    public override Value Slice(Value start, Value stop, Value step, Rendering rendering)
    {
        var bounds = SliceBounds.Resolve(start, stop, step, Items.Length);
        rendering.Step(bounds.Count);
        rendering.ReserveValues(bounds.Count);
        var slice = new Value[bounds.Count];
        for (var i = 0; i < slice.Length; i++)
            slice[i] = Items[bounds.Start + (long)i * bounds.Step];
        return Create(slice);
    }

    /// <inheritdoc/>
    public override bool Contains(Value item, Rendering rendering)
    {
        rendering.Step(Items.Length);
        foreach (var candidate in Items)
            if (ReferenceEquals(candidate, item) || candidate.EqualTo(item, rendering))
                return true;
        return false;
    }

    /// <inheritdoc/>
    public override bool EqualTo(Value other, Rendering rendering)
    {
        if (ReferenceEquals(this, other))
            return true;
        if (other is not SequenceValue sequence || sequence is ListValue != this is ListValue ||
            sequence.Items.Length != Items.Length)
            return false;
        rendering.Descend();
        for (var i = 0; i < Items.Length; i++)
        {
            rendering.Step();
            if (!ReferenceEquals(Items[i], sequence.Items[i]) && !Items[i].EqualTo(sequence.Items[i], rendering))
                return false;
        }

        return true;
    }

    /// <summary>A sequence of the same type.</summary>
    public abstract SequenceValue Create(Value[] items);

    /// <summary>The position of an equal element, or -1.</summary>
    public int IndexOf(Value item, int start, int stop, Rendering rendering)
    {
        for (var i = start; i < Math.Min(stop, Items.Length); i++)
        {
            rendering.Step();
            if (Items[i].EqualTo(item, rendering))
                return i;
        }

        return -1;
    }

    /// <summary>Appends the elements' representations between brackets.</summary>
    protected void WriteItems(TextBuilder text, char open, ReadOnlySpan<char> close)
    {
        text.Rendering.Descend();
        text.Append(open);
        for (var i = 0; i < Items.Length; i++)
        {
            if (i > 0)
                text.Append(", ");
            Items[i].WriteRepr(text);
        }

        text.Append(close);
    }
}
