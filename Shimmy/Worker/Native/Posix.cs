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
    /// Runs a program in the place of this one: on Unix the process becomes it and this does not return, on Windows it is a child whose
    /// exit code is given. Throws <see cref="IOException"/> where it cannot be run.
    /// </summary>
    public static int Become(string program, string[] arguments)
    {
        if (OperatingSystem.IsWindows())
        {
            using var child = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo(program, arguments))!;
            child.WaitForExit();
            return child.ExitCode;
        }
        // The array that C reads ends with a null.
        _ = Execute(program, [program, .. arguments, null]);
        throw new IOException($"{program} cannot be run ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})");
    }

    [LibraryImport("libc", EntryPoint = "execv", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Execute(string program, string?[] arguments);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Dup(int descriptor);

    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Dup2(int source, int target);
}
