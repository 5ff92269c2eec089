using System.Runtime.InteropServices;

namespace Shimmy.Cli.Terminal;

/// <summary>
/// Ends the process on a second SIGINT or SIGTERM. The first cancels the command, which ConsoleAppFramework does. What follows within a
/// second is the same one: a terminal or a supervisor sends it to a whole group, in which a wrapper (npx) passes its own on.
/// </summary>
internal sealed class ForceQuit : IDisposable
{
    private static readonly TimeSpan SameSignal = TimeSpan.FromSeconds(1);
    private const long None = long.MinValue;

    private readonly Action _act;
    private readonly TimeProvider _time;
    private readonly PosixSignalRegistration _interrupts;
    private readonly PosixSignalRegistration _terminations;
    private long _first = None;

    /// <summary>Listens from now on.</summary>
    /// <param name="act">Ends the process.</param>
    /// <param name="time">The clock.</param>
    public ForceQuit(Action act, TimeProvider time)
    {
        (_act, _time) = (act, time);
        _interrupts = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => Arrived());
        _terminations = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => Arrived());
    }

    /// <summary>A signal has come.</summary>
    internal void Arrived()
    {
        var now = _time.GetTimestamp();
        var first = Interlocked.CompareExchange(ref _first, now, None);
        if (first != None && _time.GetElapsedTime(first, now) >= SameSignal)
            _act();
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
