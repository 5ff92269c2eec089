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

    /// <summary>Whether it has libmtmd, which reads pictures and sound.</summary>
    public bool HasMedia => Find("mtmd") is not null;

    /// <summary>Whether it holds a plug-in of any GPU backend, usable or not, or has one built in.</summary>
    public bool HasGpu => RuntimeDirectory.GpuBackends.Any(HasBackend);

    /// <summary>Whether it holds a backend's plug-in, usable or not, or has the backend built in.</summary>
    public bool HasBackend(GpuBackend backend) => System.IO.Directory.Exists(Directory)
        && RuntimeDirectory.PluginFile(Directory, backend) is not null;

    /// <summary>
    /// Whether backends are linked in rather than plug-ins: then each library must be loaded before the one that refers to it.
    /// </summary>
    public bool IsLinked => Find("ggml-cpu") is not null;

    /// <summary>What a process that loads it must find in its environment.</summary>
    public IReadOnlyDictionary<string, string> Environment
    {
        get
        {
            var environment = new Dictionary<string, string> { [RuntimeDirectory.Variable] = Directory };
            // A thread of libgomp that waits for the others spins 300,000 times before it sleeps: milliseconds in which, where other
            // processes compute too, the one that it waits for may not run.
            if (System.Environment.GetEnvironmentVariable(Spin) is not { Length: > 0 }
                && System.Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is not { Length: > 0 })
            {
                environment[Spin] = "10000";
            }
            // musl finds a library that another refers to by searching folders, whatever is loaded already, and reads their list at the
            // start of the process.
            if (RuntimeDirectory.IsMusl && CpuVariant.FolderIn(Directory) is { } variant)
                environment["LD_LIBRARY_PATH"] = $"{variant}:{Directory}";
            return environment;
        }
    }

    /// <summary>
    /// The file of a library (<c>llama</c>, <c>ggml-base</c>, <c>mtmd</c>): of the variant that this processor runs best, or of the runtime's
    /// own folder; null where there is none.
    /// </summary>
    public string? Find(string library) =>
        (CpuVariant.FolderIn(Directory) is { } variant ? RuntimeDirectory.FindFile(variant, library) : null)
        ?? RuntimeDirectory.FindFile(Directory, library);
}
