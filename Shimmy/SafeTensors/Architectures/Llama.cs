using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>
/// Llama, and what shares its shape: Mistral, Mixtral with its experts, and SmolLM3, whose every fourth layer has no positions.
/// </summary>
internal static class Llama
{
    private const string Mixtral = "MixtralForCausalLM";
    private const string SmolLm3 = "SmolLM3ForCausalLM";

    public static KnownArchitecture Architecture { get; } =
        new(["LlamaForCausalLM", "MistralForCausalLM", Mixtral, SmolLm3], Plan, Vocabulary.OfLlama);

    private static ConversionPlan Plan(ModelFolder folder)
    {
        var decoder = Decoder.Begin(folder, folder.Class == SmolLm3 ? "smollm3" : "llama", pairs: true,
            defaults: new DecoderDefaults { Epsilon = folder.Class == Mixtral ? 1e-5f : 1e-6f });
        var (plan, config) = (decoder.Plan, decoder.Config);
        plan.Set("rope.freq_base", decoder.RopeBase);
        plan.Set("vocab_size", decoder.Rows);
        plan.Set("rope.dimension_count", decoder.HeadSize);
        Rope.Write(plan, decoder.RopeBase, decoder.HeadSize, llama3: true);
        decoder.WarnOfWindow();
        if (folder.Class == SmolLm3)
            RequireEveryFourth(decoder);

        var experts = folder.Class == Mixtral ? config.Integer("num_local_experts")
            ?? decoder.RoutedExperts("block_sparse_moe.gate") ?? 8 : 0;
        if (experts > 0)
        {
            plan.Set("expert_count", experts);
            plan.Set("expert_used_count", config.Integer("num_experts_per_tok") ?? 2);
        }

        decoder.TakeEnds();
        for (var layer = 0; layer < decoder.Layers; layer++)
        {
            decoder.TakeNorms(layer);
            decoder.TakeAttention(layer);
            if (experts > 0)
            {
                decoder.TakeExperts(layer, "block_sparse_moe.gate", "block_sparse_moe.experts",
                    ("w1", "w3", "w2"), experts, decoder.FeedForward);
            }
            else
            {
                decoder.TakeFeedForward(layer);
            }
        }

        return plan;
    }

    private static void RequireEveryFourth(Decoder decoder)
    {
        if (decoder.Config.Integer("no_rope_layer_interval") is { } interval and not 4 && !decoder.Config["no_rope_layers"].IsArray)
        {
            throw new SafeTensorsException(
                $"config.json: no_rope_layer_interval {interval} is not computed; llama.cpp leaves out every fourth layer");
        }

        var layer = 0;
        foreach (var uses in decoder.Config["no_rope_layers"].Items)
        {
            if (uses.AsInteger != (++layer % 4 == 0 ? 0 : 1))
            {
                throw new SafeTensorsException(
                    "config.json: no_rope_layers must leave out every fourth layer; llama.cpp computes no other pattern");
            }
        }
    }
}
