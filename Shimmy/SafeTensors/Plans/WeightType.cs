using System.Globalization;
using Shimmy.Gguf;

namespace Shimmy.SafeTensors.Plans;

/// <summary>The type that the weights of a folder are converted to: a name of llama.cpp's quantizer.</summary>
/// <param name="Name">The name, as options take it.</param>
/// <param name="FileType">general.file_type (llama_ftype).</param>
/// <param name="Most">The type of most matrices.</param>
internal sealed record WeightType(string Name, int FileType, GgmlType Most)
{
    /// <summary>The name that keeps the type of the source.</summary>
    public const string Auto = "auto";

    /// <summary>All that can be written, the most exact first.</summary>
    public static IReadOnlyList<WeightType> All { get; } =
    [
        new("f32", 0, GgmlType.F32), new("f16", 1, GgmlType.F16), new("bf16", 32, GgmlType.BF16), new("q8_0", 7, GgmlType.Q8_0),
        new("q6_k", 18, GgmlType.Q6_K), new("q5_k_m", 17, GgmlType.Q5_K), new("q5_k_s", 16, GgmlType.Q5_K),
        new("q5_1", 9, GgmlType.Q5_1), new("q5_0", 8, GgmlType.Q5_0), new("q4_k_m", 15, GgmlType.Q4_K),
        new("q4_k_s", 14, GgmlType.Q4_K), new("iq4_nl", 25, GgmlType.IQ4_NL), new("iq4_xs", 30, GgmlType.IQ4_XS),
        new("q4_1", 3, GgmlType.Q4_1), new("q4_0", 2, GgmlType.Q4_0), new("q3_k_l", 13, GgmlType.Q3_K),
        new("q3_k_m", 12, GgmlType.Q3_K), new("q3_k_s", 11, GgmlType.Q3_K), new("q2_k", 10, GgmlType.Q2_K),
    ];

    /// <summary>
    /// Types that llama.cpp's quantizer makes with an importance matrix alone, which is measured on texts: no conversion has one.
    /// </summary>
    public static IReadOnlyList<string> NeedImportance { get; } =
        ["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "q2_k_s"];

    /// <summary>The type of a name of <see cref="All"/>.</summary>
    public static WeightType Of(string name) => All.First(one => one.Name == name);

    /// <summary>The type that keeps what the source has.</summary>
    public static WeightType Of(GgmlType most) => All.First(one => one.Most == most);

    /// <summary>The type of each tensor of a plan.</summary>
    public Func<PlannedTensor, GgmlType> For(ConversionPlan plan)
    {
        var experts = plan.Number("expert_count");
        var grouped = plan.Number("attention.head_count") >= 4 * Math.Max(1, plan.Number("attention.head_count_kv"));
        var layers = plan.Number("block_count");
        var tied = !plan.Tensors.Exists(tensor => tensor.Name == "output.weight");
        return tensor => IsWide(tensor) ? GgmlType.F32 : Fitting(Mixed(tensor.Name, tensor.Shape[^1]), tensor.Shape[^1]);

        // What llama.cpp's quantizer decides without an importance matrix (llama_tensor_get_type).
        GgmlType Mixed(string name, long width)
        {
            if (Most.ElementsPerBlock() == 1 || Most == GgmlType.Q8_0)
                return Most;

            if (name == "output.weight" || (tied && name == "token_embd.weight"))
                return width % Most.ElementsPerBlock() != 0 ? GgmlType.Q8_0 : GgmlType.Q6_K;

            var parts = name.Split('.');
            if (parts is not ["blk", var number, var kind, _] || !int.TryParse(number, CultureInfo.InvariantCulture, out var layer))
                return Most;

            var (some, first) = (HasMoreBits(layer, layers), layer < layers / 8);
            return (kind, Name) switch
            {
                ("attn_v" or "attn_k", _) when experts == 8 => GgmlType.Q8_0,
                ("attn_v", "q2_k") => grouped ? GgmlType.Q4_K : GgmlType.Q3_K,
                ("attn_v", "q3_k_m") => layer < 2 ? GgmlType.Q5_K : GgmlType.Q4_K,
                ("attn_v", "q3_k_l") => GgmlType.Q5_K,
                ("attn_v", "iq4_nl" or "iq4_xs") when grouped => GgmlType.Q5_K,
                ("attn_v", "q4_k_m" or "q5_k_m") when some => GgmlType.Q6_K,
                ("attn_v", "q4_k_s") when layer < 4 => GgmlType.Q5_K,
                ("ffn_down" or "ffn_down_exps", "q2_k") => GgmlType.Q3_K,
                ("ffn_down" or "ffn_down_exps", "q3_k_m") => layer < layers / 16 ? GgmlType.Q5_K : GgmlType.Q4_K,
                ("ffn_down" or "ffn_down_exps", "q3_k_l") => GgmlType.Q5_K,
                ("ffn_down" or "ffn_down_exps", "q4_k_m" or "q5_k_m") when some => GgmlType.Q6_K,
                ("ffn_down" or "ffn_down_exps", "q4_k_s" or "iq4_nl" or "iq4_xs") when first => GgmlType.Q5_K,
                ("attn_output", "q2_k" or "q3_k_s" or "q3_k_m" or "iq4_nl" or "iq4_xs" or "q4_k_s" or "q4_k_m") when experts == 8 =>
                    GgmlType.Q5_K,
                ("attn_output", "q2_k") when experts != 8 => GgmlType.Q3_K,
                ("attn_output", "q3_k_m") when experts != 8 => GgmlType.Q4_K,
                ("attn_output", "q3_k_l") when experts != 8 => GgmlType.Q5_K,
                ("attn_qkv", "q3_k_m" or "q3_k_l") => GgmlType.Q4_K,
                ("attn_qkv", "q4_k_m") => GgmlType.Q5_K,
                ("attn_qkv", "q5_k_m") => GgmlType.Q6_K,
                _ => Most,
            };
        }
    }

    // Vectors and what llama.cpp's converter keeps wide.
    private static bool IsWide(PlannedTensor tensor) =>
        tensor.Wide || tensor.Shape.Length < 2 || tensor.Name.EndsWith("_norm.weight", StringComparison.Ordinal)
        || !tensor.Name.EndsWith(".weight", StringComparison.Ordinal);

    private static bool HasMoreBits(int layer, int layers) =>
        layer < layers / 8 || layer >= 7 * layers / 8 || (layer - (layers / 8)) % 3 == 2;

    // Rows that are no whole blocks get a type with shorter ones, and none of those where that does not help.
    private static GgmlType Fitting(GgmlType type, long width)
    {
        if (width % type.ElementsPerBlock() == 0)
            return type;

        var shorter = type switch
        {
            GgmlType.Q2_K or GgmlType.Q3_K => GgmlType.Q4_0,
            GgmlType.IQ4_XS => GgmlType.IQ4_NL,
            GgmlType.Q4_K => GgmlType.Q5_0,
            GgmlType.Q5_K => GgmlType.Q5_1,
            GgmlType.Q6_K => GgmlType.Q8_0,
            _ => GgmlType.F16,
        };
        return width % shorter.ElementsPerBlock() == 0 ? shorter : GgmlType.F16;
    }
}

/// <summary>
/// Quantizes what C# does not: the blocks of llama.cpp's own quantizer, which is not in this process. Made when it is needed first.
/// </summary>
internal abstract class Quantizer : IDisposable
{
    /// <summary>
    /// The blocks of whole rows. Throws <see cref="Files.SafeTensorsException"/> where values cannot be quantized, or the quantizer died.
    /// </summary>
    public abstract byte[] Quantize(GgmlType type, ReadOnlySpan<float> rows, int width);

    /// <inheritdoc/>
    public abstract void Dispose();
}
