using System.Globalization;
using System.Numerics;

namespace Shimmy.Jinja.Runtime;

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

    /// <summary>Whether the sandbox forbids a method because it changes the list.</summary>
    public static bool IsMutator(string name) =>
        name is "append" or "clear" or "pop" or "reverse" or "insert" or "sort" or "extend" or "remove";

    /// <inheritdoc/>
    public override bool IsUnsafe(string name) => IsMutator(name) || base.IsUnsafe(name);

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => WriteItems(text, '[', "]");
}

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
        Array.IndexOf(names, name) is >= 0 and var i ? Items[i] : null;

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => WriteItems(text, '(', Items.Length == 1 ? ",)" : ")");
}

/// <summary>What <c>range()</c> gives; no longer than the sandbox allows.</summary>
internal sealed class RangeValue : Value
{
    /// <summary>The longest range (MAX_RANGE of Jinja's sandbox).</summary>
    public const int MostItems = 100_000;

    private readonly BigInteger start;
    private readonly BigInteger stop;
    private readonly BigInteger step;
    private readonly int count;

    private RangeValue(BigInteger start, BigInteger stop, BigInteger step, int count) =>
        (this.start, this.stop, this.step, this.count) = (start, stop, step, count);

    /// <inheritdoc/>
    public override string TypeName => "range";

    /// <inheritdoc/>
    public override bool IsTrue => count > 0;

    /// <inheritdoc/>
    public override bool IsIterable => true;

    /// <inheritdoc/>
    public override bool IsSequence => true;

    /// <inheritdoc/>
    public override bool HasLength => true;

    /// <summary>A range; refused where it is too long.</summary>
    public static RangeValue Of(BigInteger start, BigInteger stop, BigInteger step)
    {
        if (step.IsZero)
            throw TemplateException.Evaluation("range() arg 3 must not be zero");
        var distance = step.Sign > 0 ? stop - start : start - stop;
        var length = distance.Sign <= 0 ? BigInteger.Zero : (distance - 1) / BigInteger.Abs(step) + 1;
        return length <= MostItems
            ? new RangeValue(start, stop, step, (int)length)
            : throw TemplateException.Limit(
                $"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MostItems}).");
    }

    /// <inheritdoc/>
    public override int Length(Rendering rendering) => count;

    /// <inheritdoc/>
    public override IEnumerator<Value> Iterate(Rendering rendering)
    {
        for (var i = 0; i < count; i++)
        {
            rendering.Step();
            yield return Element(i);
        }
    }

    /// <inheritdoc/>
    public override Value? Item(Value key, Rendering rendering)
    {
        if (key is not IntegerLikeValue { Number: var index })
            return null;
        if (index.Sign < 0)
            index += count;
        return index.Sign >= 0 && index < count ? Element((int)index) : null;
    }

    /// <inheritdoc/>
    public override Value Slice(Value start, Value stop, Value step, Rendering rendering)
    {
        var bounds = SliceBounds.Resolve(start, stop, step, count);
        var from = this.start + bounds.Start * this.step;
        var by = this.step * bounds.Step;
        // The end that Python shows is that of the bounds, not the last element's.
        var end = this.start + EndOf(bounds, stop) * this.step;
        return new RangeValue(from, end, by, bounds.Count);
    }

    /// <inheritdoc/>
    public override Value? Attribute(string name, Rendering rendering) => name switch
    {
        "start" => IntegerValue.Of(start),
        "stop" => IntegerValue.Of(stop),
        "step" => IntegerValue.Of(step),
        _ => null,
    };

    /// <inheritdoc/>
    public override bool Contains(Value item, Rendering rendering) => item switch
    {
        IntegerLikeValue { Number: var number } => IsElement(number),
        FloatValue { Number: var number } => double.IsInteger(number) && IsElement(new BigInteger(number)),
        _ => false,
    };

    /// <inheritdoc/>
    public override bool EqualTo(Value other, Rendering rendering) => other is RangeValue range && range.count == count &&
        (count == 0 || (range.start == start && (count == 1 || range.step == step)));

    /// <inheritdoc/>
    public override int Hash(Rendering rendering) => HashCode.Combine(count, start);

    /// <inheritdoc/>
    public override void WriteRepr(TextBuilder text) => text.Append(step.IsOne
        ? string.Create(CultureInfo.InvariantCulture, $"range({start}, {stop})")
        : string.Create(CultureInfo.InvariantCulture, $"range({start}, {stop}, {step})"));

    private IntegerValue Element(int index) => IntegerValue.Of(start + index * step);

    private bool IsElement(BigInteger number)
    {
        var offset = number - start;
        return count > 0 && (offset % step).IsZero && (offset / step).Sign >= 0 && offset / step < count;
    }

    private int EndOf(SliceBounds bounds, Value stop)
    {
        var whole = SliceBounds.Resolve(stop, NoneValue.Instance, IntegerValue.Of(bounds.Step), count);
        return stop is NoneValue ? (bounds.Step > 0 ? count : -1) : whole.Start;
    }
}

/// <summary>A slice applied to a length: where it starts, its step and how many elements it takes.</summary>
internal readonly record struct SliceBounds(int Start, int Step, int Count)
{
    /// <summary>Applies <c>start:stop:step</c>, where None is left out, as Python's <c>slice.indices</c> does.</summary>
    public static SliceBounds Resolve(Value start, Value stop, Value step, int length)
    {
        var by = Bound(step) ?? 1;
        if (by == 0)
            throw TemplateException.Evaluation("slice step cannot be zero");

        var (lowest, highest) = by > 0 ? (0, length) : (-1, length - 1);
        var from = Clamp(Bound(start), by > 0 ? lowest : highest);
        var to = Clamp(Bound(stop), by > 0 ? highest : lowest);
        var distance = by > 0 ? to - from : from - to;
        var stride = (long)Math.Min(Math.Abs((long)by), int.MaxValue);
        return new SliceBounds(from, by, distance <= 0 ? 0 : (int)((distance + stride - 1) / stride));

        int Clamp(int? bound, int absent) => bound switch
        {
            null => absent,
            < 0 => Math.Max(lowest, (int)Math.Max((long)bound.Value + length, int.MinValue)),
            _ => Math.Min(bound.Value, highest),
        };
    }

    private static int? Bound(Value value) => value switch
    {
        NoneValue => null,
        IntegerLikeValue integer => (int)BigInteger.Clamp(integer.Number, int.MinValue + 1, int.MaxValue),
        UndefinedValue undefined => throw undefined.Fail(),
        _ => throw TemplateException.Evaluation("slice indices must be integers or None or have an __index__ method"),
    };
}

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
