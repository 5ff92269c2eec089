using System.Text;

namespace Shimmy.Cli.Terminal;

/// <summary>
/// Decides what goes where: results to stdout, one line a failure to stderr, progress to stderr and only where that is a
/// terminal. All of it UTF-8 without a byte order mark.
/// </summary>
internal static class Printer
{
    private static readonly Lazy<Stream> Output = new(OpenOutput);
    private static bool _progressShown;
    private static bool _lineOpen;

    /// <summary>A line of the result.</summary>
    public static void Line(string text) => Text(text.EndsWith('\n') ? text : text + "\n");

    /// <summary>A piece of the result, at once. Throws <see cref="OutputClosedException"/> where nobody reads it any more.</summary>
    public static void Text(string text)
    {
        if (text.Length == 0)
            return;
        ClearProgress();
        try
        {
            Output.Value.Write(Encoding.UTF8.GetBytes(text));
            Output.Value.Flush();
        }
        catch (IOException e)
        {
            throw new OutputClosedException(e);
        }
        _lineOpen = text[^1] != '\n';
    }

    /// <summary>Ends the line of a result that did not do so itself, where somebody looks at it; what a program reads stays as it is.</summary>
    public static void EndText()
    {
        if (_lineOpen && !Console.IsOutputRedirected)
            Text("\n");
    }

    /// <summary>How it went, for somebody who looks on; nothing where stderr is not a terminal.</summary>
    public static void Remark(string text)
    {
        if (!Console.IsErrorRedirected)
            Console.Error.WriteLine(text);
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
        _progressShown = true;
    }

    /// <summary>Removes the progress line, before anything else is written.</summary>
    public static void ClearProgress()
    {
        if (!_progressShown)
            return;
        Console.Error.Write("\r\u001b[K");
        _progressShown = false;
    }

    private static Stream OpenOutput()
    {
        // A Windows console decodes what it gets by its own code page.
        if (OperatingSystem.IsWindows() && !Console.IsOutputRedirected)
            Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        return Console.OpenStandardOutput();
    }
}

/// <summary>Who reads the result has gone, as <c>head</c> does; there is nobody to tell.</summary>
internal sealed class OutputClosedException(IOException inner) : Exception(inner.Message, inner);
