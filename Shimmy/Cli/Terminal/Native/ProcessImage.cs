using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Shimmy.Cli.Terminal.Native;

/// <summary>Another program in the place of this process, which .NET cannot do.</summary>
internal static partial class ProcessImage
{
    /// <summary>
    /// Runs a program in the place of this one: on Unix the process becomes it and this does not return, on Windows it is a child whose
    /// exit code is given. Throws <see cref="IOException"/> where it cannot be run.
    /// </summary>
    public static int Become(string program, string[] arguments)
    {
        if (OperatingSystem.IsWindows())
        {
            using var child = Process.Start(new ProcessStartInfo(program, arguments))!;
            child.WaitForExit();
            return child.ExitCode;
        }
        // The array that C reads ends with a null.
        _ = Execute(program, [program, .. arguments, null]);
        throw new IOException($"{program} cannot be run ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})");
    }

    [LibraryImport("libc", EntryPoint = "execv", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Execute(string program, string?[] arguments);
}
