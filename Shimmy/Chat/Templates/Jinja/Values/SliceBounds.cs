using System.Numerics;

namespace Shimmy.Chat.Templates.Jinja.Values;

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
