using System.Globalization;

namespace Shimmy;

/// <summary>
/// Sizes in the units that people write. Of memory all units are powers of 1024, MB as well as MiB: <c>8GB</c>, <c>1.5 GiB</c>,
/// <c>512MB</c>, or a plain number of bytes. Of downloads they are powers of 1000, as registries show them.
/// </summary>
internal static class ByteCount
{
    /// <summary>The allowed forms, as the end of an error text.</summary>
    public const string Allowed = "a number of bytes above 0 or a size such as \"8GB\" or \"512MB\" is";

    private static readonly (string Name, long Bytes)[] Units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1L << 10), ("MB", 1L << 20), ("GB", 1L << 30), ("TB", 1L << 40), ("B", 1),
    ];

    /// <summary>Whole MB of memory, of 2^20 bytes.</summary>
    public static long Megabytes(long bytes) => bytes >> 20;

    /// <summary>The same rounded up, for what is needed.</summary>
    public static long MegabytesUp(long bytes) => (bytes + (1 << 20) - 1) >> 20;

    /// <summary>The same to a tenth.</summary>
    public static double MegabyteTenths(long bytes) => Math.Round(bytes / (double)(1 << 20), 1);

    /// <summary>Memory, or a file that lies on this machine, in a unit that suits it: <c>512 MB</c>, <c>4.1 GB</c>.</summary>
    public static string Text(long bytes) => bytes >= 1L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << 30):F1} GB")
        : string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << 20):F0} MB");

    /// <summary>Whole MB of a download, of 10^6 bytes.</summary>
    public static long DownloadMegabytes(long bytes) => bytes / 1_000_000;

    /// <summary>The same rounded up, for what is needed.</summary>
    public static long DownloadMegabytesUp(long bytes) => (bytes + 999_999) / 1_000_000;

    /// <summary>A download in a unit that suits it: <c>4.37 GB</c>.</summary>
    public static string DownloadText(double bytes)
    {
        var (number, unit) = bytes >= 1e9 ? (bytes / 1e9, "GB") : bytes >= 1e6 ? (bytes / 1e6, "MB") : (bytes / 1e3, "kB");
        return string.Create(CultureInfo.InvariantCulture, $"{number:0.0#} {unit}");
    }

    /// <summary>Parses a size in bytes. False where it has another form, is negative, or exceeds 2^63 - 1.</summary>
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
