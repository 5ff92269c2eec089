using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>
/// Phi 3 and 4: queries, keys and values in one matrix, gate and up in another, and two tables of factors for long contexts.
/// </summary>
internal static class Phi3
{
    public static KnownArchitecture Architecture { get; } = new(["Phi3ForCausalLM"], Plan, Vocabulary.OfPhi3);

    private static ConversionPlan Plan(ModelFolder folder)
    {
        var decoder = Decoder.Begin(folder, "phi3", defaults: new DecoderDefaults { WritesHeadSize = false, Epsilon = 1e-5f });
        var (plan, config) = (decoder.Plan, decoder.Config);
        if (decoder.HeadSize * decoder.Heads != decoder.Width)
            throw new SafeTensorsException("config.json: head_dim must be hidden_size / num_attention_heads for Phi3ForCausalLM");

        var turned =
            (int)((config.Number("partial_rotary_factor") ?? Rope.ScalingOf(config).Number("partial_rotary_factor") ?? 1)
                * decoder.Width) / decoder.Heads;
        plan.Set("rope.dimension_count", turned);
        plan.Set("rope.freq_base", decoder.RopeBase);
        plan.Set("attention.sliding_window", config.Integer("sliding_window", least: 0) ?? 0);
        WriteFactors(decoder, turned);

        decoder.TakeEnds();
        for (var layer = 0; layer < decoder.Layers; layer++)
        {
            var (from, to) = ($"model.layers.{layer}.", $"blk.{layer}.");
            var rows = (decoder.Heads + (2L * decoder.KeyValueHeads)) * decoder.HeadSize;
            decoder.TakeNorms(layer);
            plan.Take(from + "self_attn.qkv_proj.weight", to + "attn_qkv.weight", [rows, decoder.Width]);
            plan.Take(from + "self_attn.o_proj.weight", to + "attn_output.weight", [decoder.Width, (long)decoder.Heads * decoder.HeadSize]);
            plan.Take(from + "mlp.gate_up_proj.weight", to + "ffn_up.weight", [2L * decoder.FeedForward, decoder.Width]);
            plan.Take(from + "mlp.down_proj.weight", to + "ffn_down.weight", [decoder.Width, decoder.FeedForward]);
        }

        return plan;
    }

    // llama.cpp takes the long factors where a sequence's context is larger than the original one, else the short.
    private static void WriteFactors(Decoder decoder, int turned)
    {
        var (plan, config) = (decoder.Plan, decoder.Config);
        var scaling = Rope.ScalingOf(config);
        var original = config.Integer("original_max_position_embeddings")
            ?? scaling.Integer("original_max_position_embeddings") ?? decoder.Context;
        plan.Set("rope.scaling.original_context_length", original);
        switch (Rope.KindOf(scaling))
        {
            case null:
                return;
            case "longrope" or "su":
                break;
            case var kind:
                throw new SafeTensorsException(
                    $"{scaling.Where}: scaling of kind '{kind}' is not computed for Phi3ForCausalLM; longrope is");
        }

        foreach (var (key, name) in new[] { ("long_factor", "rope_factors_long.weight"), ("short_factor", "rope_factors_short.weight") })
        {
            var factors = scaling[key].Items.Select(item => (float)(item.AsNumber ?? double.NaN)).ToArray();
            if (factors.Length != turned / 2 || !factors.All(float.IsFinite))
                throw new SafeTensorsException($"{scaling.Where}: {key} must be a list of {turned / 2} numbers");

            plan.Tensors.Add(new PlannedTensor(name, [factors.Length], [], Values: factors, Wide: true));
        }

        var ratio = decoder.Context / (double)original;
        var attention = ratio <= 1 || original <= 1 ? 1 : Math.Sqrt(1 + (Math.Log(ratio) / Math.Log(original)));
        plan.Set("rope.scaling.attn_factor", (float)attention);
    }
}
