using System.ComponentModel;
using System.Diagnostics;

namespace Shimmy.Tests.Packaging;

/// <summary>A program of the system that judges what Shimmy wrote. A test whose program is missing is not decided.</summary>
internal static class Tool
{
    /// <summary>Runs it to its end; gives its exit code, and its output with its errors behind.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(string tool, params string[] arguments)
    {
        var start = new ProcessStartInfo(tool, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync();
            var output = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            return (process.ExitCode, output + await errors);
        }
        catch (Win32Exception)
        {
            Assert.Inconclusive($"{tool} is not installed.");
            throw;
        }
    }
}
