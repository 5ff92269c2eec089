using System.Text.Json.Nodes;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// LoRA adapters in PEFT's form for the Llama of <see cref="RandomFolder"/>, and the weights of that Llama with one merged in.
/// </summary>
internal static class RandomPeft
{
    private const int Alpha = 16;

    private static readonly (string Module, int Rank)[] Modules =
    [
        ("self_attn.q_proj", 4), ("self_attn.k_proj", 4), ("self_attn.v_proj", 2), ("self_attn.o_proj", 4), ("mlp.gate_proj", 4),
        ("mlp.up_proj", 4), ("mlp.down_proj", 4),
    ];

    /// <summary>Writes the folder.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="config">Changes adapter_config.json before it is written.</param>
    /// <param name="basedOn">The model's name.</param>
    public static void Write(string path, Action<JsonObject>? config = null, string basedOn = "org/base")
    {
        Directory.CreateDirectory(path);
        var settings = new JsonObject
        {
            ["peft_type"] = "LORA",
            ["base_model_name_or_path"] = basedOn,
            ["r"] = 4,
            ["lora_alpha"] = Alpha,
            ["bias"] = "none",
            ["rank_pattern"] = new JsonObject { ["v_proj"] = 2 },
            ["alpha_pattern"] = new JsonObject { ["mlp.up_proj"] = Alpha / 2 },
        };
        config?.Invoke(settings);
        File.WriteAllText(Path.Combine(path, "adapter_config.json"), settings.ToJsonString());
        RandomFolder.WriteFile(Path.Combine(path, "adapter_model.safetensors"), Pairs().SelectMany(pair => new[]
        {
            ($"base_model.model.{pair.Module}.lora_A.weight", "F32", pair.ShapeA, pair.ValuesA),
            ($"base_model.model.{pair.Module}.lora_B.weight", "F32", pair.ShapeB, pair.ValuesB),
        }));
    }

    /// <summary>The model's weights with the adapter merged in: W + alpha / r · B · A.</summary>
    public static Dictionary<string, float[]> Merged(IReadOnlyDictionary<string, float[]> weights)
    {
        var merged = new Dictionary<string, float[]>(weights);
        foreach (var pair in Pairs())
        {
            var own = (float[])merged[pair.Module + ".weight"].Clone();
            var (rank, columns) = (pair.ShapeA[0], pair.ShapeA[1]);
            var alpha = pair.Module.EndsWith("mlp.up_proj", StringComparison.Ordinal) ? Alpha / 2 : Alpha;
            for (var row = 0; row < pair.ShapeB[0]; row++)
            {
                for (var column = 0; column < columns; column++)
                {
                    var sum = 0f;
                    for (var i = 0; i < rank; i++)
                        sum += pair.ValuesB[(row * rank) + i] * pair.ValuesA[(i * columns) + column];
                    own[(row * columns) + column] += sum * alpha / rank;
                }
            }

            merged[pair.Module + ".weight"] = own;
        }

        return merged;
    }

    private static IEnumerable<(string Module, int[] ShapeA, float[] ValuesA, int[] ShapeB, float[] ValuesB)> Pairs()
    {
        var shapes = FolderFamily.Llama.Shapes;
        foreach (var (name, rank) in Enumerable.Range(0, RandomFolder.Layers)
            .SelectMany(layer => Modules.Select(module => ($"model.layers.{layer}.{module.Module}", module.Rank))))
        {
            var shape = shapes[name + ".weight"];
            int[] a = [rank, shape[1]], b = [shape[0], rank];
            var values = RandomFolder.WeightsOf(new Dictionary<string, int[]> { [name + ".A"] = a, [name + ".B"] = b }, 5);
            yield return (name, a, values[name + ".A"], b, values[name + ".B"]);
        }
    }
}
