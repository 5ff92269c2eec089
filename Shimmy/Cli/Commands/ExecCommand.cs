using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>exec</c>: a server in this process for the time that a command runs.</summary>
internal static class ExecCommand
{
    /// <summary>Runs it; the exit code is the command's.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (options.Rest.Count == 0)
            throw new UsageException("COMMAND is missing: shimmy exec [options] -- COMMAND [ARGUMENT...]");
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson, options.LogFile);
        await using var serving = await Serving.StartAsync(
            options with { Server = options.Server with { Bind = "127.0.0.1:0" } }, loggers, cancellation);
        var model = await ModelOfAsync(options, serving, cancellation);
        var url = serving.Server.Address.GetLeftPart(UriPartial.Authority);
        if (!options.Quiet)
            Printer.Notice("exec", $"{options.Rest[0]} finds {model ?? "all models"} at {url}");
        Environment.ExitCode = await GuardedCommand.RunAsync(options.Rest, EnvironmentOf(url, ServerClient.AnyKey, model), cancellation);
    }

    /// <summary>The variables by which clients find a server.</summary>
    public static Dictionary<string, string> EnvironmentOf(string url, string key, string? model)
    {
        var environment = new Dictionary<string, string>
        {
            ["OPENAI_BASE_URL"] = url + "/v1",
            ["OPENAI_API_KEY"] = key,
            ["ANTHROPIC_BASE_URL"] = url,
            ["ANTHROPIC_AUTH_TOKEN"] = key,
            ["OLLAMA_HOST"] = url,
            ["SHIMMY_URL"] = url,
        };
        if (model is not null)
            environment["SHIMMY_MODEL"] = model;
        return environment;
    }

    /// <summary>
    /// The model that the command is to use: the one that was named, which is loaded before the command starts, else the only one; null
    /// where there are several, or where answers come from a recording, which has the names in it.
    /// </summary>
    public static async Task<string?> ModelOfAsync(CommandOptions options, Serving serving, CancellationToken cancellation)
    {
        var replays = options.Server is { ReplayFile: not null, ReplayPasses: false };
        if (replays)
            return options.Model ?? serving.Models.Registry.Default?.Name;
        if (options.Model is { } name)
        {
            var entry = await serving.Models.FindAsync(name, cancellation);
            serving.Models.Registry.RegisterIfNew(entry);
            (await serving.Residency.AcquireAsync(entry, cancellation: cancellation)).Dispose();
            return entry.Name;
        }
        if (serving.Models.Registry.Default is { } registered)
            return registered.Name;
        await serving.Models.Registry.ScannedAsync(cancellation);
        return ModelContext.Choice(serving.Models.Registry.Entries) is [var only] ? only.Name : null;
    }
}
