using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>
/// LoRA adapters in PEFT's form (adapter_config.json, adapter_model.safetensors): for each matrix of the model two small ones, A and B,
/// whose product is added. Rows of B change places where those of the model's matrix did.
/// </summary>
internal static class LoraFolder
{
    // Ways to begin an adapter that change the base model's own weights.
    private static readonly string[] ChangingStarts = ["pissa", "olora", "loftq", "corda"];

    private const int MostLayers = 4096;

    // Architectures of GGUF whose q and k are stored in rotary pairs, and the others whose matrices PEFT knows by the names below.
    private static readonly string[] Paired = ["llama", "smollm3"];
    private static readonly string[] Plain = ["qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3", "bert"];

    private static readonly Dictionary<string, string> Matrices = new(StringComparer.Ordinal)
    {
        ["self_attn.q_proj"] = "attn_q",
        ["self_attn.k_proj"] = "attn_k",
        ["self_attn.v_proj"] = "attn_v",
        ["self_attn.o_proj"] = "attn_output",
        ["self_attn.qkv_proj"] = "attn_qkv",
        ["mlp.gate_proj"] = "ffn_gate",
        ["mlp.up_proj"] = "ffn_up",
        ["mlp.down_proj"] = "ffn_down",
        ["mlp.gate_up_proj"] = "ffn_up",
        ["mlp.gate"] = "ffn_gate_inp",
        ["block_sparse_moe.gate"] = "ffn_gate_inp",
        ["attention.self.query"] = "attn_q",
        ["attention.self.key"] = "attn_k",
        ["attention.self.value"] = "attn_v",
        ["attention.output.dense"] = "attn_output",
        ["intermediate.dense"] = "ffn_up",
        ["output.dense"] = "ffn_down",
    };

    /// <summary>Whether a folder looks like one.</summary>
    public static bool Looks(string path) =>
        File.Exists(Path.Combine(path, ModelFolder.AdapterConfig)) && !ModelFolder.Looks(path);

    /// <summary>
    /// The plan of an adapter. Throws <see cref="SafeTensorsException"/> for kinds that llama.cpp does not compute.
    /// </summary>
    /// <param name="path">The folder.</param>
    /// <param name="model">The header of the model's GGUF; null where only the adapter itself is looked at.</param>
    public static ConversionPlan Plan(string path, GgufHeader? model)
    {
        var folder = ModelFolder.OpenAdapter(path);
        var config = folder.Root;
        RefuseOtherKinds(config);
        var alpha = config.Number("lora_alpha") ?? 8;
        if (alpha == 0)
            throw new SafeTensorsException($"{config.Where}: lora_alpha is 0, so the adapter does nothing");

        var architecture = model?.Architecture ?? "";
        if (model is not null && !Paired.Contains(architecture) && !Plain.Contains(architecture))
        {
            throw new SafeTensorsException($"adapters of PEFT for models of the architecture {architecture} are not known; known are "
                + string.Join(", ", Paired.Concat(Plain).Order(StringComparer.Ordinal)));
        }

        var plan = new ConversionPlan(folder, architecture, name => name);
        Add("general.type", GgufValue.OfText("adapter"));
        Add("general.name", GgufValue.OfText(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)))));
        Add("adapter.type", GgufValue.OfText("lora"));
        Add("adapter.lora.alpha", GgufValue.OfNumber(GgufType.Float32, alpha));
        if (config["base_model_name_or_path"].AsText is { Length: > 0 } named)
        {
            Add("general.base_model.count", GgufValue.OfInteger(GgufType.UInt32, 1));
            Add("general.base_model.0.name", GgufValue.OfText(named.TrimEnd('/', '\\').Split('/', '\\')[^1]));
        }

        var pairs = new SortedDictionary<string, Pair>(StringComparer.Ordinal);
        foreach (var tensor in folder.Tensors.Values)
            Sort(tensor, pairs);

        if (pairs.Count == 0)
            throw new SafeTensorsException($"{ModelFolder.AdapterWeights} holds no lora_A and lora_B");

        foreach (var (module, pair) in pairs)
            Take(plan, module, pair, alpha, model);

        return plan;

        void Add(string key, GgufValue value) => plan.Metadata.Add((key, value));
    }

    /// <summary>The two matrices of a module; of an embedding, whose A is stored the other way round.</summary>
    private sealed class Pair
    {
        public StoredTensor? A { get; set; }
        public StoredTensor? B { get; set; }
        public bool OfEmbedding { get; set; }
    }

    private static void RefuseOtherKinds(PlainJson config)
    {
        if (config["peft_type"].AsText is { } kind && kind != "LORA")
            throw Refused($"peft_type is {kind}; LORA is read");

        foreach (var (key, what) in new[] { ("use_dora", "DoRA, which also scales whole rows"),
            ("lora_bias", "an adapter with biases of its own"),
            ("fan_in_fan_out", "weights stored the other way round"), ("use_qalora", "QALoRA, which pools its input") })
        {
            if (config[key].AsFlag == true)
                throw Refused($"{key}: {what}; llama.cpp does not compute it");
        }

        if (config["bias"].AsText is { } bias && bias != "none")
            throw Refused($"bias is {bias}: biases that were trained too; llama.cpp adds matrices alone");

        foreach (var (key, what) in new[] { ("modules_to_save", "whole matrices beside the adapter"),
            ("layer_replication", "layers that are used twice"), ("target_parameters", "parameters that are no matrices of a layer"),
            ("trainable_token_indices", "single rows of the embedding"), ("alora_invocation_tokens", "an adapter that begins at a text") })
        {
            if (config[key].Items.Any() || config[key].Members.Any())
            {
                var names = string.Join(", ", config[key].Items.Select(item => item.AsText).OfType<string>().Take(8));
                throw Refused($"{key}{(names.Length > 0 ? $" ({names})" : "")}: {what}; llama.cpp does not compute it");
            }
        }

        if (config["init_lora_weights"].AsText is { } start && ChangingStarts.Any(start.StartsWith))
        {
            throw Refused(
                $"init_lora_weights is {start}: the model itself was changed with it; save it as a plain adapter (PEFT's docs say how)");
        }

        SafeTensorsException Refused(string why) => new($"{config.Where}: {why}");
    }

    private static void Sort(StoredTensor tensor, SortedDictionary<string, Pair> pairs)
    {
        var name = tensor.Name.StartsWith("base_model.model.", StringComparison.Ordinal)
            ? tensor.Name["base_model.model.".Length..]
            : tensor.Name;
        foreach (var (suffix, isA, embeds) in new[] { (".lora_A.", true, false), (".lora_B.", false, false),
            (".lora_embedding_A", true, true), (".lora_embedding_B", false, true) })
        {
            // Behind the suffix stands "weight", in files of older versions with the adapter's own name before it.
            if (name.IndexOf(suffix, StringComparison.Ordinal) is var at and > 0
                && (embeds || name.EndsWith("weight", StringComparison.Ordinal)))
            {
                var module = name[..at];
                if (!pairs.TryGetValue(module, out var pair))
                    pairs[module] = pair = new Pair();

                if ((isA ? pair.A : pair.B) is not null)
                    throw new SafeTensorsException($"'{module}' has two adapters; a folder holds one");

                (pair.A, pair.B, pair.OfEmbedding) = (isA ? tensor : pair.A, isA ? pair.B : tensor, embeds);
                return;
            }
        }

        throw new SafeTensorsException(name.Contains("lora_magnitude", StringComparison.Ordinal)
            ? $"tensor '{tensor.Name}' is of DoRA, which also scales whole rows; llama.cpp does not compute it"
            : $"tensor '{tensor.Name}' is not part of a LoRA: llama.cpp adds lora_A and lora_B to matrices, and nothing else");
    }

    private static void Take(ConversionPlan plan, string module, Pair pair, float alpha, GgufHeader? model)
    {
        if (pair is not
            {
                A: { Shape: [var rank, var columns], Weights: not null } a,
                B: { Shape: [var rows, var other], Weights: not null } b
            })
        {
            throw new SafeTensorsException($"'{module}' needs lora_A and lora_B, matrices of F32, F16 or BF16");
        }

        if (rank != other || rank < 1)
            throw new SafeTensorsException($"'{module}': lora_A has {rank} rows and lora_B {other} columns; both are the rank");

        var target = TargetOf(module, pair.OfEmbedding);
        if (model is not null)
            RequireFits(model, module, target, pair.OfEmbedding ? rows : columns, pair.OfEmbedding ? columns : rows);

        var factor = AlphaOf(plan.Folder.Root, module, alpha) / alpha
            * (plan.Folder.Root["use_rslora"].AsFlag == true ? MathF.Sqrt(rank) : 1);
        var heads = !Paired.Contains(plan.Architecture) ? 0
            : target.EndsWith("attn_q", StringComparison.Ordinal) ? HeadsOf(model!, "attention.head_count")
            : target.EndsWith("attn_k", StringComparison.Ordinal) ? HeadsOf(model!, "attention.head_count_kv")
            : 0;
        if (heads > 0 && (rows % heads != 0 || rows / heads % 2 != 0))
            throw new SafeTensorsException($"'{module}' has {rows} rows, which must be a multiple of twice its {heads} attention heads");

        // llama.cpp looks rows of an embedding up, so that A is stored by tokens.
        plan.Tensors.Add(pair.OfEmbedding
            ? new PlannedTensor(target + ".weight.lora_a", [columns, rank], [new TensorPart(a, 0, a.Elements)], TensorChange.Transposed)
            : new PlannedTensor(target + ".weight.lora_a", [rank, columns], [new TensorPart(a, 0, a.Elements)]));
        plan.Tensors.Add(new PlannedTensor(target + ".weight.lora_b", [rows, rank], [new TensorPart(b, 0, b.Elements)],
            heads > 0 ? TensorChange.RotaryPairs : TensorChange.None, heads, Factor: factor));
    }

    private static string TargetOf(string module, bool ofEmbedding)
    {
        var name = module.Replace("language_model.", "", StringComparison.Ordinal);
        foreach (var prefix in new[] { "model.", "bert.", "roberta." })
            name = name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : name;

        if (name == "lm_head" || (name == "embed_tokens" && ofEmbedding))
            return name == "lm_head" ? "output" : "token_embd";

        var parts = name.Split('.', name.StartsWith("encoder.", StringComparison.Ordinal) ? 4 : 3);
        return parts is [.., "layers" or "layer", var number, var matrix] && int.TryParse(number, out var layer)
            && layer is >= 0 and < MostLayers && Matrices.TryGetValue(matrix, out var target) && !ofEmbedding
            ? $"blk.{layer}.{target}"
            : throw new SafeTensorsException(name.Contains("experts", StringComparison.Ordinal)
                ? $"'{module}' is an expert; adapters of experts are not converted"
                : $"'{module}' is not a module whose adapter can be converted; supported are matrices of attention and MLP "
                    + "(as self_attn.q_proj and mlp.up_proj), the embedding and the output");
    }

    // A model in several files has most of its tensors in others than this header's; llama.cpp looks itself.
    private static void RequireFits(GgufHeader model, string module, string target, long columns, long rows)
    {
        if (model.Integer("split.count") > 1)
            return;

        if (target == "token_embd" && !model.Tensors.Any(tensor => tensor.Name == "output.weight"))
        {
            throw new SafeTensorsException($"'{module}': the model's output is its embedding again, "
                + "and llama.cpp does not compute an adapter of both");
        }

        var matrix = model.Tensors.FirstOrDefault(tensor => tensor.Name == target + ".weight")
            ?? throw new SafeTensorsException($"'{module}': the model has no such matrix ({target}.weight)");
        if (matrix.Dimensions is not [var width, var height] || width != columns || height != rows)
        {
            throw new SafeTensorsException($"'{module}' is an adapter for a matrix of {StoredTensor.Shown([rows, columns])}, "
                + $"but the model's is {StoredTensor.Shown(matrix.Dimensions.Reverse())}: it is for another model");
        }
    }

    private static int HeadsOf(GgufHeader model, string key) =>
        model.OfArchitecture(key)?.Integer is { } heads and > 0 and <= int.MaxValue
            ? (int)heads
            : throw new SafeTensorsException($"the model does not say how many heads all its layers have ({key})");

    // alpha_pattern names modules by the end of their names, in PEFT as regular expressions: only plain names are read.
    private static float AlphaOf(PlainJson config, string module, float alpha)
    {
        foreach (var (pattern, value) in config["alpha_pattern"].Members)
        {
            if (pattern.Any(letter => !char.IsAsciiLetterOrDigit(letter) && letter is not ('_' or '.')))
            {
                throw new SafeTensorsException(
                    $"{config.Where}: alpha_pattern '{pattern}' is a regular expression; only plain names are read");
            }

            if (module == pattern || module.EndsWith("." + pattern, StringComparison.Ordinal))
            {
                return value.AsNumber is { } own && own != 0 && float.IsFinite((float)own)
                    ? (float)own
                    : throw new SafeTensorsException($"{config.Where}: alpha_pattern '{pattern}' must be a number other than 0");
            }
        }

        return alpha;
    }
}
