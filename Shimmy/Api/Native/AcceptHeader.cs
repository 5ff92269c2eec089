using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace Shimmy.Api.Native;

/// <summary>What a client would rather have (RFC 9110, 12.5.1).</summary>
internal static class AcceptHeader
{
    /// <summary>Whether that is JSON: named, and wanted no less than plain text.</summary>
    public static bool PrefersJson(StringValues header)
    {
        var wanted = new Dictionary<string, double>(StringComparer.OrdinalIgnoreCase);
        foreach (var range in header.SelectMany(value => value?.Split(',') ?? []))
        {
            var parts = range.Split(';', StringSplitOptions.TrimEntries);
            wanted[parts[0].Trim()] = QualityIn(parts);
        }
        var json = wanted.GetValueOrDefault("application/json");
        // The most exact range speaks.
        var text = wanted.TryGetValue("text/plain", out var plain) ? plain : wanted.TryGetValue("text/*", out var any) ? any : wanted.GetValueOrDefault("*/*");
        return json > 0 && json >= text;
    }

    private static double QualityIn(string[] parts) =>
        parts.Skip(1).FirstOrDefault(part => part.StartsWith("q=", StringComparison.OrdinalIgnoreCase)) is { } given
            && double.TryParse(given[2..], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var quality)
            ? quality
            : 1;
}
