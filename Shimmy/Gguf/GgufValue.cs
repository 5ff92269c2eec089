using System.Globalization;

namespace Shimmy.Gguf;

/// <summary>One metadata value. Numbers are stored as bits, without boxing.</summary>
internal readonly struct GgufValue
{
    private readonly object? _object;

    private GgufValue(GgufType type, long bits, object? payload)
    {
        Type = type;
        Bits = bits;
        _object = payload;
    }

    /// <summary>Type of the value in the file.</summary>
    public GgufType Type { get; }

    /// <summary>An integer or boolean, sign-extended; the bits of a double for a floating point number; 0 for strings and arrays.</summary>
    public long Bits { get; }

    /// <summary>
    /// The value of an integer, or 0 or 1 for a boolean; null for other types and for integers above <see cref="long.MaxValue"/>.
    /// </summary>
    public long? Integer => Type switch
    {
        GgufType.Text or GgufType.Array or GgufType.Float32 or GgufType.Float64 => null,
        GgufType.UInt64 when Bits < 0 => null,
        _ => Bits,
    };

    /// <summary>The value of an integer or floating point number; null for other types.</summary>
    public double? Number => Type switch
    {
        GgufType.Text or GgufType.Array or GgufType.Bool => null,
        GgufType.Float32 or GgufType.Float64 => BitConverter.Int64BitsToDouble(Bits),
        GgufType.UInt64 => (ulong)Bits,
        _ => Bits,
    };

    /// <summary>The value of a boolean; null for other types.</summary>
    public bool? Flag => Type == GgufType.Bool ? Bits != 0 : null;

    /// <summary>The value of a string; null for other types.</summary>
    public string? Text => _object as string;

    /// <summary>The value of an array; null for other types.</summary>
    public GgufArray? Array => _object as GgufArray;

    /// <summary>Makes a value of an integer type.</summary>
    public static GgufValue OfInteger(GgufType type, long value) => new(type, value, null);

    /// <summary>Makes a value of a floating point type.</summary>
    public static GgufValue OfNumber(GgufType type, double value) => new(type, BitConverter.DoubleToInt64Bits(value), null);

    /// <summary>Makes a boolean.</summary>
    public static GgufValue OfFlag(bool value) => new(GgufType.Bool, value ? 1 : 0, null);

    /// <summary>Makes a string.</summary>
    public static GgufValue OfText(string value) => new(GgufType.Text, 0, value);

    /// <summary>Makes an array.</summary>
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

/// <summary>An array value. The elements of long arrays are skipped unless <see cref="GgufLimits.WantsArray"/> asks for them.</summary>
/// <param name="ElementType">Type of all elements; never an array.</param>
/// <param name="Count">Number of elements in the file.</param>
/// <param name="Items">The elements; null where they were skipped.</param>
internal sealed record GgufArray(GgufType ElementType, long Count, IReadOnlyList<GgufValue>? Items);

/// <summary>Types of metadata values, with the numbers of gguf_metadata_value_type in the GGUF specification.</summary>
internal enum GgufType
{
    /// <summary>8-bit unsigned integer.</summary>
    UInt8 = 0,

    /// <summary>8-bit signed integer.</summary>
    Int8 = 1,

    /// <summary>16-bit unsigned integer.</summary>
    UInt16 = 2,

    /// <summary>16-bit signed integer.</summary>
    Int16 = 3,

    /// <summary>32-bit unsigned integer.</summary>
    UInt32 = 4,

    /// <summary>32-bit signed integer.</summary>
    Int32 = 5,

    /// <summary>32-bit floating point.</summary>
    Float32 = 6,

    /// <summary>One byte, 0 or 1.</summary>
    Bool = 7,

    /// <summary>String: a 64-bit length and UTF-8 bytes.</summary>
    Text = 8,

    /// <summary>Array: element type, 64-bit count and elements.</summary>
    Array = 9,

    /// <summary>64-bit unsigned integer.</summary>
    UInt64 = 10,

    /// <summary>64-bit signed integer.</summary>
    Int64 = 11,

    /// <summary>64-bit floating point.</summary>
    Float64 = 12,
}

/// <summary>Extensions of <see cref="GgufType"/>.</summary>
internal static class GgufTypes
{
    /// <summary>Size of a value of this type in bytes; 0 for strings and arrays, whose size varies.</summary>
    public static int FixedSize(this GgufType type) => type switch
    {
        GgufType.UInt8 or GgufType.Int8 or GgufType.Bool => 1,
        GgufType.UInt16 or GgufType.Int16 => 2,
        GgufType.UInt32 or GgufType.Int32 or GgufType.Float32 => 4,
        GgufType.UInt64 or GgufType.Int64 or GgufType.Float64 => 8,
        _ => 0,
    };
}
