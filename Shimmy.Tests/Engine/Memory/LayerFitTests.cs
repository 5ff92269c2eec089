using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;

namespace Shimmy.Tests.Engine.Memory;

[TestClass]
[TestCategory("Unit")]
public sealed class LayerFitTests
{
    private const long Megabyte = 1 << 20;

    // Ten layers of 100 MB and 10 MB cache each, an output of 50 MB, 20 MB to compute.
    private static readonly ModelSizes Ten =
        new(Enumerable.Repeat(100 * Megabyte, 10).ToList(), 50 * Megabyte, 10 * Megabyte, 20 * Megabyte, 0);

    [TestMethod]
    [DataRow(10_000, 11)]
    [DataRow(1298 + 0, 11)]
    [DataRow(1297, 10)]
    [DataRow(1188, 10)]
    [DataRow(198, 1)]
    [DataRow(197, 0)]
    [DataRow(0, 0)]
    public void The_most_layers_are_taken_that_leave_a_margin(int freeMegabytes, int layers) =>
        Assert.AreEqual(layers, LayerFit.Choose(Ten, [freeMegabytes * Megabyte], []));

    [TestMethod]
    public void Each_device_keeps_its_own_margin_and_computes() =>
        Assert.AreEqual(11, LayerFit.Choose(Ten, [723 * Megabyte, 723 * Megabyte], []));

    [TestMethod]
    [DataRow(1f, 1f, 11)]
    [DataRow(3f, 1f, 7)]
    [DataRow(0f, 1f, 5)]
    public void A_device_takes_its_share_and_no_more_than_it_holds(float first, float second, int layers) =>
        Assert.AreEqual(layers, LayerFit.Choose(Ten, [723 * Megabyte, 723 * Megabyte], [first, second]));

    [TestMethod]
    public void A_sixteenth_of_a_large_device_stays_free() => Assert.AreEqual(15_000 * Megabyte, LayerFit.Usable(16_000 * Megabyte));

    [TestMethod]
    public void After_a_failed_allocation_half_of_the_layers_are_tried_until_none_is_left()
    {
        var plan = new LoadPlan { Choice = new DeviceChoice(GpuBackend.Vulkan, [1]), GpuLayers = 11, Reason = "auto" };
        var tried = new List<int>();
        for (; plan is not null; plan = plan.Smaller())
            tried.Add(plan.GpuLayers);
        CollectionAssert.AreEqual(new[] { 11, 5, 2, 1, 0 }, tried);
    }

    [TestMethod]
    public void A_number_of_layers_that_was_asked_for_is_not_changed() =>
        Assert.IsNull(new LoadPlan { Choice = new DeviceChoice(GpuBackend.Vulkan, [1]), GpuLayers = 11 }.Smaller());

    [TestMethod]
    public void Sizes_come_from_the_file_without_the_experts_that_stay()
    {
        using var folder = new TemporaryFolder();
        var path = RandomModel.Write(folder["moe.gguf"], RandomModelShape.Mixtral);
        var spec = new ModelSpec { Name = "moe", Path = path };
        var all = ModelSizes.Read(spec);
        var two = ModelSizes.Read(spec with { Tuning = new LoadTuning { CpuExpertLayers = 2 } });

        Assert.HasCount(4, all.Layers);
        Assert.AreEqual(4, all.Experts);
        const long experts = 4 * 3 * 64 * 128 * 4;
        CollectionAssert.AreEqual(new[] { experts, experts, 0, 0 }, all.Layers.Zip(two.Layers, (one, other) => one - other).ToArray());
        Assert.AreEqual(((64 * 1024) + 64) * 4, all.Output);
    }
}
