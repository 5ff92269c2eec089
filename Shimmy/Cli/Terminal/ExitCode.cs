namespace Shimmy.Cli.Terminal;

/// <summary>Exit codes of the process.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>Unknown model, missing file, address that cannot be bound, generation that failed.</summary>
    public const int Failed = 1;

    /// <summary>Unknown option or bad value.</summary>
    public const int Usage = 2;

    /// <summary>The model was found but cannot be loaded.</summary>
    public const int CannotLoad = 2;

    /// <summary>Interrupted by the user, as shells count it (128 + SIGINT).</summary>
    public const int Interrupted = 130;
}

/// <summary>The failure of a command: one line on stderr and an exit code.</summary>
internal class CommandException(int exitCode, string message) : Exception(message)
{
    /// <summary>One of <see cref="Terminal.ExitCode"/>.</summary>
    public int ExitCode { get; } = exitCode;
}

/// <summary>A wrong option, argument or environment variable: one line on stderr, exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
