using System.Text.Json;

namespace Shimmy.Models.Discovery;

/// <summary>
/// llama.cpp's own cache of <c>-hf</c> downloads, from before it used the Hugging Face cache: files <c>ORG_REPO_FILE.gguf</c> in one
/// folder, with <c>manifest=ORG=REPO=TAG.json</c>, which names the model and projector that belong together.
/// </summary>
internal sealed class LlamaCppCacheSource(HostEnvironment host) : IModelSource
{
    /// <inheritdoc/>
    public string Origin => "llama.cpp";

    /// <inheritdoc/>
    public IReadOnlyList<string> Places => [Root];

    /// <summary>The cache's folder.</summary>
    public static string RootOf(HostEnvironment host) => host.Folder("LLAMA_CACHE") ?? host.Join(host.CacheFolder(), "llama.cpp");

    private string Root => RootOf(host);

    /// <inheritdoc/>
    public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
    {
        var claims = Claims(skipped);
        return new FolderSource(Origin, Root, maxDepth: 0).Find(skipped, cancellation).Select(candidate =>
            claims.TryGetValue(Path.GetFileName(candidate.Path), out var claim)
                ? candidate with { Repository = claim.Repository, Projector = claim.Projector, Folder = null }
                : candidate);
    }

    // By the model's file name: its repository, and the full path of its projector.
    private Dictionary<string, (string Repository, string? Projector)> Claims(Action<SkippedFile> skipped)
    {
        var claims = new Dictionary<string, (string, string?)>(StringComparer.Ordinal);
        foreach (var manifest in Manifests())
        {
            var parts = Path.GetFileNameWithoutExtension(manifest).Split('=');
            if (parts is not ["manifest", var organization, var repository, _])
                continue;

            try
            {
                using var document = JsonDocument.Parse(SmallFile.ReadBytes(manifest));
                var prefix = $"{organization}_{repository}_";
                if (FileOf(document.RootElement, "ggufFile", prefix) is { } model)
                {
                    var projector = FileOf(document.RootElement, "mmprojFile", prefix) is { } file
                        ? Path.Join(Root, file)
                        : null;
                    claims[model] = ($"{organization}/{repository}", File.Exists(projector) ? projector : null);
                }
            }
            catch (Exception e) when
                (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException)
            {
                skipped(new SkippedFile(manifest, Origin, $"cannot be read: {e.Message}"));
            }
        }

        return claims;
    }

    private string[] Manifests()
    {
        try
        {
            return Directory.Exists(Root) ? Directory.GetFiles(Root, "manifest=*.json") : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return []; // FolderSource reports the same folder
        }
    }

    private static string? FileOf(JsonElement manifest, string property, string prefix) =>
        manifest.ValueKind == JsonValueKind.Object
        && manifest.TryGetProperty(property, out var file)
        && file.ValueKind == JsonValueKind.Object
        && file.TryGetProperty("rfilename", out var name)
        && name.ValueKind == JsonValueKind.String
            ? prefix + name.GetString()!.Replace('/', '_').Replace('\\', '_')
            : null;
}
