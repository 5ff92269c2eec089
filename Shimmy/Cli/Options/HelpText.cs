using System.Text;
using Shimmy.Http;

namespace Shimmy.Cli.Options;

/// <summary>The text of <c>--help</c>, made from <see cref="OptionTable"/>; no line is longer than <see cref="Width"/>.</summary>
internal static class HelpText
{
    /// <summary>Most characters of a line.</summary>
    public const int Width = 100;

    /// <summary>The first line of the help: what the program is.</summary>
    internal const string About =
        "Answers with the language models of this machine, and serves them over the APIs of OpenAI, Anthropic, Ollama and llama-server.";

    /// <summary>How options are set without a command line.</summary>
    internal const string Variables = "Each option has a variable: SHIMMY_LOG_LEVEL stands in for --log-level. The command line wins.";

    /// <summary>The same of llama-server's.</summary>
    internal const string LlamaServerVariables =
        "Each option that llama-server has a variable for has it here, too: LLAMA_ARG_CTX_SIZE stands in for --ctx-size.";

    // Where descriptions begin; what is too long for the place before them has a line of its own.
    private const int Column = 28;
    private const int Gap = 3;
    private const int StepColumn = 50;

    /// <summary>The help of the program.</summary>
    public static string OfProgram()
    {
        var text = new StringBuilder("Usage: shimmy COMMAND [options]\n\n");
        Wrap(text, About, 0);
        text.Append("\nFirst steps:\n");
        foreach (var (command, meaning) in FirstSteps)
        {
            text.Append("  ").Append(command);
            text.Append(' ', Math.Max(2, StepColumn - 2 - command.Length));
            Wrap(text, meaning, StepColumn);
        }
        text.Append("\nshimmy COMMAND --help shows the options of a command, shimmy --version the version.\n\nCommands:\n");
        foreach (var command in OptionTable.Commands)
            text.Append($"  {command.Name,-14}{command.Help}\n");
        return text.ToString();
    }

    private static readonly (string Command, string Meaning)[] FirstSteps =
    [
        ("shimmy list", "the models that are here; shimmy-demo always is"),
        ("shimmy chat", "a conversation with one of them"),
        ("shimmy chat shimmy-demo \"What is Shimmy?\"", "a first answer"),
        ("shimmy serve", "the same for programs, at http://127.0.0.1:11435/v1"),
        ("shimmy exec -- COMMAND", "a server for COMMAND alone, which finds it by itself"),
        ("shimmy launch claude", "a coding agent that uses a model of this machine"),
    ];

    /// <summary>How the command is called: <c>shimmy probe [NAME] [options]</c>.</summary>
    public static string UsageOf(Command command) => $"shimmy {command.Name}{(command.Arguments is { } name ? " " + name : "")} [options]"
        + (!command.TakesRest ? "" : command.Argument is null ? " -- COMMAND [ARGUMENT...]" : " [-- ARGUMENT...]");

    /// <summary>The help of a command.</summary>
    public static string Of(Command command)
    {
        var text = new StringBuilder($"Usage: {UsageOf(command)}\n\n");
        Wrap(text, command.Help + ".", 0);
        if (command.Details is { } details)
            Wrap(text, details, 0);
        if (command.Argument is { } argument)
        {
            text.Append("\nArguments:\n");
            Entry(text, argument.Trim('[', ']'), command.ArgumentHelp
                + (argument != Command.AnyModel ? "" : command.Second is null ? "; may be left out where there is only one"
                    : "; may be left out: a terminal then asks, where there are several")
                + (command.Words.Count > 0 ? ": " + string.Join(", ", command.Words) : ""));
            if (command.Second is { } second)
                Entry(text, second.Name.Trim('[', ']'), second.Help);
        }
        if (command.Is == CommandSet.LlamaServer)
        {
            text.Append("\nOptions:\n");
            foreach (var row in LlamaServerTable.All)
                Entry(text, NameOf(row), row.Help);
            text.Append('\n');
            Wrap(text, LlamaServerVariables, 0);
            return text.ToString();
        }
        foreach (var (heading, options) in OptionTable.Sections)
        {
            var own = options.Where(command.Has).ToList();
            if (own.Count == 0)
                continue;
            text.Append('\n').Append(heading).Append(":\n");
            foreach (var option in own)
                Entry(text, NameOf(option), DescriptionOf(option, command));
        }
        text.Append('\n');
        Wrap(text, Variables, 0);
        return text.ToString();
    }

    internal static string NameOf(LlamaServerOption row) =>
        string.Join(", ", row.Names) + (row.Value is { } value ? " " + value : "");

    internal static string NameOf(Option option) =>
        (option.Letter is { } letter ? letter + ", " : "") + option.Name + (option.Value is { } value ? " " + value : "");

    /// <summary>The description of an option, as the help of a command says it, or of all that have it.</summary>
    internal static string DescriptionOf(Option option, Command? command = null)
    {
        var text = new StringBuilder(option.Help);
        if (option.IsRepeatable)
            text.Append("; may be repeated");
        foreach (var (one, other, _) in OptionTable.Exclusive)
        {
            if (option.Name != one && option.Name != other)
                continue;
            var excluded = option.Name == one ? other : one;
            if (command is null || OptionTable.Of(command).Any(own => own.Name == excluded))
                text.Append("; excludes ").Append(excluded);
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

/// <summary>The manual page, made from <see cref="OptionTable"/>, in the macros of man(7).</summary>
internal static class ManualPage
{
    /// <summary>The page.</summary>
    public static string Text()
    {
        var text = new StringBuilder($".TH SHIMMY 1 \"\" \"shimmy {ServerState.Version}\" \"User Commands\"\n");
        text.Append(".SH NAME\nshimmy \\- a local server of language models\n.SH SYNOPSIS\n.B shimmy\n.I COMMAND\n[options]\n");
        text.Append(".SH DESCRIPTION\n");
        text.Append(Escaped(HelpText.About)).Append('\n');
        text.Append(".SH COMMANDS\n");
        foreach (var command in OptionTable.Commands)
        {
            text.Append($".SS \"{Escaped(HelpText.UsageOf(command))}\"\n{Escaped(command.Help)}.\n");
            if (command.Details is { } details)
                text.Append(Escaped(details)).Append('\n');
            var own = OptionTable.Of(command).Where(option => !IsShared(option)).ToList();
            foreach (var option in own)
                Entry(text, option);
            if (command.Is != CommandSet.LlamaServer)
                continue;
            text.Append(Escaped(HelpText.LlamaServerVariables)).Append('\n');
            foreach (var row in LlamaServerTable.All)
                Entry(text, HelpText.NameOf(row), row.Help);
        }
        text.Append(".SH OPTIONS OF SEVERAL COMMANDS\n");
        foreach (var option in OptionTable.All.Where(IsShared))
        {
            Entry(text, option);
            text.Append("Of: ").Append(Escaped(string.Join(", ",
                OptionTable.Commands.Where(command => command.Has(option)).Select(command => command.Name)))).Append(".\n");
        }
        text.Append(".SH ENVIRONMENT\n").Append(Escaped(HelpText.Variables)).Append('\n');
        text.Append(".SH EXIT STATUS\n")
            .Append(Escaped("0: done. 1: unknown model, missing file, failed generation. 2: wrong arguments, or a "
            + "model that cannot be loaded. 130: interrupted. exec and launch: that of the command.")).Append('\n');
        return text.ToString();
    }

    private static bool IsShared(Option option) => OptionTable.Commands.Count(command => command.Has(option)) > 1;

    private static void Entry(StringBuilder text, Option option) => Entry(text, HelpText.NameOf(option), HelpText.DescriptionOf(option));

    private static void Entry(StringBuilder text, string name, string description) =>
        text.Append($".TP\n.B {Escaped(name)}\n{Escaped(description)}.\n");

    // A dash that is copied into a shell is to be a hyphen-minus; a line that begins with a dot or an apostrophe would be a macro.
    private static string Escaped(string words)
    {
        var text = words.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal)
            .Replace("\"", "\\(dq", StringComparison.Ordinal);
        return text.StartsWith('.') || text.StartsWith('\'') ? "\\&" + text : text;
    }
}
