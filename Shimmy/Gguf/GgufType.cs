namespace Shimmy.Gguf;

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
