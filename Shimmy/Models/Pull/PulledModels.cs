using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Shimmy.Gguf;
using Shimmy.Models.Discovery;

namespace Shimmy.Models.Pull;

/// <summary>A model that was removed.</summary>
/// <param name="Name">The model.</param>
/// <param name="Bytes">Bytes that are free now.</param>
/// <param name="Kept">The files that stay, and why.</param>
internal sealed record RemovedModel(string Name, long Bytes, IReadOnlyList<string> Kept);

/// <summary>
/// Which models Shimmy has pulled, and which of their files it has brought: a small file for each in the user's state folder. Only these
/// are removed again; what other tools brought is theirs.
/// </summary>
internal static class PulledModels
{
    private const int MostRecord = 1 << 20;

    private sealed record Blob(string Path, bool Fetched);

    // Theirs: those of the entries that were there before it was pulled.
    private sealed record Pulled(string File, string Name, PullSource Source, string Root,
        IReadOnlyList<string> Entries, IReadOnlyList<string> Theirs, IReadOnlyList<Blob> Blobs)
    {
        public IEnumerable<string> Ours => Entries.Except(Theirs);

        public bool Holds(ModelEntry entry) => Entries.Any(path => path == entry.Path || path == entry.Manifest
            // A folder of SafeTensors is one model.
            || Path.GetDirectoryName(path) == entry.Path);
    }

    /// <summary>
    /// Takes note of a model that is here now. Where that cannot be written it stays all the same, and is removed by hand. A model that
    /// was there before is no pulled one.
    /// </summary>
    /// <param name="host">The folders of this machine.</param>
    /// <param name="plan">What was done.</param>
    /// <param name="fetched">Its files, and the bytes of each that came over the network; null for one that was there.</param>
    /// <param name="there">Its entries that were there before it was made a model.</param>
    public static void Note(HostEnvironment host, PullPlan plan, IReadOnlyList<(PlannedFile File, long? Bytes)> fetched,
        IReadOnlyCollection<string> there)
    {
        var folder = FolderOf(host);
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{plan.Name}\n{plan.Root}")))[..32];
        var path = Path.Join(folder, key + ".json");
        // What an earlier pull of it has brought is ours still.
        var earlier = Read(path);
        var before = earlier?.Blobs.Where(blob => blob.Fetched).Select(blob => blob.Path).ToHashSet(StringComparer.Ordinal) ?? [];
        List<Blob> blobs =
            [.. fetched.Select(file => new Blob(file.File.Target, file.Bytes is not null || before.Contains(file.File.Target)))];
        var theirs = plan.Entries.Where(entry => blobs.Find(blob => blob.Path == entry) is { } blob
            ? !blob.Fetched
            : there.Contains(entry) && earlier?.Ours.Contains(entry) != true);
        var pulled = new Pulled(path, plan.Name, plan.Source, plan.Root, plan.Entries, [.. theirs], blobs);
        // What is here by another of the names that it has in the registry was pulled, too.
        if (!pulled.Ours.Any() && !ReadAll(host).Exists(other => other.Ours.Intersect(pulled.Entries).Any()))
            return;
        try
        {
            Directory.CreateDirectory(folder);
            Write(pulled);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Only the record is missing.
        }
    }

    /// <summary>
    /// Removes a model that was pulled: what makes a model of its files, and those files that it brought and that nothing else uses. Throws
    /// <see cref="PullException"/> where none of that name was pulled.
    /// </summary>
    /// <param name="host">The folders of this machine.</param>
    /// <param name="name">Its name.</param>
    /// <param name="entry">The model of that name that discovery has found; null for none.</param>
    public static RemovedModel Remove(HostEnvironment host, string name, ModelEntry? entry)
    {
        var all = ReadAll(host);
        var pulled = Find(all, name, entry);
        var others = all.FindAll(other => other != pulled);
        try
        {
            return Remove(pulled, others);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PullException(PullFailure.NotRemoved, $"{pulled.Name} cannot be removed: {e.Message}", e);
        }
    }

    /// <summary>Whether a pull has brought a file.</summary>
    public static bool HasBrought(HostEnvironment host, string path) =>
        ReadAll(host).Exists(pulled => pulled.Blobs.Any(blob => blob.Fetched && blob.Path == path));

    /// <summary>
    /// Whether <see cref="Remove(HostEnvironment, string, ModelEntry?)"/> would find it; never by the name of an alias.
    /// </summary>
    public static bool Has(HostEnvironment host, string name, ModelEntry entry)
    {
        if (!entry.IsCalled(name))
            return false;
        try
        {
            _ = Find(ReadAll(host), name, entry);
            return true;
        }
        catch (PullException e) when (e.Failure == PullFailure.NotFound)
        {
            return false;
        }
    }

    private static RemovedModel Remove(Pulled pulled, List<Pulled> others)
    {
        var bytes = 0L;
        var kept = new List<string>();
        foreach (var entry in pulled.Entries)
        {
            if (pulled.Blobs.Any(blob => blob.Path == entry))
                continue;
            var isOurs = !pulled.Theirs.Contains(entry);
            if (others.FindIndex(other => other.Entries.Contains(entry)) is >= 0 and var heir)
            {
                if (isOurs)
                    Write(others[heir] = others[heir] with { Theirs = [.. others[heir].Theirs.Where(path => path != entry)] });
            }
            else if (isOurs)
            {
                bytes += Delete(entry, pulled.Root);
            }
            else if (File.Exists(entry))
            {
                kept.Add($"{entry} was there before it was pulled");
            }
        }
        var users = new Lazy<IReadOnlyDictionary<string, string>>(() => UsersOf(pulled));
        foreach (var blob in pulled.Blobs)
        {
            if (others.FindIndex(other => other.Blobs.Any(theirs => theirs.Path == blob.Path)) is >= 0 and var heir)
            {
                var other = others[heir];
                kept.Add($"{blob.Path} is a file of {other.Name}, too");
                if (blob.Fetched)
                {
                    Write(others[heir] = other with
                    {
                        Blobs = [.. other.Blobs.Select(theirs => theirs.Path == blob.Path ? blob : theirs)],
                        Theirs = [.. other.Theirs.Where(path => path != blob.Path)],
                    });
                }
            }
            else if (!blob.Fetched)
            {
                if (File.Exists(blob.Path))
                    kept.Add($"{blob.Path} was there before it was pulled");
            }
            else if (users.Value.TryGetValue(Path.GetFileName(blob.Path), out var user))
            {
                kept.Add($"{blob.Path} is used by {user}");
            }
            else
            {
                bytes += Delete(blob.Path, pulled.Root);
            }
        }
        if (pulled.Source == PullSource.Hub
            && Path.GetFileName(pulled.Root).StartsWith(HuggingFaceSource.Prefix, StringComparison.Ordinal))
        {
            DeleteRefs(pulled);
            DeleteEmpty(pulled.Root, Path.GetDirectoryName(pulled.Root)!);
        }
        File.Delete(pulled.File);
        return new RemovedModel(pulled.Name, bytes, kept);
    }

    // In the hub's cache: the names of commits of which nothing is there any more.
    private static void DeleteRefs(Pulled pulled)
    {
        var snapshots = Path.Join(pulled.Root, "snapshots");
        var commits = pulled.Entries.Select(entry => Path.GetRelativePath(snapshots, entry).Split(Path.DirectorySeparatorChar)[0])
            .Where(commit => !Directory.Exists(Path.Join(snapshots, commit))).ToHashSet(StringComparer.Ordinal);
        foreach (var file in FilesBelow(Path.Join(pulled.Root, "refs")).ToList())
        {
            if (commits.Contains(SmallFile.ReadText(file).Trim()))
                Delete(file, pulled.Root);
        }
    }

    // The name as people write it, or what discovery calls the files; of a repository without a quantization, the only one of it. Where
    // the name is another model's here, that one is meant. An alias means none, but what was pulled by just that name.
    private static Pulled Find(List<Pulled> all, string name, ModelEntry? entry)
    {
        var spellings = NameSpelling.Of(name).ToList();
        if (PullName.TryParse(name) is { } parsed)
            spellings.Add(parsed.Canonical);
        var isOwn = entry?.IsCalled(name) == true;
        // Discovery makes one model of several tags of the same weights: each is removed by its own name.
        var found = all.FindAll(pulled => spellings.Contains(pulled.Name, StringComparer.OrdinalIgnoreCase)
            && (!isOwn || pulled.Holds(entry!) || pulled.Blobs.Any(blob => blob.Path == entry!.Path)));
        if (found.Count == 0 && (entry is null || isOwn))
        {
            found = all.FindAll(pulled => entry is null
                ? IsPartOf(pulled)
                : pulled.Holds(entry) && (spellings.Contains(entry.Name, StringComparer.OrdinalIgnoreCase) || IsPartOf(pulled)
                    || pulled.Entries.Any(path =>
                        spellings.Contains(ModelFileName.Parse(Path.GetFileName(path)).Stem, StringComparer.OrdinalIgnoreCase))));
        }
        return found switch
        {
            [var only] => only,
            [] => throw new PullException(PullFailure.NotFound, entry is null
                ? $"no model '{RegistryPath.Shown(name)}' was pulled by Shimmy"
                    + (all.Count == 0 ? "" : $"; pulled were {string.Join(", ", all.Select(pulled => pulled.Name))}")
                : !isOwn ? $"'{RegistryPath.Shown(name)}' is an alias of '{entry.Name}', which is removed by its own name"
                : $"'{entry.Name}' was not pulled by Shimmy: "
                    + (entry.Manifest is not null ? $"'ollama rm {entry.Name}' removes it" : $"remove {entry.Path} by hand")),
            _ => throw new PullException(PullFailure.BadName,
                $"'{RegistryPath.Shown(name)}' is several models: {string.Join(", ", found.Select(pulled => pulled.Name))}"),
        };

        bool IsPartOf(Pulled pulled) => spellings.Exists(spelling => pulled.Name.Length > spelling.Length
            && pulled.Name[spelling.Length] is ':' or '/' && pulled.Name.StartsWith(spelling, StringComparison.OrdinalIgnoreCase));
    }

    // By the name of a blob, who uses it besides: the snapshots' links, Ollama's manifests. Those of the model itself are gone by now.
    private static Dictionary<string, string> UsersOf(Pulled pulled)
    {
        var users = new Dictionary<string, string>(StringComparer.Ordinal);
        if (pulled.Source == PullSource.Hub)
        {
            foreach (var file in FilesBelow(Path.Join(pulled.Root, "snapshots")))
            {
                if (new FileInfo(file).LinkTarget is { } target)
                    users[Path.GetFileName(target)] = Path.GetRelativePath(pulled.Root, file);
            }
        }
        else if (pulled.Source == PullSource.Ollama)
        {
            foreach (var tree in OllamaSource.Trees)
            {
                foreach (var file in FilesBelow(Path.Join(pulled.Root, tree)))
                {
                    var text = SmallFile.ReadText(file);
                    foreach (var blob in pulled.Blobs)
                    {
                        var digest = Path.GetFileName(blob.Path);
                        if (text.Contains(digest.Replace('-', ':'), StringComparison.Ordinal))
                            users[digest] = Path.GetRelativePath(Path.Join(pulled.Root, tree), file);
                    }
                }
            }
        }
        return users;
    }

    private static IEnumerable<string> FilesBelow(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories) : [];

    // The file, and the folders that it leaves empty.
    private static long Delete(string path, string root)
    {
        var file = new FileInfo(path);
        var bytes = file is { Exists: true, LinkTarget: null } ? file.Length : 0;
        File.Delete(path);
        DeleteEmpty(Path.GetDirectoryName(path)!, root);
        return bytes;
    }

    private static void DeleteEmpty(string folder, string above)
    {
        while (folder.Length > above.Length && folder.StartsWith(above, StringComparison.Ordinal) && Directory.Exists(folder)
            && !Directory.EnumerateFileSystemEntries(folder).Any())
        {
            Directory.Delete(folder);
            folder = Path.GetDirectoryName(folder)!;
        }
    }

    private static string FolderOf(HostEnvironment host) => host.Join(host.StateFolder(), "shimmy", "pulled");

    private static List<Pulled> ReadAll(HostEnvironment host)
    {
        var folder = FolderOf(host);
        try
        {
            return Directory.Exists(folder)
                ? [.. Directory.GetFiles(folder, "*.json").Order(StringComparer.Ordinal).Select(Read).OfType<Pulled>()]
                : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    // Null for one that is missing, or that nobody can read any more.
    private static Pulled? Read(string path)
    {
        try
        {
            if (new FileInfo(path) is not { Exists: true, Length: <= MostRecord })
                return null;
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            var root = json.RootElement;
            return new Pulled(path, root.GetProperty("name").GetString()!,
                root.GetProperty("source").GetString() switch
                {
                    "hub" => PullSource.Hub,
                    "ollama" =>
                    PullSource.Ollama,
                    _ => PullSource.Url
                },
                root.GetProperty("root").GetString()!,
                [.. root.GetProperty("entries").EnumerateArray().Select(entry => entry.GetString()!)],
                root.TryGetProperty("theirs", out var theirs) ? [.. theirs.EnumerateArray().Select(entry => entry.GetString()!)] : [],
                [.. root.GetProperty("files").EnumerateArray()
                    .Select(file => new Blob(file.GetProperty("path").GetString()!, file.GetProperty("fetched").GetBoolean()))]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException
            or InvalidOperationException)
        {
            return null;
        }
    }

    private static void Write(Pulled pulled)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("name", pulled.Name);
            json.WriteString("source", pulled.Source switch { PullSource.Hub => "hub", PullSource.Ollama => "ollama", _ => "url" });
            json.WriteString("root", pulled.Root);
            json.WriteStartArray("entries");
            foreach (var entry in pulled.Entries)
                json.WriteStringValue(entry);
            json.WriteEndArray();
            json.WriteStartArray("theirs");
            foreach (var entry in pulled.Theirs)
                json.WriteStringValue(entry);
            json.WriteEndArray();
            json.WriteStartArray("files");
            foreach (var blob in pulled.Blobs)
            {
                json.WriteStartObject();
                json.WriteString("path", blob.Path);
                json.WriteBoolean("fetched", blob.Fetched);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        SmallFile.Write(pulled.File, buffer.ToArray());
    }
}
