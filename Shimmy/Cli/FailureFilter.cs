using ConsoleAppFramework;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models.Pull;

namespace Shimmy.Cli;

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
