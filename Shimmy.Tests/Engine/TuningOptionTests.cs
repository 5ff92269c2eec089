using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;

namespace Shimmy.Tests.Engine;

[TestClass]
[TestCategory("Unit")]
public sealed class TuningOptionTests
{
    [TestMethod]
    [DataRow("gpu-backend", "hip", "auto, cpu, cuda, vulkan, opencl or metal")]
    [DataRow("device", "Vulkan0,", "names of devices, each once, with commas between them (shimmy gpu-info shows them)")]
    [DataRow("device", "Vulkan0,vulkan0", "names of devices, each once, ")]
    [DataRow("gpu-layers", "-1", "a whole number from 0 to 10000, or auto")]
    [DataRow("gpu-layers", "all", "a whole number from 0 to 10000, or auto")]
    [DataRow("split-mode", "half", "none, layer, row or tensor")]
    [DataRow("tensor-split", "3;1", "numbers of at least 0, not all 0, with commas between them")]
    [DataRow("tensor-split", "0,0", "numbers of at least 0, not all 0, ")]
    [DataRow("tensor-split", "1,-1", "numbers of at least 0, not all 0, ")]
    [DataRow("main-gpu", "-1", "a whole number from 0 to 255")]
    [DataRow("n-cpu-moe", "two", "a whole number from 0 to 10000")]
    [DataRow("flash-attn", "yes", "auto, on or off")]
    [DataRow("cache-type-k", "q3_0", "f16, f32, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0 or q5_1")]
    [DataRow("cache-type-v", "fp8", "f16, f32, ")]
    [DataRow("mmap", "maybe", "on or off")]
    [DataRow("numa", "mirror", "distribute, isolate or numactl")]
    [DataRow("override-kv", "a.b", "KEY=TYPE:VALUE with the types int, float, bool (true or false) and str")]
    [DataRow("override-kv", "a.b=int:1.5", "KEY=TYPE:VALUE with ")]
    [DataRow("override-kv", "a.b=bool:1", "KEY=TYPE:VALUE with ")]
    [DataRow("override-kv", "a.b=int:1,a.b=int:2", "KEY=TYPE:VALUE with ")]
    [DataRow("override-kv", "=int:1", "KEY=TYPE:VALUE with ")]
    [DataRow("rope-scaling", "longrope", "none, linear or yarn")]
    [DataRow("rope-scale", "0", "a number from 0.001 to 1000000")]
    [DataRow("rope-freq-base", "NaN", "a number from 1 to 1000000000000")]
    [DataRow("rope-freq-scale", "-1", "a number from 1E-06 to 1000")]
    [DataRow("yarn-orig-ctx", "0", "a whole number from 1 to 16777216")]
    [DataRow("yarn-ext-factor", "1.5", "a number from 0 to 1, or -1 for the model's own")]
    [DataRow("yarn-ext-factor", "-0.5", "a number from 0 to 1, or -1 for the model's own")]
    [DataRow("yarn-attn-factor", "", "a number from 0.001 to 1000")]
    [DataRow("yarn-beta-slow", "1,5", "a number from 0 to 10000")]
    [DataRow("yarn-beta-fast", "fast", "a number from 0 to 10000")]
    public void A_bad_value_is_refused_by_its_option_with_what_is_allowed(string option, string value, string allowed)
    {
        var refused = Assert.ThrowsExactly<UsageException>(() => Read((option, value)));
        StringAssert.StartsWith(refused.Message, $"--{option}: '{value}' is not {allowed}");
    }

    [TestMethod]
    public void Every_option_is_read()
    {
        var tuning =
            Read(("gpu-backend", "Vulkan"), ("device", "Vulkan0, Vulkan1"), ("gpu-layers", "12"),
                ("split-mode", "row"), ("tensor-split", "3,0.5"),
            ("main-gpu", "1"), ("n-cpu-moe", "2"), ("flash-attn", "on"), ("cache-type-k", "q8_0"),
                ("cache-type-v", "iq4_nl"), ("mmap", "off"), ("mlock", "true"),
            ("numa", "isolate"), ("override-kv", "llama.context_length=int:64,a=str:x:y,b=bool:true,c=float:0.5"),
                ("rope-scaling", "yarn"), ("rope-scale", "4"),
            ("rope-freq-base", "10000"), ("yarn-orig-ctx", "2048"), ("yarn-ext-factor", "1"),
                ("yarn-attn-factor", "1.5"), ("yarn-beta-slow", "1"),
            ("yarn-beta-fast", "32"));

        Assert.IsTrue(tuning.IsSameAs(new LoadTuning
        {
            Backend = GpuBackend.Vulkan,
            Devices = ["Vulkan0", "Vulkan1"],
            GpuLayers = new LayerCount(12),
            SplitMode = SplitMode.Row,
            TensorSplit = [3, 0.5f],
            MainGpu = 1,
            CpuExpertLayers = 2,
            FlashAttention = FlashAttention.On,
            CacheTypeK = CacheType.Q8Level0,
            CacheTypeV = CacheType.Iq4Nl,
            MemoryMap = false,
            MemoryLock = true,
            Numa = NumaStrategy.Isolate,
            MetadataOverrides =
                [new("llama.context_length", "int", "64"), new("a", "str", "x:y"), new("b", "bool", "true"), new("c", "float", "0.5")],
            RopeScaling = RopeScaling.Yarn,
            RopeFrequencyScale = 0.25f,
            RopeFrequencyBase = 10000,
            YarnOriginalContext = 2048,
            YarnExtFactor = 1,
            YarnAttnFactor = 1.5f,
            YarnBetaSlow = 1,
            YarnBetaFast = 32,
        }), tuning.ToString());
    }

    [TestMethod]
    public void What_one_leaves_open_the_other_says()
    {
        var upper = new LoadTuning { Backend = GpuBackend.Cpu, CpuExpertLayers = 0, Devices = ["a"] };
        var lower =
            new LoadTuning
            {
                Backend = GpuBackend.Cuda,
                CpuExpertLayers = LoadTuning.AllLayers,
                Devices = ["b"],
                MainGpu = 2,
                TensorSplit = [1, 2]
            };

        var both = upper.Over(lower);

        Assert.IsTrue(
            both.IsSameAs(
                new LoadTuning { Backend = GpuBackend.Cpu, CpuExpertLayers = 0, Devices = ["a"], MainGpu = 2, TensorSplit = [1, 2] }));
        // A member that Over forgets would be lost here.
        var all = Read(("gpu-backend", "cpu"), ("device", "x"), ("gpu-layers", "auto"),
            ("split-mode", "none"), ("tensor-split", "1"), ("main-gpu", "0"), ("cpu-moe", "true"),
            ("flash-attn", "off"), ("cache-type-k", "f32"), ("cache-type-v", "f32"), ("mmap", "on"),
                ("mlock", "true"), ("numa", "numactl"), ("override-kv", "a=int:1"),
            ("rope-scaling", "none"), ("rope-freq-base", "2"), ("rope-freq-scale", "2"),
                ("yarn-orig-ctx", "2"), ("yarn-ext-factor", "0.5"), ("yarn-attn-factor", "2"),
            ("yarn-beta-slow", "2"), ("yarn-beta-fast", "2"));
        Assert.IsTrue(LoadTuning.None.Over(all).IsSameAs(all));
        Assert.IsFalse(all.IsSameAs(LoadTuning.None));
    }

    [TestMethod]
    public void conflict_check()
    {
        var refused = Assert.ThrowsExactly<UsageException>(() => Read(("cpu-moe", "true"), ("n-cpu-moe", "2")));
        StringAssert.StartsWith(refused.Message,
            "--cpu-moe and --n-cpu-moe exclude each other: the first keeps the experts of all layers on the CPU");
        Assert.ThrowsExactly<UsageException>(() => Read(("rope-scale", "2"), ("rope-freq-scale", "0.5")));
        var both = Assert.ThrowsExactly<UsageException>(() => Read([], "SHIMMY_CPU_MOE", "1", "SHIMMY_N_CPU_MOE", "2"));
        StringAssert.StartsWith(both.Message, "SHIMMY_CPU_MOE and SHIMMY_N_CPU_MOE exclude each other: ");
    }

    [TestMethod]
    public void What_the_command_line_says_makes_the_environment_say_nothing_that_excludes_it()
    {
        Assert.AreEqual(2, Read([("n-cpu-moe", "2")], "SHIMMY_CPU_MOE", "1").CpuExpertLayers);
        Assert.AreEqual(2, Read([("n-cpu-moe", "2")], "SHIMMY_CPU_MOE", "false").CpuExpertLayers);
        Assert.AreEqual(LoadTuning.AllLayers, Read([("cpu-moe", "true")], "SHIMMY_N_CPU_MOE", "2").CpuExpertLayers);
        Assert.AreEqual(0.25f, Read([("rope-scale", "4")], "SHIMMY_ROPE_FREQ_SCALE", "0.5").RopeFrequencyScale);
        Assert.AreEqual(0.25f, Read([("rope-freq-scale", "0.25")], "SHIMMY_ROPE_SCALE", "2").RopeFrequencyScale);
    }

    [TestMethod]
    public void Off_wins_over_what_a_lower_source_has_on()
    {
        var lower = new LoadTuning { CpuExpertLayers = LoadTuning.AllLayers, MemoryLock = true };

        var upper = Read([], "SHIMMY_CPU_MOE", "0", "SHIMMY_MLOCK", "false").Over(lower);

        Assert.AreEqual((0, false), (upper.CpuExpertLayers, upper.MemoryLock));
        var option = TuningOption.All.Single(one => one.Name == "cpu-moe");
        Assert.AreEqual(0, option.Set(LoadTuning.None, "false")!.Over(lower).CpuExpertLayers);
        Assert.AreEqual(2, option.Set(new LoadTuning { CpuExpertLayers = 2 }, "false")!.CpuExpertLayers);
    }

    [TestMethod]
    public void The_mix_of_extrapolation_may_be_the_models_own() => Assert.AreEqual(-1, Read(("yarn-ext-factor", "-1")).YarnExtFactor);

    private static LoadTuning Read((string Name, string Value)[] given, params string[] variables) => OptionParser.Parse(
        OptionTable.Commands.Single(command => command.Name == "probe"),
        given.SelectMany(
            one => TuningOption.All.Single(option => option.Name == one.Name).IsSwitch
                ? new[] { "--" + one.Name }
                : ["--" + one.Name, one.Value]).ToArray(),
        name => Array.IndexOf(variables, name) is >= 0 and var at ? variables[at + 1] : null).Tuning;

    private static LoadTuning Read(params (string Name, string Value)[] given) => Read(given, []);
}
