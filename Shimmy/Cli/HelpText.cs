using System.Text;
using System.Text.RegularExpressions;

namespace Shimmy.Cli;

/// <summary>
/// The parser's help, laid out again: it knows every option as text, so what kind of value one takes stands first in its
/// description ("N — Tokens …") and moves here to where the type was.
/// </summary>
internal static partial class HelpText
{
    // Options for loading models that every command has from the parser, and that one which loads none refuses.
    private static readonly string[] ForModels = ["--model-dirs", "--ctx", "--threads", "--gpu-layers", "--template"];

    /// <summary>Lays out the help of <paramref name="command"/>; any other text stays as it is.</summary>
    public static string Arrange(string command, string help)
    {
        if (!help.StartsWith("Usage:", StringComparison.Ordinal))
            return help;
        var rows = help.TrimEnd().Split('\n').Select(line => line.TrimEnd()).Select(line => (Line: line, Match: Entry().Match(line))).ToList();
        if (command == "gpu-info")
            rows.RemoveAll(row => ForModels.Contains(row.Match.Groups["name"].Value.Trim()));
        var width = rows.Max(row => row.Match.Success ? Left(row.Match).Length : 0) + 2;
        var text = new StringBuilder();
        foreach (var (line, match) in rows)
        {
            if (match.Success)
                text.Append(Left(match).PadRight(width)).Append(match.Groups["description"].Value);
            else
                text.Append(line.StartsWith("Usage: ", StringComparison.Ordinal) ? "Usage: shimmy " + line["Usage: ".Length..] : line);
            text.Append('\n');
        }
        return text.ToString();
    }

    private static string Left(Match entry) => "  " + entry.Groups["value"] switch
    {
        // An argument stands under its own name.
        { Success: true } value when entry.Groups["name"].Value.StartsWith('[') => value.Value,
        { Success: true } value => $"{ParserNames.FromParser(entry.Groups["name"].Value)} {value.Value}",
        _ => entry.Groups["name"].Value,
    };

    [GeneratedRegex("""^  (?<name>(?:-|\[)[^\s,]+(?:, --?\S+)*)(?: <[^>]*>)?\s+(?:(?<value>[^—]+?) — )?(?<description>.*?)(?: \[Default: null\])?$""")]
    private static partial Regex Entry();
}
