using ConsoleAppFramework;
using Shimmy.Cli.Chat;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Packing;
using Shimmy.Cli.Setup;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Runtimes;
using Shimmy.Http;
using Shimmy.Models.Pull;

namespace Shimmy.Cli;

/// <summary>
/// Runs the command that the arguments ask for. Options are read by <see cref="OptionParser"/>; ConsoleAppFramework gets the command's name
/// alone, finds the command, and cancels it on SIGINT and SIGTERM.
/// </summary>
internal static class CommandLine
{
    /// <summary>Runs what the arguments ask for.</summary>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        Environment.ExitCode = ExitCode.Success;
        if (args is [] or ["-h" or "--help", ..])
            return Show(HelpText.OfProgram());
        if (args[0] == "--version")
            return Show(VersionText());
        if (OptionTable.Commands.FirstOrDefault(one => one.Name == args[0]) is not { } command)
        {
            var names = string.Join(", ", OptionTable.Commands.Select(one => one.Name));
            return Refuse("", $"unknown command '{args[0]}'; there are {names} (shimmy --help)");
        }
        // What follows the dashes is another program's.
        var own = command.TakesRest && Array.IndexOf(args, "--") is >= 0 and var dashes ? args[..dashes] : args;
        if (own[^1] is "-h" or "--help")
            return Show(HelpText.Of(command));
        if (args is [_, "--version"])
            return Show(VersionText());

        CommandOptions options;
        try
        {
            options = command.Is == CommandSet.LlamaServer
                ? LlamaServerArguments.Parse(args.AsSpan(1), Environment.GetEnvironmentVariable)
                : OptionParser.Parse(command, args.AsSpan(1), Environment.GetEnvironmentVariable);
            Printer.Color = options.Color;
        }
        catch (Exception e) when (e is UsageException or CommandException or IOException or UnauthorizedAccessException)
        {
            var (exitCode, message) = FailureFilter.Describe(e);
            return Refuse(command.Name, message, exitCode);
        }
        if (command.NeedsOpenSsl && OpenSslLibrary.WhyMissing() is { } missing)
            return Refuse(command.Name, missing, ExitCode.Failed);
        // The framework ends the process this long after a signal.
        ConsoleApp.Timeout = command.EndsItself ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(5);
        // The lambdas have to be async: of one that only returns a task, version 5.8.1 does not see the task, and ends the process at once.
        var app = ConsoleApp.Create();
        app.UseFilter<FailureFilter>();
        app.Add("serve", async (CancellationToken cancellation) => await ServeCommand.RunAsync(options, cancellation));
        app.Add("chat", async (CancellationToken cancellation) => await ChatCommand.RunAsync(options, cancellation));
        app.Add("generate", async (CancellationToken cancellation) => await GenerateCommand.RunAsync(options, cancellation));
        app.Add("list", async (CancellationToken cancellation) => await ListCommand.RunAsync(options, cancellation));
        app.Add("discover", async (CancellationToken cancellation) => await DiscoverCommand.RunAsync(options, cancellation));
        app.Add("probe", async (CancellationToken cancellation) => await ProbeCommand.RunAsync(options, cancellation));
        app.Add("bench", async (CancellationToken cancellation) => await BenchCommand.RunAsync(options, cancellation));
        app.Add("convert", async (CancellationToken cancellation) => await ConvertCommand.RunAsync(options, cancellation));
        app.Add("pack", async (CancellationToken cancellation) => await PackCommand.RunAsync(options, cancellation));
        app.Add("llama-server", async (CancellationToken cancellation) => await ServeCommand.RunAsync(options, cancellation));
        app.Add("gpu-info", async (CancellationToken cancellation) => await GpuInfoCommand.RunAsync(options, cancellation));
        app.Add("exec", async (CancellationToken cancellation) => await ExecCommand.RunAsync(options, cancellation));
        app.Add("ps", async (CancellationToken cancellation) => await PsCommand.RunAsync(options, cancellation));
        app.Add("stop", async (CancellationToken cancellation) => await PsCommand.StopAsync(options, cancellation));
        app.Add("pull", async (CancellationToken cancellation) => await PullCommand.RunAsync(options, cancellation));
        app.Add("rm", async (CancellationToken cancellation) => await PullCommand.RemoveAsync(options, cancellation));
        app.Add("launch", async (CancellationToken cancellation) => await LaunchCommand.RunAsync(options, cancellation));
        app.Add("init", async (CancellationToken cancellation) => await InitCommand.RunAsync(options, cancellation));
        app.Add("completion", () => Printer.Line(CompletionScript.Of(options.Name
            ?? throw new UsageException($"SHELL is missing: {TuningOption.AnyOf(command.Words)}"))));
        app.Add("man", () => Printer.Line(ManualPage.Text()));
        await app.RunAsync([command.Name]);
        return Environment.ExitCode;
    }

    // By the files beside the executable: nothing is loaded.
    private static string VersionText()
    {
        var runtimes = InstalledRuntimes.All;
        var backends = runtimes.SelectMany(runtime => RuntimeDirectory.GpuBackends.Where(runtime.HasBackend)).Distinct()
            .Select(RuntimeDirectory.PluginName);
        var commit = ServerState.Commit is { } whole ? $" (commit {whole[..Math.Min(12, whole.Length)]})" : "";
        return $"shimmy {ServerState.Version}{commit}\n"
            + $"runtimes: {(runtimes.Count == 0 ? "none" : string.Join(", ", runtimes.Select(runtime => runtime.Name)))}\n"
            + $"backends: {string.Join(", ", ["cpu", .. backends])}";
    }

    private static int Show(string text)
    {
        try
        {
            Printer.Line(text);
            return ExitCode.Success;
        }
        catch (OutputClosedException)
        {
            return ExitCode.Failed;
        }
        catch (CommandException e)
        {
            return Refuse("", e.Message, e.ExitCode);
        }
    }

    private static int Refuse(string command, string message, int exitCode = ExitCode.Usage)
    {
        Printer.Error(command, message);
        return exitCode;
    }
}

/// <summary>Catches the exceptions of a command: each becomes one line on stderr and an exit code.</summary>
internal sealed class FailureFilter(ConsoleAppFilter next) : ConsoleAppFilter(next)
{
    /// <inheritdoc/>
    public override async Task InvokeAsync(ConsoleAppContext context, CancellationToken cancellationToken)
    {
        try
        {
            await Next.InvokeAsync(context, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            Environment.ExitCode = ExitCode.Interrupted;
        }
        catch (OutputClosedException)
        {
            Environment.ExitCode = ExitCode.Failed;
            if (StandardStreams.OutputIsMissing)
                Printer.Error(context.CommandName, "stdout was closed at the start, and there is no /dev/null to write to in its place");
        }
        catch (Exception e)
        {
            var (exitCode, message) = Describe(e);
            Environment.ExitCode = exitCode;
            Printer.Error(context.CommandName, message);
        }
    }

    internal static (int ExitCode, string Message) Describe(Exception e) => e switch
    {
        UsageException => (ExitCode.Usage, e.Message),
        CommandException failed => (failed.ExitCode, e.Message),
        EngineException { Failure: EngineFailure.LoadFailed } => (ExitCode.CannotLoad, e.Message),
        // A refusal by the chat template; there is no option of this name.
        EngineException { Failure: EngineFailure.InvalidRequest, Option: "messages" } => (ExitCode.Usage, e.Message),
        // A picture or sound is named with its option and its path, in the message too.
        EngineException { Failure: EngineFailure.InvalidRequest, Option: ['-', ..] } => (ExitCode.Usage, e.Message),
        EngineException { Failure: EngineFailure.InvalidRequest, Option: { } option } =>
            (ExitCode.Usage, $"{Option.NameOf(option)}: {e.Message}"),
        EngineException { Failure: EngineFailure.InvalidRequest or EngineFailure.PromptTooLong } => (ExitCode.Usage, e.Message),
        EngineException => (ExitCode.Failed, e.Message),
        PullException { Failure: PullFailure.BadName } => (ExitCode.Usage, e.Message),
        PullException => (ExitCode.Failed, e.Message),
        // The system: a folder that is gone, a disk that is full or cannot be written, a socket that is not allowed.
        IOException or UnauthorizedAccessException or System.Net.Sockets.SocketException => (ExitCode.Failed, e.Message),
        // .NET reads a file where others ask the kernel.
        System.Security.Cryptography.CryptographicException when !OperatingSystem.IsWindows() && !File.Exists("/dev/urandom") =>
            (ExitCode.Failed, "there are no random numbers: /dev/urandom is missing (mount /dev in the container)"),
        // A defect of Shimmy: with the stack trace.
        _ => (ExitCode.Failed, e.ToString()),
    };
}
