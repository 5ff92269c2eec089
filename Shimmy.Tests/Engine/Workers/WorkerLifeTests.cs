using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;
using Shimmy.Engine.Workers;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Engine.Workers;

[TestClass]
[TestCategory("Worker")]
public sealed class WorkerLifeTests
{
    [TestMethod]
    public async Task A_worker_killed_in_the_middle_ends_its_stream_with_an_error_and_a_new_one_serves()
    {
        using var folder = new TemporaryFolder();
        var model = await LoadAsync(folder);
        var tokens = 0;

        var error = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Greedy("until death", 400), _ =>
        {
            if (++tokens == 5)
                Process.GetProcessById(model.Facts.ProcessId).Kill();
        }));

        Assert.AreEqual(EngineFailure.WorkerLost, error.Failure);
        StringAssert.Contains(error.Message, "killed");
        await model.Completion.WaitAsync(TimeSpan.FromSeconds(5));
        var afterwards = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Greedy("too late", 1)));
        Assert.AreEqual(EngineFailure.WorkerLost, afterwards.Failure);
        await model.DisposeAsync();
        await using var next = await LoadAsync(folder);
        Assert.AreEqual(3, (await RunAsync(next, Greedy("again", 3))).End.GeneratedTokens);
    }

    // Each start notes whether it was to load the projector, and dies.
    [TestMethod]
    [DataRow("llama", "with", DisplayName = "a runtime that does not read the projector")]
    [DataRow("llama ggml-cpu mtmd", "with without")]
    [DataRow("llama ggml-cpu mtmd ggml-vulkan", "with without with with with with without")]
    public async Task A_load_that_ends_its_worker_is_tried_without_the_projector_where_that_may_be_why(string libraries, string loads)
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("The worker is a script.");
        using var folder = new TemporaryFolder();
        foreach (var library in libraries.Split(' '))
            File.WriteAllText(folder[$"runtime/lib{library}.so"], "");
        File.WriteAllText(folder["worker"], $"""
            #!/bin/sh
            dd bs=65536 count=1 2>/dev/null | grep -q mmproj.gguf && echo with >> {folder["loads"]} || echo without >> {folder["loads"]}
            exit 3
            """);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(folder["worker"], UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var spec = new ModelSpec
        {
            Name = "m",
            Path = RandomModel.Write(folder["m.gguf"]),
            Projector = folder["mmproj.gguf"],
            ProjectorIsFound = true,
            Tuning = LoadTuning.None with { Runtime = folder["runtime"], Backend = GpuBackend.Vulkan, GpuLayers = LayerCount.Auto },
        };
        var engine = new WorkerEngine(Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, folder["worker"]);

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => engine.LoadAsync(spec, null, CancellationToken.None));

        Assert.AreEqual(EngineFailure.LoadFailed, refused.Failure);
        Assert.AreEqual(loads, string.Join(' ', await File.ReadAllLinesAsync(folder["loads"])));
    }

    [TestMethod]
    public async Task A_worker_that_stands_still_makes_nobody_wait_and_is_unloaded_all_the_same()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Windows stops no process by a signal.");
        using var folder = new TemporaryFolder();
        var model = await LoadAsync(folder);
        using var process = Process.GetProcessById(model.Facts.ProcessId);
        using (var stop = Process.Start("kill", ["-STOP", $"{process.Id}"]))
            await stop.WaitForExitAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));

        // More than a pipe holds.
        var prompt = Prompt.FromText(new string('!', 1_000_000));
        var asked = Enumerable.Range(0, 8).Select(_ => model.TokenizeAsync(prompt, patience.Token)).ToArray();
        var last = model.TokenizeAsync(prompt, CancellationToken.None);
        foreach (var one in asked)
            await Assert.ThrowsAsync<OperationCanceledException>(() => one);
        await model.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(20));

        Assert.AreEqual(EngineFailure.WorkerLost, (await Assert.ThrowsExactlyAsync<EngineException>(() => last)).Failure);
        Assert.IsTrue(process.WaitForExit(TimeSpan.FromSeconds(2)));
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public async Task What_an_idle_worker_said_of_itself_does_not_outlive_it(bool killed)
    {
        using var folder = new TemporaryFolder();
        var model = await LoadAsync(folder);
        EngineStatistics? last = null;
        await Poll.UntilAsync(async () => ReferenceEquals(last, last = await model.GetStatisticsAsync(CancellationToken.None)),
            "an answer stands");

        if (killed)
        {
            Process.GetProcessById(model.Facts.ProcessId).Kill();
            await model.Completion.WaitAsync(TimeSpan.FromSeconds(5));
        }
        else
        {
            await model.DisposeAsync();
        }

        var lost = await Assert.ThrowsExactlyAsync<EngineException>(() => model.GetStatisticsAsync(CancellationToken.None));
        Assert.AreEqual(EngineFailure.WorkerLost, lost.Failure);
        if (killed)
            await model.DisposeAsync();
    }

    [TestMethod]
    public async Task Unloading_ends_what_still_runs_and_the_process()
    {
        using var folder = new TemporaryFolder();
        var model = await LoadAsync(folder);
        var process = Process.GetProcessById(model.Facts.ProcessId);
        var first = new TaskCompletionSource();
        var running = RunAsync(model, Greedy("unloaded", 400), _ => first.TrySetResult());
        await first.Task;

        await model.DisposeAsync();

        var error = await Assert.ThrowsExactlyAsync<EngineException>(() => running);
        StringAssert.Contains(error.Message, "unloaded");
        Assert.IsTrue(process.WaitForExit(TimeSpan.FromSeconds(2)));
    }

    [TestMethod]
    public void A_worker_whose_parent_is_gone_ends_in_the_middle_of_a_generation()
    {
        using var folder = new TemporaryFolder();
        var start = new ProcessStartInfo(WorkerFixture.Executable, ["worker"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        process.BeginErrorReadLine();
        using var incoming = new FrameReader(process.StandardOutput.BaseStream);
        using var outgoing = new FrameWriter(process.StandardInput.BaseStream);
        var spec = new ModelSpec { Name = "random", Path = RandomModel.Write(folder["random.gguf"]), Threads = 1 };
        outgoing.Write(FrameKind.Load, 1, Wire.Write(spec, WorkerRecords.Spec));
        ReadUntil(incoming, FrameKind.Reply);
        outgoing.Write(FrameKind.Generate,
            2, PromptFrames.Write(Greedy("orphan", 450), WorkerRecords.Generation, []));
        ReadUntil(incoming, FrameKind.Events);

        // What the system does to the pipe of a parent that was killed.
        process.StandardInput.BaseStream.Dispose();

        Assert.IsTrue(process.WaitForExit(TimeSpan.FromSeconds(2)), "the worker outlived its parent");
    }

    [TestMethod]
    [DataRow("not a model at all", "magic")]
    [DataRow("GGUF", null)]
    [DataRow("", null)]
    public async Task A_file_that_is_no_model_is_refused_with_the_reason(string content, string? reason)
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["bad.gguf"], content);

        var error = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            NewEngine().LoadAsync(new ModelSpec { Name = "bad", Path = folder["bad.gguf"] }, null, CancellationToken.None));

        Assert.AreEqual(EngineFailure.LoadFailed, error.Failure);
        StringAssert.Contains(error.Message, folder["bad.gguf"]);
        StringAssert.Contains(error.Message, reason ?? "");
    }

    [TestMethod]
    [DataRow(0.3)]
    [DataRow(0.6)]
    [DataRow(0.99)]
    public async Task A_truncated_model_is_refused(double share)
    {
        using var folder = new TemporaryFolder();
        var bytes = RandomModel.Bytes();
        await File.WriteAllBytesAsync(folder["cut.gguf"], bytes[..(int)(bytes.Length * share)]);

        var error = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            NewEngine().LoadAsync(new ModelSpec { Name = "cut", Path = folder["cut.gguf"] }, null, CancellationToken.None));

        Assert.AreEqual(EngineFailure.LoadFailed, error.Failure);
    }

    [TestMethod]
    public async Task A_missing_executable_and_a_cancelled_load_are_clean()
    {
        using var folder = new TemporaryFolder();
        var spec = new ModelSpec { Name = "random", Path = RandomModel.Write(folder["random.gguf"]) };
        var missing = new WorkerEngine(Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, folder["nothing here"]);
        var error = await Assert.ThrowsExactlyAsync<EngineException>(() => missing.LoadAsync(spec, null, CancellationToken.None));
        Assert.AreEqual(EngineFailure.LoadFailed, error.Failure);

        await Assert.ThrowsAsync<OperationCanceledException>(
            () => NewEngine().LoadAsync(spec, null, new CancellationToken(canceled: true)));
    }

    [TestMethod]
    public async Task Loading_reports_progress_up_to_the_end()
    {
        using var folder = new TemporaryFolder();
        var shares = new List<float>();
        var spec = new ModelSpec
        {
            Name = "random",
            Path = RandomModel.Write(folder["random.gguf"], new RandomModelShape { Layers = 8 }),
            Threads = 1
        };

        await using var model = await NewEngine().LoadAsync(spec, new Collector(shares), CancellationToken.None);

        Assert.AreEqual(1f, shares[^1]);
        CollectionAssert.AreEqual(shares.Order().ToArray(), shares);
    }

    [TestMethod]
    public async Task The_backends_are_reported_without_a_model()
    {
        var report = await NewEngine().ReportBackendsAsync(CancellationToken.None);

        Assert.IsTrue(report.Backends.Any(backend => backend is { Name: "cpu", Loaded: true }));
        var cpu = report.Devices.Single(device => device.Kind == "cpu");
        Assert.IsGreaterThan(0L, cpu.MemoryTotalBytes);
        Assert.IsTrue(report.LibraryVersion is "LLamaSharp 0.30" || report.LibraryVersion.StartsWith("0.", StringComparison.Ordinal),
            report.LibraryVersion);
    }

    private static void ReadUntil(FrameReader incoming, FrameKind kind)
    {
        while (incoming.Read() is { } frame)
        {
            Assert.AreNotEqual(FrameKind.Failed, frame.Kind);
            if (frame.Kind == kind)
                return;
        }
        Assert.Fail($"the worker ended before a {kind} frame");
    }

    private sealed class Collector(List<float> shares) : IProgress<float>
    {
        public void Report(float value) => shares.Add(value);
    }
}
