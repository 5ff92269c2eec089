using System.Globalization;
using System.Text.Json;

namespace Shimmy.Models;

/// <summary>
/// Parses <c>keep_alive</c>, the time that an idle model stays loaded, in the forms of Ollama's API: a number of seconds, or a duration as
/// Go writes it (<c>5m</c>, <c>1h30m</c>, <c>1.5s</c>). Zero unloads at once, a negative value keeps the model for ever.
/// </summary>
internal static class KeepAlive
{
    /// <summary>Keeps the model for ever; any negative time span means the same.</summary>
    public static TimeSpan Forever { get; } = TimeSpan.FromMilliseconds(-1);

    /// <summary>The allowed forms and their meaning, as the end of an error text.</summary>
    public const string Allowed = Forms + "; 0 unloads at once, a negative one keeps for ever";

    /// <summary>The forms of a duration, as part of an error text.</summary>
    public const string Forms = "a number of seconds or a duration such as \"5m\" or \"1h30m\"";

    // The units of Go's time.ParseDuration. The first match wins: "ms" must come before "m".
    private static readonly (string Name, double Seconds)[] Units =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600)];

    /// <summary>Parses text from the command line, the environment or a JSON string; false where it has none of the forms.</summary>
    public static bool TryParse(string? text, out TimeSpan keepAlive)
    {
        keepAlive = default;
        text = text?.Trim();
        if (string.IsNullOrEmpty(text))
            return false;

        if (double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
            out var seconds))
        {
            return FromSeconds(seconds, out keepAlive);
        }

        var negative = text[0] == '-';
        var rest = text.AsSpan(text[0] is '-' or '+' ? 1 : 0);
        double sum = 0;
        do
        {
            var digits = 0;
            while (digits < rest.Length && (char.IsAsciiDigit(rest[digits]) || rest[digits] == '.'))
                digits++;

            if (!double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
                || !TryTakeUnit(ref rest, digits, out var unit))
            {
                return false;
            }

            sum += number * unit;
        }
        while (rest.Length > 0);

        return FromSeconds(negative ? -sum : sum, out keepAlive);
    }

    /// <summary>Parses a JSON number or string; false for any other JSON value, or where the text has none of the forms.</summary>
    public static bool TryParse(JsonElement value, out TimeSpan keepAlive)
    {
        keepAlive = default;
        return value.ValueKind switch
        {
            JsonValueKind.Number => value.TryGetDouble(out var seconds) && FromSeconds(seconds, out keepAlive),
            JsonValueKind.String => TryParse(value.GetString(), out keepAlive),
            _ => false,
        };
    }

    private static bool TryTakeUnit(ref ReadOnlySpan<char> rest, int from, out double seconds)
    {
        foreach (var (name, value) in Units)
        {
            if (rest[from..].StartsWith(name, StringComparison.Ordinal))
            {
                rest = rest[(from + name.Length)..];
                seconds = value;
                return true;
            }
        }

        seconds = 0;
        return false;
    }

    // Half the range of TimeSpan (14,000 years) and more is for ever, which leaves space for adding it to a time.
    private static bool FromSeconds(double seconds, out TimeSpan keepAlive)
    {
        var forever = seconds < 0 || seconds > TimeSpan.MaxValue.TotalSeconds / 2;
        keepAlive = forever || double.IsNaN(seconds) ? Forever : TimeSpan.FromSeconds(seconds);
        return !double.IsNaN(seconds);
    }
}
