using System.Text;
using Shimmy.Cli.Options;

namespace Shimmy.Cli;

/// <summary>The text of <c>--help</c>, made from <see cref="OptionTable"/>; no line is longer than <see cref="Width"/>.</summary>
internal static class HelpText
{
    /// <summary>Most characters of a line.</summary>
    public const int Width = 100;

    // Where descriptions begin; what is too long for the place before them has a line of its own.
    private const int Column = 28;
    private const int Gap = 3;

    /// <summary>The help of the program.</summary>
    public static string OfProgram()
    {
        var text = new StringBuilder("Usage: shimmy COMMAND [options]\n\n");
        text.Append("shimmy COMMAND --help shows the options of a command, shimmy --version the version.\n\nCommands:\n");
        foreach (var command in OptionTable.Commands)
            text.Append($"  {command.Name,-14}{command.Help}\n");
        return text.ToString();
    }

    /// <summary>The help of a command.</summary>
    public static string Of(Command command)
    {
        var text = new StringBuilder($"Usage: shimmy {command.Name}{(command.TakesName ? " NAME" : "")} [options]\n\n");
        Wrap(text, command.Help + ".", 0);
        if (command.Details is { } details)
            Wrap(text, details, 0);
        if (command.TakesName)
        {
            text.Append("\nArguments:\n");
            Entry(text, "NAME", "A model: its registered or discovered name, or the path of its file");
        }
        if (command.Is == CommandSet.LlamaServer)
        {
            text.Append("\nOptions:\n");
            foreach (var row in LlamaServerTable.All)
                Entry(text, string.Join(", ", row.Names) + (row.Value is { } value ? " " + value : ""), row.Help);
            text.Append('\n');
            Wrap(text, "Each option that llama-server has a variable for has it here, too: LLAMA_ARG_CTX_SIZE stands in for --ctx-size.",
                0);
            return text.ToString();
        }
        foreach (var (heading, options) in OptionTable.Sections)
        {
            var own = options.Where(option => (option.Commands & command.Is) != 0).ToList();
            if (own.Count == 0)
                continue;
            text.Append('\n').Append(heading).Append(":\n");
            foreach (var option in own)
                Entry(text, NameOf(option), DescriptionOf(option));
        }
        text.Append('\n');
        Wrap(text, "Each option has a variable: SHIMMY_LOG_LEVEL stands in for --log-level. The command line wins.", 0);
        return text.ToString();
    }

    private static string NameOf(Option option) =>
        (option.Letter is { } letter ? letter + ", " : "") + option.Name + (option.Value is { } value ? " " + value : "");

    private static string DescriptionOf(Option option)
    {
        var text = new StringBuilder(option.Help);
        if (option.IsRepeatable)
            text.Append("; may be repeated");
        foreach (var (one, other, _) in OptionTable.Exclusive)
        {
            if (option.Name == one || option.Name == other)
                text.Append("; excludes ").Append(option.Name == one ? other : one);
        }
        if (option.Default is { } value)
            text.Append(value.Contains(' ') ? " (default: " : " (default ").Append(value).Append(')');
        return text.ToString();
    }

    private static void Entry(StringBuilder text, string name, string description)
    {
        text.Append("  ").Append(name);
        if (2 + name.Length + Gap > Column)
            text.Append('\n').Append(' ', Column);
        else
            text.Append(' ', Column - 2 - name.Length);
        Wrap(text, description, Column);
    }

    // The first line begins where the text stands, the others at the indentation.
    private static void Wrap(StringBuilder text, string words, int indentation)
    {
        var at = indentation;
        foreach (var word in words.Split(' '))
        {
            if (at > indentation && at + 1 + word.Length > Width)
            {
                text.Append('\n').Append(' ', indentation);
                at = indentation;
            }
            else if (at > indentation)
            {
                text.Append(' ');
                at++;
            }
            text.Append(word);
            at += word.Length;
        }
        text.Append('\n');
    }
}
