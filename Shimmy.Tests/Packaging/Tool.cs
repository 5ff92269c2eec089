using System.ComponentModel;
using System.Diagnostics;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Packaging;

/// <summary>A program of the system that judges what Shimmy wrote. A test whose program is missing is not decided.</summary>
internal static class Tool
{
    /// <summary>PowerShell's path: where it is missing, a test is not decided.</summary>
    public static string PowerShell
    {
        get
        {
            if (SystemTool.Find("pwsh") is { } path)
                return path;
            Assert.Inconclusive("pwsh is not installed.");
            return "";
        }
    }

    /// <summary>Runs it to its end; gives its exit code, and its output with its errors behind.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(string tool, params string[] arguments)
    {
        try
        {
            return await SystemTool.RunAsync(new ProcessStartInfo(tool, arguments), Timeout.InfiniteTimeSpan);
        }
        catch (Win32Exception)
        {
            Assert.Inconclusive($"{tool} is not installed.");
            throw;
        }
    }
}
