using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shimmy.Cli.Terminal.Native;

/// <summary>
/// The terminal of stdin in raw mode: each key comes at once, as the bytes that the terminal sends, and none is shown or becomes a signal.
/// .NET reads keys one by one, without pastes, and leaves the modes of the terminal to no one; hence the calls of the C library here. Its
/// state is a block of bytes that is never looked into: <c>cfmakeraw</c> knows what each system has in it.
/// </summary>
internal sealed partial class RawTerminal : IDisposable
{
    // Larger than any system's struct termios.
    private const int StateSize = 256;
    private const int Input = 0;
    private const int Now = 0;

    private const int WindowsInput = -10;
    private const int WindowsOutput = -11;
    private const uint VirtualInput = 0x0200;
    private const uint VirtualOutput = 0x0004 | 0x0001;

    private static readonly int Stop = OperatingSystem.IsMacOS() ? 18 : 20;

    private readonly byte[] _before = new byte[StateSize];
    private readonly uint _inputBefore;
    private readonly uint _outputBefore;
    private bool _isRaw;

    /// <summary>Turns it on. Throws <see cref="IOException"/> where stdin is not a terminal.</summary>
    public RawTerminal()
    {
        if (OperatingSystem.IsWindows())
        {
            if (!GetConsoleMode(GetStdHandle(WindowsInput), out _inputBefore)
                || !GetConsoleMode(GetStdHandle(WindowsOutput), out _outputBefore))
            {
                throw new IOException("stdin is no console");
            }
        }
        else if (GetState(Input, _before) != 0)
        {
            throw new IOException("stdin is not a terminal");
        }
        Enter();
    }

    /// <summary>The bytes of the keys.</summary>
    public static Stream OpenInput() => OperatingSystem.IsWindows()
        ? new FileStream(new SafeFileHandle(GetStdHandle(WindowsInput), ownsHandle: false), FileAccess.Read, bufferSize: 0)
        : new FileStream(new SafeFileHandle(Input, ownsHandle: false), FileAccess.Read, bufferSize: 0);

    /// <summary>Stops this process, as Ctrl+Z does outside the raw mode, until the shell lets it go on; nothing on Windows.</summary>
    public void Suspend()
    {
        if (OperatingSystem.IsWindows())
            return;
        Dispose();
        _ = Raise(Stop);
        Enter();
    }

    /// <summary>Puts the terminal back to what it was.</summary>
    public void Dispose()
    {
        if (!_isRaw)
            return;
        _isRaw = false;
        if (OperatingSystem.IsWindows())
        {
            SetConsoleMode(GetStdHandle(WindowsInput), _inputBefore);
            SetConsoleMode(GetStdHandle(WindowsOutput), _outputBefore);
        }
        else
        {
            _ = SetState(Input, Now, _before);
        }
    }

    private void Enter()
    {
        _isRaw = true;
        if (OperatingSystem.IsWindows())
        {
            SetConsoleMode(GetStdHandle(WindowsInput), VirtualInput);
            SetConsoleMode(GetStdHandle(WindowsOutput), _outputBefore | VirtualOutput);
            return;
        }
        byte[] raw = [.. _before];
        MakeRaw(raw);
        _ = SetState(Input, Now, raw);
    }

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int GetState(int descriptor, [Out] byte[] state);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int SetState(int descriptor, int when, byte[] state);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static partial void MakeRaw([In, Out] byte[] state);

    [LibraryImport("libc", EntryPoint = "raise")]
    private static partial int Raise(int signal);

    [LibraryImport("kernel32")]
    private static partial nint GetStdHandle(int which);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetConsoleMode(nint console, out uint mode);

    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool SetConsoleMode(nint console, uint mode);
}
