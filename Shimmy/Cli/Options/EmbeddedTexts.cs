using System.IO.Compression;
using System.Reflection;

namespace Shimmy.Cli.Options;

/// <summary>
/// Texts that lie packed in the executable (<c>packed.targets</c>), from <c>Shimmy/Assets</c>: a folder of files for each template of
/// <c>init</c>, a recipe for each client of <c>launch</c>. The names of folders and recipes are the words that the command line takes.
/// </summary>
internal static class EmbeddedTexts
{
    private static readonly Assembly Own = typeof(EmbeddedTexts).Assembly;
    private static readonly string[] Names =
        [.. Own.GetManifestResourceNames().Select(name => name.Replace('\\', '/')).Order(StringComparer.Ordinal)];

    /// <summary>The templates of <c>init</c>.</summary>
    public static IReadOnlyList<string> Templates { get; } = [.. Under("init/").Select(name => name.Split('/')[0]).Distinct()];

    /// <summary>The clients of <c>launch</c>.</summary>
    public static IReadOnlyList<string> Clients { get; } = [.. Under("launch/").Select(name => name.Split('.')[0])];

    /// <summary>The names of the texts in a folder, which ends with a slash, without it.</summary>
    public static IEnumerable<string> Under(string folder) =>
        Names.Where(name => name.StartsWith(folder, StringComparison.Ordinal)).Select(name => name[folder.Length..]);

    /// <summary>A text.</summary>
    public static string Read(string name)
    {
        var packed = Own.GetManifestResourceStream(name) ?? Own.GetManifestResourceStream(name.Replace('/', '\\'))!;
        using var text = new StreamReader(new GZipStream(packed, CompressionMode.Decompress));
        return text.ReadToEnd();
    }
}
