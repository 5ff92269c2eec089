using System.Text;
using Shimmy.Cli.Options;
using Shimmy.Engine;

namespace Shimmy.Cli;

/// <summary>
/// The parser's help, laid out again: it knows every option as text, so what kind of value one takes stands first in its
/// description ("N — Tokens …") and moves here to where the type was.
/// </summary>
internal static class HelpText
{
    // Options for loading models that every command has from the parser, and that one which loads none refuses.
    private static readonly string[] ForModels =
        ["--model-dirs", "--ctx", "--threads", "--template", "--lora", "--draft", .. TuningOption.All.Select(option => "--" + option.Name)];
    private const string NoDefault = " [Default: null]";

    /// <summary>Lays out the help of <paramref name="command"/>; any other text stays as it is.</summary>
    public static string Arrange(string command, string help)
    {
        if (!help.StartsWith("Usage:", StringComparison.Ordinal))
            return help;
        var rows = help.TrimEnd().Split('\n').Select(line => line.TrimEnd()).Select(line => (Line: line, Entry: HelpEntry.Of(line))).ToList();
        if (command == "gpu-info")
            rows.RemoveAll(row => row.Entry is not null && ForModels.Contains(row.Entry.Name));
        var width = rows.Max(row => row.Entry?.Left.Length ?? 0) + 2;
        var text = new StringBuilder();
        foreach (var (line, entry) in rows)
        {
            if (entry is not null)
                text.Append(entry.Left.PadRight(width)).Append(entry.Description);
            else
                text.Append(line.StartsWith("Usage: ", StringComparison.Ordinal) ? "Usage: shimmy " + line["Usage: ".Length..] : line);
            text.Append('\n');
        }
        return text.ToString();
    }

    /// <summary>A line of the parser's help that describes an option or an argument: <c>  -x, --name &lt;type&gt;  value — description</c>.</summary>
    private sealed record HelpEntry(string Name, string? Value, string Description)
    {
        /// <summary>What stands before the description.</summary>
        public string Left => "  " + (Value is null ? Name
            // An argument stands under its own name.
            : Name.StartsWith('[') ? Value
            : $"{OptionAliases.FromParser(Name)} {Value}");

        /// <summary>The entry of a line; null where the line is none.</summary>
        public static HelpEntry? Of(string line)
        {
            if (line.Length < 3 || !line.StartsWith("  ", StringComparison.Ordinal) || line[2] is not ('-' or '['))
                return null;
            var end = line.IndexOf(' ', 2);
            while (end > 0 && line[end - 1] == ',')
                end = line.IndexOf(' ', end + 1);
            if (end < 0)
                return null;
            var rest = line[end..].TrimStart();
            if (rest.StartsWith('<') && rest.IndexOf("> ", StringComparison.Ordinal) is > 0 and var typeEnd)
                rest = rest[(typeEnd + 1)..].TrimStart();
            if (rest.EndsWith(NoDefault, StringComparison.Ordinal))
                rest = rest[..^NoDefault.Length];
            var dash = rest.IndexOf(" — ", StringComparison.Ordinal);
            return dash < 0 ? new HelpEntry(line[2..end], null, rest) : new HelpEntry(line[2..end], rest[..dash], rest[(dash + 3)..]);
        }
    }
}
