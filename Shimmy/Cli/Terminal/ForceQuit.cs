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
