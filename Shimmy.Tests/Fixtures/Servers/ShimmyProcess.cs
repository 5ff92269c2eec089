using System.Diagnostics;
using System.Text;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>
/// The program as its users meet it: the published executable where SHIMMY_EXECUTABLE names one (.ci/run does), else the one that the
/// build put beside the tests. Its environment holds no SHIMMY_ variable but those given.
/// </summary>
internal static class ShimmyProcess
{
    /// <summary>Full path of the program.</summary>
    public static string Executable { get; } = Environment.GetEnvironmentVariable("SHIMMY_EXECUTABLE") is { Length: > 0 } published
        ? Path.GetFullPath(published)
        : Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "shimmy.exe" : "shimmy");

    /// <summary>Whether it is the published native executable.</summary>
    public static bool IsPublished => Environment.GetEnvironmentVariable("SHIMMY_EXECUTABLE") is { Length: > 0 };

    // One for all runs, for the scan cache.
    private static string Home { get; } = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), "shimmy-tests-home")).FullName;

    /// <summary>How to start it.</summary>
    public static ProcessStartInfo CreateStart(
        IEnumerable<string> arguments, string? folder = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(Executable, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
            WorkingDirectory = folder ?? Path.GetTempPath(),
        };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("SHIMMY_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        // What other tools keep on this machine is not what a test put there.
        foreach (var name in new[] { "OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "LLAMA_CACHE" })
            start.Environment.Remove(name);
        foreach (var name in new[] { "HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA" })
            start.Environment[name] = Home;
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        return start;
    }

    /// <summary>Runs it to its end, a minute at most where no other <paramref name="limit"/> is given.</summary>
    public static async Task<ShimmyResult> RunAsync(string[] arguments, string? folder = null,
        IReadOnlyDictionary<string, string>? environment = null,
        string input = "", TimeSpan? limit = null)
    {
        using var process = Process.Start(CreateStart(arguments, folder, environment))!;
        using var end = new CancellationTokenSource(limit ?? TimeSpan.FromMinutes(1));
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(end.Token);
            var errors = process.StandardError.ReadToEndAsync(end.Token);
            await process.StandardInput.WriteAsync(input.AsMemory(), end.Token);
            process.StandardInput.Close();
            await process.WaitForExitAsync(end.Token);
            return new ShimmyResult(process.ExitCode, await output, await errors);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }
}

/// <summary>What a run of the program gave.</summary>
internal sealed record ShimmyResult(int ExitCode, string Output, string Errors);
