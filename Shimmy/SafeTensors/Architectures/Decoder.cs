using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>
/// The common part of transformers' decoders: the names of their tensors, the shapes that follow from config.json, and the metadata
/// of every one. What differs is a flag here or a line in the architecture's own file.
/// </summary>
internal sealed class Decoder
{
    private const int LargestHead = 1 << 16;

    private Decoder(ConversionPlan plan, bool pairs, bool plusOne)
    {
        Plan = plan;
        _pairs = pairs ? TensorChange.RotaryPairs : TensorChange.None;
        _norm = plusOne ? TensorChange.PlusOne : TensorChange.None;
    }

    private readonly TensorChange _pairs;
    private readonly TensorChange _norm;

    /// <summary>The plan that is filled.</summary>
    public ConversionPlan Plan { get; }

    /// <summary>config.json, or the text_config of a model that also sees.</summary>
    public PlainJson Config => Plan.Folder.Config;

    /// <summary>hidden_size.</summary>
    public int Width { get; private init; }

    /// <summary>num_hidden_layers.</summary>
    public int Layers { get; private init; }

    /// <summary>num_attention_heads.</summary>
    public int Heads { get; private init; }

    /// <summary>Heads of keys and values; what the rows of k_proj say.</summary>
    public int KeyValueHeads { get; private init; }

    /// <summary>Elements of one head.</summary>
    public int HeadSize { get; private init; }

    /// <summary>intermediate_size.</summary>
    public int FeedForward { get; private init; }

    /// <summary>Rows of the embedding: the size of the vocabulary.</summary>
    public int Rows { get; private init; }

    /// <summary>The context that the model was trained with.</summary>
    public int Context { get; private init; }

    /// <summary>The frequency base of the rotary positions.</summary>
    public float RopeBase { get; private init; }

    // llama.cpp adds biases of the attention's output and of the feed-forward network for this architecture alone.
    private bool AddsEverywhere => Plan.Architecture == "llama";

    /// <summary>Reads the sizes and writes what every decoder has.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="architecture">The architecture's name in GGUF.</param>
    /// <param name="pairs">Whether rows of q and k go from halves into pairs.</param>
    /// <param name="plusOne">Whether norms are stored as distances from one.</param>
    /// <param name="defaults">What the model's library takes for keys that config.json lacks.</param>
    public static Decoder Begin(ModelFolder folder, string architecture, bool pairs = false,
        bool plusOne = false, DecoderDefaults? defaults = null)
    {
        defaults ??= new DecoderDefaults();
        var config = folder.Config;
        var plan = new ConversionPlan(folder, architecture, NameOf);
        var width = config.Needed("hidden_size");
        var heads = config.Integer("num_attention_heads") ?? defaults.Heads ?? config.Needed("num_attention_heads");
        var (queries, keys) = RowsOfAttention(plan);
        // What is stored decides where config.json is silent: defaults of libraries have changed.
        var headSize = config.Integer("head_dim")
            ?? (queries is { } rows ? Exactly(rows, heads, "num_attention_heads", "q_proj")
                : defaults.HeadSize ?? Exactly(width, heads, "num_attention_heads", "hidden_size"));
        var keyValueHeads = config.Integer("num_key_value_heads")
            ?? (keys is { } keyRows ? Exactly(keyRows, headSize, "head_dim", "k_proj")
                : RowsOf(plan.Find("model.layers.0.self_attn.qkv_proj.weight")) is { } all && all > (long)heads * headSize
                    ? Exactly(all - ((long)heads * headSize), 2 * headSize, "twice head_dim", "qkv_proj without its queries")
                    : heads);
        if (heads % keyValueHeads != 0)
        {
            throw new SafeTensorsException(
                $"config.json: num_attention_heads ({heads}) must be a multiple of num_key_value_heads ({keyValueHeads})");
        }

        if (headSize % 2 != 0)
        {
            throw new SafeTensorsException(
                $"config.json: a head of {headSize} elements cannot be turned by rotary positions, which take pairs");
        }

        if (headSize > LargestHead)
            throw new SafeTensorsException($"config.json: a head of {headSize} elements is larger than the {LargestHead} that are read");

        var embedding = plan.Need("model.embed_tokens.weight").Shape;
        var vocabulary = config.Integer("vocab_size") ?? folder.Root.Integer("vocab_size");
        if (embedding is not [var embedded, _] || embedded is < 1 or > int.MaxValue || (vocabulary is { } size && size != embedded))
        {
            throw new SafeTensorsException($"tensor 'model.embed_tokens.weight' has the shape {StoredTensor.Shown(embedding)}, "
                + $"but by config.json it should be [{vocabulary}, {width}]");
        }

        var one = new Decoder(plan, pairs, plusOne)
        {
            Width = width,
            Layers = config.Needed("num_hidden_layers"),
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            HeadSize = headSize,
            FeedForward = config.Integer("intermediate_size") ?? defaults.FeedForward ?? config.Needed("intermediate_size"),
            Rows = (int)embedded,
            Context = config.Integer("max_position_embeddings") ?? defaults.Context
                ?? throw new SafeTensorsException(
                    "config.json: max_position_embeddings is missing; it is the context that the model was trained with"),
            RopeBase = Rope.BaseOf(config) ?? defaults.RopeBase,
        };
        one.RequireActivation(defaults.Activations);
        plan.Set("block_count", one.Layers);
        plan.Set("context_length", one.Context);
        plan.Set("embedding_length", width);
        plan.Set("feed_forward_length", one.FeedForward);
        plan.Set("attention.head_count", heads);
        plan.Set("attention.head_count_kv", keyValueHeads);
        plan.Set("attention.layer_norm_rms_epsilon", config.Number("rms_norm_eps") ?? defaults.Epsilon);
        if (config.Has("head_dim") || defaults.HeadSize is not null || headSize * heads != width)
        {
            if (defaults.WritesHeadSize)
            {
                plan.Set("attention.key_length", headSize);
                plan.Set("attention.value_length", headSize);
            }
        }

        return one;
    }

    /// <summary>
    /// Warns where config.json has a window that is shorter than the context: llama.cpp has none for these architectures, so beyond it
    /// answers differ from the model's own library.
    /// </summary>
    public void WarnOfWindow()
    {
        if (Config.Integer("sliding_window") is { } window && window < Context)
        {
            Plan.Warnings.Add(
                $"the model's window of {window} tokens is not kept: beyond so many tokens, answers differ from the model's own; --ctx {window} avoids it");
        }
    }

    /// <summary>The embedding, the last norm and the output, which is the embedding again where config.json ties them.</summary>
    /// <param name="keepHead">False where the model's library never reads a stored output.</param>
    public void TakeEnds(bool keepHead = true)
    {
        Plan.Take("model.embed_tokens.weight", "token_embd.weight", [Rows, Width]);
        Plan.Take("model.norm.weight", "output_norm.weight", [Width], _norm);
        var tied = Config["tie_word_embeddings"].AsFlag ?? Plan.Folder.Root["tie_word_embeddings"].AsFlag;
        if (!keepHead || tied == true)
        {
            Plan.Drop("lm_head.weight");
        }
        else if (!Plan.TakeIfThere("lm_head.weight", "output.weight", [Rows, Width]) && tied == false
            && Plan.Folder.Class.EndsWith("ForCausalLM", StringComparison.Ordinal))
        {
            throw new SafeTensorsException("tensor 'lm_head.weight' is missing, and config.json does not tie it to the embedding");
        }
    }

    /// <summary>Queries, keys, values and output of a layer, with their biases where there are some.</summary>
    public void TakeAttention(int layer, bool queryKeyNorms = false)
    {
        var (from, to) = ($"model.layers.{layer}.self_attn.", $"blk.{layer}.attn_");
        long queries = (long)Heads * HeadSize, keys = (long)KeyValueHeads * HeadSize;
        Plan.Take(from + "q_proj.weight", to + "q.weight", [queries, Width], _pairs, Heads);
        Plan.Take(from + "k_proj.weight", to + "k.weight", [keys, Width], _pairs, KeyValueHeads);
        Plan.Take(from + "v_proj.weight", to + "v.weight", [keys, Width]);
        Plan.Take(from + "o_proj.weight", to + "output.weight", [Width, queries]);
        Plan.TakeIfThere(from + "q_proj.bias", to + "q.bias", [queries], _pairs, Heads);
        Plan.TakeIfThere(from + "k_proj.bias", to + "k.bias", [keys], _pairs, KeyValueHeads);
        Plan.TakeIfThere(from + "v_proj.bias", to + "v.bias", [keys]);
        if (AddsEverywhere)
            Plan.TakeIfThere(from + "o_proj.bias", to + "output.bias", [Width]);
        if (queryKeyNorms)
        {
            Plan.Take(from + "q_norm.weight", to + "q_norm.weight", [HeadSize], _norm);
            Plan.Take(from + "k_norm.weight", to + "k_norm.weight", [HeadSize], _norm);
        }
    }

    /// <summary>A norm of a layer.</summary>
    public void TakeNorm(int layer, string name, string target) =>
        Plan.Take($"model.layers.{layer}.{name}.weight", $"blk.{layer}.{target}.weight", [Width], _norm);

    /// <summary>The two norms that most layers have, before attention and before the feed-forward network.</summary>
    public void TakeNorms(int layer)
    {
        TakeNorm(layer, "input_layernorm", "attn_norm");
        TakeNorm(layer, "post_attention_layernorm", "ffn_norm");
    }

    /// <summary>The dense feed-forward network of a layer.</summary>
    public void TakeFeedForward(int layer)
    {
        foreach (var (name, rows, columns) in new[] { ("gate", FeedForward, Width),
            ("up", FeedForward, Width), ("down", Width, FeedForward) })
        {
            Plan.Take($"model.layers.{layer}.mlp.{name}_proj.weight", $"blk.{layer}.ffn_{name}.weight", [rows, columns]);
            if (AddsEverywhere)
                Plan.TakeIfThere($"model.layers.{layer}.mlp.{name}_proj.bias", $"blk.{layer}.ffn_{name}.bias", [rows]);
        }
    }

    /// <summary>How many experts the router of the first layer chooses among; null where it is not there.</summary>
    public int? RoutedExperts(string router) => RowsOf(Plan.Find($"model.layers.0.{router}.weight")) is { } rows and > 0 and < 1 << 16
        ? (int)rows
        : null;

    /// <summary>The router and the experts of a layer, each kind of matrix as one tensor with the expert as slowest dimension.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="router">The router's name within the layer.</param>
    /// <param name="experts">The experts' folder within the layer.</param>
    /// <param name="names">Their matrices' names: gate, up, down.</param>
    /// <param name="count">Number of experts.</param>
    /// <param name="width">Width of one expert.</param>
    public void TakeExperts(int layer, string router, string experts, (string Gate, string Up, string Down) names, int count, int width)
    {
        var (from, to) = ($"model.layers.{layer}.", $"blk.{layer}.ffn_");
        Plan.Take($"{from}{router}.weight", $"{to}gate_inp.weight", [count, Width], wide: true);
        if (Plan.Find($"{from}{experts}.gate_up_proj") is not null)
        {
            // Newer files hold all experts in one tensor, gate and up behind each other.
            var both = Plan.Claim($"{from}{experts}.gate_up_proj", [count, 2L * width, Width]);
            var half = (long)width * Width;
            foreach (var (name, second) in new[] { ("gate_exps", 0), ("up_exps", 1) })
            {
                Plan.Tensors.Add(new PlannedTensor($"{to}{name}.weight", [count, width, Width],
                    [.. Enumerable.Range(0, count).Select(expert => new TensorPart(both, ((2L * expert) + second) * half, half))]));
            }

            Plan.Take($"{from}{experts}.down_proj", $"{to}down_exps.weight", [count, Width, width]);
            return;
        }

        foreach (var (name, target, rows, columns) in new[] { (names.Gate, "gate_exps", width, Width),
            (names.Up, "up_exps", width, Width), (names.Down, "down_exps", Width, width) })
        {
            var parts = new TensorPart[count];
            for (var expert = 0; expert < count; expert++)
            {
                parts[expert] =
                    new TensorPart(Plan.Claim($"{from}{experts}.{expert}.{name}.weight", [rows, columns]), 0, (long)rows * columns);
            }

            Plan.Tensors.Add(new PlannedTensor($"{to}{target}.weight", [count, rows, columns], parts));
        }
    }

    // Names of text models: prefixes go, what belongs to eyes and ears is left out, and so is what is computed anyway.
    private static string? NameOf(string name)
    {
        name = name.Replace("language_model.", "", StringComparison.Ordinal);
        if (name.EndsWith("inv_freq", StringComparison.Ordinal) || name.Contains(".rotary_emb.", StringComparison.Ordinal)
            || name.EndsWith(".attention.bias", StringComparison.Ordinal)
            || name.EndsWith(".attention.masked_bias", StringComparison.Ordinal))
        {
            return null;
        }

        foreach (var part in new[] { "vision_", "vision.", "visual.", "audio_", "audio.", "projector.", "patch_embed" })
        {
            if (name.Contains(part, StringComparison.Ordinal))
                return null;
        }

        return name.StartsWith("layers.", StringComparison.Ordinal) || name.StartsWith("embed_tokens.", StringComparison.Ordinal)
            || name.StartsWith("norm.", StringComparison.Ordinal) ? "model." + name : name;
    }

    private static (long? Queries, long? Keys) RowsOfAttention(ConversionPlan plan) =>
        (RowsOf(plan.Find("model.layers.0.self_attn.q_proj.weight")), RowsOf(plan.Find("model.layers.0.self_attn.k_proj.weight")));

    private static long? RowsOf(StoredTensor? tensor) => tensor is { Shape: [var rows, _] } ? rows : null;

    private static int Exactly(long rows, int parts, string what, string of) =>
        rows > 0 && rows % parts == 0 && rows / parts <= int.MaxValue
            ? (int)(rows / parts)
            : throw new SafeTensorsException($"{of} has {rows} rows, which {what} ({parts}) does not divide");

    private void RequireActivation(string[] allowed)
    {
        var given = Config["hidden_act"].AsText ?? Config["hidden_activation"].AsText;
        if (given is not null && !allowed.Contains(given))
        {
            throw new SafeTensorsException(
                $"config.json: hidden_act '{given}' is not computed for {Plan.Folder.Class}; {string.Join(" or ", allowed)} is");
        }
    }
}

/// <summary>The defaults of a model's library for keys that its config.json lacks.</summary>
internal sealed record DecoderDefaults
{
    /// <summary>num_attention_heads; null where it must be there.</summary>
    public int? Heads { get; init; }

    /// <summary>head_dim; null where it follows from the tensors.</summary>
    public int? HeadSize { get; init; }

    /// <summary>max_position_embeddings; null where it must be there.</summary>
    public int? Context { get; init; }

    /// <summary>intermediate_size; null where it must be there.</summary>
    public int? FeedForward { get; init; }

    /// <summary>rms_norm_eps.</summary>
    public float Epsilon { get; init; } = 1e-6f;

    /// <summary>rope_theta.</summary>
    public float RopeBase { get; init; } = 10000;

    /// <summary>Whether the head's size is written; phi3's follows from other keys.</summary>
    public bool WritesHeadSize { get; init; } = true;

    /// <summary>The activations that llama.cpp computes for this architecture.</summary>
    public string[] Activations { get; init; } = ["silu", "swish"];
}
