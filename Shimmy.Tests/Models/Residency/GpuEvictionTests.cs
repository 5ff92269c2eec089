using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Models.Residency;

/// <summary>
/// Who leaves the GPUs for whom, where only a load tells whether there is room. They hold 100 GB; a model's name ends in what it takes of
/// them.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class GpuEvictionTests
{
    private const long Gigabyte = 1L << 30;

    private readonly ScriptedEngine _engine = new();
    private readonly ManualTime _time = new();

    public GpuEvictionTests()
    {
        _engine.Facts = spec =>
            new ModelFacts
            {
                Architecture = "x",
                Description = "x",
                GpuLayers = Gigabytes(spec) > 0
                ? 1
                : 0,
                Memory = [new DeviceMemory { Device = "Gpu0", BufferBytes = Gigabytes(spec) * Gigabyte }]
            };
        _engine.Loading = (spec, _, _) =>
        {
            Refuse(spec);
            return Task.CompletedTask;
        };
    }

    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Deadline => TestContext.CancellationToken;

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Idle_models_leave_the_longest_unused_first_until_it_fits_and_those_on_the_CPU_stay()
    {
        await using var residency = Residency();
        foreach (var name in new[] { "a0", "b30", "c30", "d30" })
        {
            (await residency.AcquireAsync(Model(name), null, Deadline)).Dispose();
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        using var lease = await residency.AcquireAsync(Model("e60"), null, Deadline);

        Assert.AreEqual("a0 d30 e60", Names(residency));
        Assert.AreEqual(4 + 2, _engine.Loads);
        Assert.AreEqual(0, FailedLoads(residency), "refusals that could be mended are no failures");
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_busy_model_is_waited_for()
    {
        await using var residency = Residency();
        var busy = await residency.AcquireAsync(Model("a60"), null, Deadline);
        var waiting = residency.AcquireAsync(Model("b60"), null, Deadline);
        await UntilAsync(
            () => _engine.Loads == 2 && residency.Resident.Any(model => model is { Entry.Name: "b60", State: ResidencyState.Waiting }));
        Assert.IsFalse(busy.Model.Completion.IsCompleted);

        busy.Dispose();

        using var lease = await waiting;
        Assert.AreEqual("b60", Names(residency));
        Assert.AreEqual(3, _engine.Loads);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task What_finds_no_memory_for_nobody_of_ours_or_for_pinned_ones_is_refused_as_the_engine_said()
    {
        await using var residency = Residency();
        (await residency.AcquireAsync(Model("a0"), null, Deadline)).Dispose();
        var alone = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("b130"), null, Deadline));
        Assert.AreEqual("no room for b130", alone.Message);
        Assert.AreEqual(1, FailedLoads(residency));

        (await residency.AcquireAsync(Model("p60") with { Settings = ModelSettings.None with { Pinned = true } },
            null, Deadline)).Dispose();
        var beside = await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("c60"), null, Deadline));
        Assert.AreEqual((EngineFailure.LoadFailed, "no room for c60"), (beside.Failure, beside.Message));
        Assert.AreEqual("a0 p60", Names(residency));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Nobody_leaves_for_what_would_not_fit_then_or_stands_on_another_device()
    {
        await using var residency = Residency();
        (await residency.AcquireAsync(Model("a30"), null, Deadline)).Dispose();
        await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("b130"), null, Deadline));
        Assert.AreEqual("a30", Names(residency));

        _engine.Loading = (spec, _, _) =>
            throw new EngineException(EngineFailure.LoadFailed, "full") { Shortage = new GpuShortage(["Gpu1"], 1) };
        await Assert.ThrowsExactlyAsync<EngineException>(() => residency.AcquireAsync(Model("c10"), null, Deadline));
        Assert.AreEqual("a30", Names(residency));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Two_that_are_loaded_at_once_and_do_not_fit_together_come_one_after_the_other()
    {
        var both = new TaskCompletionSource();
        var begun = 0;
        _engine.Loading = async (spec, _, _) =>
        {
            if (Interlocked.Increment(ref begun) <= 2)
            {
                // Both saw the memory free, and took it at the same moment.
                if (begun == 2)
                    both.SetResult();
                await both.Task;
                throw Full(spec);
            }
            Refuse(spec);
        };
        await using var residency = Residency();

        await Task.WhenAll(new[] { "a60", "b60" }.Select(async name =>
        {
            using var lease = await residency.AcquireAsync(Model(name), null, Deadline);
            Assert.AreEqual(name, lease.Entry.Name);
        }));

        Assert.AreEqual(0, FailedLoads(residency));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task Where_layers_are_fitted_idle_models_leave_first_and_busy_ones_are_not_waited_for()
    {
        var tried = new List<bool>();
        _engine.Loading = (spec, _, _) =>
        {
            var refuses = spec.Tuning.GpuLayers!.RefusesFewer;
            tried.Add(refuses);
            if (refuses)
                Refuse(spec);
            return Task.CompletedTask;
        };
        await using var residency = Residency(LayerCount.Auto);
        (await residency.AcquireAsync(Model("a60"), null, Deadline)).Dispose();
        _time.Advance(TimeSpan.FromSeconds(1));

        using var busy = await residency.AcquireAsync(Model("b60"), null, Deadline);
        Assert.AreEqual("b60", Names(residency), "an idle one left");
        using var fitted = await residency.AcquireAsync(Model("c60"), null, Deadline);

        Assert.AreEqual("b60 c60", Names(residency), "a busy one stays, and what is left is used");
        CollectionAssert.AreEqual(new[] { false, true, false, false }, tried);
        Assert.IsFalse(fitted.Model.Spec.Tuning.GpuLayers!.RefusesFewer);
    }

    private static int Gigabytes(ModelSpec spec) => int.Parse(spec.Name[1..], null);

    private static EngineException Full(ModelSpec spec, long missing = 1) =>
        new(EngineFailure.LoadFailed, $"no room for {spec.Name}") { Shortage = new GpuShortage(["Gpu0"], missing) };

    private void Refuse(ModelSpec spec)
    {
        var missing = _engine.Models.Where(model => !model.Completion.IsCompleted)
            .Sum(model => Gigabytes(model.Spec)) + Gigabytes(spec) - 100;
        if (missing > 0)
            throw Full(spec, missing * Gigabyte);
    }

    private ModelResidency Residency(LayerCount? layers = null) => new([_engine], entry => new ModelSpec
    {
        Name = entry.Name,
        Path = entry.Path,
        Tuning = new LoadTuning { GpuLayers = layers },
    }, _time, ResidencyRun.Unmeasured);

    private static ModelEntry Model(string name) => new() { Name = name, Path = $"/models/{name}.gguf" };

    private static string Names(ModelResidency residency) => string.Join(' ', residency.Resident.Select(model => model.Entry.Name));

    private static long FailedLoads(ModelResidency residency) => residency.Totals.Models.Sum(model => model.Totals.FailedLoads);

    private static Task UntilAsync(Func<bool> condition) => Poll.UntilAsync(condition, "the residency has got there");
}
