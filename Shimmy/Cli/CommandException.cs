namespace Shimmy.Cli;

/// <summary>A command cannot do what was asked: one line on stderr and this exit code.</summary>
internal sealed class CommandException(int exitCode, string message) : Exception(message)
{
    /// <summary>One of <see cref="Cli.ExitCode"/>.</summary>
    public int ExitCode { get; } = exitCode;
}
