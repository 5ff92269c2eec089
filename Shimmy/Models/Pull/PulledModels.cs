using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Shimmy.Models.Discovery;

namespace Shimmy.Models.Pull;

/// <summary>What was removed.</summary>
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

    private sealed record Pulled(string File, string Name, PullSource Source, string Root,
        IReadOnlyList<string> Entries, IReadOnlyList<Blob> Blobs);

    /// <summary>
    /// Takes note of a model that is here now. Where that cannot be written it stays all the same, and is removed by hand.
    /// </summary>
    /// <param name="host">The folders of this machine.</param>
    /// <param name="plan">What was done.</param>
    /// <param name="fetched">Its files, and the bytes of each that came over the network; null for one that was there.</param>
    public static void Note(HostEnvironment host, PullPlan plan, IReadOnlyList<(PlannedFile File, long? Bytes)> fetched)
    {
        var folder = FolderOf(host);
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{plan.Name}\n{plan.Root}")))[..32];
        var path = Path.Join(folder, key + ".json");
        // What an earlier pull of it has brought is ours still.
        var before = Read(path)?.Blobs.Where(blob => blob.Fetched).Select(blob => blob.Path).ToHashSet(StringComparer.Ordinal) ?? [];
        try
        {
            Directory.CreateDirectory(folder);
            Write(new Pulled(path, plan.Name, plan.Source, plan.Root, plan.Entries,
                [.. fetched.Select(file => new Blob(file.File.Target, file.Bytes is not null || before.Contains(file.File.Target)))]));
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
            throw new PullException(PullFailure.NoSpace, $"{pulled.Name} cannot be removed: {e.Message}", e);
        }
    }

    /// <summary>Whether <see cref="Remove(HostEnvironment, string, ModelEntry?)"/> would find it.</summary>
    public static bool Has(HostEnvironment host, string name, ModelEntry entry)
    {
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
            if (!pulled.Blobs.Any(blob => blob.Path == entry) && !others.Exists(other => other.Entries.Contains(entry)))
                bytes += Delete(entry, pulled.Root);
        }
        var users = new Lazy<IReadOnlyDictionary<string, string>>(() => UsersOf(pulled));
        foreach (var blob in pulled.Blobs)
        {
            var other = others.Find(other => other.Blobs.Any(theirs => theirs.Path == blob.Path));
            if (other is not null)
            {
                kept.Add($"{blob.Path} is a file of {other.Name}, too");
                if (blob.Fetched)
                    Write(other with { Blobs = [.. other.Blobs.Select(theirs => theirs.Path == blob.Path ? blob : theirs)] });
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
        if (pulled.Source == PullSource.Hub && Directory.Exists(pulled.Root) && !Directory.Exists(Path.Join(pulled.Root, "snapshots"))
            && Directory.Exists(Path.Join(pulled.Root, "refs")))
        {
            // A name for what is no longer there.
            Directory.Delete(Path.Join(pulled.Root, "refs"), recursive: true);
            DeleteEmpty(pulled.Root, Path.GetDirectoryName(pulled.Root)!);
        }
        File.Delete(pulled.File);
        return new RemovedModel(pulled.Name, bytes, kept);
    }

    // The name as people write it, or what discovery calls the files; of a repository without a quantization, the only one of it.
    private static Pulled Find(List<Pulled> all, string name, ModelEntry? entry)
    {
        var spellings = NameSpelling.Of(name).ToList();
        if (PullName.TryParse(name) is { } parsed)
            spellings.Add(parsed.Canonical);
        var found = all.FindAll(pulled => spellings.Contains(pulled.Name, StringComparer.OrdinalIgnoreCase)
            || (entry is not null && pulled.Entries.Any(path => path == entry.Path || path == entry.Manifest)));
        if (found.Count == 0)
        {
            found = all.FindAll(pulled => spellings.Exists(spelling => pulled.Name.Length > spelling.Length
                && pulled.Name[spelling.Length] is ':' or '/' && pulled.Name.StartsWith(spelling, StringComparison.OrdinalIgnoreCase)));
        }
        return found switch
        {
            [var only] => only,
            [] => throw new PullException(PullFailure.NotFound, entry is null
                ? $"no model '{RegistryPath.Shown(name)}' was pulled by Shimmy"
                    + (all.Count == 0 ? "" : $"; pulled were {string.Join(", ", all.Select(pulled => pulled.Name))}")
                : $"'{entry.Name}' was not pulled by Shimmy: "
                    + (entry.Manifest is not null ? $"'ollama rm {entry.Name}' removes it" : $"remove {entry.Path} by hand")),
            _ => throw new PullException(PullFailure.BadName,
                $"'{RegistryPath.Shown(name)}' is several models: {string.Join(", ", found.Select(pulled => pulled.Name))}"),
        };
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
                root.GetProperty("source").GetString() switch { "hub" => PullSource.Hub, "ollama" =>
                    PullSource.Ollama, _ => PullSource.Url },
                root.GetProperty("root").GetString()!,
                [.. root.GetProperty("entries").EnumerateArray().Select(entry => entry.GetString()!)],
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
        var part = $"{pulled.File}.{Environment.ProcessId}.part";
        File.WriteAllBytes(part, buffer.ToArray());
        File.Move(part, pulled.File, overwrite: true);
    }
}
