using System.Globalization;

namespace Shimmy.Gguf;

/// <summary>One metadata value. Numbers keep their bits, so that nothing is allocated for them.</summary>
internal readonly struct GgufValue
{
    private readonly object? _object;

    private GgufValue(GgufType type, long bits, object? payload)
    {
        Type = type;
        Bits = bits;
        _object = payload;
    }

    /// <summary>The type it has in the file.</summary>
    public GgufType Type { get; }

    /// <summary>A whole number's or truth value's bits, sign-extended; a floating point number's as a double.</summary>
    public long Bits { get; }

    /// <summary>
    /// A whole number or a truth value; null where it is something else or an unsigned one above <see cref="long.MaxValue"/>.
    /// </summary>
    public long? Integer => Type switch
    {
        GgufType.Text or GgufType.Array or GgufType.Float32 or GgufType.Float64 => null,
        GgufType.UInt64 when Bits < 0 => null,
        _ => Bits,
    };

    /// <summary>Any number; null for truth values, texts and arrays.</summary>
    public double? Number => Type switch
    {
        GgufType.Text or GgufType.Array or GgufType.Bool => null,
        GgufType.Float32 or GgufType.Float64 => BitConverter.Int64BitsToDouble(Bits),
        GgufType.UInt64 => (ulong)Bits,
        _ => Bits,
    };

    /// <summary>A truth value; null where it is something else.</summary>
    public bool? Flag => Type == GgufType.Bool ? Bits != 0 : null;

    /// <summary>A text; null where it is something else.</summary>
    public string? Text => _object as string;

    /// <summary>An array; null where it is something else.</summary>
    public GgufArray? Array => _object as GgufArray;

    /// <summary>A whole number of any of the integer types.</summary>
    public static GgufValue OfInteger(GgufType type, long value) => new(type, value, null);

    /// <summary>A number of either floating point type.</summary>
    public static GgufValue OfNumber(GgufType type, double value) => new(type, BitConverter.DoubleToInt64Bits(value), null);

    /// <summary>A truth value.</summary>
    public static GgufValue OfFlag(bool value) => new(GgufType.Bool, value ? 1 : 0, null);

    /// <summary>A text.</summary>
    public static GgufValue OfText(string value) => new(GgufType.Text, 0, value);

    /// <summary>An array.</summary>
    public static GgufValue OfArray(GgufArray value) => new(GgufType.Array, 0, value);

    /// <inheritdoc/>
    public override string ToString() => Type switch
    {
        GgufType.Text => Text!,
        GgufType.Array => $"[{Array!.Count} × {Array.ElementType}]",
        GgufType.Bool => Flag!.Value ? "true" : "false",
        _ => Number!.Value.ToString(CultureInfo.InvariantCulture),
    };
}

/// <summary>An array of the metadata. Large ones are stepped over unless they were asked for.</summary>
/// <param name="ElementType">Type of all elements; never an array.</param>
/// <param name="Count">Elements in the file.</param>
/// <param name="Items">The elements; null where they were stepped over.</param>
internal sealed record GgufArray(GgufType ElementType, long Count, IReadOnlyList<GgufValue>? Items);
