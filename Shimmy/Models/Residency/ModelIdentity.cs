using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;
using Shimmy.Gguf;

namespace Shimmy.Models.Residency;

/// <summary>
/// Identity of a loaded model for caches: its files with their sizes and times, its adapters, and all of its spec except the name. Taken at
/// the load, not at a request: a file that is replaced while its model is in memory changes no answer before the next load.
/// </summary>
internal static class ModelIdentity
{
    // A load is known by its facts: each request may see the model through something of its own.
    private static readonly ConditionalWeakTable<ModelFacts, string> Known = [];

    /// <summary>The identity that a load of this spec would have now.</summary>
    public static string Read(ModelSpec spec)
    {
        // The template is left out: it shows in the rendered prompts.
        var text = new StringBuilder(JsonSerializer.Serialize(spec with { Name = "", Template = null }, WorkerJson.Default.ModelSpec));
        foreach (var path in FilesOf(spec.Path).Concat(spec.Loras.Select(lora => lora.Path)))
        {
            var file = new FileInfo(path);
            text.Append('\n').Append(path).Append('|');
            if (file.Exists)
                text.Append(CultureInfo.InvariantCulture, $"{file.Length}|{file.LastWriteTimeUtc.Ticks}");
        }
        return text.ToString();
    }

    /// <summary>
    /// Remembers what a model was loaded from; <paramref name="before"/> is what <see cref="Read"/> gave when its load began.
    /// </summary>
    public static void Keep(ILoadedModel model, string before) =>
        // Files that changed during the load may have been read before or after: an identity of its own.
        Known.AddOrUpdate(model.Facts, Read(model.Spec) == before ? before : Guid.NewGuid().ToString());

    /// <summary>The identity of a loaded model; a random one where none was kept.</summary>
    public static string Of(ILoadedModel model) => Known.GetValue(model.Facts, static _ => Guid.NewGuid().ToString());

    private static IEnumerable<string> FilesOf(string path)
    {
        if (Directory.Exists(path))
            return Directory.EnumerateFiles(path).Order(StringComparer.Ordinal);
        var name = ModelFileName.Parse(Path.GetFileName(path));
        return name.ShardCount == 0
            ? [path]
            : Enumerable.Range(1, name.ShardCount).Select(number => Path.Combine(Path.GetDirectoryName(path) ?? "", name.OfShard(number)));
    }
}
