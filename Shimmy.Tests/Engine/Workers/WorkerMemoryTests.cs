using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Engine.Workers;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Engine.Workers;

/// <summary>The estimate of a model's memory against its worker; the benchmark <c>memory</c> does so with larger models.</summary>
[TestClass]
[TestCategory("Executable")]
[DoNotParallelize]
public sealed class WorkerMemoryTests
{
    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [DataRow("wide", 512)]
    [DataRow("wide", 4096)]
    [DataRow("deep", 512)]
    [DataRow("deep", 4096)]
    [DataRow("wordy", 512)]
    [DataRow("wordy", 4096)]
    public async Task A_published_worker_takes_what_was_estimated(string name, int context)
    {
        if (!ShimmyProcess.IsPublished || !OperatingSystem.IsLinux())
            Assert.Inconclusive("SHIMMY_EXECUTABLE names no published executable; .ci/run publishes one and runs this.");
        using var folder = new TemporaryFolder();
        var shape = name switch
        {
            "wide" => new RandomModelShape
            {
                Layers = 2,
                Embedding = 1024,
                Heads = 16,
                KeyValueHeads = 16,
                FeedForward = 2816,
                Type = GgmlType.F16,
                Context = 4096
            },
            "deep" => new RandomModelShape
            {
                Layers = 24,
                Embedding = 256,
                Heads = 8,
                KeyValueHeads = 2,
                FeedForward = 704,
                Type = GgmlType.Q8_0,
                Context = 4096
            },
            _ => new RandomModelShape
            {
                Layers = 2,
                Embedding = 256,
                Heads = 8,
                KeyValueHeads = 8,
                FeedForward = 512,
                Vocabulary = 64_000,
                Context = 4096
            },
        };
        var spec = new ModelSpec
        {
            Name = name,
            Path = RandomModel.Write(folder["m.gguf"], shape),
            ContextLength = context,
            Parallel = 1,
            Threads = 1
        };
        var estimate = MemoryEstimate.Of(spec, new FileInfo(spec.Path).Length).Total;

        await using var model =
            await new WorkerEngine(NullLoggerFactory.Instance, ShimmyProcess.Executable).LoadAsync(spec, null, CancellationToken.None);
        await WorkerFixture.RunAsync(model, new GenerationRequest
        {
            Prompt = Prompt.FromTokens([.. Enumerable.Range(0, Math.Min(600, context - 8)).Select(i => 300 + (i % 64))]),
            Options = new GenerationOptions { Temperature = 0, MaxTokens = 4, IgnoreEos = true },
        });
        using var worker = Process.GetProcessById(model.Facts.ProcessId);

        TestContext.WriteLine($"estimated {estimate >> 20} MB, taken {worker.WorkingSet64 >> 20} MB");
        Assert.AreEqual(worker.WorkingSet64, estimate, worker.WorkingSet64 * 0.15);
    }
}
