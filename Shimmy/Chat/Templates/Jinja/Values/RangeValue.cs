using System.Globalization;
using System.Numerics;
using Shimmy.Chat.Templates.Jinja.Text;

namespace Shimmy.Chat.Templates.Jinja.Values;

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
