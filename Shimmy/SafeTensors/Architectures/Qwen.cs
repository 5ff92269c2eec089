using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>
/// Qwen 2 and 3, dense or with experts, and the models for embedding and reranking among them. They differ by norms of queries and keys (3)
/// or biases (2).
/// </summary>
internal static class Qwen
{
    // As the model was trained (its card); a changed word changes the scores.
    private const string RerankTemplate = "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
        + "Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n"
        + "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n<Query>: {query}\n<Document>: {document}"
        + "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

    public static KnownArchitecture Architecture { get; } =
        new(["Qwen2ForCausalLM", "Qwen2Model", "Qwen3ForCausalLM", "Qwen3Model", "Qwen3MoeForCausalLM"], Plan, Vocabulary.OfQwen);

    private static ConversionPlan Plan(ModelFolder folder)
    {
        var name = folder.Class;
        var mixture = name.StartsWith("Qwen3Moe", StringComparison.Ordinal);
        var third = name.StartsWith("Qwen3", StringComparison.Ordinal);
        var decoder = Decoder.Begin(folder, mixture ? "qwen3moe" : third ? "qwen3" : "qwen2",
            defaults: new DecoderDefaults { FeedForward = mixture ? 6144 : null });
        var (plan, config) = (decoder.Plan, decoder.Config);
        plan.Set("rope.freq_base", decoder.RopeBase);
        Rope.Write(plan, decoder.RopeBase, decoder.HeadSize, llama3: false);
        if (config["use_sliding_window"].AsFlag == true)
            decoder.WarnOfWindow();

        var (experts, width) = mixture ? Experts(decoder) : (0, 0);
        decoder.TakeEnds();
        for (var layer = 0; layer < decoder.Layers; layer++)
        {
            decoder.TakeNorms(layer);
            decoder.TakeAttention(layer, queryKeyNorms: third);
            if (mixture)
                decoder.TakeExperts(layer, "mlp.gate", "mlp.experts", ("gate_proj", "up_proj", "down_proj"), experts, width);
            else
                decoder.TakeFeedForward(layer);
        }

        if (name == "Qwen3ForCausalLM" && folder.Name.Contains("reranker", StringComparison.OrdinalIgnoreCase))
            MakeReranker(decoder);
        else if (Pooling.Of(folder) is { } pooling)
            plan.Set("pooling_type", (int)pooling);

        return plan;
    }

    // A Qwen3-Reranker is a language model that is asked for "yes" or "no" behind a prompt of its own; nothing but its name says so. The
    // rows of the two tokens become a classifier, whose first score llama.cpp then gives out as a share of both.
    private static void MakeReranker(Decoder decoder)
    {
        var (plan, folder) = (decoder.Plan, decoder.Plan.Folder);
        plan.Set("pooling_type", (int)PoolingKind.Rank);
        plan.Metadata.Add(($"{plan.Architecture}.classifier.output_labels",
            GgufValue.OfArray(new GgufArray(GgufType.Text, 2, [GgufValue.OfText("yes"), GgufValue.OfText("no")]))));
        if (!folder.AdditionalTemplates().Any(template => template.Name == "rerank"))
            plan.Metadata.Add(("tokenizer.chat_template.rerank", GgufValue.OfText(RerankTemplate)));

        var head = (plan.Tensors.Find(tensor => tensor.Name == "output.weight")
            ?? plan.Tensors.Find(tensor => tensor.Name == "token_embd.weight")!).Parts[0].Tensor;
        var ids = TokenizerFiles.Read(folder).Pieces(decoder.Rows).Where(piece => piece.Text is "yes" or "no")
            .ToDictionary(piece => piece.Text, piece => piece.Id, StringComparer.Ordinal);
        TensorPart[] rows = ids.Count == 2
            ? [RowOf("yes"), RowOf("no")]
            : throw new SafeTensorsException("the vocabulary lacks 'yes' or 'no', by which a Qwen3-Reranker answers");
        plan.Tensors.Add(new PlannedTensor("cls.output.weight", [2, decoder.Width], rows));

        TensorPart RowOf(string text) => new(head, (long)ids[text] * decoder.Width, decoder.Width);
    }

    private static (int Count, int Width) Experts(Decoder decoder)
    {
        var config = decoder.Config;
        if (config["norm_topk_prob"].AsFlag == false)
        {
            throw new SafeTensorsException(
                "config.json: norm_topk_prob is false; llama.cpp always normalizes the weights of the chosen experts");
        }

        if (config["mlp_only_layers"].Items.Any() || config.Integer("decoder_sparse_step") is > 1)
        {
            throw new SafeTensorsException(
                "config.json: layers without experts between others (mlp_only_layers, decoder_sparse_step) are not computed by llama.cpp");
        }

        var count = config.Integer("num_experts") ?? config.Integer("num_local_experts") ?? decoder.RoutedExperts("mlp.gate")
            ?? config.Needed("num_experts");
        var width = config.Integer("moe_intermediate_size")
            ?? (decoder.Plan.Find("model.layers.0.mlp.experts.0.up_proj.weight") is { Shape: [var rows, _] } ? checked((int)rows)
            : decoder.Plan.Find("model.layers.0.mlp.experts.gate_up_proj") is { Shape: [_, var both, _] } ? checked((int)(both / 2))
            : config.Needed("moe_intermediate_size"));
        decoder.Plan.Set("expert_count", count);
        decoder.Plan.Set("expert_used_count", config.Integer("num_experts_per_tok") ?? 8);
        decoder.Plan.Set("expert_feed_forward_length", width);
        return (count, width);
    }
}
