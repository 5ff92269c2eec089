using Shimmy.Engine;

namespace Shimmy.Models.Registry;

/// <summary>
/// A LoRA adapter as a model of its own: requests that name it get its base with this adapter and no other. That is how endpoint pickers
/// and clients of other servers ask for one.
/// </summary>
/// <param name="Name">The name: the adapter's own, or <c>BASE/ADAPTER</c> where that is the name of something else, too.</param>
/// <param name="Base">The model that it changes.</param>
/// <param name="Setting">The adapter.</param>
internal sealed record AdapterModel(string Name, ModelEntry Base, LoraSetting Setting)
{
    /// <summary>The choice that applies it: one that is loaded with strength 0 acts as it was trained.</summary>
    public IReadOnlyList<LoraChoice> Choice => [new LoraChoice(null, Setting.Name, Setting.Scale == 0 ? 1 : Setting.Scale)];

    /// <summary>The entry by which it is answered.</summary>
    public ModelEntry Entry => Base with { Name = Name };

    /// <summary>All adapters of these models, among all that a registry knows.</summary>
    /// <param name="registry">The registry.</param>
    /// <param name="models">The models.</param>
    /// <param name="lorasOf">The adapters that a model is loaded with.</param>
    public static IReadOnlyList<AdapterModel> Of(
        ModelRegistry registry, IReadOnlyList<ModelEntry> models, Func<ModelEntry, IReadOnlyList<LoraSetting>> lorasOf) =>
        Of(models, lorasOf,
            name => registry.Entries.Any(entry => Is(entry.Name, name)) || registry.PlainAliases.Any(alias => Is(alias.Name, name)));

    /// <summary>The name of a model's adapter in requests.</summary>
    public static string NameOf(IReadOnlyList<AdapterModel> adapters, string model, string adapter) =>
        adapters.FirstOrDefault(one => one.Base.Name == model && one.Setting.Name == adapter)?.Name ?? adapter;

    /// <summary>Names of adapters as one text: a comma parts them, so none may hold one.</summary>
    public static string Joined(IEnumerable<string> names) => string.Join(',', names.Select(name => name.Replace(',', '_')));

    /// <summary>All adapters of these models.</summary>
    /// <param name="models">The models.</param>
    /// <param name="lorasOf">The adapters that a model is loaded with.</param>
    /// <param name="isTaken">Whether a model or an alias has a name.</param>
    public static IReadOnlyList<AdapterModel> Of(
        IReadOnlyList<ModelEntry> models, Func<ModelEntry, IReadOnlyList<LoraSetting>> lorasOf, Func<string, bool> isTaken)
    {
        var found = new List<(ModelEntry Base, LoraSetting Setting, string Name)>();
        var count = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        foreach (var model in models)
        {
            foreach (var setting in lorasOf(model))
            {
                var name = setting.Name;
                found.Add((model, setting, name));
                count[name] = count.GetValueOrDefault(name) + 1;
            }
        }
        return found.ConvertAll(one =>
            new AdapterModel(count[one.Name] == 1 && !isTaken(one.Name)
                ? one.Name
                : LongName(one.Base, one.Setting), one.Base, one.Setting));
    }

    /// <summary>Whether a request means it by this name; the long one is always good.</summary>
    public bool IsCalled(string name) => Is(Name, name) || Is(LongName(Base, Setting), name);

    private static bool Is(string name, string other) => string.Equals(name, other, StringComparison.OrdinalIgnoreCase);

    private static string LongName(ModelEntry model, LoraSetting setting) => $"{model.Name}/{setting.Name}";
}
