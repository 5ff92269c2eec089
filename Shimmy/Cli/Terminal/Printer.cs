using System.Text;
using System.Text.Json;

namespace Shimmy.Cli.Terminal;

/// <summary>When output is coloured.</summary>
internal enum ColorUse
{
    /// <summary>On terminals that have colours, where NO_COLOR is not set.</summary>
    Auto,

    /// <summary>Always.</summary>
    Always,

    /// <summary>Never.</summary>
    Never,
}

/// <summary>
/// Writes to stdout and stderr: results to stdout, failures to stderr in one line each, progress to stderr where that is a
/// terminal. UTF-8 without a byte order mark.
/// </summary>
internal static class Printer
{
    private static readonly Lazy<Stream> Output = new(OpenOutput);
    private static readonly ProgressLine ProgressLine = new(ToErrors);
    private static bool _lineOpen;

    /// <summary>How JSON for people is written: a field a line, letters of all languages as they are.</summary>
    public static JsonSerializerOptions IndentedJson { get; } = new()
    {
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>When output is coloured; set once, when the options are read.</summary>
    public static ColorUse Color { get; set; }

    /// <summary>Whether progress is shown; not where something else draws on the terminal.</summary>
    public static bool ShowsProgress { get; set; } = true;

    /// <summary>Whether what goes to stdout is coloured.</summary>
    public static bool IsStyled => IsColored(Console.IsOutputRedirected);

    /// <summary>A heading, bold where stdout is coloured.</summary>
    public static string Heading(string text) => IsStyled ? $"\u001b[1m{text}\u001b[0m" : text;

    // https://no-color.org: any value but none turns colours off; an explicit choice comes before it.
    private static bool IsColored(bool redirected) => Color switch
    {
        ColorUse.Always => true,
        ColorUse.Never => false,
        _ => !redirected && Environment.GetEnvironmentVariable("NO_COLOR") is not { Length: > 0 }
            && Environment.GetEnvironmentVariable("TERM") is not "dumb",
    };

    /// <summary>Writes a line of the result.</summary>
    public static void Line(string text) => Text(text.EndsWith('\n') ? text : text + "\n");

    /// <summary>
    /// Writes a piece of the result and flushes it. Throws <see cref="OutputClosedException"/> where the reader has closed the pipe, and
    /// <see cref="CommandException"/> where it cannot be written for another reason, as on a disk that is full.
    /// </summary>
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
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FailureOf(e);
        }
        _lineOpen = text[^1] != '\n';
    }

    /// <summary>What it means that stdout cannot be written.</summary>
    public static Exception FailureOf(Exception e)
    {
        // Access is denied where stdout was closed and its number belongs to a file that the runtime reads. EPIPE; ERROR_BROKEN_PIPE and
        // ERROR_NO_DATA.
        var isClosed = e is UnauthorizedAccessException
            || (OperatingSystem.IsWindows() ? (e.HResult & 0xFFFF) is 109 or 232 : e.HResult == 32);
        return isClosed ? new OutputClosedException(e)
            : new CommandException(ExitCode.Failed, $"cannot write to stdout: {e.Message}");
    }

    /// <summary>Ends an unfinished line of the result on a terminal; output to a file or a program stays as it is.</summary>
    public static void EndText()
    {
        if (_lineOpen && !Console.IsOutputRedirected)
            Text("\n");
    }

    /// <summary>Writes a remark to stderr where that is a terminal.</summary>
    public static void Remark(string text)
    {
        if (!Console.IsErrorRedirected)
            ToErrors(text + Environment.NewLine);
    }

    /// <summary>Writes the reason why <paramref name="command"/> failed.</summary>
    public static void Error(string command, string message)
    {
        Say(command, message, "31");
        // A failure has one line that somebody can read, if there is anywhere to write it.
        if (!StandardStreams.ErrorIsMissing)
            return;
        try
        {
            Line($"shimmy {command}".TrimEnd() + $": {message}");
        }
        catch (Exception e) when (e is OutputClosedException or CommandException)
        {
            // Nor is there anybody at the other one.
        }
    }

    /// <summary>Writes a notice of <paramref name="command"/> to stderr; not a failure.</summary>
    public static void Notice(string command, string message) => Say(command, message, "36");

    private static void Say(string command, string message, string color)
    {
        ClearProgress();
        var name = command.Length == 0 ? "shimmy" : $"shimmy {command}";
        if (IsColored(Console.IsErrorRedirected))
            name = $"\u001b[1;{color}m{name}\u001b[0m";
        ToErrors($"{name}: {message}{Environment.NewLine}");
    }

    /// <summary>
    /// Says on stderr what is being done, and which share of it is; nothing where that is no terminal that can take a line back.
    /// </summary>
    public static void Progress(string text, float? share = null)
    {
        if (ShowsProgress && !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not "dumb")
            ProgressLine.Set(text, share);
    }

    /// <summary>Removes the progress line, before anything else is written.</summary>
    public static void ClearProgress() => ProgressLine.Clear();

    // Where nobody can read it, there is nothing more to say.
    private static void ToErrors(string text)
    {
        try
        {
            Console.Error.Write(text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    private static Stream OpenOutput()
    {
        // A Windows console decodes output by its own code page.
        if (OperatingSystem.IsWindows() && !Console.IsOutputRedirected)
            Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        return Console.OpenStandardOutput();
    }
}

/// <summary>The reader of stdout closed the pipe, as <c>head</c> does: the command ends without a message.</summary>
internal sealed class OutputClosedException(Exception inner) : Exception(inner.Message, inner);
