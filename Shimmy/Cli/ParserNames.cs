namespace Shimmy.Cli;

/// <summary>
/// Options whose names the parser cannot make: it derives them from parameters, and joins a single letter to the word before it
/// (<c>topK</c> becomes <c>--topk</c>).
/// </summary>
internal static class ParserNames
{
    private static readonly (string Ours, string Parsers)[] Names =
    [
        ("--top-k", "--topk"),
        ("--top-p", "--topp"),
        ("--min-p", "--minp"),
        ("--typical-p", "--typicalp"),
        ("--top-n-sigma", "--topn-sigma"),
        ("--repeat-last-n", "--repeat-lastn"),
        ("--dry-penalty-last-n", "--dry-penalty-lastn"),
    ];

    /// <summary>The parser's name of an option; the parser's own spellings, which nobody was told of, are refused as unknown.</summary>
    public static string ToParser(string option)
    {
        foreach (var (ours, parsers) in Names)
        {
            if (string.Equals(option, ours, StringComparison.OrdinalIgnoreCase))
                return parsers;
            if (string.Equals(option, parsers, StringComparison.OrdinalIgnoreCase))
                throw new UsageException($"unknown option {option}");
        }
        return option;
    }

    /// <summary>The name that users know.</summary>
    public static string FromParser(string option)
    {
        foreach (var (ours, parsers) in Names)
            if (option == parsers)
                return ours;
        return option;
    }
}
