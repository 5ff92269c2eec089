using Shimmy.Gguf;

namespace Shimmy.SafeTensors.Files;

/// <summary>How the authors of a model sample from it: generation_config.json, kept as the model's defaults (general.sampling.*).</summary>
internal static class SamplingAdvice
{
    private const int Largest = 1 << 20;

    private static readonly (string Name, string Key)[] Numbers =
    [
        ("top_p", "top_p"), ("min_p", "min_p"), ("temperature", "temp"), ("repetition_penalty", "penalty_repeat"),
    ];

    /// <summary>The advice of the folder; nothing where it has no such file.</summary>
    public static IEnumerable<(string Key, GgufValue Value)> Of(ModelFolder folder)
    {
        if (PlainJson.Read(folder.Path, "generation_config.json", Largest) is not { } config)
            yield break;

        if (config.Integer("top_k", least: 0) is { } topK)
            yield return ("general.sampling.top_k", GgufValue.OfInteger(GgufType.Int32, topK));

        foreach (var (name, key) in Numbers)
        {
            if (config.Number(name) is { } number)
                yield return ($"general.sampling.{key}", GgufValue.OfNumber(GgufType.Float32, number));
        }
    }
}
