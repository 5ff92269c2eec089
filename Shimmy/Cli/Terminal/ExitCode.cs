using Shimmy.Cli.Options;

namespace Shimmy.Cli.Terminal;

/// <summary>What the process answers to the shell.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>Unknown model, missing file, address that cannot be bound, generation that failed.</summary>
    public const int Failed = 1;

    /// <summary>Unknown option or bad value.</summary>
    public const int Usage = 2;

    /// <summary>The model was found and cannot be loaded.</summary>
    public const int CannotLoad = 2;

    /// <summary>Interrupted by the user, as shells count it (128 + SIGINT).</summary>
    public const int Interrupted = 130;
}

/// <summary>A command cannot do what was asked: one line on stderr and this exit code.</summary>
internal sealed class CommandException(int exitCode, string message) : Exception(message)
{
    /// <summary>One of <see cref="Terminal.ExitCode"/>.</summary>
    public int ExitCode { get; } = exitCode;
}

/// <summary>The command line or a variable of the environment is wrong: one line on stderr, exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message)
{
    /// <summary>Rewords what the argument parser says, which names options without their dashes and knows only text values.</summary>
    public static UsageException FromParser(string message)
    {
        var first = message.IndexOf('\'', StringComparison.Ordinal);
        var last = message.IndexOf('\'', first + 1);
        if (first < 0 || last < 0)
            return new UsageException(message);
        var name = message[(first + 1)..last];
        if (message.Contains("failed to parse", StringComparison.Ordinal))
        {
            // An argument has no dashes, and only one that looks like an option is refused.
            const string value = "provided value: ";
            if (name != "name")
                return new UsageException($"{OptionAliases.FromParser("--" + name.TrimStart('-'))}: a value is missing");
            name = message[(message.IndexOf(value, StringComparison.Ordinal) + value.Length)..];
        }
        else if (!message.Contains("not recognized", StringComparison.Ordinal))
        {
            return new UsageException(message);
        }
        if (!name.StartsWith('-'))
            return new UsageException($"unexpected argument '{name}'");
        var equals = name.IndexOf('=', StringComparison.Ordinal);
        return new UsageException(equals < 0
            ? $"unknown option {name}"
            : $"unknown option {name}; a value follows its option after a blank: {name[..equals]} {name[(equals + 1)..]}");
    }
}
