using System.Globalization;

namespace Shimmy.Gguf;

/// <summary>What people call a model by its header: its number of parameters and its quantization.</summary>
internal static class ModelLabels
{
    /// <summary>
    /// Formats a number of parameters with at most three digits, without a trailing zero: <c>8B</c>, <c>7.6B</c>, <c>135M</c>, <c>293K</c>.
    /// </summary>
    public static string OfParameters(long parameters) => parameters switch
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
    public static bool IsSize(string? text) =>
        text is { Length: > 1 and <= 16 }
            && char.IsAsciiDigit(text[0])
            && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-');

    /// <summary>
    /// The name for <c>general.file_type</c> (llama_ftype of llama.cpp v0.4.0), else the tensor type with the most bytes. Null where the
    /// file has neither.
    /// </summary>
    public static string? OfQuantization(GgufHeader header) =>
        OfFileType(header.Integer("general.file_type")) ?? Dominant(header.Tensors);

    /// <summary>The name of the tensor type with the most bytes; null without tensors.</summary>
    public static string? Dominant(IReadOnlyList<GgufTensor> tensors)
    {
        var bytes = new Dictionary<GgmlType, long>();
        foreach (var tensor in tensors)
            bytes[tensor.Type] = bytes.GetValueOrDefault(tensor.Type) + tensor.SizeBytes;

        return bytes.Count == 0 ? null : bytes.MaxBy(pair => pair.Value).Key.ToString();
    }

    private static string Scaled(long parameters, double unit, string letter)
    {
        var value = parameters / unit;
        return value.ToString(value < 99.95 ? "0.#" : "0", CultureInfo.InvariantCulture) + letter;
    }

    private static string? OfFileType(long? fileType) => fileType switch
    {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => null,
    };
}
