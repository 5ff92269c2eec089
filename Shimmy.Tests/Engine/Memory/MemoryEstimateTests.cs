using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Engine.Memory;

/// <summary>
/// Held against what the published worker took on linux-x64 after a prompt of more than a batch (resident MiB; the benchmark memory
/// measures it again), with models of
/// <see cref="RandomModel"/>. KV figures are what llama.cpp logged.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class MemoryEstimateTests
{
    private static readonly RandomModelShape Small = new()
    {
        Layers = 8,
        Embedding = 512,
        Heads = 8,
        KeyValueHeads = 8,
        FeedForward = 1408,
        Vocabulary = 32_000,
        Context = 8192,
        Type = GgmlType.F16,
    };

    private static readonly RandomModelShape Deep = new()
    {
        Layers = 16,
        Embedding = 1024,
        Heads = 16,
        KeyValueHeads = 4,
        FeedForward = 2816,
        Vocabulary = 64_000,
        Context = 32_768,
        Type = GgmlType.Q8_0,
    };

    private static readonly RandomModelShape Wordy = new()
    {
        Layers = 4,
        Embedding = 512,
        Heads = 8,
        KeyValueHeads = 8,
        FeedForward = 1024,
        Vocabulary = 150_000,
        Context = 8192,
        Type = GgmlType.F32,
    };

    [TestMethod]
    [DataRow("small", 2048, 1, 117_674_240, 32, 185.7)]
    [DataRow("small", 2048, 4, 117_674_240, 128, 282.5)]
    [DataRow("small", 8192, 1, 117_674_240, 128, 282.0)]
    [DataRow("small", 8192, 4, 117_674_240, 512, 661.3)]
    [DataRow("deep", 2048, 1, 332_505_920, 32, 408.0)]
    [DataRow("deep", 8192, 1, 332_505_920, 128, 504.5)]
    [DataRow("wordy", 2048, 1, 659_855_552, 16, 696.7)]
    [DataRow("wordy", 8192, 1, 659_855_552, 64, 745.2)]
    public void The_estimate_is_near_what_the_worker_took(string shape, int context, int parallel,
        long fileBytes, int cacheMegabytes, double measured)
    {
        var spec = new ModelSpec { Name = "m", Path = "m.gguf", ContextLength = context, Parallel = parallel };
        var estimate = MemoryEstimate.Of(Header(shape), fileBytes, spec);

        Assert.AreEqual((long)cacheMegabytes << 20, estimate.KeyValueCache);
        Assert.AreEqual(measured, estimate.Total / 1048576.0, measured * 0.04);
    }

    [TestMethod]
    public void A_context_of_zero_is_the_model_s_own()
    {
        var own = new ModelSpec { Name = "m", Path = "m.gguf", Parallel = 1 };
        Assert.AreEqual(
            MemoryEstimate.Of(Header("small"), 0, own with { ContextLength = 8192 }).KeyValueCache,
                MemoryEstimate.Of(Header("small"), 0, own).KeyValueCache);
    }

    [TestMethod]
    public void What_goes_to_a_GPU_is_not_asked_of_the_machine()
    {
        using var folder = new TemporaryFolder();
        var path = RandomModel.Write(folder["deep.gguf"],
            new RandomModelShape
            {
                Layers = 4,
                Embedding = 256,
                Heads = 4,
                KeyValueHeads = 4,
                FeedForward = 1024,
                Vocabulary = 4096,
                Context = 16_384,
                Type = GgmlType.F16
            });
        var size = new FileInfo(path).Length;
        var spec = new ModelSpec { Name = "deep", Path = path, Parallel = 1 };
        var all = MemoryEstimate.Of(spec, size);
        const long embeddings = 4096 * 256 * 2;
        long LayersLeft(int onGpu) =>
            HostMemory.Of(spec with { Tuning = new LoadTuning { GpuLayers = new LayerCount(onGpu) } }, size, [8L << 30]).Total;

        Assert.AreEqual(all, HostMemory.Of(spec, size, []));
        Assert.AreEqual(all.Total, LayersLeft(0));
        // Embeddings stay, and so does the vocabulary; caches and all else go.
        Assert.AreEqual(all.Process + embeddings, HostMemory.Of(spec, size, [8L << 30]).Total, 2e6);
        Assert.AreEqual(all.KeyValueCache / 4 + (all.Weights - 2 * embeddings) / 4, LayersLeft(2) - LayersLeft(3), 1e6);
        // A draft model goes to the same device, and shares the process.
        Assert.AreEqual(all.Process + 2 * embeddings, HostMemory.Of(spec with { Draft = path }, size, [8L << 30]).Total, 4e6);
    }

    [TestMethod]
    public void On_a_GPU_the_logits_of_a_whole_batch_count()
    {
        var spec = new ModelSpec { Name = "m", Path = "m.gguf", ContextLength = 2048 };
        var more = MemoryEstimate.Of(Header("wordy"), 0, spec, onGpu: true).Compute - MemoryEstimate.Of(Header("wordy"), 0, spec).Compute;
        Assert.AreEqual(150_000L * 512 * 4, more);
    }

    [TestMethod]
    public void Windowed_latent_and_recurrent_layers_are_counted_as_llama_cpp_keeps_them()
    {
        var spec = new ModelSpec { Name = "m", Path = "m.gguf", ContextLength = 8192, Parallel = 1 };

        // Six layers, every sixth whole: 5 × (1024 + 512 cells) + 8192, each 2 heads × (64 + 64) × 2 bytes.
        var windowed = Architecture("gemma3", layers: 6).Add("gemma3.attention.sliding_window", 1024u);
        Assert.AreEqual(((5 * 1536) + 8192) * 512L, Cache(windowed));

        // The file may say layer by layer.
        var mixed = Architecture("any", layers: 2).Add("any.attention.sliding_window", 1024u)
            .Add("any.attention.sliding_window_pattern",
                GgufValue.OfArray(new GgufArray(GgufType.Bool, 2, [GgufValue.OfFlag(true), GgufValue.OfFlag(false)])));
        Assert.AreEqual((1536 + 8192) * 512L, Cache(mixed));

        // One latent vector of 512 and 64 rotated values.
        var latent = Architecture("deepseek2", layers: 3).Add("deepseek2.attention.key_length_mla", 192u)
            .Add("deepseek2.attention.kv_lora_rank", 512u).Add("deepseek2.rope.dimension_count", 64u);
        Assert.AreEqual(3L * 8192 * 2 * (512 + 64), Cache(latent));

        // One layer with heads, one without: 16 × 8 values of state and 3 × (16 + 2 × 1 × 8) of convolution, in f32.
        var hybrid = new GgufWriter().Add("general.architecture", "jamba").Add("jamba.block_count", 2u).Add("jamba.embedding_length", 256u)
            .Add("jamba.attention.head_count", 4u).Add("jamba.attention.head_count_kv", [2, 0]).Add("jamba.ssm.inner_size", 16u)
            .Add("jamba.ssm.state_size", 8u).Add("jamba.ssm.conv_kernel", 4u).Add("jamba.ssm.group_count", 1u);
        Assert.AreEqual((8192 * 512L) + (4 * ((16 * 8) + (3 * 32))), Cache(hybrid));

        long Cache(GgufWriter writer) => MemoryEstimate.Of(Read(writer), 0, spec).KeyValueCache;
    }

    [TestMethod]
    public void Forged_numbers_give_a_number()
    {
        var writer = new GgufWriter().Add("general.architecture", "x");
        foreach (var key in new[]
        {
            "block_count", "embedding_length", "feed_forward_length", "context_length", "attention.head_count_kv", "attention.key_length",
            "attention.sliding_window", "ssm.inner_size", "ssm.state_size", "ssm.conv_kernel", "ssm.group_count",
        })
        {
            writer.Add("x." + key, GgufValue.OfInteger(GgufType.UInt64, long.MaxValue));
        }

        Assert.IsGreaterThan(0, MemoryEstimate.Of(Read(writer), 0, new ModelSpec { Name = "m", Path = "m" }).Total);
        Assert.IsGreaterThan(0, MemoryEstimate.Of(new ModelSpec { Name = "m", Path = "/absent" }, 0).Total);
    }

    private static GgufWriter Architecture(string name, uint layers) => new GgufWriter().Add("general.architecture", name)
        .Add($"{name}.block_count", layers).Add($"{name}.embedding_length", 256u).Add($"{name}.attention.head_count", 4u)
        .Add($"{name}.attention.head_count_kv", 2u);

    private static GgufHeader Read(GgufWriter writer)
    {
        var stream = new MemoryStream();
        writer.Write(stream);
        stream.Position = 0;
        return GgufReader.Read(stream);
    }

    // The metadata of the shape; its tensors would only take time to write.
    private static GgufHeader Header(string name)
    {
        var shape = name switch { "small" => Small, "deep" => Deep, _ => Wordy };
        return Read(new GgufWriter().Add("general.architecture", "llama").Add("llama.block_count", (uint)shape.Layers)
            .Add("llama.embedding_length", (uint)shape.Embedding).Add("llama.feed_forward_length", (uint)shape.FeedForward)
            .Add("llama.context_length", (uint)shape.Context).Add("llama.attention.head_count", (uint)shape.Heads)
            .Add("llama.attention.head_count_kv", (uint)shape.KeyValueHeads)
            .Add("tokenizer.ggml.tokens", Enumerable.Repeat("t", shape.Vocabulary)));
    }
}
