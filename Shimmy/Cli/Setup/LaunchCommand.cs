using System.Text.Json;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Setup;

/// <summary>The command <c>launch</c>: tells a client of a server and a model by its recipe, and starts it.</summary>
internal static class LaunchCommand
{
    private const string AnyKey = "shimmy";
    private const int NotFound = 127;

    // Options that say nothing of how models are served: with others, a server of one's own is meant.
    private static readonly string[] OfClients =
        ["--model", "--quiet", "--url", "--api-key", "--print", "--undo", "--color", "--log-level", "--log-format", "--log-file"];

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
        var (own, _) = options.GivenOptions.FirstOrDefault(option => !OfClients.Contains(option.Name));
        var servesItself = own is not null;
        if (servesItself && options.Url is not null)
            throw new UsageException($"--url: excludes {own}, which is for a server of one's own");
        var server = servesItself ? null : (await ServerClient.FindAsync(options, cancellation)).FirstOrDefault();
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
        var model = name is null
            ? choice is [var only] ? only : throw new UsageException(choice.Count == 0
                ? "--model is missing, and the server has no model that answers"
                : $"--model is missing, and there are several: {string.Join(", ", choice.Select(NameOf))}")
            : models.FirstOrDefault(model => string.Equals(NameOf(model), name, StringComparison.OrdinalIgnoreCase));
        if (model.ValueKind == JsonValueKind.Undefined)
            throw new CommandException(ExitCode.Failed,
                $"--model: the server at {server.Address} has no '{name}' that answers; it has {string.Join(", ", models.Select(NameOf))}");
        return new LaunchTarget(server.Address, options.ClientKey ?? AnyKey, NameOf(model), model.GetProperty("context_length").GetInt32(),
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
            Printer.Notice("launch",
                $"{target.Model} was not trained to call tools: they are described to it in plain words, and it may not use them");
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
