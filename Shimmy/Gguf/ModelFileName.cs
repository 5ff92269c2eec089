using System.Globalization;

namespace Shimmy.Gguf;

/// <summary>
/// A model's file name, parsed by the conventions of GGUF publishers: <c>llama-3-8b-instruct-Q4_K_M-00001-of-00003.gguf</c> has a name with
/// a size, a quantization and a shard number.
/// </summary>
internal sealed record ModelFileName
{
    private const string Extension = ".gguf";
    private const int ShardLength = 15;

    private static readonly string[] WholeNames =
        ["F16", "F32", "BF16", "FP16", "FP32", "FP8", "MXFP4", "MXFP4_MOE", "NVFP4"];

    /// <summary>The name without extension and shard number.</summary>
    public required string Stem { get; init; }

    /// <summary>The name without extension, shard number and quantization.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// The quantization in capitals, with Unsloth's prefix where it has that (<c>UD-Q4_K_XL</c>); null where there is none.
    /// </summary>
    public string? Quantization { get; init; }

    /// <summary>
    /// The number of parameters as a label, for example <c>8B</c>, <c>8x7B</c> or <c>30B-A3B</c>; null where there is none.
    /// </summary>
    public string? ParameterLabel { get; init; }

    /// <summary>Number of this shard, from 1; 0 for a whole file.</summary>
    public int Shard { get; init; }

    /// <summary>Number of shards of the model; 0 for a whole file.</summary>
    public int ShardCount { get; init; }

    /// <summary>The ending as it is written, <c>.gguf</c> or in capitals: file systems may tell them apart.</summary>
    public string Ending { get; init; } = Extension;

    /// <summary>Whether the name ends in <c>.gguf</c>; case is ignored.</summary>
    public static bool IsGguf(ReadOnlySpan<char> fileName) =>
        fileName.Length > Extension.Length && fileName.EndsWith(Extension, StringComparison.OrdinalIgnoreCase);

    /// <summary>Parses a file name (without its folder). Never fails: missing parts are null or 0.</summary>
    public static ModelFileName Parse(string fileName)
    {
        var stem = IsGguf(fileName) ? fileName[..^Extension.Length] : fileName;
        if (TryReadShard(stem, out var shard, out var shardCount))
            stem = stem[..^ShardLength];

        var quantizationAt = FindQuantization(stem);
        var name = quantizationAt < 0 ? stem : stem[..(quantizationAt - 1)];
        var prefix = quantizationAt < 0 ? null : TakePrefix(ref name);
        var quantization = quantizationAt < 0 ? null : prefix + Spelled(stem[quantizationAt..]);
        return new ModelFileName
        {
            Stem = stem,
            Name = name,
            Quantization = quantization,
            ParameterLabel = FindParameterLabel(name),
            Shard = shard,
            ShardCount = shardCount,
            Ending = IsGguf(fileName) ? fileName[^Extension.Length..] : Extension,
        };
    }

    /// <summary>The file name of another shard of the same model.</summary>
    public string OfShard(int number) => $"{Stem}-{number:D5}-of-{ShardCount:D5}{Ending}";

    /// <summary>Whether the name contains a word between characters that are neither letters nor digits. Case is ignored.</summary>
    public bool HasWord(string word)
    {
        for (var at = Stem.IndexOf(word, StringComparison.OrdinalIgnoreCase); at >= 0;
             at = Stem.IndexOf(word, at + 1, StringComparison.OrdinalIgnoreCase))
        {
            var end = at + word.Length;
            if ((at == 0 || !char.IsLetterOrDigit(Stem[at - 1])) && (end == Stem.Length || !char.IsLetterOrDigit(Stem[end])))
                return true;
        }

        return false;
    }

    // -00001-of-00003: the suffix of shards that llama.cpp's llama_split_path writes, five digits each.
    private static bool TryReadShard(string stem, out int shard, out int count)
    {
        shard = count = 0;
        var from = stem.Length - ShardLength;
        if (from > 0
            && stem[from] == '-'
            && stem.AsSpan(from + 6, 4).Equals("-of-", StringComparison.OrdinalIgnoreCase)
            && int.TryParse(stem.AsSpan(from + 1, 5), NumberStyles.None, null, out var number)
            && int.TryParse(stem.AsSpan(from + 10, 5), NumberStyles.None, null, out var all)
            && number >= 1 && number <= all)
        {
            (shard, count) = (number, all);
        }

        return count > 0;
    }

    // Index of the longest suffix that is a quantization; -1 where there is none.
    private static int FindQuantization(string stem)
    {
        for (var at = 2; at < stem.Length; at++)
        {
            if (stem[at - 1] is '-' or '.' or '_' && IsQuantization(stem.AsSpan(at)))
                return at;
        }

        return -1;
    }

    // F16, BF16, FP32, MXFP4, MXFP4_MOE, NVFP4, Q8_0, IQ2_XXS, TQ1_0, Q4_K_M, …
    private static bool IsQuantization(ReadOnlySpan<char> text)
    {
        foreach (var whole in WholeNames)
        {
            if (text.Equals(whole, StringComparison.OrdinalIgnoreCase))
                return true;
        }

        var at = text.Length > 0 && text[0] is 'I' or 'i' or 'T' or 't' ? 1 : 0;
        if (text.Length < at + 2 || text[at] is not ('Q' or 'q') || !char.IsAsciiDigit(text[at + 1]))
            return false;

        var group = 0;
        for (at += 2; at < text.Length; at++)
        {
            var separator = text[at] == '_';
            if (separator ? group == 0 && text[at - 1] == '_' : group == 0 && text[at - 1] != '_')
                return false;

            group = separator ? 0 : group + 1;
            if (group > 3 || !(separator || char.IsAsciiLetterOrDigit(text[at])))
                return false;
        }

        return text[^1] != '_';
    }

    // Unsloth's "UD-" makes it a different quantization; "i1-" only says that an importance matrix was used.
    private static string? TakePrefix(ref string name)
    {
        foreach (var prefix in (ReadOnlySpan<string>)["UD", "i1"])
        {
            if (name.Length > prefix.Length + 1
                && name.EndsWith(prefix, StringComparison.OrdinalIgnoreCase)
                && name[^(prefix.Length + 1)] is '-' or '.')
            {
                name = name[..^(prefix.Length + 1)];
                return prefix == "UD" ? "UD-" : null;
            }
        }

        return null;
    }

    private static string Spelled(string quantization) => quantization.ToUpperInvariant() switch
    {
        "FP16" => "F16",
        "FP32" => "F32",
        var other => other,
    };

    // The first part such as 8b, 1.5B, 8x7b or 30B, and the active parameters (A3B) if they follow. A size in millions counts only where
    // none is in billions, since "1M" is often a context length; one in thousands never does, since "128k" always is.
    private static string? FindParameterLabel(string name)
    {
        var parts = name.Split('-', '_');
        var found = Array.FindIndex(parts, part => IsSize(part, "bt"));
        if (found < 0)
            found = Array.FindIndex(parts, part => IsSize(part, "m"));

        if (found < 0)
            return null;

        var label = CapitalUnit(parts[found]);
        var active = found + 1 < parts.Length && parts[found + 1] is ['A' or 'a', .. var rest] && IsSize(rest, "bm");
        return active ? $"{label}-{CapitalUnit(parts[found + 1]).ToUpperInvariant()}" : label;
    }

    private static string CapitalUnit(string size) => size[..^1].ToLowerInvariant() + char.ToUpperInvariant(size[^1]);

    private static bool IsSize(string part, string units)
    {
        if (part.Length < 2
            || !units.Contains(char.ToLowerInvariant(part[^1]))
            || !char.IsAsciiDigit(part[0])
            || !char.IsAsciiDigit(part[^2]))
        {
            return false;
        }

        foreach (var c in part.AsSpan(1, part.Length - 2))
        {
            if (!char.IsAsciiDigit(c) && c is not ('.' or 'x' or 'X'))
                return false;
        }

        return true;
    }
}
