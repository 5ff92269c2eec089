using System.Text;
using System.Text.Json;

namespace Shimmy.Packaging;

/// <summary>
/// Packages of npm: one a platform with the program in it, and <c>shimmy</c>, which has them as optional dependencies and starts the one that
/// npm installed. <c>npx shimmy</c> is the program.
/// </summary>
internal static class NpmPackages
{
    /// <summary>Writes all of them; gives their paths.</summary>
    /// <param name="archives">The archives.</param>
    /// <param name="dist">Where to.</param>
    /// <param name="home">
    /// The address of the repository, which npm compares with the one whose workflow publishes (provenance); null leaves it out.
    /// </param>
    public static IEnumerable<string> Write(IReadOnlyList<ReleaseArchive> archives, string dist, string? home = null)
    {
        var plain = archives.Where(archive => archive.Backend.Length == 0).ToArray();
        if (plain.Length == 0)
            yield break;
        foreach (var archive in plain)
        {
            var (platform, name) = (archive.Platform, NameOf(archive.Platform));
            var manifest = Manifest(name, archive.Version, home, json =>
            {
                WriteArray(json, "os", platform.NodeSystem);
                WriteArray(json, "cpu", platform.NodeProcessor);
                if (platform.NodeSystem == "linux")
                    WriteArray(json, "libc", platform.Musl ? "musl" : "glibc");
                // npm may put its packages on a disk where nothing can be executed but what a package names.
                json.WriteBoolean("preferUnplugged", true);
            });
            yield return Pack(name, archive.Version, dist, archive.Files().Append(PackedFile.OfText("package.json", manifest)));
        }
        var version = plain[0].Version;
        yield return Pack(Product.Name, version, dist,
        [
            PackedFile.OfText("package.json", Manifest(Product.Name, version, home, json =>
            {
                json.WriteStartObject("bin");
                json.WriteString(Product.Name, "bin/shimmy.js");
                json.WriteEndObject();
                json.WriteStartObject("engines");
                json.WriteString("node", ">=18");
                json.WriteEndObject();
                json.WriteStartObject("optionalDependencies");
                foreach (var archive in plain)
                    json.WriteString(NameOf(archive.Platform), version);
                json.WriteEndObject();
            })),
            PackedFile.OfText("bin/shimmy.js", Product.Text("shimmy.js"), runs: true),
            PackedFile.OfText("README.md", $"# {Product.Name}\n\n{Product.Summary}.\n\n    npx {Product.Name} serve\n"),
            .. plain[0].Files().Where(file => file.Path == "LICENSE"),
        ]);
    }

    private static string NameOf(Platform platform) =>
        $"@shimmy-server/{platform.NodeSystem}-{platform.NodeProcessor}{(platform.Musl ? "-musl" : "")}";

    private static string Pack(string name, string version, string dist, IEnumerable<PackedFile> files) => Packed.Write(
        Path.Combine(dist, "npm", $"{name.TrimStart('@').Replace('/', '-')}-{version}.tgz"), Packed.Gzip(Packed.Tar(files, "package/")));

    private static string Manifest(string name, string version, string? home, Action<Utf8JsonWriter> more)
    {
        var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("version", version);
            json.WriteString("description", Product.Summary);
            json.WriteString("license", Product.Licence);
            if (home is not null)
            {
                json.WriteStartObject("repository");
                json.WriteString("type", "git");
                json.WriteString("url", $"git+{home}.git");
                json.WriteEndObject();
            }
            more(json);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(bytes.ToArray()) + "\n";
    }

    private static void WriteArray(Utf8JsonWriter json, string name, string value)
    {
        json.WriteStartArray(name);
        json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
