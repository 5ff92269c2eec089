using System.Diagnostics;
using System.Reflection;
using Shimmy.Tests.Clients;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>What record and replay are for: the suite of OpenAI's client passes again with no model there, and in no time.</summary>
[TestClass]
[TestCategory("Executable")]
[DoNotParallelize]
public sealed class ReplayedSuiteTests(TestContext context)
{
    private const string Key = "sk-a-key-that-nobody-may-read-0123456789";

    [TestMethod]
    public async Task A_recorded_suite_passes_without_a_model()
    {
        using var models = new TemporaryFolder();
        using var nothing = new TemporaryFolder();
        var file = nothing["suite.jsonl"];
        OpenAIClientTests.WriteModels(models);
        TimeSpan recorded, replayed;
        using (var server = await ServerProcess.StartAsync(models, "--threads", "1", "--record", file, "--api-key", Key))
        {
            recorded = await RunAsync(server);
        }
        var lines = await File.ReadAllLinesAsync(file);
        Assert.IsGreaterThan(10, lines.Length);
        Assert.IsFalse(lines.Any(line => line.Contains(Key, StringComparison.Ordinal)), "the key is in the recording");

        using (var server = await ServerProcess.StartAsync(nothing, "--replay", file))
        {
            replayed = await RunAsync(server);
            // The second time all requests come from the client's warm code, as the recorded ones nearly did; the last answer repeats.
            replayed = TimeSpan.FromTicks(Math.Min(replayed.Ticks, (await RunAsync(server)).Ticks));
            if (OperatingSystem.IsLinux())
                Assert.IsEmpty(server.Workers);
        }
        context.WriteLine(
            $"{lines.Length - 1} exchanges: recorded in {recorded.TotalMilliseconds:F0} ms, replayed in {replayed.TotalMilliseconds:F1} ms, "
            + $"{recorded / replayed:F0} times faster; size of the file {new FileInfo(file).Length} bytes");
    }

    // The suite as the test runner would run it.
    private static async Task<TimeSpan> RunAsync(ServerProcess server)
    {
        var suite = new OpenAIClientTests { Client = OpenAIClientTests.ClientOf(server, Key) };
        var tests = typeof(OpenAIClientTests).GetMethods().Where(method => method.GetCustomAttribute<TestMethodAttribute>() is not null)
            .OrderBy(method => method.Name, StringComparer.Ordinal).ToList();
        Assert.IsGreaterThan(6, tests.Count);
        var begun = Stopwatch.GetTimestamp();
        foreach (var test in tests)
        {
            var rows = test.GetCustomAttributes<DataRowAttribute>().Select(row => row.Data).DefaultIfEmpty(null);
            foreach (var row in rows)
                await (Task)test.Invoke(suite, row)!;
        }
        return Stopwatch.GetElapsedTime(begun);
    }
}
