using System.Text;
using Shimmy.Cli.Options;
using Shimmy.Http;

namespace Shimmy.Cli.Setup;

/// <summary>The manual page, made from <see cref="OptionTable"/>, in the macros of man(7).</summary>
internal static class ManualPage
{
    /// <summary>The page.</summary>
    public static string Text()
    {
        var text = new StringBuilder($".TH SHIMMY 1 \"\" \"shimmy {ServerState.Version}\" \"User Commands\"\n");
        text.Append(".SH NAME\nshimmy \\- a local server of language models\n.SH SYNOPSIS\n.B shimmy\n.I COMMAND\n[options]\n");
        text.Append(".SH DESCRIPTION\n");
        text.Append(Escaped("Answers with the language models of this machine, and serves them over the APIs of OpenAI and Anthropic."))
            .Append('\n');
        text.Append(".SH COMMANDS\n");
        foreach (var command in OptionTable.Commands)
        {
            text.Append($".SS \"{Escaped(HelpText.UsageOf(command))}\"\n{Escaped(command.Help)}.\n");
            if (command.Details is { } details)
                text.Append(Escaped(details)).Append('\n');
            var own = OptionTable.Of(command).Where(option => !IsShared(option)).ToList();
            foreach (var option in own)
                Entry(text, option);
        }
        text.Append(".SH OPTIONS OF SEVERAL COMMANDS\n");
        foreach (var option in OptionTable.Sections.SelectMany(section => section.Options).Where(IsShared))
        {
            Entry(text, option);
            text.Append("Of: ").Append(Escaped(string.Join(", ",
                OptionTable.Commands.Where(command => command.Has(option)).Select(command => command.Name)))).Append(".\n");
        }
        text.Append(".SH ENVIRONMENT\n").Append(Escaped("Each option has a variable: SHIMMY_LOG_LEVEL stands in for --log-level. "
            + "The command line wins.")).Append('\n');
        text.Append(".SH EXIT STATUS\n")
            .Append(Escaped("0: done. 1: unknown model, missing file, failed generation. 2: wrong arguments, or a "
            + "model that cannot be loaded. 130: interrupted. exec and launch: that of the command.")).Append('\n');
        return text.ToString();
    }

    private static bool IsShared(Option option) => OptionTable.Commands.Count(command => command.Has(option)) > 1;

    private static void Entry(StringBuilder text, Option option) =>
        text.Append($".TP\n.B {Escaped(HelpText.NameOf(option))}\n{Escaped(HelpText.DescriptionOf(option))}.\n");

    // A dash that is copied into a shell is to be a hyphen-minus; a line that begins with a dot or an apostrophe would be a macro.
    private static string Escaped(string words)
    {
        var text = words.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal)
            .Replace("\"", "\\(dq", StringComparison.Ordinal);
        return text.StartsWith('.') || text.StartsWith('\'') ? "\\&" + text : text;
    }
}
