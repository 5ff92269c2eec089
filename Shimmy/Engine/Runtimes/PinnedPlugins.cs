using System.Text.Json;

namespace Shimmy.Engine.Runtimes;

/// <summary>
/// Recognises the plug-in files that belong to the prebuilt libraries, by their size in the manifest. ggml's plug-in interface keeps its
/// version over releases whose tensors have other layouts: a plug-in of another release registers, and then crashes or computes nonsense.
/// </summary>
internal static class PinnedPlugins
{
    // The library that tensors and backends are made of; its entry in the manifest is that of the CPU's.
    private const string Base = "cpu";

    /// <summary>
    /// Whether a plug-in is one of those that were built with the libraries beside it; null where these are not the prebuilt ones, or
    /// nothing is known.
    /// </summary>
    /// <param name="plugin">Its file.</param>
    /// <param name="baseLibrary">The file of libggml-base beside it.</param>
    /// <param name="backend">The backend's word in file names.</param>
    public static bool? Belongs(string plugin, string baseLibrary, string backend)
    {
        using var stream = typeof(PinnedPlugins).Assembly.GetManifestResourceStream("manifest.json")!;
        using var manifest = JsonDocument.Parse(stream);
        var (prebuilt, known, belongs) = (false, false, false);
        foreach (var package in manifest.RootElement.GetProperty("packages").EnumerateArray())
        {
            if (!package.GetProperty("rid").ValueEquals(RuntimeDirectory.PortableRid) || !package.TryGetProperty("bytes", out var size))
                continue;
            var (bytes, of) = (size.GetInt64(), package.GetProperty("backend").GetString()!);
            prebuilt |= of == Base && bytes == LengthOf(baseLibrary);
            // Built for two versions of the driver, a plug-in's file has the same name: cuda and cuda12.
            if (!of.StartsWith(backend, StringComparison.Ordinal))
                continue;
            known = true;
            belongs |= bytes == LengthOf(plugin);
        }
        return prebuilt && known ? belongs : null;
    }

    /// <summary>Whether there is a prebuilt plug-in for a platform, which publish.sh then takes.</summary>
    public static bool Exists(string rid, string backend)
    {
        using var stream = typeof(PinnedPlugins).Assembly.GetManifestResourceStream("manifest.json")!;
        using var manifest = JsonDocument.Parse(stream);
        foreach (var package in manifest.RootElement.GetProperty("packages").EnumerateArray())
        {
            if (package.GetProperty("rid").ValueEquals(rid) && package.GetProperty("backend").ValueEquals(backend))
                return true;
        }
        return false;
    }

    // Of the file itself, where the path is a link.
    private static long LengthOf(string path)
    {
        using var file = File.OpenHandle(path);
        return RandomAccess.GetLength(file);
    }
}
