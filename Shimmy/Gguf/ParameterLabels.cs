using System.Globalization;

namespace Shimmy.Gguf;

/// <summary>Numbers of parameters as people say them.</summary>
internal static class ParameterLabels
{
    /// <summary>
    /// For example <c>8B</c>, <c>7.6B</c>, <c>135M</c>, <c>293K</c>: three digits at most, no zero behind the point.
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
    /// A file's own <c>general.size_label</c>, where it is one: short, digits first, nothing a terminal would act on.
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
