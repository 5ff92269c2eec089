using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace Shimmy.Http;

/// <summary>What a client would rather have (RFC 9110, 12.5.1).</summary>
internal static class AcceptHeader
{
    /// <summary>Whether that is JSON: named, and wanted no less than plain text.</summary>
    public static bool PrefersJson(StringValues header)
    {
        string[] text = ["*/*", "text/*", "text/plain"];
        var (json, plain, exact) = (0.0, 0.0, -1);
        foreach (var range in header.ToString().Split(','))
        {
            var parts = range.Split(';', StringSplitOptions.TrimEntries);
            if (parts[0].Equals("application/json", StringComparison.OrdinalIgnoreCase))
                json = QualityIn(parts);
            // The most exact range speaks.
            if (Array.FindIndex(text, one => one.Equals(parts[0], StringComparison.OrdinalIgnoreCase)) is var at && at > exact)
                (plain, exact) = (QualityIn(parts), at);
        }
        return json > 0 && json >= plain;
    }

    private static double QualityIn(string[] parts) =>
        parts.Skip(1).FirstOrDefault(part => part.StartsWith("q=", StringComparison.OrdinalIgnoreCase)) is { } given
            && double.TryParse(given[2..], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var quality)
            ? quality
            : 1;
}
