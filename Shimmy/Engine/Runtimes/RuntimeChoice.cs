namespace Shimmy.Engine.Runtimes;

/// <summary>A runtime that a model may be loaded with, and why it stands where it does.</summary>
/// <param name="Runtime">The runtime.</param>
/// <param name="Reason">Why it was taken, as a sentence on "it".</param>
/// <param name="IsNamed">Whether the user named it: one that cannot be loaded is an error then, and no reason to take another.</param>
internal sealed record RuntimeCandidate(LlamaRuntime Runtime, string Reason, bool IsNamed);

/// <summary>
/// Which runtimes a model is tried with, in which order: those that have what it needs; of them the user's, the newest, LLamaSharp's.
/// </summary>
internal static class RuntimeChoice
{
    /// <summary>The runtimes to try for a model, at least one. Throws <see cref="EngineException"/> where none has what it needs.</summary>
    public static IReadOnlyList<RuntimeCandidate> For(ModelSpec spec) =>
        For(spec, InstalledRuntimes.All, InstalledRuntimes.Given, spec.Tuning.Runtime is { } named ? Named(named) : null);

    /// <summary>
    /// Whether the runtime that a model is tried with first has libmtmd, so that it sees or hears through its projector; false where no
    /// runtime has what the model needs.
    /// </summary>
    public static bool ReadsMedia(ModelSpec spec)
    {
        try
        {
            return For(spec)[0].Runtime.HasMedia;
        }
        catch (Exception e) when (e is EngineException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            return false;
        }
    }

    /// <summary>The runtimes that a model is not tried with because they cannot use the projector that was chosen for it.</summary>
    public static List<RuntimeCandidate> WithoutMedia(ModelSpec spec) =>
        WithoutMedia(spec, InstalledRuntimes.All, InstalledRuntimes.Given, spec.Tuning.Runtime is { } named ? Named(named) : null);

    internal static List<RuntimeCandidate> WithoutMedia(
        ModelSpec spec, IReadOnlyList<LlamaRuntime> installed, LlamaRuntime? given, LlamaRuntime? named) =>
        spec is { Projector: not null, ProjectorIsFound: false }
            ? InOrder(installed, given, named).FindAll(one => !one.Runtime.HasMedia)
            : [];

    /// <summary>The runtimes to try where no model is known, at least one.</summary>
    public static IReadOnlyList<RuntimeCandidate> ForNone() => InOrder(InstalledRuntimes.All, InstalledRuntimes.Given, null);

    /// <summary>
    /// The runtime of that name, or in that folder. Throws <see cref="EngineException"/> with those that there are where there is none.
    /// </summary>
    public static LlamaRuntime Named(string nameOrFolder) => Named(nameOrFolder, InstalledRuntimes.All);

    internal static LlamaRuntime Named(string nameOrFolder, IReadOnlyList<LlamaRuntime> installed)
    {
        if (installed.FirstOrDefault(one => one.Name.Equals(nameOrFolder, StringComparison.OrdinalIgnoreCase)) is { } known)
            return known;
        var folder = InstalledRuntimes.Of(nameOrFolder);
        return folder.Find("llama") is not null ? folder : throw new EngineException(EngineFailure.LoadFailed,
            $"there is no runtime '{nameOrFolder}': it is neither one of {Names(installed)} nor a folder with llama.cpp's libraries");
    }

    internal static IReadOnlyList<RuntimeCandidate> For(
        ModelSpec spec, IReadOnlyList<LlamaRuntime> installed, LlamaRuntime? given, LlamaRuntime? named)
    {
        var all = InOrder(installed, given, named);
        // A projector that was found, not asked for, does not overrule the runtime that the user names: there the model is served without.
        if (spec.Projector is not null && !(spec.ProjectorIsFound && all[0].IsNamed))
        {
            var those = Those(all, one => one.HasMedia, "it has libmtmd, which the model's projector needs");
            if (those is null && !spec.ProjectorIsFound)
            {
                throw new EngineException(EngineFailure.LoadFailed,
                    $"{spec.Name} has a projector, but no runtime here has libmtmd: there {Are(installed)} {Names(installed)}");
            }
            // A projector that nobody asked for is no reason not to load the model: the others are tried without it.
            all = [.. those ?? [], .. spec.ProjectorIsFound ? all.Where(one => !one.Runtime.HasMedia) : []];
        }
        if (spec.Tuning.Backend is { } backend and not (GpuBackend.Auto or GpuBackend.Cpu))
        {
            // Where none has it, the worker says how to get it.
            all = Those(all, one => one.HasBackend(backend), $"it has the backend {RuntimeDirectory.PluginName(backend)}") ?? all;
        }
        else if (spec.Tuning is { Backend: not GpuBackend.Cpu } and ({ Devices.Count: > 0 } or { GpuLayers.Number: > 0 }))
        {
            all = Those(all, one => one.HasGpu, "it has backends for GPUs, which the options need") ?? all;
        }
        return all;
    }

    private static List<RuntimeCandidate> InOrder(IReadOnlyList<LlamaRuntime> installed, LlamaRuntime? given, LlamaRuntime? named)
    {
        var all = new List<RuntimeCandidate>();
        if (named is not null)
            all.Add(new RuntimeCandidate(named, "it is the one that the option runtime names", IsNamed: true));
        if (given is not null)
            Add(given, $"it is the one that {RuntimeDirectory.Variable} names", isNamed: named is null);
        foreach (var runtime in installed)
            Add(runtime, all.Count > 0 ? "it is the next" : installed.Count == 1 ? "it is the only one" : "it is the newest");
        if (all.Count == 0)
            Add(InstalledRuntimes.Of(InstalledRuntimes.DirectoryOf(LlamaRuntime.LLamaSharp)), "it belongs to every build");
        return all;

        void Add(LlamaRuntime runtime, string reason, bool isNamed = false)
        {
            if (!all.Exists(other => other.Runtime.Directory == runtime.Directory))
                all.Add(new RuntimeCandidate(runtime, reason, isNamed));
        }
    }

    // Those that have something, with that as the reason where it was not so of the first; null where none has it.
    private static List<RuntimeCandidate>? Those(List<RuntimeCandidate> all, Func<LlamaRuntime, bool> has, string reason)
    {
        var those = all.Where(one => has(one.Runtime)).ToList();
        if (those.Count > 0 && those[0] != all[0])
            those[0] = those[0] with { Reason = $"{reason}; {all[0].Runtime.Name} does not" };
        return those.Count > 0 ? those : null;
    }

    private static string Are(IReadOnlyList<LlamaRuntime> runtimes) => runtimes.Count == 1 ? "is" : "are";

    private static string Names(IReadOnlyList<LlamaRuntime> runtimes) =>
        runtimes.Count == 0 ? "none" : string.Join(", ", runtimes.Select(runtime => runtime.Name));
}
