using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>Rotary positions as config.json describes them: rope_theta and rope_scaling, or rope_parameters of transformers 5.</summary>
internal static class Rope
{
    /// <summary>The frequency base of global attention; null where it is not given.</summary>
    public static float? BaseOf(PlainJson config) =>
        config.Number("rope_theta") ?? Parameters(config, "full_attention").Number("rope_theta");

    /// <summary>The frequency base of attention inside a window; null where it is not given.</summary>
    public static float? WindowBaseOf(PlainJson config) =>
        config.Number("rope_local_base_freq") ?? config["rope_parameters"]["sliding_attention"].Number("rope_theta");

    /// <summary>
    /// The scaling of positions: rope_scaling, or rope_parameters where they have a type; a value of no kind where nothing does.
    /// </summary>
    public static PlainJson ScalingOf(PlainJson config) =>
        config.Has("rope_scaling") ? config["rope_scaling"] : Parameters(config, "full_attention");

    /// <summary>The kind of scaling; null for none.</summary>
    public static string? KindOf(PlainJson scaling) =>
        (scaling["rope_type"].AsText ?? scaling["type"].AsText) is { } kind && kind != "default" ? kind : null;

    /// <summary>
    /// Writes scaling that GGUF has keys for: linear, yarn, and llama3's where <paramref name="headSize"/> is given for its table. Any
    /// other is refused: ignoring it would make nonsense of long texts without an error.
    /// </summary>
    public static void Write(ConversionPlan plan, float frequencyBase, int headSize, bool llama3)
    {
        var scaling = ScalingOf(plan.Folder.Config);
        switch (KindOf(scaling))
        {
            case null:
                break;
            case "linear":
                plan.Set("rope.scaling.type", "linear");
                plan.Set("rope.scaling.factor", FactorOf(scaling));
                break;
            case "yarn" when scaling.Integer("original_max_position_embeddings") is { } original:
                RequireUsualTemperature(scaling, FactorOf(scaling));
                plan.Set("rope.scaling.type", "yarn");
                plan.Set("rope.scaling.factor", FactorOf(scaling));
                plan.Set("rope.scaling.original_context_length", original);
                if (scaling.Number("beta_fast") is { } fast)
                    plan.Set("rope.scaling.yarn_beta_fast", fast);

                if (scaling.Number("beta_slow") is { } slow)
                    plan.Set("rope.scaling.yarn_beta_slow", slow);

                break;
            case "yarn":
                throw new SafeTensorsException($"{scaling.Where}: yarn needs original_max_position_embeddings");
            case "llama3" when llama3:
                plan.Tensors.Add(
                    new PlannedTensor("rope_freqs.weight", [headSize / 2],
                        [], Values: Llama3Factors(scaling, frequencyBase, headSize, FactorOf(scaling)), Wide: true));
                break;
            case var kind:
                throw new SafeTensorsException($"{scaling.Where}: scaling of kind '{kind}' is not computed for {plan.Folder.Class}; "
                    + $"default, linear, yarn{(llama3 ? " and llama3" : "")} are");
        }
    }

    private static float FactorOf(PlainJson scaling) =>
        scaling.Number("factor") is { } factor and > 0
            ? factor
            : throw new SafeTensorsException($"{scaling.Where}: factor must be a number above 0");

    // llama.cpp computes how much yarn sharpens attention from the factor alone.
    private static void RequireUsualTemperature(PlainJson scaling, float factor)
    {
        var usual = (0.1f * MathF.Log(factor)) + 1;
        if (scaling.Number("attention_factor") is { } given && MathF.Abs(given - usual) > 1e-3f)
        {
            throw new SafeTensorsException(
                $"{scaling.Where}: attention_factor {given} is not computed; llama.cpp takes {usual} for this factor");
        }

        if (scaling.Has("mscale") || scaling.Has("mscale_all_dim"))
            throw new SafeTensorsException($"{scaling.Where}: mscale is not computed for yarn; it belongs to another architecture");
    }

    // Llama 3.1: long waves are stretched, short ones stay, between them both mix. In single precision throughout, as the reference has it.
    private static float[] Llama3Factors(PlainJson scaling, float frequencyBase, int headSize, float factor)
    {
        var low = scaling.Number("low_freq_factor") ?? 1;
        var high = scaling.Number("high_freq_factor") ?? 4;
        var original = scaling.Integer("original_max_position_embeddings") ?? 8192;
        if (high <= low || low <= 0 || factor <= 0)
            throw new SafeTensorsException($"{scaling.Where}: high_freq_factor must be above low_freq_factor, and factor above 0");

        var factors = new float[headSize / 2];
        for (var i = 0; i < factors.Length; i++)
        {
            var frequency = 1f / MathF.Pow(frequencyBase, 2f * i / headSize);
            var wavelength = 2f * MathF.PI / frequency;
            var smooth = ((original / wavelength) - low) / (high - low);
            factors[i] = wavelength < original / high ? 1
                : wavelength > original / low ? factor
                : 1f / (((1f - smooth) / factor) + smooth);
        }

        return factors;
    }

    private static PlainJson Parameters(PlainJson config, string attention) =>
        config["rope_parameters"][attention] is { IsObject: true } own ? own : config["rope_parameters"];
}
