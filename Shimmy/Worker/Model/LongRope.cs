using System.Globalization;
using Shimmy.Engine;
using Shimmy.Gguf;

namespace Shimmy.Worker.Model;

/// <summary>
/// LongRoPE (arXiv 2402.13753): a model has two sets of rotary factors, one for texts up to the length that it was first trained with and
/// one for longer ones. llama.cpp chooses by the cells of the whole context, which it rounds up and which all slots share: with several
/// slots, short requests would be computed with the factors for long ones, and answer differently than with one. What one request may use
/// decides here.
/// </summary>
internal static class LongRope
{
    private const string LongFactors = "rope_factors_long.weight";
    private const string OriginalContext = "rope.scaling.original_context_length";

    /// <summary>
    /// The spec with which llama.cpp takes the factors for short texts where no request can be longer: the length at which it changes over
    /// is put out of reach. The spec as it is where the model has no such factors, where requests may be longer, or where the
    /// user has set the length.
    /// </summary>
    /// <param name="spec">What to load.</param>
    /// <param name="header">The header of its file; null where it cannot be read, which llama.cpp says better.</param>
    public static ModelSpec Keep(ModelSpec spec, GgufHeader? header)
    {
        if (spec.ContextLength <= 0 || header is null)
            return spec;
        var key = $"{header.Architecture}.{OriginalContext}";
        if (header.Integer(key) is not { } original || spec.ContextLength > original || !header.Tensors.Any(one => one.Name == LongFactors)
            || spec.Tuning.MetadataOverrides.Any(one => one.Key == key))
        {
            return spec;
        }
        var over = new MetadataOverride(key, "int", int.MaxValue.ToString(CultureInfo.InvariantCulture));
        return spec with { Tuning = spec.Tuning with { MetadataOverrides = [.. spec.Tuning.MetadataOverrides, over] } };
    }
}
