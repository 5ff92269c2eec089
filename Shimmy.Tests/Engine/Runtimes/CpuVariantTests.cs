using Shimmy.Engine.Runtimes;

namespace Shimmy.Tests.Engine.Runtimes;

[TestClass]
[TestCategory("Unit")]
public sealed class CpuVariantTests
{
    private const string Haswell = "avx avx2 fma f16c bmi2";

    [TestMethod]
    [DataRow(Haswell + " avx512f avx512bw avx512dq avx512vl avx512cd", "avx512")]
    [DataRow(Haswell + " avx512f", "avx2")]
    [DataRow(Haswell, "avx2")]
    [DataRow("avx fma f16c bmi2", "avx")]
    // Sandy Bridge: the package's variant of that name has instructions that came later.
    [DataRow("avx", "noavx")]
    [DataRow("", "noavx")]
    public void The_variant_is_the_best_that_the_processor_can_run(string features, string expected) =>
        Assert.AreEqual(expected, CpuVariant.Best(features.Split(' ').ToHashSet(), _ => true));

    [TestMethod]
    public void A_runtime_without_variants_is_taken_as_it_is() =>
        Assert.IsNull(CpuVariant.Best(Haswell.Split(' ').ToHashSet(), _ => false));

    [TestMethod]
    [DataRow("", "rosetta2")]
    [DataRow(Haswell, null)]
    public void On_macOS_the_translators_variant_is_for_processors_without_AVX2(string features, string? expected) =>
        Assert.AreEqual(expected, CpuVariant.Best(features.Split(' ').ToHashSet(), name => name == "rosetta2"));
}
