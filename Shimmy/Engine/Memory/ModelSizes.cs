using System.Globalization;
using Shimmy.Gguf;

namespace Shimmy.Engine.Memory;

/// <summary>Bytes of a model by layer, as a GPU would hold them; read from the headers of its files before anything is loaded.</summary>
/// <param name="Layers">Each layer's tensors, without experts that are to stay on the CPU.</param>
/// <param name="Output">
/// The part that llama.cpp counts as one more layer: the output matrix and its norm; of a model without one, its embeddings once more.
/// </param>
/// <param name="CacheOfLayer">Keys and values of one layer.</param>
/// <param name="Compute">What is reserved to compute a batch.</param>
/// <param name="Experts">Experts of each layer; 0 where the model is no mixture of them.</param>
internal sealed record ModelSizes(IReadOnlyList<long> Layers, long Output, long CacheOfLayer, long Compute, int Experts)
{
    /// <summary>
    /// The part of <see cref="Output"/> that is a copy: the embeddings of a model without an output matrix stay in host memory too.
    /// </summary>
    public long OutputCopy { get; init; }

    private const int MostLayers = 4096;

    /// <summary>Reads the headers. Throws <see cref="EngineException"/> where a file cannot be read.</summary>
    public static ModelSizes Read(ModelSpec spec, HeaderCache? cache = null)
    {
        cache ??= new HeaderCache();
        try
        {
            var first = cache.Read(spec.Path);
            var headers = new List<GgufHeader> { first };
            var name = ModelFileName.Parse(Path.GetFileName(spec.Path));
            for (var shard = 2; shard <= Math.Min(name.ShardCount, first.Integer("split.count") ?? 0); shard++)
                headers.Add(cache.Read(Path.Join(Path.GetDirectoryName(spec.Path), name.OfShard(shard))));
            return Of(first, [.. headers.SelectMany(header => header.Tensors)], spec);
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            throw new EngineException(EngineFailure.LoadFailed, $"cannot load {spec.Path}: {e.Message}", e);
        }
    }

    private static ModelSizes Of(GgufHeader header, IReadOnlyList<GgufTensor> tensors, ModelSpec spec)
    {
        var layers = new long[Math.Clamp(header.OfArchitecture("block_count")?.Integer ?? 0, 0, MostLayers)];
        var (output, embeddings, hasOutput) = (0L, 0L, false);
        foreach (var tensor in tensors)
        {
            if (LayerOf(tensor.Name) is { } layer)
            {
                if (layer < layers.Length && !(ExpertTensors.IsExpert(tensor.Name) && layer < (spec.Tuning.CpuExpertLayers ?? 0)))
                    layers[layer] += tensor.SizeBytes;
                continue;
            }
            hasOutput |= tensor.Name == "output.weight";
            if (tensor.Name.StartsWith("token_embd.", StringComparison.Ordinal))
                embeddings += tensor.SizeBytes;
            else
                output += tensor.SizeBytes;
        }
        var estimate = MemoryEstimate.Of(header, 0, spec, onGpu: true);
        return new ModelSizes(layers, hasOutput
            ? output
            : output + embeddings, estimate.KeyValueCache / Math.Max(1, layers.Length), estimate.Compute,
            (int)Math.Clamp(header.OfArchitecture("expert_count")?.Integer ?? 0, 0, int.MaxValue))
        {
            OutputCopy = hasOutput ? 0 : embeddings,
        };
    }

    // blk.12.attn_q.weight is of layer 12.
    private static int? LayerOf(string tensor)
    {
        const string prefix = "blk.";
        if (!tensor.StartsWith(prefix, StringComparison.Ordinal))
            return null;
        var end = tensor.IndexOf('.', prefix.Length);
        return end > 0
            && int.TryParse(tensor.AsSpan(prefix.Length, end - prefix.Length), NumberStyles.None,
                CultureInfo.InvariantCulture, out var layer) ? layer : null;
    }
}

/// <summary>
/// Names of the tensors that hold the experts of a mixture-of-experts model. Each token uses a few experts, so they can stay on the CPU at
/// little cost.
/// </summary>
internal static class ExpertTensors
{
    // Up, down, gate, or gate and up in one; ch: Command A's small experts beside the large ones.
    private const string Kind = @"ffn_(up|down|gate|gate_up)_(ch|)exps";

    // The same spelled out: .NET's regular expressions are a part of the executable that nothing else needs.
    private static readonly string[] Names =
        [.. from part in new[] { "up", "down", "gate", "gate_up" } from size in new[] { "", "ch" } select $".ffn_{part}_{size}exps"];

    /// <summary>Whether a tensor holds experts.</summary>
    public static bool IsExpert(string tensor) => Array.Exists(Names, name => tensor.Contains(name, StringComparison.Ordinal));

    /// <summary>Regular expressions, in C++'s grammar, of the experts of so many layers counted from the first.</summary>
    public static IEnumerable<string> Patterns(int layers, int modelLayers) => layers == 0 ? []
        : layers >= modelLayers ? [@"\." + Kind]
        : Enumerable.Range(0, layers).Select(layer => string.Create(CultureInfo.InvariantCulture, $@"blk\.{layer}\.{Kind}"));
}
