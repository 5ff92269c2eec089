using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// Starts <c>shimmy serve</c> again and again in a folder where it finds a model: how long from the start of the process to the first
/// 200 of <c>/health</c>, and how much memory is resident once the scan is over.
/// </summary>
internal static class StartBenchmark
{
    private const int Starts = 21;

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var path = BenchmarkModel.PathOf(modelPath);
        var times = new List<double>();
        var memory = new List<double>();
        for (var i = 0; i < Starts; i++)
        {
            var (milliseconds, megabytes) = await StartOnceAsync(path);
            times.Add(milliseconds);
            memory.Add(megabytes);
        }
        await output.WriteLineAsync($"{Starts} starts with {Path.GetFileName(path)} found and not loaded: ready in "
            + $"{BenchmarkModel.Median(times):F1} ms (median; {times.Min():F1} to {times.Max():F1}), "
            + $"{BenchmarkModel.Median(memory):F1} MB resident (median, at most {memory.Max():F1})");
    }

    private static async Task<(double Milliseconds, double Megabytes)> StartOnceAsync(string path)
    {
        var address = new IPEndPoint(IPAddress.Loopback, ServerProcess.FreePort());
        var start = new ProcessStartInfo(BenchmarkModel.Executable,
            ["serve", "--bind", address.ToString(), "--model-path", path, "--log-level", "none"])
        {
            RedirectStandardOutput = true,
        };
        var begun = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        try
        {
            while (!(await HealthAsync(address)).Contains("200 OK", StringComparison.Ordinal))
                await Task.Delay(TimeSpan.FromMilliseconds(0.5));
            var ready = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
            await Task.Delay(500);
            process.Refresh();
            return (ready, process.WorkingSet64 / 1e6);
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
        }
    }

    // A bare socket: an HTTP client would cost more than what is measured.
    private static async Task<string> HealthAsync(IPEndPoint address)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(address);
            await socket.SendAsync("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"u8.ToArray());
            var buffer = new byte[4096];
            return Encoding.UTF8.GetString(buffer, 0, await socket.ReceiveAsync(buffer));
        }
        catch (SocketException)
        {
            return "";
        }
    }
}
