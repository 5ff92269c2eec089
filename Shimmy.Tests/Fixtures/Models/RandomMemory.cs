using Shimmy.Engine;
using Shimmy.Gguf;
using static Shimmy.Tests.Fixtures.Models.RandomModel;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// Random models whose memory cannot be cut at will: <see cref="Lfm2"/> (a hybrid of attention and short convolutions),
/// <see cref="Mamba2"/> (recurrent alone) and <see cref="Gemma3"/> (windows).
/// </summary>
internal static class RandomMemory
{
    private const int Convolution = 3;
    private const int StateSize = 16;

    // Of six layers the last looks back without a window.
    private const int WindowPattern = 6;

    public static RandomModelShape Lfm2 { get; } = new() { Name = "random-lfm2", Architecture = "lfm2", Layers = 4, Context = 4096 };

    public static RandomModelShape Mamba2 { get; } = new() { Name = "random-mamba2", Architecture = "mamba2", Layers = 2, Context = 4096 };

    public static RandomModelShape Gemma3 { get; } = new()
    {
        Name = "random-gemma3",
        Architecture = "gemma3",
        Layers = WindowPattern,
        Context = 4096,
    };

    /// <summary>One of these, or a plain model.</summary>
    public static RandomModelShape ShapeOf(string architecture) => architecture switch
    {
        "lfm2" => Lfm2,
        "mamba2" => Mamba2,
        "gemma3" => Gemma3,
        _ => new RandomModelShape { Context = 4096 },
    };

    /// <summary>So many tokens of words that nobody else says.</summary>
    public static int[] Words(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(400, 1000))];
    }

    /// <summary>A greedy request of these tokens for 12 more.</summary>
    public static GenerationRequest Ask(int[] prompt) => new()
    {
        Prompt = Engine.Prompt.FromTokens(prompt),
        Options = new GenerationOptions { Temperature = 0, MaxTokens = 12, IgnoreEos = true },
    };

    /// <summary><see cref="Ask"/> for <see cref="Words"/>.</summary>
    public static GenerationRequest Prompt(int seed, int count) => Ask(Words(seed, count));

    /// <summary>Whether this writes models of an architecture.</summary>
    public static bool IsOne(string architecture) => architecture is "lfm2" or "mamba2" or "gemma3";

    /// <summary>The metadata beside what all have.</summary>
    public static void AddMetadata(GgufWriter writer, RandomModelShape shape)
    {
        var name = shape.Architecture;
        if (name == "mamba2")
        {
            writer.Add($"{name}.attention.head_count", 0u)
                .Add($"{name}.ssm.conv_kernel", 4u)
                .Add($"{name}.ssm.inner_size", (uint)(2 * shape.Embedding))
                .Add($"{name}.ssm.state_size", (uint)StateSize)
                .Add($"{name}.ssm.time_step_rank", (uint)(2 * shape.Heads))
                .Add($"{name}.ssm.group_count", 1u);
            return;
        }
        writer.Add($"{name}.attention.head_count", (uint)shape.Heads);
        if (name == "lfm2")
        {
            writer.Add($"{name}.attention.head_count_kv",
                    Enumerable.Range(0, shape.Layers).Select(layer => IsConvolution(layer) ? 0 : shape.KeyValueHeads))
                .Add($"{name}.shortconv.l_cache", (uint)Convolution);
            return;
        }
        writer.Add($"{name}.attention.head_count_kv", (uint)shape.KeyValueHeads)
            .Add($"{name}.attention.key_length", (uint)(shape.Embedding / shape.Heads))
            .Add($"{name}.attention.value_length", (uint)(shape.Embedding / shape.Heads))
            .Add($"{name}.attention.sliding_window", (uint)shape.Window);
    }

    /// <summary>The tensors.</summary>
    public static void AddTensors(GgufWriter writer, RandomModelShape shape)
    {
        var seed = shape.Seed * 100_003;
        Add("token_embd.weight", shape.Embedding, shape.Vocabulary);
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            var block = $"blk.{layer}.";
            AddOnes(writer, block + "attn_norm.weight", shape.Embedding);
            if (shape.Architecture == "mamba2")
            {
                AddStateSpace(block);
                continue;
            }
            if (shape.Architecture == "lfm2" && IsConvolution(layer))
            {
                AddRandom(writer, block + "shortconv.conv.weight", GgmlType.F32, Convolution, shape.Embedding, ++seed);
                Add(block + "shortconv.in_proj.weight", shape.Embedding, 3 * shape.Embedding);
                Add(block + "shortconv.out_proj.weight", shape.Embedding, shape.Embedding);
            }
            else
            {
                AddAttention(block);
            }
            AddOnes(writer, block + "ffn_norm.weight", shape.Embedding);
            Add(block + "ffn_gate.weight", shape.Embedding, shape.FeedForward);
            Add(block + "ffn_up.weight", shape.Embedding, shape.FeedForward);
            Add(block + "ffn_down.weight", shape.FeedForward, shape.Embedding);
            if (shape.Architecture == "gemma3")
            {
                AddOnes(writer, block + "post_attention_norm.weight", shape.Embedding);
                AddOnes(writer, block + "post_ffw_norm.weight", shape.Embedding);
            }
        }
        AddOnes(writer, shape.Architecture == "lfm2" ? "token_embd_norm.weight" : "output_norm.weight", shape.Embedding);

        void Add(string name, int columns, int rows) => AddRandom(writer, name, shape.Type, columns, rows, ++seed);

        void AddAttention(string block)
        {
            var head = shape.Embedding / shape.Heads;
            Add(block + "attn_q.weight", shape.Embedding, shape.Embedding);
            Add(block + "attn_k.weight", shape.Embedding, head * shape.KeyValueHeads);
            Add(block + "attn_v.weight", shape.Embedding, head * shape.KeyValueHeads);
            Add(block + "attn_output.weight", shape.Embedding, shape.Embedding);
            AddOnes(writer, block + "attn_q_norm.weight", head);
            AddOnes(writer, block + "attn_k_norm.weight", head);
        }

        void AddStateSpace(string block)
        {
            var inner = 2 * shape.Embedding;
            var heads = 2 * shape.Heads;
            var convolved = inner + (2 * StateSize);
            Add(block + "ssm_in.weight", shape.Embedding, inner + convolved + heads);
            AddRandom(writer, block + "ssm_conv1d.weight", GgmlType.F32, 4, convolved, ++seed);
            AddSame(block + "ssm_conv1d.bias", [convolved], 0);
            AddSame(block + "ssm_dt.bias", [heads], -2);
            // The state decays.
            AddSame(block + "ssm_a", [1, heads], -0.1f);
            AddSame(block + "ssm_d", [1, heads], 1);
            AddSame(block + "ssm_norm.weight", [inner, 1], 1);
            Add(block + "ssm_out.weight", inner, shape.Embedding);
        }

        void AddSame(string name, long[] dimensions, float value) => writer.AddTensor(name, GgmlType.F32, dimensions, output =>
            TensorData.Write(output, GgmlType.F32, Enumerable.Repeat(value, (int)dimensions.Aggregate(1L, (a, b) => a * b)).ToArray()));
    }

    private static bool IsConvolution(int layer) => layer % 2 == 0;
}
