using System.Text.Json;
using Shimmy.Engine;

namespace Shimmy.Models.Discovery;

/// <summary>
/// The models in one of Ollama's folders: manifests at <c>manifests/HOST/NAMESPACE/MODEL/TAG</c>, exactly four levels, and their layers in
/// <c>blobs</c>. Newer versions keep manifests among the blobs too, and link to them from a second tree. Names are as <c>ollama list</c>
/// shows them.
/// </summary>
/// <param name="root">The folder.</param>
/// <param name="isNamedByUser">The user named the folder, so that a missing one is reported.</param>
internal sealed class OllamaSource(string root, bool isNamedByUser = false) : IModelSource
{
    /// <summary>Ollama's environment variable for its models folder.</summary>
    public const string FolderVariable = "OLLAMA_MODELS";


    // The second is that of the newer trees.
    private static readonly string[] DefaultHosts = [Registry, "ollama.com"];

    /// <summary>The host of the usual registry.</summary>
    public const string Registry = "registry.ollama.ai";

    private const string DefaultNamespace = "library";
    private const string DefaultTag = "latest";
    private const int ManifestLevels = 4;

    /// <summary>The tree of manifests that every version reads.</summary>
    public const string Manifests = "manifests";

    /// <summary>The trees of manifests, the newest first: of one tag in several, it counts.</summary>
    public static IReadOnlyList<string> Trees { get; } = ["manifests-v2", "manifest-v2", Manifests];

    /// <inheritdoc/>
    public string Origin => "ollama";

    /// <inheritdoc/>
    public IReadOnlyList<string> Places => [root];

    /// <summary>
    /// Ollama's default models folders: the user's, and on Linux the system service's.
    /// </summary>
    public static IEnumerable<string> DefaultFolders(HostEnvironment host)
    {
        yield return host.Join(host.Home, ".ollama", "models");
        if (host.System == HostSystem.Linux)
        {
            yield return "/usr/share/ollama/.ollama/models";
            // Where Arch, Fedora and NixOS have it.
            yield return "/var/lib/ollama/.ollama/models";
            yield return "/var/lib/ollama/models";
            yield return "/var/lib/ollama";
        }
    }

    /// <summary>
    /// The licenses of a model in the store, which are read when somebody asks for them; empty where it has none, null where they cannot be
    /// read.
    /// </summary>
    /// <param name="manifest">Path of its manifest.</param>
    /// <param name="blob">Path of its model layer, beside which the others lie.</param>
    public static string? LicenseOf(string manifest, string blob) => Optional(() => string.Join("\n",
        OllamaManifest.Parse(SmallFile.ReadBytes(manifest)).Licenses
            .Select(digest => SmallFile.ReadText(Path.Join(Path.GetDirectoryName(blob), digest)))));

    /// <inheritdoc/>
    public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
    {
        if (isNamedByUser && !Directory.Exists(root))
            Skip(root, SkippedFile.NoFolder);
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var candidate in Trees.SelectMany(tree => FindIn(Path.Join(root, tree), Skip, cancellation)))
        {
            if (names.Add(candidate.Name!))
                yield return candidate;
        }

        void Skip(string path, string reason) => skipped(new SkippedFile(path, Origin, reason));
    }

    private IEnumerable<ModelCandidate> FindIn(string manifests, Action<string, string> skip, CancellationToken cancellation)
    {
        var walk = new FolderWalk(ManifestLevels, static name => !name.StartsWith('.'), skip);
        foreach (var file in walk.Files(manifests, cancellation))
        {
            var parts = Path.GetRelativePath(manifests, file.Path).Split(Path.DirectorySeparatorChar);
            if (parts is not [var host, var space, var model, var tag])
            {
                skip(file.Path, "not at HOST/NAMESPACE/MODEL/TAG below manifests");
            }
            else if (Read(file.Path, skip) is { } candidate)
            {
                yield return candidate with
                {
                    Name = NameOf(host, space, model, tag),
                    OtherNames = OtherNames(host, space, model, tag),
                };
            }
        }
    }

    /// <summary>
    /// The name that <c>ollama list</c> shows: MODEL:TAG, with namespace and host only where they are not the default ones.
    /// </summary>
    public static string NameOf(string host, string space, string model, string tag)
    {
        var name = $"{model}:{tag}";
        var usualSpace = space == DefaultNamespace;
        return !DefaultHosts.Contains(host) ? $"{host}/{space}/{name}" : usualSpace ? name : $"{space}/{name}";
    }

    // Without the default tag; and without Hugging Face's host, as that names the same model itself.
    private static string[] OtherNames(string host, string space, string model, string tag)
    {
        string[] names = host is "hf.co" or "huggingface.co"
            ? [NameOf(host, space, model, tag), $"{space}/{model}:{tag}"]
            : [NameOf(host, space, model, tag)];
        return [.. names.Skip(1), .. tag == DefaultTag ? names.Select(name => name[..^(DefaultTag.Length + 1)]) : []];
    }

    private ModelCandidate? Read(string manifestPath, Action<string, string> skip)
    {
        try
        {
            var manifest = OllamaManifest.Parse(SmallFile.ReadBytes(manifestPath));
            if (manifest.Listed.Count > 0)
                manifest = Listed(manifest);
            if (manifest.Model is null)
            {
                skip(manifestPath, manifest.WhyNoModel ?? "the manifest has no model layer");
                return null;
            }

            var file = new FileInfo(Blob(manifest.Model));
            if (!file.Exists)
            {
                skip(manifestPath, $"{manifest.Model} is missing from blobs");
                return null;
            }

            return new ModelCandidate
            {
                Path = file.FullName,
                RealPath = RealPath.Of(file.FullName),
                Origin = Origin,
                SizeBytes = file.Length,
                ModifiedUtc = file.LastWriteTimeUtc,
                Variant = manifest.Variant,
                Projector = manifest.Projector is { } projector ? Blob(projector) : null,
                Settings = Settings(manifest),
                Manifest = manifestPath,
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException)
        {
            skip(manifestPath, $"cannot be read: {e.Message}");
            return null;
        }
    }

    // The first of a list whose model is here: that of this platform was pulled.
    private OllamaManifest Listed(OllamaManifest list)
    {
        foreach (var path in list.Listed.Select(Blob).Where(File.Exists))
        {
            if (OllamaManifest.Parse(SmallFile.ReadBytes(path)) is { Model: { } model } manifest && File.Exists(Blob(model)))
                return manifest;
        }

        return list;
    }

    private ModelSettings Settings(OllamaManifest manifest)
    {
        var settings = manifest.Parameters is { } parameters
            ? OllamaManifest.ReadParameters(SmallFile.ReadBytes(Blob(parameters))) : ModelSettings.None;
        return settings with
        {
            Defaults = settings.Defaults with
            {
                System = Text(manifest.System),
                // A model whose file has a template needs none of these.
                Template = Optional(() => Text(manifest.Template)),
                Messages = manifest.Messages is { } messages
                    ? Optional(() => OllamaManifest.ReadMessages(SmallFile.ReadBytes(Blob(messages)))) ?? []
                    : [],
            },
            Loras = [.. manifest.Adapters.Select(adapter => new LoraSetting(Blob(adapter)))],
        };
    }

    private static T? Optional<T>(Func<T?> read)
        where T : class
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private string? Text(string? digest) => digest is null ? null : SmallFile.ReadText(Blob(digest));

    private string Blob(string digest) => Path.Join(root, "blobs", digest);
}
