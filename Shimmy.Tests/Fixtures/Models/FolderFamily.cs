using System.Text.Json.Nodes;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// An architecture as <see cref="RandomFolder"/> writes it: config.json, shapes of all tensors, and the kind of tokenizer.
/// </summary>
internal sealed class FolderFamily
{
    /// <summary>Tokens of each vocabulary.</summary>
    public const int Pieces = 3 + 256 + 98;

    private const int Heads = 4;
    private const string QwenSplit =
        """(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""";

    private readonly Func<JsonObject> _tokenizer;

    private FolderFamily(string architecture, JsonObject config, Dictionary<string, int[]> shapes, Func<JsonObject> tokenizer)
    {
        config["architectures"] = new JsonArray(architecture);
        (Class, Config, Shapes, _tokenizer) = (architecture, config, shapes, tokenizer);
    }

    /// <summary>The class of transformers.</summary>
    public string Class { get; }

    /// <summary>config.json.</summary>
    public JsonObject Config { get; }

    /// <summary>The shapes of the tensors by their names.</summary>
    public IReadOnlyDictionary<string, int[]> Shapes { get; }

    /// <summary>A Llama, which most tests take.</summary>
    public static FolderFamily Llama { get; } = Decoder("LlamaForCausalLM");

    /// <summary>All of them.</summary>
    public static IReadOnlyList<FolderFamily> All { get; } =
    [
        Llama, Decoder("MistralForCausalLM", headSize: 12), Decoder("SmolLM3ForCausalLM", tied: false),
        Decoder("MixtralForCausalLM", experts: 4), Decoder("Qwen2ForCausalLM", biases: true), Decoder("Qwen3ForCausalLM", headSize: 20),
        Decoder("Qwen3MoeForCausalLM", experts: 4, tied: false), Decoder("Gemma2ForCausalLM", headSize: 24),
        Decoder("Gemma3ForCausalLM", headSize: 20), Decoder("Phi3ForCausalLM"), Bert(),
    ];

    /// <summary>Writes tokenizer.json and tokenizer_config.json.</summary>
    public void WriteTokenizer(string path)
    {
        File.WriteAllText(Path.Combine(path, "tokenizer.json"), _tokenizer().ToJsonString());
        File.WriteAllText(Path.Combine(path, "tokenizer_config.json"), Class.StartsWith("Bert", StringComparison.Ordinal)
            ? """{"cls_token":"[CLS]","sep_token":"[SEP]","unk_token":"[UNK]"}"""
            : """{"bos_token":"<s>","eos_token":"</s>","unk_token":"<unk>","add_bos_token":true}""");
    }

    private static FolderFamily Decoder(
        string name, int headSize = 8, bool tied = true, int experts = 0, bool biases = false)
    {
        const int width = RandomFolder.Width;
        var (gemma, qwen, fused) = (name.StartsWith("Gemma", StringComparison.Ordinal), name.StartsWith("Qwen", StringComparison.Ordinal),
            name.StartsWith("Phi", StringComparison.Ordinal));
        var config = new JsonObject
        {
            ["hidden_size"] = width,
            ["num_hidden_layers"] = RandomFolder.Layers,
            ["num_attention_heads"] = Heads,
            ["num_key_value_heads"] = 2,
            ["intermediate_size"] = 64,
            ["max_position_embeddings"] = 256,
            ["rms_norm_eps"] = 1e-5,
            ["tie_word_embeddings"] = tied,
            ["vocab_size"] = Pieces,
        };
        if (headSize * Heads != width)
            config["head_dim"] = headSize;
        if (gemma)
            (config["sliding_window"], config["query_pre_attn_scalar"]) = (16, headSize);
        if (experts > 0)
            (config["num_local_experts"], config["num_experts"], config["num_experts_per_tok"]) = (experts, experts, 2);

        var shapes = new Dictionary<string, int[]> { ["model.embed_tokens.weight"] = [Pieces, width], ["model.norm.weight"] = [width] };
        if (!tied)
            shapes["lm_head.weight"] = [Pieces, width];
        var (queries, keys) = (Heads * headSize, 2 * headSize);
        for (var layer = 0; layer < RandomFolder.Layers; layer++)
        {
            var from = $"model.layers.{layer}.";
            foreach (var norm in new[] { "input_layernorm", "post_attention_layernorm" })
                shapes[$"{from}{norm}.weight"] = [width];
            if (gemma)
                shapes[from + "pre_feedforward_layernorm.weight"] = shapes[from + "post_feedforward_layernorm.weight"] = [width];
            if (name is "Qwen3ForCausalLM" or "Qwen3MoeForCausalLM" or "Gemma3ForCausalLM")
                shapes[from + "self_attn.q_norm.weight"] = shapes[from + "self_attn.k_norm.weight"] = [headSize];

            shapes[from + "self_attn.o_proj.weight"] = [width, queries];
            if (fused)
            {
                shapes[from + "self_attn.qkv_proj.weight"] = [queries + (2 * keys), width];
                shapes[from + "mlp.gate_up_proj.weight"] = [128, width];
                shapes[from + "mlp.down_proj.weight"] = [width, 64];
                continue;
            }

            foreach (var (part, rows) in new[] { ("q", queries), ("k", keys), ("v", keys) })
            {
                shapes[$"{from}self_attn.{part}_proj.weight"] = [rows, width];
                if (biases)
                    shapes[$"{from}self_attn.{part}_proj.bias"] = [rows];
            }

            var (router, expert, names) = qwen ? ("mlp.gate", "mlp.experts", new[] { "gate_proj", "up_proj", "down_proj" })
                : ("block_sparse_moe.gate", "block_sparse_moe.experts", ["w1", "w3", "w2"]);
            if (experts == 0)
                Network(from + "mlp.", ["gate_proj", "up_proj", "down_proj"]);
            else
                shapes[$"{from}{router}.weight"] = [experts, width];
            for (var i = 0; i < experts; i++)
                Network($"{from}{expert}.{i}.", names);
        }

        return new FolderFamily(name, config, shapes, qwen ? Letters : Tokens);

        void Network(string from, string[] names)
        {
            shapes[$"{from}{names[0]}.weight"] = shapes[$"{from}{names[1]}.weight"] = [64, width];
            shapes[$"{from}{names[2]}.weight"] = [width, 64];
        }
    }

    private static FolderFamily Bert()
    {
        const int width = RandomFolder.Width;
        var shapes = new Dictionary<string, int[]>
        {
            ["embeddings.word_embeddings.weight"] = [Pieces, width],
            ["embeddings.position_embeddings.weight"] = [64, width],
            ["embeddings.token_type_embeddings.weight"] = [2, width],
            ["embeddings.LayerNorm.weight"] = [width],
            ["embeddings.LayerNorm.bias"] = [width],
        };
        for (var layer = 0; layer < RandomFolder.Layers; layer++)
        {
            foreach (var (part, rows, columns) in new[] { ("attention.self.query", width, width), ("attention.self.key", width, width),
                ("attention.self.value", width, width), ("attention.output.dense", width, width), ("attention.output.LayerNorm", width, 0),
                ("intermediate.dense", 64, width), ("output.dense", width, 64), ("output.LayerNorm", width, 0) })
            {
                shapes[$"encoder.layer.{layer}.{part}.weight"] = columns == 0 ? [rows] : [rows, columns];
                shapes[$"encoder.layer.{layer}.{part}.bias"] = [rows];
            }
        }

        return new FolderFamily("BertModel", new JsonObject
        {
            ["hidden_size"] = width,
            ["num_hidden_layers"] = RandomFolder.Layers,
            ["num_attention_heads"] = Heads,
            ["intermediate_size"] = 64,
            ["max_position_embeddings"] = 64,
            ["type_vocab_size"] = 2,
            ["vocab_size"] = Pieces,
        }, shapes, Words);
    }

    private static JsonObject Added(int id, string text) => new() { ["id"] = id, ["content"] = text, ["special"] = true };

    // Pieces that fall back on bytes.
    private static JsonObject Tokens()
    {
        var vocabulary = new JsonObject { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (var value = 0; value < 256; value++)
            vocabulary[$"<0x{value:X2}>"] = 3 + value;

        foreach (var piece in Enumerable.Range('!', 94).Select(letter => ((char)letter).ToString()).Concat(["▁", "th", "the", "▁the"]))
            vocabulary[piece] = vocabulary.Count;

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

    // Bytes as letters: those that have one as they are, the others moved behind U+0100.
    private static JsonObject Letters()
    {
        var vocabulary = new JsonObject();
        var moved = 0x100;
        for (var value = 0; value < 256; value++)
            vocabulary[((char)(value is (> 32 and < 127) or (> 160 and not 173) ? value : moved++)).ToString()] = vocabulary.Count;

        vocabulary["th"] = 256;
        vocabulary["the"] = 257;
        return new JsonObject
        {
            ["added_tokens"] = new JsonArray(Added(258, "<s>"), Added(259, "</s>"), Added(260, "<unk>")),
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = QwenSplit } },
                    new JsonObject { ["type"] = "ByteLevel", ["use_regex"] = false }),
            },
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = new JsonArray("t h", "th e") },
        };
    }

    private static JsonObject Words()
    {
        var vocabulary = new JsonObject { ["[UNK]"] = 0, ["[CLS]"] = 1, ["[SEP]"] = 2 };
        for (var letter = 'a'; letter <= 'z'; letter++)
            (vocabulary[letter.ToString()], vocabulary["##" + letter]) = (vocabulary.Count, vocabulary.Count + 1);

        return new JsonObject
        {
            ["added_tokens"] = new JsonArray(Added(0, "[UNK]"), Added(1, "[CLS]"), Added(2, "[SEP]")),
            ["normalizer"] = new JsonObject { ["type"] = "BertNormalizer", ["lowercase"] = true },
            ["model"] = new JsonObject { ["type"] = "WordPiece", ["vocab"] = vocabulary },
        };
    }
}
