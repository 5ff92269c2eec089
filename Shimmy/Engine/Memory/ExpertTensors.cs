using System.Globalization;

namespace Shimmy.Engine.Memory;

/// <summary>The tensors of a mixture-of-experts model that hold its experts, of which each token uses a few: what can stay on the CPU at little cost.</summary>
internal static class ExpertTensors
{
    // Up, down, gate, or gate and up in one; ch: Command A's small experts beside the large ones.
    private const string Kind = @"ffn_(up|down|gate|gate_up)_(ch|)exps";

    // The same spelled out: .NET's regular expressions are a part of the executable that nothing else needs.
    private static readonly string[] Names = [.. from part in new[] { "up", "down", "gate", "gate_up" } from size in new[] { "", "ch" } select $".ffn_{part}_{size}exps"];

    /// <summary>Whether a tensor holds experts.</summary>
    public static bool IsExpert(string tensor) => Array.Exists(Names, name => tensor.Contains(name, StringComparison.Ordinal));

    /// <summary>Regular expressions, in C++'s grammar, of the experts of so many layers counted from the first.</summary>
    public static IEnumerable<string> Patterns(int layers, int modelLayers) => layers == 0 ? []
        : layers >= modelLayers ? [@"\." + Kind]
        : Enumerable.Range(0, layers).Select(layer => string.Create(CultureInfo.InvariantCulture, $@"blk\.{layer}\.{Kind}"));
}
