using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shimmy.Worker.Native;

/// <summary>Calls of the C library that .NET has no equal of.</summary>
internal static partial class Posix
{
    /// <summary>
    /// Takes the pipe to the parent away from the worker's stdout, so that native code which prints cannot write into the middle of a
    /// frame: on Unix the pipe moves to another descriptor and stdout becomes stderr, for which .NET has no call. The prebuilt Windows
    /// libraries print through the log callback alone. Throws <see cref="IOException"/> where the system has no descriptor left.
    /// </summary>
    public static Stream TakeOverOutput()
    {
        if (OperatingSystem.IsWindows())
            return Console.OpenStandardOutput();
        const int stdout = 1;
        const int stderr = 2;
        var pipe = Dup(stdout);
        if (pipe < 0 || Dup2(stderr, stdout) < 0)
            throw new IOException("cannot duplicate the worker's stdout");
        return new FileStream(new SafeFileHandle(pipe, ownsHandle: true), FileAccess.Write, bufferSize: 0);
    }

    /// <summary>Sends a signal to a process; nothing where there is none any more, or on Windows, which has none.</summary>
    public static void Signal(int process, int signal)
    {
        if (!OperatingSystem.IsWindows())
            _ = Kill(process, signal);
    }

    /// <summary>
    /// Puts the calling thread behind the others for as long as it lives, on Linux those too that it will start: where processors are
    /// short, each gets a third of what another thread gets. Nothing changes where none waits. Only Linux and Windows rank single threads.
    /// </summary>
    public static void LowerThreadPriority()
    {
        if (OperatingSystem.IsLinux())
            _ = Nice(5);
        else if (OperatingSystem.IsWindows())
            Thread.CurrentThread.Priority = ThreadPriority.BelowNormal;
    }

    /// <summary>
    /// Opens a file for C code that reads it from a place on (<c>FILE</c>); 0 where that fails. Linux alone: elsewhere, libraries may have
    /// a C library of their own.
    /// </summary>
    public static nint OpenAt(string path, long offset)
    {
        if (!OperatingSystem.IsLinux())
            return 0;
        var stream = Open(path, "re");
        if (stream == 0 || Seek(stream, (nint)offset, 0) == 0)
            return stream;
        _ = Close(stream);
        return 0;
    }

    /// <summary>Closes what <see cref="OpenAt"/> opened.</summary>
    [LibraryImport("libc", EntryPoint = "fclose")]
    public static partial int Close(nint stream);

    [LibraryImport("libc", EntryPoint = "fopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Open(string path, string mode);

    [LibraryImport("libc", EntryPoint = "fseeko")]
    private static partial int Seek(nint stream, nint offset, int origin);

    [LibraryImport("libc", EntryPoint = "nice")]
    private static partial int Nice(int increment);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Dup(int descriptor);

    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Dup2(int source, int target);
}
