using System.Globalization;

namespace Shimmy.Models;

/// <summary>Sizes as people write them: <c>8GB</c>, <c>1.5 GiB</c>, <c>512MB</c>, or bytes. Units count in 1024s, as all of the program's do.</summary>
internal static class ByteCount
{
    /// <summary>What to tell about a value that is none of the forms.</summary>
    public const string Allowed = "a number of bytes above 0 or a size such as \"8GB\" or \"512MB\" is";

    private static readonly (string Name, long Bytes)[] Units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1L << 10), ("MB", 1L << 20), ("GB", 1L << 30), ("TB", 1L << 40), ("B", 1),
    ];

    /// <summary>Reads a size; false for what is none, or negative, or beyond 64 bits.</summary>
    public static bool TryParse(string? text, out long bytes)
    {
        bytes = 0;
        var number = text.AsSpan().Trim();
        double factor = 1;
        foreach (var (name, unit) in Units)
        {
            if (number.EndsWith(name, StringComparison.OrdinalIgnoreCase))
            {
                factor = unit;
                number = number[..^name.Length].TrimEnd();
                break;
            }
        }

        if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value)
            || value * factor >= long.MaxValue)
        {
            return false;
        }

        bytes = (long)(value * factor);
        return true;
    }
}
