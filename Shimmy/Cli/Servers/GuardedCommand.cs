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
    private const string ThisMachine = "127.0.0.1,localhost,::1";

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
        PassLocalBy(start.Environment);
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

    /// <summary>
    /// Exempts this machine from the proxies that the variables name: clients would send them what is for a server here. Programs read one
    /// of two spellings.
    /// </summary>
    public static void PassLocalBy(IDictionary<string, string?> environment)
    {
        var isProxied = false;
        foreach (var (name, value) in environment)
        {
            isProxied |= name.EndsWith("_proxy", StringComparison.OrdinalIgnoreCase) && !string.IsNullOrEmpty(value)
                && !name.Equals("no_proxy", StringComparison.OrdinalIgnoreCase);
        }
        if (!isProxied)
            return;
        environment.TryGetValue("NO_PROXY", out var upper);
        environment.TryGetValue("no_proxy", out var lower);
        foreach (var name in (string[])["NO_PROXY", "no_proxy"])
        {
            var value = name == "NO_PROXY" ? upper ?? lower : lower ?? upper;
            // Alone, the asterisk is all hosts.
            if (value != "*")
                environment[name] = string.IsNullOrEmpty(value) ? ThisMachine : value + "," + ThisMachine;
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
