using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Plans;

/// <summary>A change of a tensor's elements on their way.</summary>
internal enum TensorChange
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>
    /// One is added: Gemma stores the distance of a norm's weight from one. An F16 source is added to in half precision, as PyTorch does.
    /// </summary>
    PlusOne,

    /// <summary>The rows of each head are put from rotary halves into neighbouring pairs, which is how ggml turns them.</summary>
    RotaryPairs,

    /// <summary>Rows and columns are exchanged, in memory: for the small matrices of an adapter.</summary>
    Transposed,
}

/// <summary>A part of a stored tensor: so many elements from an element on.</summary>
internal sealed record TensorPart(StoredTensor Tensor, long First, long Count);

/// <summary>A tensor to write.</summary>
/// <param name="Name">Its name in the GGUF.</param>
/// <param name="Shape">Dimensions, the slowest first; GGUF lists them the other way round.</param>
/// <param name="Parts">Where its elements come from, one behind the other; empty where <paramref name="Values"/> has them.</param>
/// <param name="Change">What is done with them.</param>
/// <param name="Heads">Heads whose rows are put in pairs.</param>
/// <param name="Values">Computed elements.</param>
/// <param name="Wide">Whether it stays F32 whatever the weights become.</param>
/// <param name="Factor">What each element is multiplied by.</param>
internal sealed record PlannedTensor(string Name, long[] Shape, TensorPart[] Parts, TensorChange Change = TensorChange.None, int Heads = 0,
    float[]? Values = null, bool Wide = false, float Factor = 1);

/// <summary>
/// Everything that a folder becomes: metadata and tensors. Architectures fill it; whatever is missing, of another shape or left over is
/// refused before a byte is written.
/// </summary>
internal sealed class ConversionPlan
{
    private readonly Dictionary<string, StoredTensor> _left = new(StringComparer.Ordinal);
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    /// <summary>A plan for a folder's tensors, under the names that <paramref name="rename"/> gives them; null drops one.</summary>
    public ConversionPlan(ModelFolder folder, string architecture, Func<string, string?> rename)
    {
        Folder = folder;
        Architecture = architecture;
        foreach (var tensor in folder.Tensors.Values)
        {
            if (rename(tensor.Name) is { } name && !_left.TryAdd(name, tensor))
                throw new SafeTensorsException($"tensors '{_left[name].Name}' and '{tensor.Name}' are the same weight");
        }
    }

    /// <summary>The folder.</summary>
    public ModelFolder Folder { get; }

    /// <summary>The architecture's name in GGUF, which begins most keys.</summary>
    public string Architecture { get; }

    /// <summary>Metadata in the order of writing, without what every file has.</summary>
    public List<(string Key, GgufValue Value)> Metadata { get; } = [];

    /// <summary>The tensors to write.</summary>
    public List<PlannedTensor> Tensors { get; } = [];

    /// <summary>Warnings for the user, although the folder is served: a window that is not kept, and the like.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>Adds a whole number under the architecture's name.</summary>
    public void Set(string key, int value) => Metadata.Add(($"{Architecture}.{key}", GgufValue.OfInteger(GgufType.UInt32, value)));

    /// <summary>Adds a number under the architecture's name.</summary>
    public void Set(string key, float value) => Metadata.Add(($"{Architecture}.{key}", GgufValue.OfNumber(GgufType.Float32, value)));

    /// <summary>Adds a text under the architecture's name.</summary>
    public void Set(string key, string value) => Metadata.Add(($"{Architecture}.{key}", GgufValue.OfText(value)));

    /// <summary>Adds a boolean under the architecture's name.</summary>
    public void Set(string key, bool value) => Metadata.Add(($"{Architecture}.{key}", GgufValue.OfFlag(value)));

    /// <summary>A whole number that was added under the architecture's name; 0 where there is none.</summary>
    public int Number(string key) => (int)(Metadata.Find(entry => entry.Key == $"{Architecture}.{key}").Value.Integer ?? 0);

    /// <summary>The stored tensor of a name; null where there is none.</summary>
    public StoredTensor? Find(string name) => _left.GetValueOrDefault(name);

    /// <summary>The stored tensor of a name that must be there; for its shape, before it is taken.</summary>
    public StoredTensor Need(string name) => Find(name) ?? throw new SafeTensorsException($"tensor '{name}' is missing");

    /// <summary>Takes a tensor that must be there in this shape.</summary>
    public void Take(string name, string target, long[] shape, TensorChange change = TensorChange.None, int heads = 0, bool wide = false)
    {
        var tensor = Claim(name, shape);
        Tensors.Add(new PlannedTensor(target, shape, [new TensorPart(tensor, 0, tensor.Elements)], change, heads, Wide: wide));
    }

    /// <summary>Takes a tensor in this shape where it is there.</summary>
    public bool TakeIfThere(string name, string target, long[] shape, TensorChange change = TensorChange.None, int heads = 0)
    {
        if (Find(name) is null)
            return false;

        Take(name, target, shape, change, heads);
        return true;
    }

    /// <summary>Claims a tensor of this shape for a tensor that the caller puts together.</summary>
    public StoredTensor Claim(string name, long[] shape)
    {
        var tensor = Need(name);
        if (!tensor.Shape.AsSpan().SequenceEqual(shape))
        {
            throw new SafeTensorsException($"tensor '{name}' has the shape {StoredTensor.Shown(tensor.Shape)}, "
                + $"but by config.json it should be {StoredTensor.Shown(shape)}");
        }

        if (tensor.Weights is null)
            throw new SafeTensorsException($"tensor '{name}' is of type {tensor.Type}; weights must be F32, F16 or BF16");

        _taken.Add(name);
        return tensor;
    }

    /// <summary>Leaves a tensor out on purpose.</summary>
    public void Drop(string name) => _taken.Add(name);

    /// <summary>Refuses tensors that nothing has taken: what is not understood is not half served.</summary>
    public void RequireNothingLeft()
    {
        if (_left.Keys.Where(name => !_taken.Contains(name)).Order(StringComparer.Ordinal).FirstOrDefault() is { } unknown)
        {
            throw new SafeTensorsException(
                $"tensor '{unknown}' is unknown to {Folder.Class}, or of a layer that config.json does not count");
        }
    }
}
