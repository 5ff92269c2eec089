using System.Text;
using System.Text.Json;
using Shimmy.Engine.Memory;
using Shimmy.Gguf;
using Shimmy.Models.Discovery;

namespace Shimmy.Models.Pull;

/// <summary>
/// Hugging Face's hub: what a repository has, and its cache folder, into which models go as huggingface_hub puts them, so that other tools
/// find them there. (huggingface.co/docs/huggingface_hub/guides/manage-cache)
/// </summary>
/// <param name="client">Asks the hub.</param>
/// <param name="host">The folders of this machine.</param>
/// <param name="endpoint">Address of the hub.</param>
/// <param name="budget">Bytes of memory that a model may need here.</param>
internal sealed class HubRegistry(RegistryClient client, HostEnvironment host, Uri endpoint, long budget)
{
    /// <summary>The hub's usual address.</summary>
    public const string DefaultEndpoint = "https://huggingface.co";

    // Of a repository of 20,000 files.
    private const int MostListing = 16 << 20;
    private const int MostFiles = 50_000;
    private const int MostAsked = 200;
    private const string Projector = "mmproj";

    // Where none is named: what most people take, and what fits.
    private static readonly string[] Preferred = ["Q4_K_M", "UD-Q4_K_XL", "MXFP4_MOE", "Q4_K_S", "IQ4_XS", "Q4_0"];
    private static readonly string[] PreferredProjectors = ["F16", "BF16", "Q8_0", "F32"];
    private static readonly string[] NoModels = [Projector, "imatrix"];

    // What a Hugging Face folder is converted from.
    private static readonly string[] FolderEndings = [".json", ".safetensors", ".model", ".jinja", "tokenizer.txt", "vocab.txt"];

    private int _asked;

    /// <summary>The address of the hub by the environment (HF_ENDPOINT); throws <see cref="PullException"/> for none.</summary>
    public static Uri EndpointOf(HostEnvironment host)
    {
        var text = host.Value("HF_ENDPOINT") ?? DefaultEndpoint;
        return Uri.TryCreate(text.TrimEnd('/') + "/", UriKind.Absolute, out var endpoint) && endpoint.Scheme is "http" or "https"
            && endpoint.UserInfo.Length == 0
            ? endpoint
            : throw new PullException(PullFailure.BadName,
                $"HF_ENDPOINT: '{RegistryPath.Shown(text)}' is not a URL of a hub: write it as {DefaultEndpoint}, "
                + "with http or https, without user and password");
    }

    /// <summary>The user's token for the hub, by the variables and files of its own tools; null where there is none.</summary>
    public static string? TokenOf(HostEnvironment host)
    {
        var token = host.Value("HF_TOKEN") ?? host.Value("HUGGING_FACE_HUB_TOKEN");
        var file = host.Folder("HF_TOKEN_PATH") ?? host.Join(HuggingFaceSource.HomeOf(host), "token");
        try
        {
            token ??= File.Exists(file) ? SmallFile.ReadText(file).Trim() : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
        // It becomes a header.
        return token is { Length: > 0 and < 1024 } && token.AsSpan().IndexOfAnyExceptInRange('!', '~') < 0 ? token : null;
    }

    /// <summary>The models that a repository has to choose from.</summary>
    public async Task<IReadOnlyList<PullChoice>> ChoicesAsync(PullName name, CancellationToken cancellation)
    {
        var listing = await ListAsync(name, cancellation).ConfigureAwait(false);
        var models = Models(listing);
        var chosen = models.Count == 0 ? null : Default(models);
        return [.. models.OrderBy(model => model.Bytes).Select(model => new PullChoice(
            $"{name.Repository}{(model.Quantization is { } quantization ? ":" + quantization : "/" + model.Files[0].Path)}",
            model.Quantization ?? Path.GetFileName(model.Files[0].Path), model.Bytes, model.Files.Count,
                Fits(model.Bytes), model == chosen))];
    }

    /// <summary>
    /// Plans a pull. Throws <see cref="PullException"/> where the repository has none of that name.
    /// </summary>
    /// <param name="name">Its name.</param>
    /// <param name="to">Folder in place of the hub's cache; null for the cache.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task<PullPlan> PlanAsync(PullName name, string? to, CancellationToken cancellation)
    {
        var listing = await ListAsync(name, cancellation).ConfigureAwait(false);
        var (files, canonical) = Choose(name, listing);
        if (RegistryPath.Collision(files.Select(file => file.Path)) is { } twice)
        {
            throw new PullException(PullFailure.BadAnswer,
                $"'{RegistryPath.Shown(twice)}' and another file of {name.Repository} have one name on systems that ignore letter case");
        }
        return to is null ? ToCache(name, canonical, listing, files) : ToFolder(name, canonical, listing, files, to);
    }

    private PullPlan ToCache(PullName name, string canonical, Listing listing, IReadOnlyList<HubFile> files)
    {
        var root = Path.GetFullPath(Path.Join(HuggingFaceSource.RootOf(host),
            HuggingFaceSource.Prefix + name.Repository.Replace("/", "--", StringComparison.Ordinal)));
        var planned = new List<PlannedFile>();
        var links = new List<(string, string)>();
        var entries = new List<string>();
        foreach (var file in files)
        {
            var link = RegistryPath.Below(Path.Join(root, "snapshots", listing.Commit), file.Path);
            // Where links cannot be made, the file itself lies in the snapshot.
            var isFile = new FileInfo(link) is { Exists: true, LinkTarget: null };
            var target = isFile ? link : RegistryPath.Below(Path.Join(root, "blobs"), file.Hash);
            // Two files of one content are one blob.
            if (!planned.Exists(other => other.Target == target))
                planned.Add(Planned(name, listing, file, target));
            if (!isFile)
                links.Add((link, target));
            entries.Add(link);
        }
        var texts = name.Revision == listing.Commit
            ? []
            : ((string, byte[])[])[(RegistryPath.Below(Path.Join(root, "refs"), name.Revision), Encoding.ASCII.GetBytes(listing.Commit))];
        return new PullPlan(canonical, PullSource.Hub, root, planned) { Links = links, Texts = texts, Entries = entries };
    }

    private PullPlan ToFolder(PullName name, string canonical, Listing listing, IReadOnlyList<HubFile> files, string folder)
    {
        var planned = files.Select(file => Planned(name, listing, file, RegistryPath.Below(folder, file.Path))).ToList();
        return new PullPlan(canonical, PullSource.Hub, Path.GetFullPath(folder), planned)
        {
            Entries = [.. planned.Select(file => file.Target)],
        };
    }

    private PlannedFile Planned(PullName name, Listing listing, HubFile file, string target) => new(file.Path,
        new Uri(endpoint, $"{name.Repository}/resolve/{listing.Commit}/{Outbound.PathOf(file.Path)}"), target, file.Size)
    { Hash = file.Hash };

    private (IReadOnlyList<HubFile> Files, string Canonical) Choose(PullName name, Listing listing)
    {
        if (name.File is { } wanted)
        {
            var one = Models(listing, all: true).Find(model => model.Files.Exists(file => file.Path == wanted))
                ?? throw NotFound(name, $"file {wanted}", Models(listing));
            return (one.Files, name.Canonical);
        }
        var models = Models(listing);
        if (models.Count == 0)
            return Folder(name, listing);
        var model = name.Tag is { } tag ? Tagged(models, tag) ?? throw NotFound(name, $"quantization {tag}", models) : Default(models);
        var canonical = model.Quantization is { } quantization
            ? $"{name.Repository}:{quantization}"
            : $"{name.Repository}/{model.Files[0].Path}";
        return ([.. model.Files, .. ProjectorOf(listing, model)], canonical);
    }

    private static PullException NotFound(PullName name, string what, List<HubModel> models) => new(PullFailure.NotFound,
        $"{name.Repository} has no {what}; it has {(models.Count == 0 ? "no GGUF file" : string.Join(", ",
            models.Take(20).Select(model => model.Quantization ?? model.Files[0].Path)))}");

    // By the quantization, then by it without Unsloth's mark; then by a part of the file's name, as publishers' own tags are.
    private static HubModel? Tagged(List<HubModel> models, string tag) =>
        models.Find(model => tag.Equals(model.Quantization, StringComparison.OrdinalIgnoreCase))
        ?? models.Find(model => ("UD-" + tag).Equals(model.Quantization, StringComparison.OrdinalIgnoreCase))
        ?? models.Find(model => ModelFileName.Parse(Path.GetFileName(model.Files[0].Path)).HasWord(tag));

    private HubModel Default(List<HubModel> models)
    {
        var fitting = models.FindAll(model => Fits(model.Bytes));
        foreach (var quantization in Preferred)
        {
            if (fitting.Find(model => quantization.Equals(model.Quantization, StringComparison.OrdinalIgnoreCase)) is { } preferred)
                return preferred;
        }
        return fitting.Count > 0 ? fitting.MaxBy(model => model.Bytes)! : models.MinBy(model => model.Bytes)!;
    }

    // The header is not here yet: weights and worker must fit, the context gets what is left.
    private bool Fits(long bytes) => MemoryEstimate.OfBytes(bytes).Total <= budget;

    // Any of the repository: the first in the order of preference, else the first that there is.
    private static IEnumerable<HubFile> ProjectorOf(Listing listing, HubModel model)
    {
        var projectors = listing.Files.FindAll(file => ModelFileName.IsGguf(file.Path)
            && ModelFileName.Parse(Path.GetFileName(file.Path)).HasWord(Projector));
        if (projectors.Count == 0)
            return [];
        foreach (var quantization in PreferredProjectors)
        {
            if (projectors.Find(file => quantization == ModelFileName.Parse(Path.GetFileName(file.Path)).Quantization) is { } preferred)
                return [preferred];
        }
        return model.Files.Exists(file => file.Path == projectors[0].Path) ? [] : [projectors[0]];
    }

    private static List<HubModel> Models(Listing listing, bool all = false)
    {
        var models = new Dictionary<string, List<HubFile>>(StringComparer.Ordinal);
        foreach (var file in listing.Files)
        {
            if (!ModelFileName.IsGguf(file.Path))
                continue;
            var name = ModelFileName.Parse(Path.GetFileName(file.Path));
            if (!all && Array.Exists(NoModels, name.HasWord))
                continue;
            var key = $"{Path.GetDirectoryName(file.Path)}|{name.Stem}|{name.ShardCount}";
            if (!models.TryGetValue(key, out var files))
                models.Add(key, files = []);
            files.Add(file);
        }
        var whole = new List<HubModel>();
        foreach (var files in models.Values)
        {
            var name = ModelFileName.Parse(Path.GetFileName(files[0].Path));
            files.Sort((one, other) => string.CompareOrdinal(one.Path, other.Path));
            // What misses a shard is not there yet.
            if (files.Count == Math.Max(1, name.ShardCount))
                whole.Add(new HubModel(name.Quantization ?? QuantizationFolder(files[0].Path), files));
        }
        return whole;
    }

    // Some publishers name the folder alone.
    private static string? QuantizationFolder(string path) => Path.GetDirectoryName(path) is { Length: > 0 } folder
        ? ModelFileName.Parse($"x-{Path.GetFileName(folder)}.gguf").Quantization
        : null;

    // A repository of SafeTensors, which is converted at its first load; or an adapter.
    private static (IReadOnlyList<HubFile> Files, string Canonical) Folder(PullName name, Listing listing)
    {
        var files = listing.Files.FindAll(file => !file.Path.Contains('/', StringComparison.Ordinal)
            && Array.Exists(FolderEndings, ending => file.Path.EndsWith(ending, StringComparison.Ordinal)));
        return files.Exists(file => file.Path is TensorFolder.Config or TensorFolder.AdapterConfig)
            && files.Exists(file => file.Path.EndsWith(".safetensors", StringComparison.Ordinal))
            ? name.Tag is null ? (files, name.Repository) : throw new PullException(PullFailure.NotFound,
                $"{name.Repository} has no GGUF files to choose {name.Tag} from; without it, its SafeTensors are pulled (--convert-type quantizes them)")
            : throw new PullException(PullFailure.NotFound, $"{name.Repository} has no GGUF file, and no model in SafeTensors");
    }

    private async Task<Listing> ListAsync(PullName name, CancellationToken cancellation)
    {
        var url = new Uri(endpoint, $"api/models/{name.Repository}/revision/{name.Revision}?blobs=true");
        using var json = await client.JsonAsync(url, MostListing, "application/json", $"repository {name.Repository}", cancellation)
            .ConfigureAwait(false);
        var root = json.RootElement;
        if (RegistryClient.Text(root, "sha") is not { } commit || !RegistryPath.IsHash(commit, 40)
            || RegistryClient.Property(root, "siblings") is not { ValueKind: JsonValueKind.Array } siblings
            || siblings.GetArrayLength() > MostFiles)
        {
            throw new PullException(PullFailure.BadAnswer, $"{client.Name} answers for {name.Repository} with no list of files");
        }
        var files = new List<HubFile>();
        foreach (var file in siblings.EnumerateArray())
        {
            // What cannot be a file of a model here is none.
            if (RegistryClient.Text(file, "rfilename") is not { } path || RegistryPath.WhyNot(path) is not null)
                continue;
            if (await HashedAsync(name, commit, path, file, cancellation).ConfigureAwait(false) is { } hashed)
                files.Add(hashed);
        }
        return new Listing(commit, files);
    }

    // A mirror may list names alone; the file's own answer then has hash and size.
    private async Task<HubFile?> HashedAsync(
        PullName name, string commit, string path, JsonElement file, CancellationToken cancellation)
    {
        var lfs = RegistryClient.Property(file, "lfs") ?? default;
        var large = lfs.ValueKind == JsonValueKind.Object;
        var hash = large ? RegistryClient.Text(lfs, "sha256") ?? RegistryClient.Text(lfs, "oid") : RegistryClient.Text(file, "blobId");
        var size = (large ? RegistryClient.Bytes(lfs, "size") : null) ?? RegistryClient.Bytes(file, "size");
        if (size is { } known && (RegistryPath.IsHash(hash, 64) || (!large && RegistryPath.IsHash(hash, 40))))
            return new HubFile(path, known, hash!);
        if (hash is not null
            || !(ModelFileName.IsGguf(path) || Array.Exists(FolderEndings, ending => path.EndsWith(ending, StringComparison.Ordinal))))
        {
            return null;
        }
        if (++_asked > MostAsked)
            throw new PullException(PullFailure.BadAnswer, $"{client.Name} lists files of {name.Repository} without their hashes");
        using var answer = await client.SendAsync(HttpMethod.Head,
            new Uri(endpoint, $"{name.Repository}/resolve/{commit}/{Outbound.PathOf(path)}"),
            null, path, cancellation).ConfigureAwait(false);
        return answer is { Etag: { } etag, Size: { } bytes } && (RegistryPath.IsHash(etag, 64) || RegistryPath.IsHash(etag, 40))
            ? new HubFile(path, bytes, etag)
            : null;
    }

    private sealed record HubFile(string Path, long Size, string Hash);

    private sealed record Listing(string Commit, List<HubFile> Files);

    private sealed record HubModel(string? Quantization, List<HubFile> Files)
    {
        public long Bytes { get; } = Files.Sum(file => file.Size);
    }
}
