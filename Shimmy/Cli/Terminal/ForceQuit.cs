using System.Runtime.InteropServices;

namespace Shimmy.Cli.Terminal;

/// <summary>Ends the process on the second SIGINT or SIGTERM. The first cancels the command, which ConsoleAppFramework does.</summary>
internal sealed class ForceQuit : IDisposable
{
    private readonly PosixSignalRegistration _interrupts;
    private readonly PosixSignalRegistration _terminations;
    private int _signals;

    /// <summary>Listens from now on.</summary>
    public ForceQuit(Action act)
    {
        _interrupts = PosixSignalRegistration.Create(PosixSignal.SIGINT, Count);
        _terminations = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Count);

        void Count(PosixSignalContext signal)
        {
            if (Interlocked.Increment(ref _signals) > 1)
                act();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _interrupts.Dispose();
        _terminations.Dispose();
    }
}

/// <summary>
/// SIGHUP: asks a server to read its configuration again, as servers do; but where the terminal that it was started from is gone, to end.
/// </summary>
internal sealed class SighupHandler : IDisposable
{
    private readonly PosixSignalRegistration? _registration;

    /// <summary>Listens from now on.</summary>
    /// <param name="reload">Reads the configuration again.</param>
    /// <param name="end">Ends the server.</param>
    public SighupHandler(Action reload, Action end)
    {
        // On Windows the signal stands for a window that is closed.
        if (OperatingSystem.IsWindows())
            return;
        var hadTerminal = HasTerminal();
        _registration = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true;
            if (hadTerminal && !HasTerminal())
                end();
            else
                reload();
        });
    }

    /// <inheritdoc/>
    public void Dispose() => _registration?.Dispose();

    // It can be opened by processes that have one (tty(4)).
    private static bool HasTerminal()
    {
        try
        {
            using var terminal = File.OpenHandle("/dev/tty", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}

/// <summary>SIGXFSZ, which the system sends to who writes beyond the limit of a file's size, and which would end the process.</summary>
internal static class FileSizeSignal
{
    // The number on Linux and macOS; .NET has no name for it.
    private const PosixSignal Number = (PosixSignal)25;

    /// <summary>Ignores it until the answer is disposed.</summary>
    public static PosixSignalRegistration Ignore() => PosixSignalRegistration.Create(Number, signal => signal.Cancel = true);
}
