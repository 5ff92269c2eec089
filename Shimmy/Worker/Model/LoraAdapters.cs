using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>The LoRA adapters of a loaded model. llama.cpp frees them with the model.</summary>
internal sealed class LoraAdapters
{
    private readonly nint[] _adapters;

    private LoraAdapters(nint[] adapters, AdapterFacts[] facts)
    {
        _adapters = adapters;
        Facts = facts;
        Default = new AdapterSet([.. facts.Select(adapter => adapter.Scale)]);
    }

    /// <summary>The loaded adapters, which requests may choose.</summary>
    public IReadOnlyList<AdapterFacts> Facts { get; }

    /// <summary>The adapter set of requests that choose none.</summary>
    public AdapterSet Default { get; }

    /// <summary>
    /// Loads the adapters, before any context is made of the model. Throws <see cref="EngineException"/> with
    /// <see cref="EngineFailure.LoadFailed"/>, naming the file, where one that was asked for is no adapter for this model; one that was
    /// only found beside it is left out.
    /// </summary>
    public static LoraAdapters Load(ModelHandle model, string architecture, IReadOnlyList<LoraSetting> settings)
    {
        var adapters = new List<nint>();
        var facts = new List<AdapterFacts>();
        foreach (var setting in settings)
        {
            NativeLog.TakeErrors();
            var adapter = model.LoadAdapter(setting.File ?? setting.Path);
            var refusal = adapter == 0 ? WhyNot(setting.File ?? setting.Path, architecture)
                // An activated LoRA starts at a certain text of the prompt, which the scheduler does not look for.
                : ModelHandle.IsActivatedByText(adapter) ? "it is an activated LoRA (aLoRA), which is not supported"
                : null;
            if (refusal is not null)
            {
                if (setting.Found)
                    continue;
                throw new EngineException(EngineFailure.LoadFailed, $"cannot load the LoRA adapter {setting.Path}: {refusal}");
            }
            facts.Add(new AdapterFacts(adapters.Count, setting.Name, setting.Path, setting.Scale));
            adapters.Add(adapter);
        }
        return new LoraAdapters([.. adapters], [.. facts]);
    }

    /// <summary>
    /// The adapter set of a request: its choices and no other adapters; <see cref="Default"/> where it makes no choice. Throws
    /// <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>) naming the choice that there is no adapter for.
    /// </summary>
    public AdapterSet Choose(IReadOnlyList<LoraChoice>? choices)
    {
        if (choices is null)
            return Default;
        var scales = new float[_adapters.Length];
        var chosen = new bool[_adapters.Length];
        for (var i = 0; i < choices.Count; i++)
        {
            var at = Find(choices[i], $"lora[{i}]");
            if (chosen[at])
                throw Invalid($"lora[{i}]", $"names the adapter '{Facts[at].Name}' a second time");
            chosen[at] = true;
            scales[at] = choices[i].Scale;
        }
        return new AdapterSet(scales);
    }

    /// <summary>Applies a set to all later decodes of a context.</summary>
    public void Apply(ContextHandle context, AdapterSet set)
    {
        var acting = Enumerable.Range(0, _adapters.Length).Where(i => set.Scales[i] != 0).ToArray();
        var handles = acting.Select(i => _adapters[i]).ToArray();
        var scales = acting.Select(i => set.Scales[i]).ToArray();
        if (!context.UseAdapters(handles, scales))
            throw new EngineException(EngineFailure.GenerationFailed, $"the LoRA adapters cannot be applied: {NativeLog.TakeErrors()}");
    }

    /// <summary>Names of the adapters that act in any of these sets.</summary>
    public IReadOnlyList<string> ActingIn(IEnumerable<AdapterSet> sets)
    {
        if (_adapters.Length == 0)
            return [];
        var names = new List<string>();
        foreach (var set in sets)
        {
            foreach (var name in NamesOf(set))
            {
                if (!names.Contains(name))
                    names.Add(name);
            }
        }
        return names;
    }

    /// <summary>Names of the adapters that act in a set, in the model's order.</summary>
    public IEnumerable<string> NamesOf(AdapterSet set)
    {
        for (var i = 0; i < _adapters.Length; i++)
        {
            if (set.Scales[i] != 0)
                yield return Facts[i].Name;
        }
    }

    // llama.cpp's message does not name the architectures.
    private static string WhyNot(string path, string architecture)
    {
        var reason = NativeLog.TakeErrors() is { Length: > 0 } logged ? logged : "llama.cpp does not say why";
        try
        {
            return GgufReader.ReadFile(path).Architecture is { } other && other != architecture
                ? $"it is made for models of the architecture {other}, and this one is of {architecture}"
                : reason;
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            return reason;
        }
    }

    private int Find(LoraChoice choice, string field)
    {
        if (choice.Id is { } id)
            return id >= 0 && id < _adapters.Length ? id : throw Invalid($"{field}.id", $"there is no adapter {id}; {Offer()}");
        var found = Facts.Where(adapter => adapter.Name == choice.Name).ToArray();
        return found.Length switch
        {
            1 => found[0].Id,
            0 => throw Invalid($"{field}.name", $"there is no adapter '{choice.Name}'; {Offer()}"),
            _ => throw Invalid($"{field}.name", $"'{choice.Name}' is the name of {found.Length} adapters; give the id: {Offer()}"),
        };
    }

    private string Offer() => Facts.Count == 0
        ? "this model has none (--lora)"
        : "this model has " + string.Join(", ", Facts.Select(adapter => $"{adapter.Id} '{adapter.Name}'"));

    private static EngineException Invalid(string field, string message) =>
        new(EngineFailure.InvalidRequest, $"{field}: {message}") { Option = field };
}

/// <summary>
/// The scale of each adapter of a model for a sequence. Sequences with equal sets can be decoded together and share cells.
/// </summary>
internal sealed class AdapterSet(float[] scales) : IEquatable<AdapterSet>
{
    /// <summary>A scale for each of the model's adapters, in their order; 0 where one does nothing.</summary>
    public ReadOnlySpan<float> Scales => scales;

    public bool Equals(AdapterSet? other) => ReferenceEquals(this, other) || (other is not null && Scales.SequenceEqual(other.Scales));

    public override bool Equals(object? obj) => Equals(obj as AdapterSet);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var scale in scales)
            hash.Add(scale);
        return hash.ToHashCode();
    }
}
