using System.ComponentModel;
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
            return RunBelow(program, arguments);
        // The array that C reads ends with a null.
        _ = Execute(program, [program, .. arguments, null]);
        throw new IOException($"{program} cannot be run ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})");
    }

    private static int RunBelow(string program, string[] arguments)
    {
        // The console sends Ctrl+C and Ctrl+Break to the child as well, which ends as it wants to.
        using var interrupts = PosixSignalRegistration.Create(PosixSignal.SIGINT, static signal => signal.Cancel = true);
        using var breaks = PosixSignalRegistration.Create(PosixSignal.SIGQUIT, static signal => signal.Cancel = true);
        try
        {
            using var child = Process.Start(new ProcessStartInfo(program, arguments))!;
            child.WaitForExit();
            return child.ExitCode;
        }
        catch (Win32Exception e)
        {
            throw new IOException($"{program} cannot be run ({e.Message})", e);
        }
    }

    [LibraryImport("libc", EntryPoint = "execv", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Execute(string program, string?[] arguments);
}

/// <summary>Whose a file is, which .NET does not tell.</summary>
internal static partial class FileOwner
{
    // The head of struct statx, which is the same on every processor (statx(2)), and more than all of it.
    private const int OwnerAt = 20;
    private const int Size = 256;
    private const uint OwnerIsKnown = 8;
    private const int FromWorkingFolder = -100;

    /// <summary>
    /// Whether a file or folder is this process's user's, or root's, who may do anything anyway. Null where it cannot be told: not on
    /// Linux, or not by this kernel.
    /// </summary>
    public static bool? IsTrusted(string path)
    {
        var state = new byte[Size];
        try
        {
            if (!OperatingSystem.IsLinux() || Look(FromWorkingFolder, path, 0, OwnerIsKnown, state) != 0
                || (BitConverter.ToUInt32(state) & OwnerIsKnown) == 0)
            {
                return null;
            }
        }
        catch (EntryPointNotFoundException)
        {
            // musl has it since 1.2.5.
            return null;
        }
        var owner = BitConverter.ToUInt32(state, OwnerAt);
        return owner == 0 || owner == EffectiveUser();
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Look(int folder, string path, int flags, uint wanted, [Out] byte[] state);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint EffectiveUser();
}
