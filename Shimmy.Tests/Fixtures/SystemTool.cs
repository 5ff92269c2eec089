using System.Diagnostics;

namespace Shimmy.Tests.Fixtures;

/// <summary>Programs of the system that tests run.</summary>
internal static class SystemTool
{
    /// <summary>The path of a program; null where it is in none of the folders of PATH, nor in those that come behind them.</summary>
    public static string? Find(string name, params ReadOnlySpan<string> further)
    {
        var file = OperatingSystem.IsWindows() ? name + ".exe" : name;
        string[] folders = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator), .. further];
        return folders.Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
    }

    /// <summary>
    /// Runs one to its end; gives its exit code, and its output with its errors behind. One that runs longer is killed, with all that it
    /// started, and <see cref="OperationCanceledException"/> thrown.
    /// </summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(ProcessStartInfo start, TimeSpan limit)
    {
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        using var process = Process.Start(start)!;
        using var end = new CancellationTokenSource(limit);
        try
        {
            var errors = process.StandardError.ReadToEndAsync(end.Token);
            var output = await process.StandardOutput.ReadToEndAsync(end.Token);
            await process.WaitForExitAsync(end.Token);
            return (process.ExitCode, output + await errors);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }
}
