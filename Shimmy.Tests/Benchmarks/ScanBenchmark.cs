using System.Diagnostics;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// <c>shimmy discover</c> on 10,000 model files in 500 folders: the time of the scan as the program tells it and of the whole process, with
/// no cache and from the cache; and how long <c>serve</c> takes to be ready meanwhile.
/// </summary>
internal static class ScanBenchmark
{
    private const int Folders = 500;
    private const int FilesEach = 20;
    private const int Rounds = 7;

    public static async Task RunAsync(TextWriter output)
    {
        using var folder = new TemporaryFolder();
        var model = RandomModel.Bytes(new RandomModelShape { Layers = 1, Vocabulary = 384, Embedding = 16 });
        for (var i = 0; i < Folders * FilesEach; i++)
            await File.WriteAllBytesAsync(folder[$"many/f{i / FilesEach / 25}/f{i / FilesEach}/m{i}-Q8_0.gguf"], model);
        var environment =
            new Dictionary<string, string>
            {
                ["HOME"] = folder["home"],
                ["USERPROFILE"] = folder["home"],
                ["LOCALAPPDATA"] = folder["home"]
            };

        await output.WriteLineAsync(
            $"{Folders * FilesEach} files of {model.Length} bytes in {Folders} folders, {Rounds} rounds, {Environment.ProcessorCount} cores");
        foreach (var cached in new[] { false, true })
        {
            var scans = new List<double>();
            var wholes = new List<double>();
            for (var round = 0; round < Rounds; round++)
            {
                if (!cached)
                    Forget(folder);
                var begun = Stopwatch.GetTimestamp();
                var run = await ShimmyProcess.RunAsync(["discover", "--json", "--model-dirs", folder["many"]], folder.Path, environment);
                wholes.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
                using var json = JsonDocument.Parse(run.Output);
                if (json.RootElement.GetProperty("models").GetArrayLength() != Folders * FilesEach)
                    throw new InvalidOperationException("not all models were found");
                scans.Add(json.RootElement.GetProperty("elapsed_milliseconds").GetDouble());
            }
            await output.WriteLineAsync(
                $"{(cached ? "from the cache" : "without a cache"),-16} {BenchmarkModel.Median(scans),7:F1} ms a scan (median; {scans.Min():F1} to "
                + $"{scans.Max():F1}), {BenchmarkModel.Median(wholes),7:F1} ms the process that prints them");
        }

        var ready = new List<double>();
        for (var round = 0; round < Rounds; round++)
        {
            Forget(folder);
            var begun = Stopwatch.GetTimestamp();
            using var server = await ServerProcess.StartAsync(folder, environment, "--model-dirs", folder["many"]);
            ready.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }
        await output.WriteLineAsync(
            $"serve is ready   {BenchmarkModel.Median(ready),7:F1} ms after its start (median; looked at every 10 ms)");
    }

    private static void Forget(TemporaryFolder folder)
    {
        if (Directory.Exists(Path.Join(folder.Path, "home")))
            Directory.Delete(Path.Join(folder.Path, "home"), recursive: true);
    }
}
