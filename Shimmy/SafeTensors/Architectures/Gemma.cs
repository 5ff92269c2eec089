using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>
/// Gemma 2 and 3, of the latter also the text side of a model that sees: four norms a layer, stored as distances from one.
/// </summary>
internal static class Gemma
{
    private const string Second = "Gemma2ForCausalLM";

    public static KnownArchitecture Architecture { get; } =
        new([Second, "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"], Plan, Vocabulary.OfGemma);

    private static ConversionPlan Plan(ModelFolder folder)
    {
        var second = folder.Class == Second;
        var defaults = new DecoderDefaults
        {
            Activations = ["gelu_pytorch_tanh", "gelu"],
            Heads = second ? null : 8,
            HeadSize = 256,
            Context = second ? null : 131072,
            RopeBase = second ? 10000 : 1_000_000,
        };
        var decoder = Decoder.Begin(folder, second ? "gemma2" : "gemma3", plusOne: true, defaults: defaults);
        var (plan, config) = (decoder.Plan, decoder.Config);
        plan.Set("attention.sliding_window", config.Needed("sliding_window"));
        RequireScale(decoder, second);
        RequirePattern(config, second ? 2 : 6);
        if (second)
        {
            if (decoder.RopeBase != 10000)
            {
                throw new SafeTensorsException(
                    $"config.json: rope_theta {decoder.RopeBase} is not computed for {Second}; llama.cpp takes 10000");
            }

            plan.Set("attn_logit_softcapping", config.Number("attn_logit_softcapping") ?? 50);
            plan.Set("final_logit_softcapping", config.Number("final_logit_softcapping") ?? 30);
        }
        else
        {
            plan.Set("rope.freq_base", decoder.RopeBase);
            if (Rope.WindowBaseOf(config) is { } local)
                plan.Set("rope.freq_base_swa", local);

            if (config.Number("final_logit_softcapping") is { } capping)
                plan.Set("final_logit_softcapping", capping);
        }

        Rope.Write(plan, decoder.RopeBase, decoder.HeadSize, llama3: false);
        decoder.TakeEnds(keepHead: false);
        for (var layer = 0; layer < decoder.Layers; layer++)
        {
            decoder.TakeNorm(layer, "input_layernorm", "attn_norm");
            decoder.TakeNorm(layer, "post_attention_layernorm", "post_attention_norm");
            decoder.TakeNorm(layer, "pre_feedforward_layernorm", "ffn_norm");
            decoder.TakeNorm(layer, "post_feedforward_layernorm", "post_ffw_norm");
            decoder.TakeAttention(layer, queryKeyNorms: !second);
            decoder.TakeFeedForward(layer);
        }

        return plan;
    }

    // llama.cpp scales queries by the head's size; by the width shared among heads only for the two largest models.
    private static void RequireScale(Decoder decoder, bool second)
    {
        var shared = decoder.Layers == (second ? 46 : 62);
        var expected = shared ? decoder.Width / (float)decoder.Heads : decoder.HeadSize;
        if (decoder.Config.Number("query_pre_attn_scalar") is { } scalar && scalar != expected)
        {
            throw new SafeTensorsException(
                $"config.json: query_pre_attn_scalar {scalar} is not computed for {decoder.Plan.Folder.Class}; llama.cpp takes {expected}");
        }
    }

    private static void RequirePattern(PlainJson config, int every)
    {
        var layer = 0;
        var wrong = config.Integer("sliding_window_pattern") is { } pattern && pattern != every;
        foreach (var kind in config["layer_types"].Items)
            wrong |= kind.AsText != (++layer % every == 0 ? "full_attention" : "sliding_attention");

        if (wrong)
        {
            throw new SafeTensorsException($"config.json: every {(every == 2 ? "second" : "sixth")} layer must look at the whole context "
                + "(sliding_window_pattern, layer_types); llama.cpp computes no other pattern");
        }
    }
}
