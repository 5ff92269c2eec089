using System.Runtime.InteropServices;
using Shimmy.Engine.Protocol;

namespace Shimmy.Worker;

/// <summary>The hidden command <c>worker</c>: the child process that owns one model and talks to its parent over stdin and stdout.</summary>
internal static partial class WorkerCommand
{
    /// <summary>Serves the pipe; ends the process when the parent closes it.</summary>
    public static int Run()
    {
        if (!Console.IsInputRedirected || !Console.IsOutputRedirected)
        {
            Console.Error.WriteLine("shimmy worker: started by shimmy itself, not by hand");
            return 2;
        }
        // Ctrl+C and a service manager's stop reach the whole process group. The parent decides when we end: it drains first.
        foreach (var signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT })
            Registrations.Add(PosixSignalRegistration.Create(signal, context => context.Cancel = true));
        using var incoming = new FrameReader(Console.OpenStandardInput());
        using var outgoing = new FrameWriter(OpenOutput());
        new WorkerHost(incoming, outgoing).Run();
        return 0;
    }

    // Held so that they are not collected.
    private static readonly List<PosixSignalRegistration> Registrations = [];

    // Native code that prints to stdout must not land in the middle of a frame: on Unix the pipe moves to another descriptor and
    // stdout becomes stderr. The prebuilt Windows libraries print through the log callback alone.
    private static Stream OpenOutput()
    {
        if (OperatingSystem.IsWindows())
            return Console.OpenStandardOutput();
        const int stdout = 1;
        const int stderr = 2;
        var pipe = Dup(stdout);
        if (pipe < 0 || Dup2(stderr, stdout) < 0)
            throw new IOException("cannot duplicate the worker's stdout");
        return new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(pipe, ownsHandle: true), FileAccess.Write, bufferSize: 0);
    }

    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Dup(int descriptor);

    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Dup2(int source, int target);
}
