using ConsoleAppFramework;
using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Options;

/// <summary>An argument that must not begin with a dash: the parser would take an option it does not know for the argument.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
internal sealed class NotAnOptionAttribute : Attribute, IArgumentParser<string>
{
    /// <inheritdoc/>
    public static bool TryParse(ReadOnlySpan<char> s, out string result)
    {
        result = s.ToString();
        return !s.StartsWith('-');
    }
}

/// <summary>
/// Options whose names the parser cannot make: it derives them from parameters, and joins a single letter to the word before it
/// (<c>topK</c> becomes <c>--topk</c>).
/// </summary>
internal static class OptionAliases
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
        {
            if (option == parsers)
                return ours;
        }

        return option;
    }
}
