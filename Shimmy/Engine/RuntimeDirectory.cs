using System.Runtime.InteropServices;

namespace Shimmy.Engine;

/// <summary>
/// The folder of llama.cpp's libraries, and the GPU plug-ins in it, by file names alone. Loads nothing: the server decides by it whether a
/// worker is worth asking, and the worker finds by it what it loads.
/// </summary>
internal static class RuntimeDirectory
{
    /// <summary>
    /// The environment variable that names the folder; unset or empty takes <c>runtimes/&lt;rid&gt;/native</c> beside the executable.
    /// </summary>
    public const string Variable = "SHIMMY_RUNTIME_DIR";

    /// <summary>
    /// GPU backends in the order in which <see cref="GpuBackend.Auto"/> tries them: the vendor's own before those for any GPU.
    /// </summary>
    public static IReadOnlyList<GpuBackend> GpuBackends { get; } =
        [GpuBackend.Cuda, GpuBackend.Metal, GpuBackend.Vulkan, GpuBackend.OpenCl];

    /// <summary>Whether <see cref="Variable"/> names the folder.</summary>
    public static bool IsGiven => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 };

    /// <summary>Full path of the folder; it need not exist.</summary>
    public static string FullPath => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given
        ? Path.GetFullPath(given)
        : Path.Combine(AppContext.BaseDirectory, "runtimes", PortableRid, "native");

    /// <summary>The RID under which libraries are published (<c>linux-x64</c>); the runtime's own may name a distribution.</summary>
    public static string PortableRid
    {
        get
        {
            var os = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux";
            return $"{os}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
        }
    }

    /// <summary>Whether the folder holds a plug-in of any GPU backend, usable or not.</summary>
    public static bool HasGpuPlugins
    {
        get
        {
            var directory = FullPath;
            if (!Directory.Exists(directory))
                return false;
            foreach (var backend in GpuBackends)
            {
                if (PluginFile(directory, backend) is not null)
                    return true;
            }
            return false;
        }
    }

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
}
