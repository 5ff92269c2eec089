using System.Runtime.InteropServices;

namespace Shimmy.Engine;

/// <summary>
/// Names of files in a folder of llama.cpp's libraries: the libraries themselves and GPU plug-ins. Loads nothing: the server decides by it
/// whether a worker is worth asking, and the worker finds by it what it loads.
/// </summary>
internal static class RuntimeDirectory
{
    /// <summary>
    /// The environment variable that names a folder of the user's; the server names by it to each worker the one that it is to load.
    /// </summary>
    public const string Variable = "SHIMMY_RUNTIME_DIR";

    /// <summary>
    /// GPU backends in the order in which <see cref="GpuBackend.Auto"/> tries them: the vendor's own before those for any GPU.
    /// </summary>
    public static IReadOnlyList<GpuBackend> GpuBackends { get; } =
        [GpuBackend.Cuda, GpuBackend.Metal, GpuBackend.Vulkan, GpuBackend.OpenCl];

    /// <summary>The RID under which libraries are published (<c>linux-x64</c>); the runtime's own may name a distribution.</summary>
    public static string PortableRid
    {
        get
        {
            var os = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : IsMusl ? "linux-musl" : "linux";
            return $"{os}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
        }
    }

    /// <summary>Whether the C library is musl, as on Alpine.</summary>
    public static bool IsMusl => RuntimeInformation.RuntimeIdentifier.Contains("musl", StringComparison.Ordinal);

    /// <summary>ggml's name of a backend in file names: <c>vulkan</c> in <c>libggml-vulkan.so</c>.</summary>
    public static string PluginName(GpuBackend backend) => backend.ToString().ToLowerInvariant();

    /// <summary>Full path of a backend's plug-in in an existing folder; null where it holds none.</summary>
    public static string? PluginFile(string directory, GpuBackend backend) =>
        Libraries(directory, $"ggml-{PluginName(backend)}.*").FirstOrDefault();

    /// <summary>
    /// Full paths of the libraries in an existing folder whose names, without <c>lib</c>, match a pattern; sorted by name.
    /// </summary>
    public static IEnumerable<string> Libraries(string directory, string pattern) =>
        Directory.EnumerateFiles(directory, OperatingSystem.IsWindows() ? pattern : "lib" + pattern)
            .Where(file => Path.GetExtension(file) is ".so" or ".dll" or ".dylib").Order(StringComparer.Ordinal);

    /// <summary>
    /// The file of a library in a folder; null where there is none. The prebuilt ones carry the version in their names (libllama.v0.4.0.so,
    /// ggml.v0.4.0.dll), LLamaSharp's and self-built ones do not.
    /// </summary>
    public static string? FindFile(string directory, string name)
    {
        if (!Directory.Exists(directory))
            return null;
        var (prefix, suffix) = OperatingSystem.IsWindows() ? ("", ".dll") : OperatingSystem.IsMacOS() ? ("lib", ".dylib") : ("lib", ".so");
        var plain = Path.Combine(directory, prefix + name + suffix);
        return File.Exists(plain)
            ? plain
            : Directory.EnumerateFiles(directory, $"{prefix}{name}.*{suffix}").Order(StringComparer.Ordinal).FirstOrDefault();
    }
}
