using System.Globalization;

namespace Shimmy.Gguf;

/// <summary>Labels for numbers of parameters, as model names have them.</summary>
internal static class ParameterLabels
{
    /// <summary>
    /// Formats a number of parameters with at most three digits, without a trailing zero: <c>8B</c>, <c>7.6B</c>, <c>135M</c>, <c>293K</c>.
    /// </summary>
    public static string Of(long parameters) => parameters switch
    {
        >= 999_500_000_000 => Scaled(parameters, 1e12, "T"),
        >= 999_500_000 => Scaled(parameters, 1e9, "B"),
        >= 999_500 => Scaled(parameters, 1e6, "M"),
        >= 1_000 => Scaled(parameters, 1e3, "K"),
        _ => parameters.ToString(CultureInfo.InvariantCulture),
    };

    /// <summary>
    /// Whether a file's <c>general.size_label</c> is well-formed: 2 to 16 ASCII letters, digits, points and hyphens, beginning with a
    /// digit. So an untrusted file cannot send escape sequences to a terminal.
    /// </summary>
    public static bool IsLabel(string? text) =>
        text is { Length: > 1 and <= 16 }
            && char.IsAsciiDigit(text[0])
            && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-');

    private static string Scaled(long parameters, double unit, string letter)
    {
        var value = parameters / unit;
        return value.ToString(value < 99.95 ? "0.#" : "0", CultureInfo.InvariantCulture) + letter;
    }
}
