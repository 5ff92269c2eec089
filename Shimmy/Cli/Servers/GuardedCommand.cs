using System.Diagnostics;
using System.IO.Pipes;
using System.Runtime.InteropServices;

namespace Shimmy.Cli.Servers;

/// <summary>
/// A command of the user's that does not outlive this process. Between both stands a guard (<c>shimmy guard</c>, hidden) that reads a pipe
/// of which only this process has the other end: a byte is a signal for the command, and the end of the pipe, however this process ended,
/// is the end of the command and of all that it started.
/// </summary>
internal static class GuardedCommand
{
    // Signals that end a process by default, with their numbers; those of the user's differ between systems.
    private static readonly (PosixSignal Signal, byte Number)[] Forwarded =
    [
        (PosixSignal.SIGHUP, 1), (PosixSignal.SIGINT, 2), (PosixSignal.SIGQUIT, 3), (PosixSignal.SIGTERM, 15),
        .. OperatingSystem.IsWindows() ? [] : OperatingSystem.IsMacOS()
            ? [((PosixSignal)30, (byte)30), ((PosixSignal)31, (byte)31)]
            : ((PosixSignal Signal, byte Number)[])[((PosixSignal)10, 10), ((PosixSignal)12, 12)],
    ];

    /// <summary>
    /// Runs it on the terminal of this process, with more variables than this process has, and returns its exit code: 128 and the signal
    /// where one ended it, 127 where there is no such command, 126 where it cannot be started.
    /// </summary>
    public static async Task<int> RunAsync(
        IReadOnlyList<string> command, IReadOnlyDictionary<string, string> environment, CancellationToken cancellation)
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out, HandleInheritability.Inheritable);
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["guard", pipe.GetClientHandleAsString(), .. command])
        {
            UseShellExecute = false,
        };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        // Before the start: what comes earlier waits in the pipe.
        var registrations = Forwarded.Select(one => PosixSignalRegistration.Create(one.Signal, context =>
        {
            context.Cancel = true;
            Send(pipe, one.Number);
        })).ToList();
        try
        {
            cancellation.ThrowIfCancellationRequested();
            using var guard = Process.Start(start)!;
            pipe.DisposeLocalCopyOfClientHandle();
            await guard.WaitForExitAsync(CancellationToken.None);
            return guard.ExitCode;
        }
        finally
        {
            foreach (var registration in registrations)
                registration.Dispose();
        }
    }

    private static void Send(AnonymousPipeServerStream pipe, byte signal)
    {
        try
        {
            lock (pipe)
                pipe.Write([signal]);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The command has just ended.
        }
    }
}
