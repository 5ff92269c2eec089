using System.Runtime.InteropServices;
using Shimmy.Engine.Protocol;
using Shimmy.Worker.Native;

namespace Shimmy.Worker;

/// <summary>
/// The hidden command <c>worker</c>: the child process that owns one model and talks to its parent over stdin and stdout.
/// </summary>
internal static class WorkerCommand
{
    /// <summary>Serves the pipe; ends the process when the parent closes it.</summary>
    public static int Run()
    {
        if (!Console.IsInputRedirected || !Console.IsOutputRedirected)
        {
            Console.Error.WriteLine("shimmy worker: started by shimmy itself, not by hand");
            return 2;
        }
        if (Environment.GetEnvironmentVariable(WorkerRecords.FormVariable) is { } form && form != WorkerRecords.Form)
        {
            Console.Error.WriteLine("shimmy worker: the program was replaced by another version while its server runs; restart the server");
            return 3;
        }
        // Ctrl+C and a service manager's stop reach the whole process group. The parent decides when we end: it drains first.
        foreach (var signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT })
            Registrations.Add(PosixSignalRegistration.Create(signal, context => context.Cancel = true));
        using var incoming = new FrameReader(Console.OpenStandardInput());
        using var outgoing = new FrameWriter(Posix.TakeOverOutput());
        new WorkerHost(incoming, outgoing).Run();
        return 0;
    }

    // Held so that they are not collected.
    private static readonly List<PosixSignalRegistration> Registrations = [];
}
