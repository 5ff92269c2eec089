using System.Runtime.InteropServices;

namespace Shimmy.Cli.Terminal;

/// <summary>Acts on the second SIGINT or SIGTERM and all further ones. The first belongs to the argument parser, which ends its token.</summary>
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
