using System.Text.Json;
using Shimmy.Models.Discovery;

namespace Shimmy.Models.Pull;

/// <summary>
/// A registry of Ollama's (the OCI distribution API, as far as Ollama speaks it), and Ollama's own store, into which models go as
/// <c>ollama pull</c> puts them: blobs by their digest, and the manifest as the registry gave it.
/// </summary>
/// <param name="client">Asks the registry.</param>
/// <param name="host">The folders of this machine.</param>
/// <param name="registry">Address of the registry.</param>
/// <param name="folder">What the registry is called in the store.</param>
internal sealed class OllamaRegistry(RegistryClient client, HostEnvironment host, Uri registry, string folder)
{
    /// <summary>The host of the usual registry.</summary>
    public const string DefaultHost = OllamaSource.Registry;

    private const string ManifestType = "application/vnd.docker.distribution.manifest.v2+json";
    private const string LayerPrefix = "application/vnd.ollama.image.";
    private const int MostManifest = 4 << 20;
    private const int MostLayers = 1000;
    private const int DigestStart = 7; // sha256-

    /// <summary>The folder of Ollama's store: the one that its variable names, or that of this user.</summary>
    public static string RootOf(HostEnvironment host) =>
        host.Folder(OllamaSource.FolderVariable) ?? OllamaSource.DefaultFolders(host).First();

    /// <summary>The address of a registry: as browsers have it, over https but on this machine.</summary>
    public static Uri AddressOf(string? named)
    {
        var address = named ?? DefaultHost;
        return new Uri($"https://{address}/") is { IsLoopback: true } ? new Uri($"http://{address}/") : new Uri($"https://{address}/");
    }

    /// <summary>Plans a pull. Throws <see cref="PullException"/> where the registry has none of that name.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="to">Folder that gets the model's file alone; null for Ollama's store.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task<PullPlan> PlanAsync(PullName name, string? to, CancellationToken cancellation)
    {
        var url = new Uri(registry, $"v2/{name.Repository}/manifests/{name.Tag}");
        var manifest = await client.ReadAsync(url, MostManifest, ManifestType, $"model {name.Canonical}", cancellation)
            .ConfigureAwait(false);
        using var json = client.Parse(manifest, name.Canonical);
        var layers = LayersOf(json.RootElement, name);
        var root = Path.GetFullPath(to ?? RootOf(host));
        if (to is not null)
            return ToFolder(name, layers, root);
        // The host may have a port, which is no part of a file's name on Windows; its form was checked with the name.
        var place = Path.Join(root, OllamaSource.Manifests, OperatingSystem.IsWindows() ? folder.Replace(':', '_') : folder);
        var path = RegistryPath.Below(place, $"{name.Repository}/{name.Tag}");
        return new PullPlan(name.Canonical, PullSource.Ollama, root,
            [.. layers.Select(layer => FileOf(layer, name, RegistryPath.Below(Path.Join(root, "blobs"), layer.Digest)))])
        {
            Texts = [(path, manifest)],
            Entries = [path],
        };
    }

    private PullPlan ToFolder(PullName name, List<Layer> layers, string root)
    {
        var model = $"{name.Repository[(name.Repository.IndexOf('/', StringComparison.Ordinal) + 1)..]}-{name.Tag}";
        var files = new List<PlannedFile>();
        foreach (var layer in layers)
        {
            if (layer.Kind is "model" or "projector")
            {
                files.Add(FileOf(layer, name,
                    RegistryPath.Below(root, layer.Kind == "model" ? $"{model}.gguf" : $"mmproj-{model}.gguf")));
            }
        }
        return new PullPlan(name.Canonical, PullSource.Ollama, root, files)
        {
            Entries = [.. files.Select(file => file.Target)],
            Remark = layers.Exists(layer => layer.Kind is "template" or "params" or "system" or "adapter" or "messages")
                ? "what Ollama has beside the weights (template, parameters, system prompt, adapters) is for its own store, and is left out here"
                : null,
        };
    }

    private PlannedFile FileOf(Layer layer, PullName name, string target) => new(
        layer.Kind == "model" ? $"{name.Canonical} ({layer.Digest[DigestStart..(DigestStart + 12)]})" : $"{layer.Kind} of {name.Canonical}",
        new Uri(registry, $"v2/{name.Repository}/blobs/sha256:{layer.Digest[DigestStart..]}"), target, layer.Size)
    {
        Hash = layer.Digest[DigestStart..],
    };

    private static List<Layer> LayersOf(JsonElement manifest, PullName name)
    {
        if (RegistryClient.Property(manifest, "layers") is not { ValueKind: JsonValueKind.Array } list
            || list.GetArrayLength() > MostLayers)
        {
            throw new PullException(PullFailure.BadAnswer, $"the manifest of {name.Canonical} has no list of layers");
        }
        var layers = new List<Layer>();
        foreach (var layer in list.EnumerateArray())
        {
            Add(layer, RegistryClient.Text(layer, "mediaType") is { } type && type.StartsWith(LayerPrefix, StringComparison.Ordinal)
                ? type[LayerPrefix.Length..] : "part");
        }
        if (!layers.Exists(layer => layer.Kind == "model"))
        {
            throw new PullException(PullFailure.NotFound,
                $"{name.Canonical} has no GGUF model: it is one of Ollama's cloud, or of its own engine");
        }
        if (RegistryClient.Property(manifest, "config") is { } config)
            Add(config, "configuration");
        return layers;

        void Add(JsonElement layer, string kind)
        {
            const string algorithm = "sha256:";
            if (RegistryClient.Text(layer, "digest") is not { } named || !named.StartsWith(algorithm, StringComparison.Ordinal)
                || !RegistryPath.IsHash(named[algorithm.Length..], 64) || RegistryClient.Bytes(layer, "size") is not { } size)
            {
                throw new PullException(PullFailure.BadAnswer, $"a layer in the manifest of {name.Canonical} has no valid digest or size");
            }
            // As Ollama calls the file.
            var digest = "sha256-" + named[algorithm.Length..];
            if (!layers.Exists(other => other.Digest == digest))
                layers.Add(new Layer(RegistryPath.Shown(kind), digest, size));
            else if (layers.Exists(other => other.Digest == digest && other.Size != size))
                throw new PullException(PullFailure.BadAnswer, $"a layer in the manifest of {name.Canonical} has two sizes");
        }
    }

    private readonly record struct Layer(string Kind, string Digest, long Size);
}
