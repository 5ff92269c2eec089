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

    /// <summary>
    /// The file of a library (<c>llama</c>, <c>ggml-base</c>, <c>mtmd</c>): of the variant that this processor runs best, or of the runtime's
    /// own folder; null where there is none.
    /// </summary>
    public string? Find(string library) =>
        (CpuVariant.FolderIn(Directory) is { } variant ? RuntimeDirectory.FindFile(variant, library) : null)
        ?? RuntimeDirectory.FindFile(Directory, library);
}
