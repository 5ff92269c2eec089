using System.Globalization;
using System.Text;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;
using Shimmy.Gguf;

namespace Shimmy.Models.Residency;

/// <summary>
/// Identity of a loaded model, part of the response cache's key: its files with sizes and modification times, its adapters, and its spec
/// except the name. Read when the load begins, not at a request: replacing a file while its model is in memory changes no answer before the
/// next load.
/// </summary>
internal static class ModelIdentity
{
    /// <summary>The identity that a load of this spec would have now.</summary>
    public static string Read(ModelSpec spec)
    {
        // The template is left out: its effect is in the rendered prompt, which the cache key holds as well. So is the memory for states,
        // which other models leave.
        var alike = spec with { Name = "", Template = null, ContextReason = null, PrefixMemoryBytes = null };
        var text = new StringBuilder(Convert.ToBase64String(Wire.Write(alike, WorkerRecords.Spec)));
        foreach (var path in FilesOf(spec.Path).Concat(spec.Loras.SelectMany(lora => FilesOf(lora.Path)))
            .Concat(spec.Projector is { } projector ? [projector] : []))
        {
            var file = new FileInfo(path);
            text.Append('\n').Append(path).Append('|');
            if (file.Exists)
                text.Append(CultureInfo.InvariantCulture, $"{file.Length}|{file.LastWriteTimeUtc.Ticks}");
        }
        return text.ToString();
    }

    /// <summary>The identity of a loaded model; <paramref name="before"/> is what <see cref="Read"/> gave when its load began.</summary>
    public static string Of(ModelSpec loaded, string before) =>
        // What changed during the load may be of either kind, so it is like nothing else.
        Read(loaded) == before ? before : Unknown();

    /// <summary>An identity like no other, for a model of which nobody knows what it was loaded from.</summary>
    public static string Unknown() => Guid.NewGuid().ToString();

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
