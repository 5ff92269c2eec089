using System.Text.Json;

namespace Shimmy.Engine.Llama.Native;

/// <summary>
/// Which plug-in files belong to the prebuilt libraries. ggml's interface for plug-ins keeps its version over releases whose tensors are laid out
/// differently: a plug-in of another release registers, and then crashes or computes nonsense. What does tell is the file: the manifest that the build
/// fetches libraries by knows the size of each.
/// </summary>
internal static class PinnedPlugins
{
    // The library that tensors and backends are made of; its entry in the manifest is that of the CPU's.
    private const string Base = "cpu";

    private static readonly Lazy<IReadOnlyList<(string Rid, string Backend, long Bytes)>> Files = new(Read);

    /// <summary>
    /// Whether a plug-in is one of those that were built with the libraries beside it; null where these are not the prebuilt ones, or nothing is known.
    /// </summary>
    /// <param name="plugin">Its file.</param>
    /// <param name="baseLibrary">The file of libggml-base beside it.</param>
    /// <param name="backend">The backend's word in file names.</param>
    public static bool? Belongs(string plugin, string baseLibrary, string backend)
    {
        var own = Files.Value.Where(file => file.Rid == RuntimeLibraries.PortableRid).ToList();
        // Built for two versions of the driver, a plug-in's file has the same name: cuda and cuda12.
        var sizes = own.Where(file => file.Backend.StartsWith(backend, StringComparison.Ordinal)).Select(file => file.Bytes).ToList();
        return sizes.Count == 0 || own.TrueForAll(file => file.Backend != Base || file.Bytes != LengthOf(baseLibrary))
            ? null
            : sizes.Contains(LengthOf(plugin));
    }

    // Of the file itself, where the path is a link.
    private static long LengthOf(string path)
    {
        using var file = File.OpenHandle(path);
        return RandomAccess.GetLength(file);
    }

    private static List<(string Rid, string Backend, long Bytes)> Read()
    {
        using var stream = typeof(PinnedPlugins).Assembly.GetManifestResourceStream("manifest.json")!;
        using var manifest = JsonDocument.Parse(stream);
        var files = new List<(string, string, long)>();
        foreach (var package in manifest.RootElement.GetProperty("packages").EnumerateArray())
            if (package.TryGetProperty("bytes", out var bytes))
                files.Add((package.GetProperty("rid").GetString()!, package.GetProperty("backend").GetString()!, bytes.GetInt64()));
        return files;
    }
}
