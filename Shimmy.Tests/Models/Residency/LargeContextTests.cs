using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Residency;

/// <summary>
/// Kind: a model that was trained with more context than memory holds. Nobody asked for all of it, so it is no reason to refuse the model.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class LargeContextTests : IDisposable
{
    private const long Megabyte = 1 << 20;
    private static readonly LoadTuning Fused = new() { FlashAttention = FlashAttention.On };
    private readonly TemporaryFolder _folder = new();
    private readonly string _path;

    public LargeContextTests() => _path = RandomModel.Write(_folder["m.gguf"], new RandomModelShape { Context = 10_485_760 });

    public void Dispose() => _folder.Dispose();

    [TestMethod]
    public void The_context_shrinks_to_the_longest_power_of_two_that_fits()
    {
        var need = Need(Spec(), 500);
        Assert.AreEqual(1_048_576, need.Spec.ContextLength); // 256 bytes a token
        Assert.IsLessThanOrEqualTo(500 * Megabyte, need.Bytes);
        Assert.Contains("1048576 tokens instead of the 10485760", need.Spec.ContextReason!);
    }

    [TestMethod]
    public void A_context_that_fits_stays_the_models_own()
    {
        var need = Need(Spec(), 100_000);
        Assert.AreEqual((0, null), (need.Spec.ContextLength, need.Spec.ContextReason));
    }

    [TestMethod]
    public void A_context_that_was_asked_for_never_shrinks()
    {
        var need = Need(Spec() with { ContextLength = 10_485_760 }, 500);
        Assert.AreEqual(10_485_760, need.Spec.ContextLength);
        Assert.IsGreaterThan(500 * Megabyte, need.Bytes);
    }

    [TestMethod]
    public void The_refusal_splits_the_need_and_names_the_options()
    {
        var refusal = Need(Spec() with { ContextLength = 10_485_760 }, 500).WhyTooLarge("m", 500 * Megabyte);
        Assert.MatchesRegex("^model 'm' needs about [0-9]+ MB but the memory budget is 500 MB: weights [0-9]+ MB, "
            + "KV cache of a context of 10485760 tokens 2560 MB, buffers [0-9]+ MB; ", refusal);
        foreach (var option in (string[])["--ctx", "--cache-type-k", "--cache-type-v", "--memory-budget"])
            Assert.Contains(option, refusal);
    }

    [TestMethod]
    public void Where_the_weights_alone_are_too_many_no_shorter_context_is_advised() =>
        Assert.DoesNotContain("--ctx", Need(Spec(), 1).WhyTooLarge("m", Megabyte));

    [TestMethod]
    public void Slots_share_the_cells_of_one_context_where_one_for_each_does_not_fit()
    {
        var four = Spec() with { ContextLength = 524_288, Parallel = 4 };

        Assert.AreEqual(0, Need(four, 2000).Spec.Cells);
        var lean = Need(four, 500);
        Assert.AreEqual((524_288, 524_288), (lean.Spec.ContextLength, lean.Spec.Cells));
        Assert.IsLessThanOrEqualTo(500 * Megabyte, lean.Bytes);
    }

    [TestMethod]
    [Timeout(30_000, CooperativeCancellation = true)]
    public async Task The_model_is_loaded_with_the_shorter_context_and_listed_with_it()
    {
        var entry = new ModelEntry { Name = "m", Path = _path, ContextLength = 10_485_760, SizeBytes = new FileInfo(_path).Length };
        await using var residency = Residency(500);
        Assert.AreEqual(10_485_760, residency.ContextOf(entry));

        using var lease = await residency.AcquireAsync(entry);
        Assert.AreEqual(1_048_576, lease.Model.Spec.ContextLength);
        Assert.AreEqual(1_048_576, residency.ContextOf(entry));
        Assert.HasCount(1, residency.Resident);
        using var again = await residency.AcquireAsync(entry);
        Assert.AreSame(lease.Load, again.Load);
    }

    [TestMethod]
    [Timeout(30_000, CooperativeCancellation = true)]
    public async Task What_pinned_models_take_counts()
    {
        await using var residency = Residency(500);
        using var pinned = await residency.AcquireAsync(new ModelEntry
        {
            Name = "pinned",
            Path = _path,
            Settings = ModelSettings.None with { Pinned = true, ContextLength = 1_048_576 },
        });
        using var lease = await residency.AcquireAsync(new ModelEntry { Name = "m", Path = _path });
        Assert.AreEqual(524_288, lease.Model.Spec.ContextLength);
    }

    [TestMethod]
    public void The_context_shrinks_to_what_GPUs_hold_with_all_layers()
    {
        var need = OnGpu(Spec(), 1000);

        Assert.AreEqual(2_097_152, need.Spec.ContextLength); // 256 bytes a token, and 128 MB stay free
        Assert.Contains("not all layers fit into 1000 MB of GPU memory", need.Spec.ContextReason!);
        Assert.AreEqual(0, OnGpu(Spec(), 100_000).Spec.ContextLength);
        Assert.AreEqual(10_485_760, OnGpu(Spec() with { ContextLength = 10_485_760 }, 1000).Spec.ContextLength);
    }

    [TestMethod]
    public void Slots_share_the_cells_of_a_GPU_before_its_context_shrinks()
    {
        var spec = OnGpu(Spec() with { Parallel = 4 }, 1000).Spec;
        Assert.AreEqual((2_097_152, 2_097_152), (spec.ContextLength, spec.Cells));
    }

    // A context of nothing would not help: its layers lie on the CPU, and the context is what the host holds.
    [TestMethod]
    public void Where_GPUs_hold_not_all_layers_with_any_context_the_host_decides()
    {
        var need = OnGpu(Spec(), 128);
        Assert.AreEqual((0, null), (need.Spec.ContextLength, need.Spec.ContextReason));
    }

    private static LoadNeed OnGpu(ModelSpec spec, int megabytes)
    {
        var gpu = new DeviceFacts
        {
            Name = "Vulkan0",
            Description = "a GPU",
            Kind = "gpu",
            Backend = "Vulkan",
            MemoryFreeBytes = Megabyte,
            MemoryTotalBytes = megabytes * Megabyte,
        };
        return ContextFit.Of(spec, null, new HeaderCache(), one => MemoryEstimate.Of(one, new FileInfo(one.Path).Length),
            HostMemory.CapacityOf([gpu], new HeaderCache()));
    }

    private static ModelResidency Residency(int megabytes) => new([new ScriptedEngine()],
        entry => new ModelSpec
        {
            Name = entry.Name,
            Path = entry.Path,
            Parallel = 1,
            Tuning = Fused,
            ContextLength = entry.Settings.ContextLength ?? 0,
        },
        TimeProvider.System, new ResidencyOptions
        {
            MemoryBudget = megabytes * Megabyte,
            Need = (entry, spec, room, _) => ValueTask.FromResult(Fit(spec, room)),
        });

    private static LoadNeed Need(ModelSpec spec, int megabytes) => Fit(spec, megabytes * Megabyte);

    private static LoadNeed Fit(ModelSpec spec, long? room) =>
        ContextFit.Of(spec, room, new HeaderCache(), one => MemoryEstimate.Of(one, new FileInfo(one.Path).Length));

    private ModelSpec Spec() => new() { Name = "m", Path = _path, Parallel = 1, Tuning = Fused };
}
