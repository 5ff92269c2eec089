using System.Text;
using System.Text.Json;

namespace Shimmy.Packaging;

/// <summary>
/// The bill of materials of an archive, in CycloneDX 1.6: the packages that are compiled in or brought (by the assets file of the restore and
/// runtimes/manifest.json), the libraries in them with their own licences, and every file with its SHA-256; itself without, which it cannot hold.
/// </summary>
internal static class SoftwareBill
{
    /// <summary>Its name in the archive.</summary>
    public const string FileName = "shimmy.cdx.json";

    /// <summary>Writes it into a published folder.</summary>
    /// <param name="published">The folder.</param>
    /// <param name="assets">project.assets.json of the product's restore.</param>
    /// <param name="manifest">runtimes/manifest.json, which names the packages of npm.</param>
    /// <param name="version">The product's version.</param>
    /// <param name="platform">The platform.</param>
    /// <param name="backend">Its GPU plug-ins, with hyphens between them; empty for none.</param>
    public static void Write(string published, string assets, string manifest, string version, Platform platform, string backend)
    {
        var path = Path.Combine(published, FileName);
        File.Delete(path);
        var files = PackedFile.In(published);
        // A package may bring two backends.
        var components = NuGet(assets, platform).Concat(Npm(manifest, published, platform, backend)).Concat(Libraries(published))
            .DistinctBy(one => one.Reference).OrderBy(one => one.Reference, StringComparer.Ordinal).ToArray();
        var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("bomFormat", "CycloneDX");
            json.WriteString("specVersion", "1.6");
            json.WriteNumber("version", 1);
            json.WriteStartObject("metadata");
            json.WriteString("timestamp", Packed.Time.ToString("yyyy-MM-ddTHH:mm:ssZ", null));
            json.WriteStartObject("component");
            WriteHead(json, "application", Product.Name, version, $"pkg:generic/{Product.Name}@{version}?arch={platform.Rid}", Product.Licence);
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteStartArray("components");
            foreach (var (name, number, reference, licence) in components)
            {
                json.WriteStartObject();
                WriteHead(json, "library", name, number, reference, licence);
                json.WriteEndObject();
            }
            foreach (var file in files)
            {
                json.WriteStartObject();
                WriteHead(json, "file", file.Path, null, "file:" + file.Path, null);
                json.WriteStartArray("hashes");
                json.WriteStartObject();
                json.WriteString("alg", "SHA-256");
                json.WriteString("content", Packed.Hash(file.Read()));
                json.WriteEndObject();
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteStartObject();
            WriteHead(json, "file", FileName, null, "file:" + FileName, null);
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        }
        bytes.Write("\n"u8);
        Packed.Write(path, bytes.ToArray());
    }

    private static void WriteHead(Utf8JsonWriter json, string type, string name, string? version, string reference, string? licence)
    {
        json.WriteString("type", type);
        json.WriteString("bom-ref", reference);
        json.WriteString("name", name);
        if (version is not null)
            json.WriteString("version", version);
        if (reference.StartsWith("pkg:", StringComparison.Ordinal))
            json.WriteString("purl", reference);
        if (licence is null)
            return;
        json.WriteStartArray("licenses");
        json.WriteStartObject();
        // An SPDX expression, or the address of a text.
        if (licence.StartsWith("http", StringComparison.Ordinal))
        {
            json.WriteStartObject("license");
            json.WriteString("name", licence);
            json.WriteString("url", licence);
            json.WriteEndObject();
        }
        else
        {
            json.WriteString("expression", licence);
        }
        json.WriteEndObject();
        json.WriteEndArray();
    }

    // The packages of the restore for this platform, .NET's runtime among them; those that only compile (analyzers, generators) are left out,
    // but for ConsoleAppFramework, whose generator writes code of its own into the program.
    private static IEnumerable<Component> NuGet(string assets, Platform platform)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(assets));
        var root = json.RootElement;
        var folders = root.GetProperty("packageFolders").EnumerateObject().Select(folder => folder.Name).ToArray();
        // That of the platform, where the restore has one beside that of all.
        var target = root.GetProperty("targets").EnumerateObject().OrderByDescending(one => one.Name.Contains('/', StringComparison.Ordinal))
            .First(one => one.Name.EndsWith("/" + platform.Rid, StringComparison.Ordinal) || !one.Name.Contains('/', StringComparison.Ordinal));
        var found = new List<(string, string)>();
        foreach (var library in target.Value.EnumerateObject())
        {
            var brings = library.Value.TryGetProperty("runtime", out _) || library.Value.TryGetProperty("native", out _)
                || library.Name.StartsWith("LLamaSharp", StringComparison.Ordinal)
                || library.Name.StartsWith("ConsoleAppFramework/", StringComparison.Ordinal);
            if (brings && library.Name.Split('/') is [var name, var version])
                found.Add((name, version));
        }
        foreach (var framework in root.GetProperty("project").GetProperty("frameworks").EnumerateObject())
        {
            if (!framework.Value.TryGetProperty("downloadDependencies", out var downloads))
                continue;
            foreach (var download in downloads.EnumerateArray())
            {
                var name = download.GetProperty("name").GetString()!;
                if (name.Contains(".Runtime.", StringComparison.Ordinal) && name.EndsWith(platform.Rid, StringComparison.Ordinal))
                    found.Add((name, download.GetProperty("version").GetString()!.Trim('[', ']').Split(',')[0]));
            }
        }
        // A restore for another platform, or for none, names none of this one's.
        if (!found.Any(one => one.Item1.Contains(".Runtime.", StringComparison.Ordinal)))
            throw new InvalidOperationException($"{assets} is not of a restore for {platform.Rid}: it names no runtime of .NET for it");
        foreach (var (name, version) in found.Distinct())
            yield return new(name, version, $"pkg:nuget/{name}@{version}", LicenceOf(folders, name, version));
    }

    private static string? LicenceOf(string[] folders, string name, string version)
    {
        var lower = name.ToLowerInvariant();
        var specification = folders.Select(folder => Path.Combine(folder, lower, version.ToLowerInvariant(), lower + ".nuspec")).FirstOrDefault(File.Exists);
        if (specification is null)
            return null;
        var text = File.ReadAllText(specification, Encoding.UTF8);
        return Between(text, "<license type=\"expression\">", "</license>") ?? Between(text, "<licenseUrl>", "</licenseUrl>");
    }

    private static string? Between(string text, string before, string after)
    {
        var at = text.IndexOf(before, StringComparison.Ordinal);
        var end = at < 0 ? -1 : text.IndexOf(after, at, StringComparison.Ordinal);
        return end < 0 ? null : text[(at + before.Length)..end].Trim();
    }

    private static IEnumerable<Component> Npm(string manifest, string published, Platform platform, string backends)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(manifest));
        var version = json.RootElement.GetProperty("version").GetString()!;
        var runtime = "runtimes/llama.cpp-" + json.RootElement.GetProperty("llamaCpp").GetString();
        if (!Directory.Exists(Path.Combine(published, runtime)))
            yield break;
        var brought = backends.Split('-').Append("cpu").ToArray();
        foreach (var package in json.RootElement.GetProperty("packages").EnumerateArray())
        {
            if (package.GetProperty("rid").GetString() != platform.Rid || !brought.Contains(package.GetProperty("backend").GetString()))
                continue;
            var name = package.GetProperty("package").GetString()!;
            yield return new(name, version, $"pkg:npm/{name.Replace("@", "%40", StringComparison.Ordinal)}@{version}", "MIT");
        }
    }

    // What is in the folders of the runtimes: llama.cpp with its ggml, and the compiler's library of OpenMP (publish.sh).
    private static IEnumerable<Component> Libraries(string published)
    {
        var runtimes = Path.Combine(published, "runtimes");
        foreach (var runtime in Directory.Exists(runtimes) ? Directory.GetDirectories(runtimes) : [])
        {
            // The folder of llama.cpp's release is named by it; LLamaSharp's package does not say which one it has.
            var folder = Path.GetFileName(runtime);
            var release = folder.Split("llama.cpp-") is ["", var named] ? named : null;
            foreach (var (name, part) in new[] { ("llama.cpp", ""), ("ggml", "#ggml") })
            {
                var reference = release is null ? $"{folder}/{name}" : $"pkg:github/ggml-org/llama.cpp@{release}{part}";
                yield return new(name, release, reference, "MIT");
            }
            if (!File.Exists(Path.Combine(runtime, "libgomp.so.1")))
                continue;
            // The text of its licence begins with the compiler that it is of: "gcc (Debian 12.2.0-14) 12.2.0".
            var compiler = Between(File.ReadAllText(Path.Combine(runtime, "LICENSE.libgomp"), Encoding.UTF8), "compiler: ", "\n");
            var gcc = compiler?.Contains("gcc", StringComparison.Ordinal) == true ? compiler.Split(' ')[^1] : null;
            var libgomp = "pkg:generic/libgomp" + (gcc is null ? "" : "@" + gcc);
            yield return new("libgomp", gcc, libgomp, "GPL-3.0-or-later WITH GCC-exception-3.1");
        }
    }

    /// <summary>Something that is compiled in or brought.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Version">Its version; null where nobody says it.</param>
    /// <param name="Reference">What names it in the bill: its package URL, where there is one.</param>
    /// <param name="Licence">An SPDX expression, or the address of a text; null where it names none.</param>
    private sealed record Component(string Name, string? Version, string Reference, string? Licence);
}
