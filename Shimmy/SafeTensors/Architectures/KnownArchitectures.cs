using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>One architecture: which classes of transformers it serves, and how a folder of one becomes a plan.</summary>
/// <param name="Classes">Names of classes, as config.json has them.</param>
/// <param name="Plan">Fills a plan; throws <see cref="SafeTensorsException"/> where the folder cannot be served.</param>
/// <param name="Vocabulary">Reads the tokenizer, given the number of rows of the embedding.</param>
internal sealed record KnownArchitecture(string[] Classes, Func<ModelFolder, ConversionPlan> Plan,
    Func<ModelFolder, int, Vocabulary> Vocabulary);

/// <summary>All architectures. A new one is a file in this folder and a line here.</summary>
internal static class KnownArchitectures
{
    /// <summary>Everything that is known.</summary>
    public static IReadOnlyList<KnownArchitecture> All { get; } =
    [
        Llama.Architecture, Qwen.Architecture, Gemma.Architecture, Phi3.Architecture, Bert.Architecture,
    ];

    /// <summary>The architecture of a class; throws <see cref="SafeTensorsException"/> with the list of those that are known.</summary>
    public static KnownArchitecture Of(string className) =>
        All.FirstOrDefault(one => one.Classes.Contains(className))
            ?? throw new SafeTensorsException($"the architecture {className} is not known; known are "
                + string.Join(", ", All.SelectMany(one => one.Classes).Order(StringComparer.Ordinal)));
}
