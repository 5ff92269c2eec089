using System.Text;

namespace Shimmy.Cli;

/// <summary>
/// Decides what goes where: results to stdout, one line a failure to stderr, progress to stderr and only where that is a
/// terminal. All of it UTF-8 without a byte order mark.
/// </summary>
internal static class Printer
{
    private static readonly Lazy<Stream> Output = new(OpenOutput);
    private static bool s_progressShown;

    /// <summary>A line of the result.</summary>
    public static void Line(string text) => Text(Encoding.UTF8.GetBytes(text.EndsWith('\n') ? text : text + "\n"));

    /// <summary>A piece of the result, UTF-8, at once: it may end inside a character, which the next piece completes.</summary>
    public static void Text(ReadOnlySpan<byte> utf8)
    {
        Output.Value.Write(utf8);
        Output.Value.Flush();
    }

    /// <summary>Why <paramref name="command"/> failed.</summary>
    public static void Error(string command, string message)
    {
        ClearProgress();
        Console.Error.WriteLine(command.Length == 0 ? $"shimmy: {message}" : $"shimmy {command}: {message}");
    }

    /// <summary>What else a user of <paramref name="command"/> must know; not a failure.</summary>
    public static void Notice(string command, string message) => Error(command, message);

    /// <summary>What happens now, in place of what happened before; nothing where stderr is not a terminal.</summary>
    public static void Progress(string text)
    {
        if (Console.IsErrorRedirected)
            return;
        Console.Error.Write("\r\u001b[K" + text);
        s_progressShown = true;
    }

    /// <summary>Removes the progress line, before anything else is written.</summary>
    public static void ClearProgress()
    {
        if (!s_progressShown)
            return;
        Console.Error.Write("\r\u001b[K");
        s_progressShown = false;
    }

    private static Stream OpenOutput()
    {
        // A Windows console decodes what it gets by its own code page.
        if (OperatingSystem.IsWindows() && !Console.IsOutputRedirected)
            Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        return Console.OpenStandardOutput();
    }
}
