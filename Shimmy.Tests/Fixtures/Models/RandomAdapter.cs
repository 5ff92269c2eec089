using Shimmy.Gguf;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>Writes LoRA adapters with random weights for the models of <see cref="RandomModel"/>.</summary>
internal static class RandomAdapter
{
    private const int Rank = 4;

    /// <summary>Writes an adapter for models of this shape that changes what each layer adds, and gives its path back.</summary>
    public static string Write(string path, RandomModelShape? shape = null, float alpha = Rank)
    {
        shape ??= new RandomModelShape();
        var writer = new GgufWriter().Add("general.architecture", shape.Architecture).Add("general.type", "adapter")
            .Add("adapter.type", "lora").Add("adapter.lora.alpha", alpha);
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            var tensor = $"blk.{layer}.ffn_down.weight.";
            RandomModel.AddRandom(writer, tensor + "lora_a", GgmlType.F32, shape.FeedForward, Rank, shape.Seed + (2 * layer));
            RandomModel.AddRandom(writer, tensor + "lora_b", GgmlType.F32, Rank, shape.Embedding, shape.Seed + (2 * layer) + 1);
        }

        writer.WriteFile(path);
        return path;
    }
}
