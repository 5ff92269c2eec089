using System.Runtime.InteropServices;

namespace Shimmy.Cli;

/// <summary>Acts on the second SIGINT or SIGTERM and all further ones. The first belongs to the argument parser, which ends its token.</summary>
internal sealed class SecondSignal : IDisposable
{
    private readonly PosixSignalRegistration[] _registrations;
    private int _signals;

    /// <summary>Listens from now on.</summary>
    public SecondSignal(Action act)
    {
        _registrations = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM }.Select(signal => PosixSignalRegistration.Create(signal, _ =>
        {
            if (Interlocked.Increment(ref _signals) > 1)
                act();
        }))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
    }
}
