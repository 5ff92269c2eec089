namespace Shimmy.Engine.Runtimes;

/// <summary>
/// A runtime: a folder with the libraries of one build of llama.cpp, of which a worker loads exactly one. Known by its files alone; the
/// worker finds out what is really in it.
/// </summary>
/// <param name="Name">The name of its folder beside the executable, or the full path of a folder that the user named.</param>
/// <param name="Directory">Full path.</param>
internal sealed record LlamaRuntime(string Name, string Directory)
{
    /// <summary>The one that the package LLamaSharp.Backend.Cpu brings: always there.</summary>
    public const string LLamaSharp = "llamasharp";

    private const string Spin = "GOMP_SPINCOUNT";

    // What later builds than LLamaSharp's export.
    private static readonly byte[] LaterExport = "llama_version\0"u8.ToArray();

    private static readonly Dictionary<string, bool> HaveMedia = [];

    /// <summary>
    /// Whether it has the libmtmd that Shimmy is bound to, LLamaSharp's, which reads pictures and sound. That of another build has other
    /// structs, and none belongs to libraries that it was not built with.
    /// </summary>
    public bool HasMedia => Find("mtmd") is not null && (Name == LLamaSharp || (IsLinked && IsOfLLamaSharp));

    // The package, in a folder of the user's: known by a function that its libllama lacks.
    private bool IsOfLLamaSharp
    {
        get
        {
            lock (HaveMedia)
            {
                if (!HaveMedia.TryGetValue(Directory, out var has))
                {
                    HaveMedia[Directory] = has = Find("llama") is { } file
                        && File.ReadAllBytes(file).AsSpan().IndexOf(LaterExport) < 0;
                }
                return has;
            }
        }
    }

    /// <summary>Whether it holds a plug-in of any GPU backend, usable or not, or has one built in.</summary>
    public bool HasGpu => RuntimeDirectory.GpuBackends.Any(HasBackend);

    /// <summary>Whether it holds a backend's plug-in, usable or not, or has the backend built in.</summary>
    public bool HasBackend(GpuBackend backend) => System.IO.Directory.Exists(Directory)
        && RuntimeDirectory.PluginFile(Directory, backend) is not null;

    /// <summary>
    /// Whether backends are linked in rather than plug-ins: then each library must be loaded before the one that refers to it.
    /// </summary>
    public bool IsLinked => Find("ggml-cpu") is not null;

    /// <summary>The environment variables that a process needs to load it.</summary>
    public IReadOnlyDictionary<string, string> Environment
    {
        get
        {
            var environment = new Dictionary<string, string> { [RuntimeDirectory.Variable] = Directory };
            // How often a thread of libgomp that waits for the others looks before it sleeps. Its own 300,000 are milliseconds, in which
            // the one that it waits for may not run where other processes compute too. Measured with the demo model on two cores, tokens a
            // second: alone 109 without any, 794 with 1000, 761 with 10,000; on a crowded machine 247, 76 and 10.
            if (System.Environment.GetEnvironmentVariable(Spin) is not { Length: > 0 }
                && System.Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is not { Length: > 0 })
            {
                environment[Spin] = "1000";
            }
            // musl finds a library that another refers to by searching folders, whatever is loaded already, and reads their list at the
            // start of the process.
            if (RuntimeDirectory.IsMusl && CpuVariant.FolderIn(Directory) is { } variant)
                environment["LD_LIBRARY_PATH"] = $"{variant}:{Directory}";
            return environment;
        }
    }

    /// <summary>
    /// The file of a library (<c>llama</c>, <c>ggml-base</c>, <c>mtmd</c>): of the variant that this processor runs best, or of the
    /// runtime's own folder; null where there is none.
    /// </summary>
    public string? Find(string library) =>
        (CpuVariant.FolderIn(Directory) is { } variant ? RuntimeDirectory.FindFile(variant, library) : null)
        ?? RuntimeDirectory.FindFile(Directory, library);
}

/// <summary>The runtimes of this machine: the folder that the user names, and those in <c>runtimes</c> beside the executable.</summary>
internal static class InstalledRuntimes
{
    private const string VersionPrefix = "llama.cpp-v";

    private static string Root => Path.Combine(AppContext.BaseDirectory, "runtimes");

    /// <summary>
    /// All, in the order in which a model tries them: the one that <see cref="RuntimeDirectory.Variable"/> names, whatever is in it; then
    /// the newest llama.cpp; then LLamaSharp's.
    /// </summary>
    public static IReadOnlyList<LlamaRuntime> All
    {
        get
        {
            var beside = Directory.Exists(Root)
                ? Directory.EnumerateDirectories(Root).Select(Of)
                    .Where(runtime => !runtime.Name.StartsWith('.') && runtime.Find("llama") is not null).ToList()
                : [];
            var ordered = beside.OrderBy(runtime => runtime.Name == LlamaRuntime.LLamaSharp)
                .ThenByDescending(VersionOf).ThenBy(runtime => runtime.Name, StringComparer.Ordinal);
            return Given is { } given ? [given, .. ordered.Where(runtime => runtime.Directory != given.Directory)] : [.. ordered];
        }
    }

    /// <summary>The one that <see cref="RuntimeDirectory.Variable"/> names; null where it names none.</summary>
    public static LlamaRuntime? Given =>
        Environment.GetEnvironmentVariable(RuntimeDirectory.Variable) is { Length: > 0 } folder ? Of(folder) : null;

    /// <summary>The folder that a runtime of that name would have.</summary>
    public static string DirectoryOf(string name) => Path.Combine(Root, name);

    /// <summary>The runtime in a folder, which need not exist.</summary>
    public static LlamaRuntime Of(string directory)
    {
        var path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        return new LlamaRuntime(Path.GetDirectoryName(path) == Path.TrimEndingDirectorySeparator(Path.GetFullPath(Root))
            ? Path.GetFileName(path)
            : path, path);
    }

    private static Version VersionOf(LlamaRuntime runtime) =>
        runtime.Name.StartsWith(VersionPrefix, StringComparison.Ordinal)
            && Version.TryParse(runtime.Name[VersionPrefix.Length..], out var version) ? version : new Version(0, 0);
}
