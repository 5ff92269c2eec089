using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Setup;

/// <summary>The command <c>launch</c>: gives a client a server and a model by its recipe, and starts it.</summary>
internal static class LaunchCommand
{
    private const int NotFound = 127;

    /// <summary>Runs it; the exit code is the client's.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        var recipe = LaunchRecipe.Of(options.Name
            ?? throw new UsageException($"CLIENT is missing: {string.Join(", ", EmbeddedTexts.Clients)}"), HostEnvironment.Current());
        if (options.Undo)
        {
            Printer.Line(recipe.Undo() ? $"{recipe.File} is as it was before" : $"nothing of {recipe.Title} was changed");
            return;
        }
        var own = options.FirstForOwnServer(CommandSet.Launch);
        var servesItself = own is not null;
        if (servesItself && options.Url is not null)
            throw new UsageException($"--url: excludes {own}, which is for a server of one's own");
        var server = !servesItself && await ServerClient.FindAsync(options, cancellation) is [var newest, ..] ? newest : null;
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson, options.LogFile);
        // Settings that are printed, or written to a file, are for a server that stays; without one, for the one that this command starts.
        await using var serving = server is null ? await Serving.StartAsync(options, loggers, cancellation) : null;
        server ??= new ServerClient(serving!.Server.Address, null);
        var target = await TargetOfAsync(server, options, cancellation);
        Check(recipe, target, options);
        if (options.ToStdout)
        {
            Print(recipe, target, options);
            return;
        }
        if (recipe.File is { } file)
        {
            recipe.Write(target);
            if (!options.Quiet)
                Printer.Notice("launch", $"{file} names {target.Model} at {target.Url}; shimmy launch {options.Name} --undo takes it back");
        }
        if (!options.Quiet)
            Printer.Notice("launch", $"{recipe.Title} uses {target.Model} at {target.Url}");
        var environment = recipe.EnvironmentFor(target);
        if (recipe.PreparationFor(target) is [_, ..] first
            && await GuardedCommand.RunAsync(first, environment, cancellation) is not 0 and var failed)
        {
            Environment.ExitCode = failed;
            return;
        }
        Environment.ExitCode = await GuardedCommand.RunAsync([.. recipe.CommandFor(target), .. options.Rest], environment, cancellation);
        if (Environment.ExitCode == ExitCode.Success && recipe.Returns && serving is not null)
        {
            Printer.Notice("launch", $"the server runs at {target.Url} until Ctrl+C");
            await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        if (Environment.ExitCode == NotFound)
            Printer.Notice("launch", $"{recipe.Title} is not installed: {recipe.Install}");
    }

    private static async Task<LaunchTarget> TargetOfAsync(ServerClient server, CommandOptions options, CancellationToken cancellation)
    {
        using var list = await server.AskAsync(HttpMethod.Get, "api/models", cancellation);
        var models = list.RootElement.GetProperty("models").EnumerateArray().Where(model => model.GetProperty("ready").GetBoolean()
            && Capabilities(model).Contains("completion")).ToList();
        var choice = ModelContext.Choice(models, model => NameOf(model));
        var name = options.Model;
        var known = name is null ? null : await server.NameOfAsync(name, cancellation);
        var model = name is null
            ? choice is [var only] ? only : throw new UsageException(choice.Count == 0
                ? "--model is missing, and the server has no model that answers"
                : $"--model is missing, and there are several: {string.Join(", ", choice.Select(NameOf))}")
            : models.FirstOrDefault(model => NameOf(model) == known);
        if (model.ValueKind == JsonValueKind.Undefined)
        {
            throw new CommandException(ExitCode.Failed,
                $"--model: the server at {server.Address} has no '{name}' that answers; it has {string.Join(", ", models.Select(NameOf))}");
        }
        return new LaunchTarget(server.Address, options.ClientKey ?? ServerClient.AnyKey, NameOf(model),
            model.GetProperty("context_length").GetInt32(),
            Capabilities(model).Contains("tools"), Capabilities(model).Contains("vision"));
    }

    private static string NameOf(JsonElement model) => model.GetProperty("name").GetString()!;

    private static IEnumerable<string> Capabilities(JsonElement model) =>
        model.GetProperty("capabilities").EnumerateArray().Select(one => one.GetString()!);

    private static void Check(LaunchRecipe recipe, LaunchTarget target, CommandOptions options)
    {
        if (options.Quiet)
            return;
        if (target.Context > 0 && target.Context < recipe.LeastContext)
        {
            Printer.Notice("launch",
                $"{target.Model} has a context of {target.Context} tokens, and {recipe.Title} wants {recipe.LeastContext} "
                + "or more: expect it to lose the thread (--ctx N, where the model was trained for it)");
        }
        if (!target.CallsTools)
        {
            Printer.Notice("launch",
                $"{target.Model} was not trained to call tools: they are described to it in plain words, and it may not use them");
        }
    }

    private static void Print(LaunchRecipe recipe, LaunchTarget target, CommandOptions options)
    {
        foreach (var (name, value) in recipe.EnvironmentFor(target))
            Printer.Line($"export {name}={InitCommand.Shell(value)}");
        if (recipe.SettingsFor(target) is { } settings)
            Printer.Line($"# into {recipe.File}:\n{settings}");
        if (recipe.PreparationFor(target) is [_, ..] first)
            Printer.Line(string.Join(' ', first.Select(InitCommand.Shell)));
        Printer.Line(string.Join(' ', recipe.CommandFor(target).Concat(options.Rest).Select(InitCommand.Shell)));
    }
}

/// <summary>The server that a client is to use: the server's address, a key for it, and a model with what is known of it.</summary>
internal sealed record LaunchTarget(string Url, string Key, string Model, int Context, bool CallsTools, bool Sees);

/// <summary>
/// How a client is given a server: a recipe of <c>Assets/launch</c>, with variables, arguments and a settings file. What stands in braces
/// is replaced; a text that is nothing but a brace becomes a number or a truth value.
/// </summary>
internal sealed class LaunchRecipe
{
    private const string Backup = ".before-shimmy";
    private const string Undone = ".after-shimmy";

    // Of the context, what a client may take for the answer.
    private const int AnswerShare = 4;

    private static readonly JsonDocumentOptions WithComments =
        new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private readonly JsonObject _recipe;
    private readonly HostEnvironment _host;
    private readonly string _name;

    private LaunchRecipe(string name, JsonObject recipe, HostEnvironment host)
    {
        _name = name;
        _recipe = recipe;
        _host = host;
    }

    /// <summary>The client's name in its own writing.</summary>
    public string Title => _recipe["title"]!.GetValue<string>();

    /// <summary>How it is installed.</summary>
    public string Install => _recipe["install"]!.GetValue<string>();

    /// <summary>The context below which it does not work well.</summary>
    public int LeastContext => _recipe["context"]!.GetValue<int>();

    /// <summary>Its settings file; null where variables and arguments say all.</summary>
    public string? File => _recipe["file"]?[_host.System switch
    {
        HostSystem.Windows => "windows",
        HostSystem.MacOS => "macos",
        _ => "linux",
    }] is { } path
        ? _host.Absolute(path.GetValue<string>().Replace("%APPDATA%", _host.Value("APPDATA") ?? "", StringComparison.Ordinal))
        : null;

    /// <summary>Whether its command ends while the client runs on, in a window.</summary>
    public bool Returns => _recipe["returns"] is not null;

    /// <summary>The recipe of a client that <see cref="EmbeddedTexts.Clients"/> has.</summary>
    public static LaunchRecipe Of(string client, HostEnvironment host) =>
        new(client, JsonNode.Parse(EmbeddedTexts.Read($"launch/{client}.json"))!.AsObject(), host);

    /// <summary>The command that starts it.</summary>
    public IReadOnlyList<string> CommandFor(LaunchTarget target) => Words("command", target);

    /// <summary>A command that has to run first; empty where there is none.</summary>
    public IReadOnlyList<string> PreparationFor(LaunchTarget target) => Words("prepare", target);

    /// <summary>Its variables.</summary>
    public IReadOnlyDictionary<string, string> EnvironmentFor(LaunchTarget target) => _recipe["environment"]!.AsObject().ToDictionary(
        pair => pair.Key,
        pair => Filled(pair.Value!, target) is var value && value.GetValueKind() == JsonValueKind.String
            ? value.GetValue<string>() : value.ToJsonString());

    /// <summary>The text for its settings file; null where it has none.</summary>
    public string? SettingsFor(LaunchTarget target) =>
        _recipe["file"] is { } file ? Filled(file["content"]!, target).ToJsonString(Printer.IndentedJson) : null;

    /// <summary>
    /// Puts the settings into the client's file, beside what is there, and keeps the file as it was the first time. Throws
    /// <see cref="CommandException"/> where the file cannot be read or written.
    /// </summary>
    public void Write(LaunchTarget target)
    {
        var path = File!;
        try
        {
            var before = System.IO.File.Exists(path) ? System.IO.File.ReadAllText(path) : "";
            var settings = Filled(_recipe["file"]!["content"]!, target);
            var there = before.Trim().Length == 0 ? null : JsonNode.Parse(before, documentOptions: WithComments);
            if (there is not null && there.GetValueKind() != settings.GetValueKind())
                throw new CommandException(ExitCode.Failed, $"{path}: is not of the form that {Title} has for it; nothing was changed");
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            if (!System.IO.File.Exists(path + Backup))
            {
                // With its mode, which the undoing gives back.
                if (System.IO.File.Exists(path))
                    System.IO.File.Copy(path, path + Backup);
                else
                    PrivateFile.Write(path + Backup, "");
            }
            var text = Merge(there, settings).ToJsonString(Printer.IndentedJson) + "\n";
            if (HoldsKey(target))
                PrivateFile.Write(path, text);
            else
                System.IO.File.WriteAllText(path, text, new UTF8Encoding(false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new CommandException(ExitCode.Failed, $"{path}: {e.Message}");
        }
    }

    /// <summary>Puts the file back as it was; false where nothing was changed before.</summary>
    public bool Undo()
    {
        if (File is not { } path || !System.IO.File.Exists(path + Backup))
            return false;
        var before = System.IO.File.ReadAllText(path + Backup);
        // What was changed since by hand is kept beside it.
        if (System.IO.File.Exists(path))
            System.IO.File.Copy(path, path + Undone, overwrite: true);
        if (before.Length > 0)
        {
            System.IO.File.Move(path + Backup, path, overwrite: true);
            return true;
        }
        System.IO.File.Delete(path);
        System.IO.File.Delete(path + Backup);
        return true;
    }

    // Whether the settings file gets a secret: ServerClient.AnyKey is a placeholder for servers without keys.
    private bool HoldsKey(LaunchTarget target) => target.Key != ServerClient.AnyKey
        && _recipe["file"]!["content"]!.ToJsonString().Contains("{key}", StringComparison.Ordinal);

    private string[] Words(string field, LaunchTarget target) =>
        _recipe[field] is { } words ? [.. words.AsArray().Select(word => Text(word!.GetValue<string>(), target))] : [];

    // Of objects, field by field; of lists, what has our name is replaced and the rest stays.
    private static JsonNode Merge(JsonNode? there, JsonNode ours)
    {
        if (there is JsonObject old && ours is JsonObject fields)
        {
            var merged = old.DeepClone().AsObject();
            foreach (var (name, value) in fields)
                merged[name] = Merge(merged[name], value!);
            return merged;
        }
        if (there is JsonArray items && ours is JsonArray more)
        {
            var names = more.Select(NameOf).ToList();
            return new JsonArray(
            [
                .. items.Where(item => NameOf(item) is not { } name || !names.Contains(name)).Select(item => item?.DeepClone()),
                .. more.Select(item => item?.DeepClone()),
            ]);
        }
        return ours.DeepClone();
    }

    private static string? NameOf(JsonNode? item) =>
        item is JsonObject fields && fields["name"] is JsonValue name && name.TryGetValue<string>(out var text) ? text : null;

    private JsonNode Filled(JsonNode node, LaunchTarget target)
    {
        switch (node)
        {
            case JsonObject fields:
                return new JsonObject(fields.Select(pair =>
                    KeyValuePair.Create<string, JsonNode?>(Text(pair.Key, target), Filled(pair.Value!, target))));
            case JsonArray items:
                return new JsonArray([.. items.Select(item => Filled(item!, target))]);
            default:
                if (node.GetValueKind() != JsonValueKind.String)
                    return node.DeepClone();
                return node.GetValue<string>() switch
                {
                    "{context}" => JsonValue.Create(target.Context),
                    "{output}" => JsonValue.Create(target.Context / AnswerShare),
                    "{images}" => JsonValue.Create(target.Sees),
                    var text => JsonValue.Create(Text(text, target)),
                };
        }
    }

    private string Text(string text, LaunchTarget target) => text
        .Replace("{url}", target.Url, StringComparison.Ordinal)
        .Replace("{key}", target.Key, StringComparison.Ordinal)
        .Replace("{model}", target.Model, StringComparison.Ordinal)
        .Replace("{context}", target.Context.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
        .Replace("{folder}", _host.Join(_host.StateFolder(), "shimmy", "launch", _name), StringComparison.Ordinal);
}
