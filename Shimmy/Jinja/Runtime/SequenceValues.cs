using System.Globalization;
using System.Numerics;

namespace Shimmy.Jinja.Runtime;

/// <summary>
/// The common base of lists and tuples. The sandbox forbids every method that would change a list, so both are immutable, and
/// several values may refer to the same one.
/// </summary>
internal abstract class SequenceValue(Value[] items) : Value
{
    /// <summary>The elements; never changed.</summary>
    public Value[] Items { get; } = items;

    public override bool IsTrue => Items.Length > 0;

    public override bool IsIterable => true;

    public override bool IsSequence => true;

    public override bool HasLength => true;

    public override int Length(RenderContext context) => Items.Length;

    public override IEnumerator<Value> Iterate(RenderContext context) => ((IEnumerable<Value>)Items).GetEnumerator();

    public override Value? Item(Value key, RenderContext context)
    {
        if (key is not IntegerLikeValue { Number: var index })
            return null;
        if (index.Sign < 0)
            index += Items.Length;
        return index.Sign >= 0 && index < Items.Length ? Items[(int)index] : null;
    }

    public override Value Slice(Value start, Value stop, Value step, RenderContext context)
    {
        var bounds = SliceBounds.Resolve(start, stop, step, Items.Length);
        context.Step(bounds.Count);
        context.ReserveValues(bounds.Count);
        var slice = new Value[bounds.Count];
        for (var i = 0; i < slice.Length; i++)
            slice[i] = Items[bounds.Start + (long)i * bounds.Step];
        return Create(slice);
    }

    public override bool Contains(Value item, RenderContext context)
    {
        context.Step(Items.Length);
        foreach (var candidate in Items)
        {
            if (ReferenceEquals(candidate, item) || candidate.EqualTo(item, context))
                return true;
        }

        return false;
    }

    public override bool EqualTo(Value other, RenderContext context)
    {
        if (ReferenceEquals(this, other))
            return true;
        if (other is not SequenceValue sequence || sequence is ListValue != this is ListValue ||
            sequence.Items.Length != Items.Length)
        {
            return false;
        }

        context.Descend();
        for (var i = 0; i < Items.Length; i++)
        {
            context.Step();
            if (!ReferenceEquals(Items[i], sequence.Items[i]) && !Items[i].EqualTo(sequence.Items[i], context))
                return false;
        }

        return true;
    }

    /// <summary>A sequence of the same type.</summary>
    public abstract SequenceValue Create(Value[] items);

    /// <summary>The position of an equal element, or -1.</summary>
    public int IndexOf(Value item, int start, int stop, RenderContext context)
    {
        for (var i = start; i < Math.Min(stop, Items.Length); i++)
        {
            context.Step();
            if (Items[i].EqualTo(item, context))
                return i;
        }

        return -1;
    }

    /// <summary>Appends the elements' representations between brackets.</summary>
    protected void WriteItems(TextBuilder text, char open, ReadOnlySpan<char> close)
    {
        text.Context.Descend();
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

    public override string TypeName => "list";

    public override bool IsHashable => false;

    public override SequenceValue Create(Value[] items) => new ListValue(items);

    /// <summary>Whether the sandbox forbids a method because it changes the list.</summary>
    public static bool IsMutator(string name) =>
        name is "append" or "clear" or "pop" or "reverse" or "insert" or "sort" or "extend" or "remove";

    public override bool IsUnsafe(string name) => IsMutator(name) || base.IsUnsafe(name);

    public override void WriteRepr(TextBuilder text) => WriteItems(text, '[', "]");
}

/// <summary>A tuple, with names for its elements where it is one of <c>groupby</c>'s.</summary>
internal sealed class TupleValue(Value[] items, params string[] names) : SequenceValue(items)
{
    /// <summary>The empty tuple.</summary>
    public static TupleValue Empty { get; } = new([]);

    public override string TypeName => names.Length > 0 ? "_GroupTuple" : "tuple";

    public override string ObjectName => names.Length > 0 ? "jinja2.filters._GroupTuple object" : "tuple object";

    public override bool IsHashable => Array.TrueForAll(Items, item => item.IsHashable);

    public override SequenceValue Create(Value[] items) => new TupleValue(items);

    public override int Hash(RenderContext context)
    {
        context.Descend();
        var hash = new HashCode();
        foreach (var item in Items)
            hash.Add(item.Hash(context));
        return hash.ToHashCode();
    }

    public override Value? Attribute(string name, RenderContext context) =>
        Array.IndexOf(names, name) is >= 0 and var i ? Items[i] : null;

    public override void WriteRepr(TextBuilder text) => WriteItems(text, '(', Items.Length == 1 ? ",)" : ")");
}

/// <summary>The result of <c>range()</c>, no longer than the sandbox allows.</summary>
internal sealed class RangeValue : Value
{
    /// <summary>The longest range (MAX_RANGE of Jinja's sandbox).</summary>
    public const int MostItems = 100_000;

    private readonly BigInteger _start;
    private readonly BigInteger _stop;
    private readonly BigInteger _step;
    private readonly int _count;

    private RangeValue(BigInteger start, BigInteger stop, BigInteger step, int count) =>
        (_start, _stop, _step, _count) = (start, stop, step, count);

    public override string TypeName => "range";

    public override bool IsTrue => _count > 0;

    public override bool IsIterable => true;

    public override bool IsSequence => true;

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

    public override int Length(RenderContext context) => _count;

    public override IEnumerator<Value> Iterate(RenderContext context)
    {
        for (var i = 0; i < _count; i++)
        {
            context.Step();
            yield return Element(i);
        }
    }

    public override Value? Item(Value key, RenderContext context)
    {
        if (key is not IntegerLikeValue { Number: var index })
            return null;
        if (index.Sign < 0)
            index += _count;
        return index.Sign >= 0 && index < _count ? Element((int)index) : null;
    }

    public override Value Slice(Value start, Value stop, Value step, RenderContext context)
    {
        var bounds = SliceBounds.Resolve(start, stop, step, _count);
        var from = _start + bounds.Start * _step;
        var by = _step * bounds.Step;
        // Python's repr shows the end of the slice's bounds, not the last element.
        var end = _start + EndOf(bounds, stop) * _step;
        return new RangeValue(from, end, by, bounds.Count);
    }

    public override Value? Attribute(string name, RenderContext context) => name switch
    {
        "start" => IntegerValue.Of(_start),
        "stop" => IntegerValue.Of(_stop),
        "step" => IntegerValue.Of(_step),
        _ => null,
    };

    public override bool Contains(Value item, RenderContext context) => item switch
    {
        IntegerLikeValue { Number: var number } => IsElement(number),
        FloatValue { Number: var number } => double.IsInteger(number) && IsElement(new BigInteger(number)),
        _ => false,
    };

    public override bool EqualTo(Value other, RenderContext context) => other is RangeValue range && range._count == _count &&
        (_count == 0 || (range._start == _start && (_count == 1 || range._step == _step)));

    public override int Hash(RenderContext context) => HashCode.Combine(_count, _start);

    public override void WriteRepr(TextBuilder text) => text.Append(_step.IsOne
        ? string.Create(CultureInfo.InvariantCulture, $"range({_start}, {_stop})")
        : string.Create(CultureInfo.InvariantCulture, $"range({_start}, {_stop}, {_step})"));

    private IntegerValue Element(int index) => IntegerValue.Of(_start + index * _step);

    private bool IsElement(BigInteger number)
    {
        var offset = number - _start;
        return _count > 0 && (offset % _step).IsZero && (offset / _step).Sign >= 0 && offset / _step < _count;
    }

    private int EndOf(SliceBounds bounds, Value stop)
    {
        var whole = SliceBounds.Resolve(stop, NoneValue.Instance, IntegerValue.Of(bounds.Step), _count);
        return stop is NoneValue ? (bounds.Step > 0 ? _count : -1) : whole.Start;
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

/// <summary>A generator or iterator, which can be iterated over once.</summary>
internal sealed class IteratorValue(string typeName, IEnumerator<Value> items) : Value
{
    public override string TypeName => typeName;

    public override bool IsIterable => true;

    /// <summary>A generator, as filters like <c>map</c> give.</summary>
    public static IteratorValue Generator(IEnumerator<Value> items) => new("generator", items);

    public override IEnumerator<Value> Iterate(RenderContext context)
    {
        // The enumerator is shared: a second iteration goes on where the first stopped.
        while (items.MoveNext())
        {
            context.Step();
            yield return items.Current;
        }
    }

    public override void WriteRepr(TextBuilder text)
    {
        text.Append('<');
        text.Append(typeName);
        text.Append(" object>");
    }
}
