using System.ComponentModel;
using System.Diagnostics;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Shimmy.Worker.Native;

namespace Shimmy.Worker;

/// <summary>
/// The hidden command <c>guard</c>: runs a command of the user's for a parent whose end it sees by the end of a pipe. Then it kills the
/// command and everything that the command has started, which it knows by a variable that all of them inherit: a process that lost its own
/// parent has left every tree, but not its environment.
/// </summary>
internal static class GuardCommand
{
    private const string Variable = "SHIMMY_GUARD";
    private const int CannotStart = 126;
    private const int NotFound = 127;
    private const int Killed = 9;

    // The exit code of what a signal has ended is this and the signal's number.
    private const int SignalBase = 128;
    private const int MostSignal = 64;

    // What the terminal sends goes to the whole group, this process and the command alike.
    private static readonly TimeSpan SameSignal = TimeSpan.FromMilliseconds(50);

    // A wrapper of this program (npx) is in the group too, and passes its own on.
    private static readonly TimeSpan PassedOnAgain = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestSweep = TimeSpan.FromSeconds(3);
    private static bool _isEnding;
    private static int _passedOn = int.MinValue;
    private static readonly int[] Seen = new int[MostSignal];
    private static readonly List<PosixSignalRegistration> Registrations = [];

    /// <summary>Runs the command and returns its exit code.</summary>
    public static int Run(string pipe, string[] command)
    {
        foreach (var (signal, number) in Handled())
        {
            Registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                Interlocked.Increment(ref Seen[number]);
            }));
        }
        using var parent = Open(pipe);
        if (Resolve(command[0]) is not { } file)
            return Refuse(command[0], "there is no such command", NotFound);
        var id = Guid.NewGuid().ToString("N");
        var start = new ProcessStartInfo(file, command[1..]) { UseShellExecute = false };
        start.Environment[Variable] = id;
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Exception e) when (e is Win32Exception or IOException)
        {
            return Refuse(command[0], e.Message, CannotStart);
        }
        new Thread(() => Follow(parent, process, id)) { IsBackground = true, Name = "parent" }.Start();
        process.WaitForExit();
        // It has ended, by itself or by a signal that was passed on; what it left running ends with it.
        if (Volatile.Read(ref _isEnding) || process.ExitCode == SignalBase + Volatile.Read(ref _passedOn))
            Sweep(process, id);
        return process.ExitCode;
    }

    private static int Refuse(string command, string why, int exitCode)
    {
        Console.Error.WriteLine($"shimmy: {command} cannot be run: {why}");
        return exitCode;
    }

    private static IEnumerable<(PosixSignal Signal, int Number)> Handled()
    {
        yield return (PosixSignal.SIGHUP, 1);
        yield return (PosixSignal.SIGINT, 2);
        yield return (PosixSignal.SIGQUIT, 3);
        yield return (PosixSignal.SIGTERM, 15);
    }

    // Opened again, the pipe is not inherited by the command.
    private static Stream Open(string pipe)
    {
        if (!OperatingSystem.IsLinux())
            return new AnonymousPipeClientStream(PipeDirection.In, pipe);
        using var inherited = new SafeFileHandle(nint.Parse(pipe, System.Globalization.CultureInfo.InvariantCulture), ownsHandle: true);
        return new FileStream($"/proc/self/fd/{pipe}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
    }

    private static void Follow(Stream parent, Process process, string id)
    {
        var taken = new int[MostSignal];
        var last = new long[MostSignal];
        var signal = new byte[1];
        while (Read(parent, signal))
        {
            var (number, isRepeated) = (signal[0], false);
            Volatile.Write(ref _passedOn, number);
            if (Handled().Any(one => one.Number == number))
            {
                Volatile.Write(ref _isEnding, true);
                isRepeated = last[number] != 0 && Stopwatch.GetElapsedTime(last[number]) < PassedOnAgain;
                if (!isRepeated)
                    last[number] = Stopwatch.GetTimestamp();
            }
            Thread.Sleep(SameSignal);
            var seen = Volatile.Read(ref Seen[number]);
            if (seen == taken[number] && !isRepeated)
                Posix.Signal(process.Id, number);
            taken[number] = seen;
        }
        // Once the command is dead, the other thread goes on: it is to sweep, too, and not to end this process in the middle.
        Volatile.Write(ref _isEnding, true);
        Sweep(process, id);
        Process.GetCurrentProcess().Kill();
    }

    private static bool Read(Stream parent, byte[] signal)
    {
        try
        {
            return parent.Read(signal) == 1;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void Sweep(Process process, string id)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It has just ended, or is another user's.
        }
        var text = Encoding.ASCII.GetBytes($"{Variable}={id}");
        for (var begun = Stopwatch.GetTimestamp(); OperatingSystem.IsLinux() && Stopwatch.GetElapsedTime(begun) < LongestSweep;)
        {
            var found = Directory.EnumerateDirectories("/proc").Select(Path.GetFileName)
                .Where(name => int.TryParse(name, out var other) && other != Environment.ProcessId && HasVariable(other, text)).ToList();
            if (found.Count == 0)
                return;
            foreach (var other in found)
                Posix.Signal(int.Parse(other!, System.Globalization.CultureInfo.InvariantCulture), Killed);
            Thread.Sleep(2);
        }
    }

    private static bool HasVariable(int process, byte[] variable)
    {
        try
        {
            return File.ReadAllBytes($"/proc/{process}/environ").AsSpan().IndexOf(variable) >= 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    // As a shell finds it: by PATH alone where the name has no slash. Process looks beside the executable and in the working folder first.
    private static string? Resolve(string command)
    {
        if (command.Contains('/') || (OperatingSystem.IsWindows() && command.Contains('\\')))
            return File.Exists(command) ? command : null;
        string[] endings = OperatingSystem.IsWindows() ? [".exe", ".cmd", ".bat", ""] : [""];
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .SelectMany(folder => endings.Select(ending => Path.Combine(folder.Length == 0 ? "." : folder, command + ending)))
            .FirstOrDefault(IsCommand);
    }

    private static bool IsCommand(string file) => File.Exists(file) && (OperatingSystem.IsWindows()
        || (File.GetUnixFileMode(file) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != 0);
}
