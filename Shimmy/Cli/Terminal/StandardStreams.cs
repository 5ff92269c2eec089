using System.Text;

namespace Shimmy.Cli.Terminal;

/// <summary>
/// The descriptors of stdin, stdout and stderr. Where one of them is closed at the start (<c>&gt;&amp;-</c>, some supervisors), the next
/// file or socket that is opened gets its number, and what is printed goes there.
/// </summary>
internal static class StandardStreams
{
    private const int Output = 1;
    private const int Last = 2;
    private const int LongestInput = 64 << 20;

    /// <summary>Whether stdout was closed at the start, and what stands in for it cannot be written to.</summary>
    public static bool OutputIsMissing { get; private set; }

    /// <summary>Whether stderr was closed at the start, and stdout was not.</summary>
    public static bool ErrorIsMissing { get; private set; }

    // Open until the process ends.
    private static readonly List<IDisposable> Held = [];

    /// <summary>Gives the numbers of closed streams to a file that swallows what is written, before anything else is opened.</summary>
    public static void Claim()
    {
        if (OperatingSystem.IsWindows())
            return;
        var isOutputClosed = false;
        try
        {
            while (true)
            {
                // Without /dev any file does: writing to one that is open for reading fails, and nothing is lost that could be seen.
                var handle = File.Exists("/dev/null")
                    ? File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite)
                    : File.OpenHandle(Environment.ProcessPath!, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                var number = handle.DangerousGetHandle();
                if (number > Last)
                {
                    handle.Dispose();
                    return;
                }

                OutputIsMissing |= number == Output && !File.Exists("/dev/null");
                ErrorIsMissing |= number == Last && !isOutputClosed;
                isOutputClosed |= number == Output;
                Held.Add(handle);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Nothing can be opened: then nothing can take the numbers either.
        }
    }

    /// <summary>
    /// All of stdin, as UTF-8. Throws <see cref="UsageException"/>, naming <paramref name="source"/>, where that is too much for a prompt.
    /// </summary>
    public static async Task<string> ReadInputAsync(string source, CancellationToken cancellation)
    {
        using var input = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
        var text = new StringBuilder();
        var buffer = new char[64 * 1024];
        for (int count; (count = await input.ReadAsync(buffer, cancellation)) > 0;)
        {
            if (text.Append(buffer, 0, count).Length > LongestInput)
                throw new UsageException($"{source}: stdin holds more than {LongestInput} characters");
        }
        return text.ToString();
    }
}
