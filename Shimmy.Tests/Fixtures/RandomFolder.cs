using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace Shimmy.Tests.Fixtures;

/// <summary>
/// Writes Hugging Face folders of a small Llama with random weights: config.json, tokenizer.json with pieces that fall back on bytes, and
/// one or two shards of SafeTensors. The same seed gives the same bytes.
/// </summary>
internal static class RandomFolder
{
    public const int Width = 32;
    public const int Layers = 2;
    public const int Rows = 3 + 256 + 98;

    /// <summary>Writes the folder and gives its path back.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="config">Changes config.json before it is written.</param>
    /// <param name="tensors">Changes the list of tensors before it is written.</param>
    /// <param name="shards">Number of weight files; more than one come with an index.</param>
    /// <param name="seed">Seed of the weights.</param>
    public static string Write(string path, Action<JsonObject>? config = null, Action<Dictionary<string, int[]>>? tensors = null, int shards = 1, int seed = 1)
    {
        Directory.CreateDirectory(path);
        var settings = new JsonObject
        {
            ["architectures"] = new JsonArray("LlamaForCausalLM"),
            ["hidden_size"] = Width,
            ["num_hidden_layers"] = Layers,
            ["num_attention_heads"] = 4,
            ["num_key_value_heads"] = 2,
            ["intermediate_size"] = 64,
            ["max_position_embeddings"] = 256,
            ["rms_norm_eps"] = 1e-5,
            ["tie_word_embeddings"] = true,
            ["vocab_size"] = Rows,
        };
        config?.Invoke(settings);
        File.WriteAllText(Path.Combine(path, "config.json"), settings.ToJsonString());
        File.WriteAllText(Path.Combine(path, "tokenizer.json"), Tokenizer().ToJsonString());
        File.WriteAllText(Path.Combine(path, "tokenizer_config.json"), """{"bos_token":"<s>","eos_token":"</s>","unk_token":"<unk>","add_bos_token":true}""");

        var shapes = Shapes();
        tensors?.Invoke(shapes);
        var names = shapes.Keys.ToList();
        var map = new JsonObject();
        for (var shard = 0; shard < shards; shard++)
        {
            var own = names.Where((_, index) => index % shards == shard).ToList();
            var file = shards == 1 ? "model.safetensors" : $"model-{shard + 1:D5}-of-{shards:D5}.safetensors";
            own.ForEach(name => map[name] = file);
            WriteShard(Path.Combine(path, file), own.ToDictionary(name => name, name => shapes[name]), seed + shard);
        }

        if (shards > 1)
            File.WriteAllText(Path.Combine(path, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = map }.ToJsonString());

        return path;
    }

    /// <summary>A SafeTensors file of F32 tensors with these shapes.</summary>
    public static void WriteShard(string path, Dictionary<string, int[]> shapes, int seed)
    {
        var header = new JsonObject();
        long offset = 0;
        foreach (var (name, shape) in shapes)
        {
            var bytes = shape.Aggregate(4L, (product, dimension) => product * dimension);
            header[name] = new JsonObject
            {
                ["dtype"] = "F32",
                ["shape"] = new JsonArray([.. shape.Select(dimension => (JsonNode)dimension)]),
                ["data_offsets"] = new JsonArray(offset, offset + bytes),
            };
            offset += bytes;
        }

        var text = Encoding.UTF8.GetBytes(header.ToJsonString());
        using var file = File.Create(path);
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(number, text.Length);
        file.Write(number);
        file.Write(text);
        var random = new Random(seed);
        for (long at = 0; at < offset; at += 4)
        {
            BinaryPrimitives.WriteSingleLittleEndian(number, (float)(random.NextDouble() - 0.5) * 0.2f);
            file.Write(number[..4]);
        }
    }

    private static Dictionary<string, int[]> Shapes()
    {
        var shapes = new Dictionary<string, int[]> { ["model.embed_tokens.weight"] = [Rows, Width], ["model.norm.weight"] = [Width] };
        for (var layer = 0; layer < Layers; layer++)
        {
            var from = $"model.layers.{layer}.";
            shapes[from + "input_layernorm.weight"] = shapes[from + "post_attention_layernorm.weight"] = [Width];
            shapes[from + "self_attn.q_proj.weight"] = shapes[from + "self_attn.o_proj.weight"] = [Width, Width];
            shapes[from + "self_attn.k_proj.weight"] = shapes[from + "self_attn.v_proj.weight"] = [Width / 2, Width];
            shapes[from + "mlp.gate_proj.weight"] = shapes[from + "mlp.up_proj.weight"] = [64, Width];
            shapes[from + "mlp.down_proj.weight"] = [Width, 64];
        }

        return shapes;
    }

    private static JsonObject Tokenizer()
    {
        var vocabulary = new JsonObject { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (var value = 0; value < 256; value++)
            vocabulary[$"<0x{value:X2}>"] = 3 + value;

        foreach (var piece in Enumerable.Range('!', 94).Select(letter => ((char)letter).ToString()).Concat(["▁", "th", "the", "▁the"]))
            vocabulary[piece] = vocabulary.Count;

        JsonObject Added(int id, string text) => new() { ["id"] = id, ["content"] = text, ["special"] = true };
        return new JsonObject
        {
            ["added_tokens"] = new JsonArray(Added(0, "<unk>"), Added(1, "<s>"), Added(2, "</s>")),
            ["normalizer"] = new JsonObject { ["type"] = "Prepend", ["prepend"] = "▁" },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["byte_fallback"] = true,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray("t h", "th e", "▁ the"),
            },
        };
    }
}
