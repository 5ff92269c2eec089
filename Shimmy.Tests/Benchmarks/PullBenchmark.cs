using System.Diagnostics;
using System.Globalization;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// <c>shimmy pull</c> of 1 GB from a registry on loopback, hashing included, and <c>curl</c> of the same bytes to the same disk, in turn:
/// the rates, their ratio, and the most memory that pull takes.
/// </summary>
internal static class PullBenchmark
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";
    private const int Bytes = 1_000_000_000;
    private const int Rounds = 5;

    public static async Task RunAsync(string? disk, TextWriter output)
    {
        using var folder = new TemporaryFolder();
        using var registry = new StandInRegistry();
        var target = Directory.CreateDirectory(Path.Join(disk ?? folder.Path, "pull-benchmark")).FullName;
        var content = GC.AllocateUninitializedArray<byte>(Bytes);
        new Random(1).NextBytes(content);
        registry.AddHub("org/large", Commit, ("large-Q8_0.gguf", content));
        var source = new Uri(registry.Address, $"cdn/{StandInRegistry.Sha256(content)}").AbsoluteUri;
        var environment = new Dictionary<string, string>
        {
            ["HF_ENDPOINT"] = registry.Address.AbsoluteUri,
            ["XDG_STATE_HOME"] = folder["state"],
        };
        await output.WriteLineAsync(
            $"{Bytes / 1_000_000} MB, {Rounds} rounds, {Environment.ProcessorCount} cores, {ShimmyProcess.Executable}");
        var (pulls, curls, memory) = (new List<double>(), new List<double>(), 0L);
        for (var round = 0; round < Rounds; round++)
        {
            var (seconds, _) = await TimeAsync(new ProcessStartInfo("curl", ["-s", "-o", Path.Join(target, "curl.bin"), source]), output);
            curls.Add(Bytes / 1e6 / seconds);
            File.Delete(Path.Join(target, "curl.bin"));
            (seconds, var most) =
                await TimeAsync(ShimmyProcess.CreateStart(["pull", "org/large:Q8_0", "--to", target], folder.Path, environment), output);
            pulls.Add(Bytes / 1e6 / seconds);
            memory = Math.Max(memory, most);
            if (new FileInfo(Path.Join(target, "large-Q8_0.gguf")).Length != Bytes)
                throw new InvalidOperationException("the file is not whole");
            File.Delete(Path.Join(target, "large-Q8_0.gguf"));
        }
        var (pull, curl) = (BenchmarkModel.Median(pulls), BenchmarkModel.Median(curls));
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"pull {pull:F0} MB/s ({pulls.Min():F0} to {pulls.Max():F0}), curl {curl:F0} MB/s ({curls.Min():F0} to {curls.Max():F0}): {pull / curl:F2}; "
            + $"pull takes {memory / 1e6:F1} MB at most"));
        Directory.Delete(target, recursive: true);
    }

    private static async Task<(double Seconds, long MostBytes)> TimeAsync(ProcessStartInfo start, TextWriter output)
    {
        var begun = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        var most = 0L;
        while (!process.WaitForExit(20))
        {
            process.Refresh();
            most = Math.Max(most, process.HasExited ? 0 : process.PeakWorkingSet64);
        }
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            await output.WriteLineAsync($"{start.FileName} ended with {process.ExitCode}");
        return (Stopwatch.GetElapsedTime(begun).TotalSeconds, most);
    }
}
