using System.Text;
using System.Text.Json;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Setup;

/// <summary>
/// The command <c>init</c>. A template is a folder of <c>Assets/init</c>; what stands in double braces is replaced, and the options of
/// <c>serve</c> that were given have a place for each language that they are written in.
/// </summary>
internal static class InitCommand
{
    // What a template says, and does not write: what it is, and the commands that come next; and files of others that it has as well.
    private const string Next = "NEXT.txt";
    private const string Also = "ALSO.txt";
    private const string Models = "{{models}}";

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (options.ListsChoices)
        {
            Printer.Line(Table.Format(["TEMPLATE", "WRITES"],
                EmbeddedTexts.Templates.Select(name => new[] { name, EmbeddedTexts.Read($"init/{name}/{Next}").Split('\n')[0] })));
            return;
        }
        var template = options.Deployment
            ?? throw new UsageException($"--template is missing: {string.Join(", ", EmbeddedTexts.Templates)} (shimmy init --list)");
        var models = NamesOf(template).Any(name => EmbeddedTexts.Read($"init/{name}").Contains(Models, StringComparison.Ordinal))
            ? await ModelNamesAsync(options, cancellation) : [];
        var files = FilesOf(template, options, models).ToList();
        if (options.ToStdout)
        {
            foreach (var (path, text) in files)
                Printer.Line(files.Count == 1 ? text : $"--- {path}\n{text}");
            return;
        }
        var folder = Path.GetFullPath(options.Output ?? ".");
        var there = files.Select(file => file.Path).Where(path => File.Exists(Path.Join(folder, path))).ToList();
        if (there.Count > 0 && !options.Force)
            throw new CommandException(ExitCode.Failed, $"{string.Join(", ", there)}: there already in {folder}; --force writes over it");
        foreach (var (path, text) in files)
        {
            var file = Path.Join(folder, path);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, text, new UTF8Encoding(false), cancellation);
            Printer.Line(file);
        }
        Printer.Remark("next:\n" + string.Join('\n', Fill(EmbeddedTexts.Read($"init/{template}/{Next}"), options, models)
            .TrimEnd().Split('\n').Skip(1).Select(line => "  " + line)));
    }

    /// <summary>
    /// The files of a template with their paths. Throws <see cref="UsageException"/> for an option that the template has itself.
    /// </summary>
    public static IEnumerable<(string Path, string Text)> FilesOf(string template, CommandOptions options, IReadOnlyList<string> models)
    {
        foreach (var name in NamesOf(template))
        {
            var path = name[(name.IndexOf('/', StringComparison.Ordinal) + 1)..].Replace("dot-", ".", StringComparison.Ordinal)
                .Replace("NAME", options.DeploymentName, StringComparison.Ordinal);
            var text = EmbeddedTexts.Read($"init/{name}");
            CheckOnce(template, text, options);
            yield return (path, Fill(text, options, models));
        }
    }

    private static IEnumerable<string> NamesOf(string template)
    {
        var own = EmbeddedTexts.Under($"init/{template}/").ToList();
        var names = own.Where(name => name is not (Next or Also)).Select(name => $"{template}/{name}");
        return own.Contains(Also)
            ? names.Concat(EmbeddedTexts.Read($"init/{template}/{Also}").Split('\n', StringSplitOptions.RemoveEmptyEntries)) : names;
    }

    // The server would not start with an option that is there twice.
    private static void CheckOnce(string template, string text, CommandOptions options)
    {
        var words = text.Split(' ', '\n', '"', ',', '<', '>');
        foreach (var (name, _) in options.GivenOptions.Where(IsOfServe))
        {
            if (words.Contains(name) && !OptionTable.All.Any(option => option.Name == name && option.IsRepeatable))
                throw new UsageException($"{name}: the files of {template} say it themselves; write them without it, then change it there");
        }
    }

    private static async Task<IReadOnlyList<string>> ModelNamesAsync(CommandOptions options, CancellationToken cancellation)
    {
        var models = ModelContext.Create(options with { ModelPath = null });
        await models.ScanAsync(cancellation);
        return [.. ModelContext.Choice(models.Registry.Entries).Select(entry => entry.Name)];
    }

    private static string Fill(string text, CommandOptions options, IReadOnlyList<string> models)
    {
        string[] arguments =
            [.. options.GivenOptions.Where(IsOfServe)
                .SelectMany(pair => pair.Value is null or OptionValue.On ? [pair.Name] : new[] { pair.Name, pair.Value })];
        var executable = Environment.ProcessPath ?? "shimmy";
        var shell = string.Concat(arguments.Select(argument => " " + Shell(argument)));
        string List(string variable) => string.Concat(arguments.Select(argument =>
            ", " + Json(variable.Length == 0 ? argument : argument.Replace(variable, "$" + variable, StringComparison.Ordinal))));
        var swapped =
            models.Select(model => $"  {Json(model)}:\n    cmd: |\n      {Shell(executable)} serve --bind 127.0.0.1:${{PORT}}{shell}\n"
            + "    checkEndpoint: /health\n");
        return text
            .Replace("{{name}}", options.DeploymentName, StringComparison.Ordinal)
            .Replace("{{list}}", List(""), StringComparison.Ordinal)
            // Both replace variables in their lists: compose all of them, Kubernetes those in parentheses.
            .Replace("{{compose-list}}", List("$"), StringComparison.Ordinal)
            .Replace("{{kubernetes-list}}", List("$("), StringComparison.Ordinal)
            .Replace("{{shell}}", shell, StringComparison.Ordinal)
            .Replace("{{gpustack:", "{{", StringComparison.Ordinal)
            .Replace("{{shell-in-json}}", Json(shell)[1..^1], StringComparison.Ordinal)
            .Replace("{{railway-command}}",
                Json(Shell("exec /opt/shimmy/shimmy serve --bind 0.0.0.0:$PORT" + shell))[1..^1], StringComparison.Ordinal)
            .Replace("{{systemd}}", string.Concat(arguments.Select(argument => " " + Systemd(argument))), StringComparison.Ordinal)
            .Replace("{{systemd-executable}}", Systemd(executable), StringComparison.Ordinal)
            .Replace("{{xml}}", string.Concat(arguments.Select(argument => $"    <string>{Xml(argument)}</string>\n")),
                StringComparison.Ordinal)
            .Replace("{{xml-executable}}", Xml(executable), StringComparison.Ordinal)
            .Replace(Models, string.Concat(swapped).TrimEnd('\n'), StringComparison.Ordinal)
            .Replace("{{folder-json}}", Json(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)), StringComparison.Ordinal)
            .Replace("{{folder}}", Shell(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)), StringComparison.Ordinal);
    }

    // init's own options are said in the files by what they are.
    private static bool IsOfServe((string Name, string? Value) given) =>
        OptionTable.All.Any(option => option.Name == given.Name && (option.Commands & CommandSet.Serve) != 0)
        && !OptionTable.All.Any(
            option => option.Name == given.Name && (option.Commands & (CommandSet.Serve | CommandSet.Init)) == CommandSet.Init);

    private static string Json(string text) =>
        "\"" + JsonEncodedText.Encode(text, System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping) + "\"";

    /// <summary>An argument as a shell reads it.</summary>
    internal static string Shell(string text) => text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || "-_./:=,@%+".Contains(c))
        ? text
        : "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'";

    // systemd.service(5), "Command lines": variables begin with a dollar, specifiers with a percent sign.
    private static string Systemd(string text)
    {
        var escaped = text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)
            .Replace("%", "%%", StringComparison.Ordinal).Replace("$", "$$", StringComparison.Ordinal);
        return escaped.Any(c => char.IsWhiteSpace(c) || c is '"' or '\'' or ';' or '\\') ? $"\"{escaped}\"" : escaped;
    }

    private static string Xml(string text) => System.Security.SecurityElement.Escape(text);
}
