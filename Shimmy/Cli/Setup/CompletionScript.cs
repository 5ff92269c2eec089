using System.Text;
using Shimmy.Cli.Options;

namespace Shimmy.Cli.Setup;

/// <summary>
/// Completion scripts of the shells, made from <see cref="OptionTable"/>: commands, options, the words that a value may be, paths, and the
/// names of models, for which the script asks <c>shimmy list --short</c>.
/// </summary>
internal static class CompletionScript
{
    private const string Names = "shimmy list --short 2>/dev/null";

    // What completes a value or an argument.
    private enum Kind
    {
        Words,
        Paths,
        Models,
        Nothing,
    }

    /// <summary>The script of a shell, by its name on the command line.</summary>
    public static string Of(string shell) => shell switch
    {
        "bash" => Bash(),
        "zsh" => Zsh(),
        "fish" => Fish(),
        _ => PowerShell(),
    };

    private static Kind KindOf(Option option) => option.NamesModel ? Kind.Models
        : option.TakesPath ? Kind.Paths
        : option.Words.Any() ? Kind.Words
        : Kind.Nothing;

    private static Kind KindOf(Command command) => command.TakesModel ? Kind.Models : command.Words.Count > 0 ? Kind.Words : Kind.Nothing;

    // What completes the value of an option of llama-server: its help has words with bars between them, and names of what is a path.
    private static Kind KindOf(LlamaServerOption option) => option.Value is not { } value ? Kind.Nothing
        : value.StartsWith("FILE", StringComparison.Ordinal) || value is "DIR" ? Kind.Paths
        : WordsOf(option).Length > 0 ? Kind.Words
        : Kind.Nothing;

    private static string WordsOf(LlamaServerOption option) => option.Value is { } value && value.Contains('|')
        ? string.Join(' ', value.Split('|').Where(word => char.IsLower(word[0]))) : "";

    // The options of a command for all shells: its names, what it does, what completes its value.
    private static IEnumerable<Row> RowsOf(Command command) => command.Is == CommandSet.LlamaServer
        ? LlamaServerTable.All.Select(row => new Row(row.Names, row.Help, row.Value is null, KindOf(row), WordsOf(row)))
        : OptionTable.Of(command).Select(option => new Row(option.Letter is { } letter ? [option.Name, letter] : [option.Name], option.Help,
            option.IsSwitch, KindOf(option), string.Join(' ', option.Words)));

    private sealed record Row(string[] Names, string Help, bool IsSwitch, Kind Kind, string Words);

    private static string OptionsOf(Command command) => string.Join(' ', (command.Is == CommandSet.LlamaServer
        ? RowsOf(command).SelectMany(row => row.Names)
        : RowsOf(command).Select(row => row.Names[0])).Append("--help"));

    private static string Commands => string.Join(' ', OptionTable.Commands.Select(command => command.Name));

    // Pairs of command and option by what completes the value, so that one line serves all that have it.
    private static IEnumerable<(string Patterns, Kind Kind, string Words)> Values(string quote) =>
        from pair in OptionTable.Commands.SelectMany(command => RowsOf(command).Where(row => !row.IsSwitch)
            .SelectMany(row => row.Names.Select(name => (Text: $"{quote}{command.Name} {name}{quote}", row.Kind, row.Words))))
        group pair by (pair.Kind, pair.Words) into same
        select (string.Join('|', same.Select(pair => pair.Text)), same.Key.Kind, same.Key.Words);

    private static string Bash()
    {
        var text = new StringBuilder("""
            # Completion of shimmy for bash: source <(shimmy completion bash)
            # A colon is part of a model's name.
            COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
            _shimmy() {
              local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} i
              COMPREPLY=()
              if [ "$COMP_CWORD" -eq 1 ]; then

            """);
        text.Append($"    COMPREPLY=($(compgen -W '{Commands} --help --version' -- \"$cur\"))\n    return\n  fi\n");
        text.Append("  for ((i = 2; i < COMP_CWORD; i++)); do\n    if [ \"${COMP_WORDS[i]}\" = -- ]; then\n");
        text.Append("      COMPREPLY=($(compgen -c -- \"$cur\") $(compgen -f -- \"$cur\"))\n      return\n    fi\n  done\n");
        text.Append("  case \"$command $prev\" in\n");
        foreach (var (patterns, kind, words) in Values("'"))
            text.Append($"    {patterns})\n      {Reply(kind, words)}\n      return ;;\n");
        text.Append("  esac\n  case \"$command\" in\n");
        foreach (var command in OptionTable.Commands)
        {
            text.Append($"    {command.Name})\n      if [[ $cur == -* ]]; then {Reply(Kind.Words, OptionsOf(command))}\n      else ");
            text.Append(Reply(KindOf(command), string.Join(' ', command.Words))).Append("\n      fi ;;\n");
        }
        return text.Append("  esac\n}\ncomplete -o filenames -F _shimmy shimmy\n").ToString();

        static string Reply(Kind kind, string words) => kind switch
        {
            Kind.Words => $"COMPREPLY=($(compgen -W '{words}' -- \"$cur\"))",
            Kind.Paths => words.Length == 0 ? "COMPREPLY=($(compgen -f -- \"$cur\"))"
                : $"COMPREPLY=($(compgen -W '{words}' -- \"$cur\") $(compgen -f -- \"$cur\"))",
            // -o filenames would escape and shorten what has a slash.
            // Not through compgen -W, which expands its words: a file's name may hold a command.
            Kind.Models => $"compopt +o filenames 2>/dev/null; local IFS=$'\\n'; COMPREPLY=($({Names} | "
                + "while IFS= read -r name; do [[ $name == \"$cur\"* ]] && printf '%s\\n' \"$name\"; done))",
            _ => ":",
        };
    }

    private static string Zsh()
    {
        var text = new StringBuilder("""
            #compdef shimmy
            # Completion of shimmy for zsh: shimmy completion zsh > a folder of $fpath, as _shimmy
            _shimmy() {
              local command=${words[2]} previous=${words[CURRENT-1]} current=${words[CURRENT]}
              local -a choices
              if (( CURRENT == 2 )); then
                choices=(

            """);
        foreach (var command in OptionTable.Commands)
            text.Append($"      {Quoted($"{command.Name}:{command.Help}")}\n");
        text.Append("    )\n    _describe command choices\n    return\n  fi\n");
        text.Append(
            "  if (( ${words[(I)--]} > 1 && ${words[(I)--]} < CURRENT )); then _normal; return; fi\n  case \"$command $previous\" in\n");
        foreach (var (patterns, kind, words) in Values("\""))
            text.Append($"    {patterns}) {Reply(kind, words)}; return ;;\n");
        text.Append("  esac\n  case $command in\n");
        foreach (var command in OptionTable.Commands)
        {
            text.Append($"    {command.Name})\n      if [[ $current == -* ]]; then\n        choices=(\n");
            foreach (var row in RowsOf(command))
            {
                // Letters of Shimmy's own options are not offered.
                foreach (var name in command.Is == CommandSet.LlamaServer ? row.Names : [row.Names[0]])
                    text.Append($"          {Quoted($"{name}:{row.Help}")}\n");
            }
            text.Append("        )\n        _describe option choices\n      else ");
            text.Append(Reply(KindOf(command), string.Join(' ', command.Words))).Append("; fi ;;\n");
        }
        return text.Append(
            "  esac\n}\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then _shimmy \"$@\"; else compdef _shimmy shimmy; fi\n").ToString();

        static string Reply(Kind kind, string words) => kind switch
        {
            Kind.Words => $"compadd -- {words}",
            Kind.Paths => words.Length == 0 ? "_files" : $"compadd -- {words}; _files",
            Kind.Models => $"compadd -- ${{(f)\"$({Names})\"}}",
            _ => ":",
        };

        static string Quoted(string words) => "'" + words.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
    }

    private static string Fish()
    {
        var text = new StringBuilder("# Completion of shimmy for fish: shimmy completion fish | source\ncomplete -c shimmy -f\n");
        foreach (var command in OptionTable.Commands)
        {
            text.Append($"complete -c shimmy -n __fish_use_subcommand -a {command.Name} -d {Quoted(command.Help)}\n");
            var within = $"complete -c shimmy -n '__fish_seen_subcommand_from {command.Name}'";
            if (KindOf(command) is Kind.Models)
                text.Append($"{within} -a '({Names})'\n");
            else if (command.Words.Count > 0)
                text.Append($"{within} -a '{string.Join(' ', command.Words)}'\n");
            foreach (var row in RowsOf(command))
            {
                text.Append(within);
                foreach (var name in row.Names)
                {
                    // A letter, a word behind one dash, a word behind two.
                    text.Append(name.StartsWith("--", StringComparison.Ordinal) ? $" -l {name[2..]}"
                        : name.Length == 2 ? $" -s {name[1..]}" : $" -o {name[1..]}");
                }
                text.Append($" -d {Quoted(row.Help)}").Append(row.IsSwitch ? "" : " -r").Append(row.Kind switch
                {
                    Kind.Paths => " -F",
                    Kind.Models => $" -a '({Names})'",
                    _ => "",
                });
                text.Append(row.Words.Length > 0 ? $" -a '{row.Words}'" : "").Append('\n');
            }
        }
        return text.ToString();

        static string Quoted(string words) => "'" + words.Replace("\\", "\\\\", StringComparison.Ordinal)
            .Replace("'", "\\'", StringComparison.Ordinal) + "'";
    }

    private static string PowerShell()
    {
        var text = new StringBuilder("""
            # Completion of shimmy for PowerShell: shimmy completion powershell | Out-String | Invoke-Expression
            Register-ArgumentCompleter -Native -CommandName shimmy -ScriptBlock {
                param($wordToComplete, $commandAst, $cursorPosition)
                $before = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
                    ForEach-Object { $_.ToString() })
                $command = if ($before.Count -gt 1) { $before[1] } else { '' }
                $previous = $before[-1]

            """);
        text.Append($"    $choices = if ($command -eq '') {{ {List(OptionTable.Commands.Select(command => command.Name))} }}\n");
        text.Append("    else {\n        switch (\"$command $previous\") {\n");
        foreach (var (patterns, kind, words) in Values("'").Where(row => row.Kind is Kind.Words or Kind.Models))
        {
            text.Append($"            {{ $_ -in @({patterns.Replace("'|'", "', '", StringComparison.Ordinal)}) }} {{ ");
            text.Append(kind == Kind.Models ? "& shimmy list --short" : List(words.Split(' '))).Append("; break }\n");
        }
        text.Append("            default {\n                switch ($command) {\n");
        foreach (var command in OptionTable.Commands)
        {
            text.Append(
                $"                    '{command.Name}' {{ if ($wordToComplete -like '-*') {{ {List(OptionsOf(command).Split(' '))} }} else {{ ");
            text.Append(KindOf(command) switch
            {
                Kind.Models => "& shimmy list --short",
                Kind.Words => List(command.Words),
                _ => "@()",
            }).Append(" } }\n");
        }
        return text.Append(
            "                }\n            }\n        }\n    }\n    $choices | Where-Object { $_ -like \"$wordToComplete*\" } |\n")
            .Append("        ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }\n}\n")
            .ToString();

        static string List(IEnumerable<string> words) => "@(" + string.Join(", ", words.Select(word => $"'{word}'")) + ")";
    }
}
