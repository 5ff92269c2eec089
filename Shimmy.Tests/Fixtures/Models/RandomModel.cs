using System.Runtime.InteropServices;
using System.Text;
using Shimmy.Gguf;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// Writes GGUF models of the llama architecture with random weights that llama.cpp loads and runs. The same shape and seed give
/// the same bytes. Weights are made while they are written, so 100 MB take well under three seconds.
/// </summary>
internal static class RandomModel
{
    public const int Unknown = 0;
    public const int Bos = 1;
    public const int Eos = 2;
    public const int FirstByte = 3;
    public const int ImStart = FirstByte + 256;
    public const int ImEnd = ImStart + 1;

    /// <summary>The token of <see cref="RandomModelShape.Says"/>.</summary>
    public const int Word = ImEnd + 1;

    /// <summary>A chat template that llama.cpp and our own engine both know.</summary>
    public const string ChatMl =
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    private const int NormalToken = 1;
    private const int UnknownToken = 2;
    private const int ControlToken = 3;
    private const int ByteToken = 6;

    /// <summary>Writes the model and gives its path back.</summary>
    public static string Write(string path, RandomModelShape? shape = null)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        Describe(shape ?? new RandomModelShape()).WriteFile(path);
        return path;
    }

    /// <summary>The model as bytes, for small ones.</summary>
    public static byte[] Bytes(RandomModelShape? shape = null)
    {
        var stream = new MemoryStream();
        Describe(shape ?? new RandomModelShape()).Write(stream);
        return stream.ToArray();
    }

    private static GgufWriter Describe(RandomModelShape shape)
    {
        var architecture = shape.Architecture;
        var writer = new GgufWriter()
            .Add("general.architecture", architecture)
            .Add("general.name", shape.Name)
            .Add("general.file_type", FileType(shape.Type))
            .Add($"{architecture}.context_length", (uint)shape.Context)
            .Add($"{architecture}.embedding_length", (uint)shape.Embedding)
            .Add($"{architecture}.block_count", (uint)shape.Layers)
            .Add($"{architecture}.feed_forward_length", (uint)shape.FeedForward)
            .Add($"{architecture}.attention.layer_norm_rms_epsilon", 1e-5f)
            .Add($"{architecture}.vocab_size", (uint)shape.Vocabulary);
        if (RandomMemory.IsOne(architecture))
        {
            RandomMemory.AddMetadata(writer, shape);
        }
        else
        {
            writer.Add($"{architecture}.attention.head_count", (uint)shape.Heads)
                .Add($"{architecture}.attention.head_count_kv", (uint)shape.KeyValueHeads)
                .Add($"{architecture}.rope.dimension_count", (uint)(shape.Embedding / shape.Heads));
        }

        if (shape.Experts > 0)
        {
            writer.Add($"{architecture}.expert_count", (uint)shape.Experts)
                .Add($"{architecture}.expert_used_count", (uint)shape.ExpertsUsed);
        }

        AddTokenizer(writer, shape);
        foreach (var (key, value) in shape.Metadata)
            writer.Add(key, value);

        if (RandomMemory.IsOne(shape.Architecture))
            RandomMemory.AddTensors(writer, shape);
        else
            AddTensors(writer, shape);
        return writer;
    }

    // A SentencePiece vocabulary: control tokens, bytes to fall back on, the letters, then made-up words.
    private static void AddTokenizer(GgufWriter writer, RandomModelShape shape)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Vocabulary, 384);
        var tokens = new List<string>(shape.Vocabulary) { "<unk>", "<s>", "</s>" };
        var types = new List<int>(shape.Vocabulary) { UnknownToken, ControlToken, ControlToken };
        for (var value = 0; value < 256; value++)
        {
            tokens.Add($"<0x{value:X2}>");
            types.Add(ByteToken);
        }

        tokens.AddRange(["<|im_start|>", "<|im_end|>"]);
        types.AddRange([ControlToken, ControlToken]);
        foreach (var piece in Pieces(shape.Says ?? "shimmy").Distinct(StringComparer.Ordinal).Take(shape.Vocabulary - tokens.Count))
        {
            tokens.Add(piece);
            types.Add(NormalToken);
        }

        writer
            .Add("tokenizer.ggml.model", "llama")
            .Add("tokenizer.ggml.tokens", tokens)
            .Add("tokenizer.ggml.scores", Enumerable.Range(0, tokens.Count)
                .Select(index => types[index] == NormalToken ? -(float)index : 0f))
            .Add("tokenizer.ggml.token_type", types)
            .Add("tokenizer.ggml.bos_token_id", (uint)Bos)
            .Add("tokenizer.ggml.eos_token_id", (uint)Eos)
            .Add("tokenizer.ggml.unknown_token_id", (uint)Unknown)
            .Add("tokenizer.ggml.add_bos_token", shape.AddsBos)
            .Add("tokenizer.ggml.add_eos_token", false);
        if (shape.ChatTemplate is { } template)
            writer.Add("tokenizer.chat_template", template);
    }

    private static IEnumerable<string> Pieces(string word)
    {
        yield return "▁" + word;
        yield return "▁";
        for (var letter = '!'; letter <= '~'; letter++)
            yield return letter.ToString();

        // Words of one syllable, then of two, and so on: ba, be, … zuzu, baba-like; each with and without a space before it.
        const string Consonants = "bdfghjklmnprstvwyz";
        const string Vowels = "aeiou";
        for (var number = 0; ; number++)
        {
            var text = new StringBuilder();
            for (var rest = number; rest >= 0; rest = (rest / (Consonants.Length * Vowels.Length)) - 1)
            {
                var syllable = rest % (Consonants.Length * Vowels.Length);
                text.Append(Consonants[syllable / Vowels.Length]).Append(Vowels[syllable % Vowels.Length]);
            }

            yield return "▁" + text;
            yield return text.ToString();
        }
    }

    private static void AddTensors(GgufWriter writer, RandomModelShape shape)
    {
        var keyValue = shape.Embedding / shape.Heads * shape.KeyValueHeads;
        var seed = shape.Seed * 100_003;
        AddEmbedding(writer, shape, "token_embd.weight", ++seed, Unknown, Word);
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            var block = $"blk.{layer}.";
            AddOnes(writer, block + "attn_norm.weight", shape.Embedding);
            AddRandom(writer, block + "attn_q.weight", shape.Type, shape.Embedding, shape.Embedding, ++seed);
            AddRandom(writer, block + "attn_k.weight", shape.Type, shape.Embedding, keyValue, ++seed);
            AddRandom(writer, block + "attn_v.weight", shape.Type, shape.Embedding, keyValue, ++seed);
            // A model that says its word must pass the embedding through: what the blocks add is then nothing.
            AddRandom(writer, block + "attn_output.weight", shape.Type, shape.Embedding, shape.Embedding,
                ++seed, silent: shape.Says is not null);
            AddOnes(writer, block + "ffn_norm.weight", shape.Embedding);
            if (shape.Architecture.StartsWith("qwen3", StringComparison.Ordinal))
            {
                AddOnes(writer, block + "attn_q_norm.weight", shape.Embedding / shape.Heads);
                AddOnes(writer, block + "attn_k_norm.weight", shape.Embedding / shape.Heads);
            }

            if (shape.Experts > 0)
            {
                AddRandom(writer, block + "ffn_gate_inp.weight", GgmlType.F32, shape.Embedding, shape.Experts, ++seed);
                AddRandom(writer, block + "ffn_gate_exps.weight", shape.Type, shape.Embedding,
                    shape.FeedForward, ++seed, matrices: shape.Experts);
                AddRandom(writer, block + "ffn_up_exps.weight", shape.Type, shape.Embedding,
                    shape.FeedForward, ++seed, matrices: shape.Experts);
                AddRandom(writer, block + "ffn_down_exps.weight", shape.Type, shape.FeedForward,
                    shape.Embedding, ++seed, matrices: shape.Experts);
                continue;
            }

            AddRandom(writer, block + "ffn_gate.weight", shape.Type, shape.Embedding, shape.FeedForward, ++seed);
            AddRandom(writer, block + "ffn_up.weight", shape.Type, shape.Embedding, shape.FeedForward, ++seed);
            AddRandom(writer, block + "ffn_down.weight", shape.Type, shape.FeedForward, shape.Embedding,
                ++seed, silent: shape.Says is not null);
        }

        AddOnes(writer, "output_norm.weight", shape.Embedding);
        AddEmbedding(writer, shape, "output.weight", ++seed, Word, Eos);
    }

    // Random rows; or, for a model that says its word, a chain: any token is followed by the word, the word by the end. Every
    // token is embedded as axis 0, the word as axis 1; the output has the word along axis 0 and the end along axis 1.
    private static void AddEmbedding(
        GgufWriter writer, RandomModelShape shape, string name, int seed, int alongFirstAxis, int alongSecondAxis)
    {
        if (shape.Says is null)
        {
            AddRandom(writer, name, shape.Type, shape.Embedding, shape.Vocabulary, seed);
            return;
        }

        var everyToken = alongFirstAxis == Unknown;
        writer.AddTensor(name, shape.Type, [shape.Embedding, shape.Vocabulary], output =>
        {
            var row = new float[shape.Embedding];
            for (var token = 0; token < shape.Vocabulary; token++)
            {
                row[0] = token == alongFirstAxis || (everyToken && token != alongSecondAxis) ? 1 : 0;
                row[1] = token == alongSecondAxis ? 1 : 0;
                TensorData.Write(output, shape.Type, row);
            }
        });
    }

    internal static void AddOnes(GgufWriter writer, string name, int width) =>
        writer.AddTensor(name, GgmlType.F32, [width],
            output => TensorData.Write(output, GgmlType.F32, Enumerable.Repeat(1f, width).ToArray()));

    internal static void AddRandom(
        GgufWriter writer, string name, GgmlType type, int columns, int rows, int seed, bool silent = false, int matrices = 0) =>
        writer.AddTensor(name, type, matrices > 0 ? [columns, rows, matrices] : [columns, rows], output =>
        {
            var random = new Noise(seed);
            // Variance 1/columns keeps activations at their size.
            var deviation = silent ? 0 : 1 / MathF.Sqrt(columns);
            var writeRow = type == GgmlType.Q8_0
                ? QuantizedRow(output, random, columns, deviation)
                : Row(output, type, random, columns, deviation);
            for (var i = 0; i < rows * Math.Max(1, matrices); i++)
                writeRow();
        });

    private static Action Row(Stream output, GgmlType type, Noise random, int columns, float deviation)
    {
        var raw = new uint[columns];
        var row = new float[columns];
        var step = deviation * MathF.Sqrt(12) / uint.MaxValue;
        return () =>
        {
            random.Fill(MemoryMarshal.AsBytes(raw.AsSpan()));
            for (var i = 0; i < row.Length; i++)
                row[i] = (raw[i] - (uint.MaxValue / 2f)) * step;

            TensorData.Write(output, type, row);
        };
    }

    // Random bytes under one scale are Q8_0 blocks already: an order of magnitude quicker than encoding numbers.
    private static Action QuantizedRow(Stream output, Noise random, int columns, float deviation)
    {
        const float DeviationOfBytes = 73.9f;
        var row = new byte[GgmlType.Q8_0.BytesOf(columns)];
        var scale = (Half)(deviation / DeviationOfBytes);
        return () =>
        {
            random.Fill(row);
            for (var block = 0; block < row.Length; block += GgmlType.Q8_0.BytesPerBlock())
                MemoryMarshal.Write(row.AsSpan(block), in scale);

            output.Write(row);
        };
    }

    // xorshift64: System.Random with a seed takes ten times as long.
    private sealed class Noise(int seed)
    {
        private ulong _state = ((ulong)(uint)seed + 1) * 0x9E3779B97F4A7C15;

        public void Fill(Span<byte> bytes)
        {
            var words = MemoryMarshal.Cast<byte, ulong>(bytes);
            var state = _state;
            for (var i = 0; i < words.Length; i++)
                words[i] = state = Next(state);

            for (var i = words.Length * sizeof(ulong); i < bytes.Length; i++)
            {
                state = Next(state);
                bytes[i] = (byte)(state >> 56);
            }

            _state = state;
        }

        private static ulong Next(ulong state)
        {
            state ^= state << 13;
            state ^= state >> 7;
            return state ^ (state << 17);
        }
    }

    private static uint FileType(GgmlType type) => type switch
    {
        GgmlType.F32 => 0,
        GgmlType.F16 => 1,
        GgmlType.Q8_0 => 7,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "F32, F16 or Q8_0"),
    };
}
