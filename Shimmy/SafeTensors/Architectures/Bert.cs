using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>BERT and XLM-RoBERTa: encoders for embeddings, and with a classifier of one label for reranking.</summary>
internal static class Bert
{
    public static KnownArchitecture Architecture { get; } = new(
        ["BertModel", "BertForMaskedLM", "BertForSequenceClassification", "XLMRobertaModel", "XLMRobertaForSequenceClassification"],
            Plan, Vocabulary.OfEncoder);

    private static ConversionPlan Plan(ModelFolder folder)
    {
        var config = folder.Config;
        var roberta = folder.Class.StartsWith("XLM", StringComparison.Ordinal);
        var ranks = folder.Class.EndsWith("SequenceClassification", StringComparison.Ordinal);
        var plan = new ConversionPlan(folder, "bert", NameOf);
        int width = config.Needed("hidden_size"), layers = config.Needed("num_hidden_layers"),
            feedForward = config.Needed("intermediate_size");
        if (config["hidden_act"].AsText is { } activation && activation != "gelu")
            throw new SafeTensorsException($"config.json: hidden_act '{activation}' is not computed for {folder.Class}; gelu is");

        if (config["position_embedding_type"].AsText is { } kind && kind != "absolute")
        {
            throw new SafeTensorsException(
                $"config.json: position_embedding_type '{kind}' is not computed for {folder.Class}; absolute is");
        }

        var rows = Rows(plan, "embeddings.word_embeddings.weight", width);
        var positions = Rows(plan, "embeddings.position_embeddings.weight", width);
        // RoBERTa's positions begin behind the padding's.
        var skipped = roberta
            ? (config.Integer("pad_token_id", least: 0)
                ?? throw new SafeTensorsException("config.json: pad_token_id is missing; positions begin behind it")) + 1
            : 0;
        if (skipped >= positions)
            throw new SafeTensorsException($"config.json: pad_token_id {skipped - 1} must be below {positions - 1}: positions begin behind it, and there are {positions}");

        plan.Set("block_count", layers);
        plan.Set("context_length", positions - skipped);
        plan.Set("embedding_length", width);
        plan.Set("feed_forward_length", feedForward);
        plan.Set("attention.head_count", config.Needed("num_attention_heads"));
        plan.Set("attention.layer_norm_epsilon", config.Number("layer_norm_eps") ?? 1e-12f);
        plan.Set("attention.causal", false);
        plan.Set("pooling_type", (int)(ranks ? PoolingKind.Rank : Pooling.Of(folder) ?? PoolingKind.Mean));

        plan.Take("embeddings.word_embeddings.weight", "token_embd.weight", [rows, width]);
        var table = plan.Claim("embeddings.position_embeddings.weight", [positions, width]);
        plan.Tensors.Add(new PlannedTensor("position_embd.weight", [positions - skipped, width],
            [new TensorPart(table, (long)skipped * width, (long)(positions - skipped) * width)], Wide: true));
        var types = plan.Find("embeddings.token_type_embeddings.weight") is null
            ? 0
            : Rows(plan, "embeddings.token_type_embeddings.weight", width);
        if (types > 0)
        {
            plan.Take("embeddings.token_type_embeddings.weight", "token_types.weight", [types, width], wide: true);
            plan.Metadata.Add(("tokenizer.ggml.token_type_count", Gguf.GgufValue.OfInteger(Gguf.GgufType.UInt32, types)));
        }

        TakePair(plan, "embeddings.LayerNorm", "token_embd_norm", [width]);
        for (var layer = 0; layer < layers; layer++)
        {
            var (from, to) = ($"encoder.layer.{layer}.", $"blk.{layer}.");
            TakePair(plan, from + "attention.self.query", to + "attn_q", [width, width]);
            TakePair(plan, from + "attention.self.key", to + "attn_k", [width, width]);
            TakePair(plan, from + "attention.self.value", to + "attn_v", [width, width]);
            TakePair(plan, from + "attention.output.dense", to + "attn_output", [width, width]);
            TakePair(plan, from + "attention.output.LayerNorm", to + "attn_output_norm", [width]);
            TakePair(plan, from + "intermediate.dense", to + "ffn_up", [feedForward, width]);
            TakePair(plan, from + "output.dense", to + "ffn_down", [width, feedForward]);
            TakePair(plan, from + "output.LayerNorm", to + "layer_output_norm", [width]);
        }

        if (ranks)
            TakeClassifier(plan, roberta, width);
        else
            DropHeads(plan);

        return plan;
    }

    // A dense layer with tanh, then one score: for BERT the pooler is that layer.
    private static void TakeClassifier(ConversionPlan plan, bool roberta, int width)
    {
        var (dense, output) = roberta ? ("classifier.dense", "classifier.out_proj") : ("pooler.dense", "classifier");
        if (plan.Need(output + ".weight").Shape is [var labels, _] && labels != 1)
            throw new SafeTensorsException($"the classifier has {labels} labels; a reranker has one");

        TakePair(plan, dense, "cls", [width, width]);
        TakePair(plan, output, "cls.output", [1, width]);
    }

    private static void DropHeads(ConversionPlan plan)
    {
        foreach (var name in new[] { "pooler.dense.weight", "pooler.dense.bias" })
            plan.Drop(name);
    }

    private static void TakePair(ConversionPlan plan, string name, string target, long[] shape)
    {
        plan.Take(name + ".weight", target + ".weight", shape);
        plan.Take(name + ".bias", target + ".bias", [shape[0]]);
    }

    private static int Rows(ConversionPlan plan, string name, int width) =>
        plan.Need(name).Shape is [var rows, var columns] && columns == width && rows is > 0 and <= int.MaxValue
            ? (int)rows
            : throw new SafeTensorsException(
                $"tensor '{name}' has the shape {StoredTensor.Shown(plan.Need(name).Shape)}, but by config.json its rows have {width}");

    private static string? NameOf(string name)
    {
        foreach (var prefix in new[] { "bert.", "roberta." })
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal))
                name = name[prefix.Length..];
        }

        if (name.EndsWith(".gamma", StringComparison.Ordinal))
            name = name[..^"gamma".Length] + "weight";
        else if (name.EndsWith(".beta", StringComparison.Ordinal))
            name = name[..^"beta".Length] + "bias";

        return name is "embeddings.position_ids"
            || name.StartsWith("cls.predictions", StringComparison.Ordinal)
            || name.StartsWith("cls.seq_relationship", StringComparison.Ordinal) ? null : name;
    }
}
