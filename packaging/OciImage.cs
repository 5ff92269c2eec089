using System.Text.Json;

namespace Shimmy.Packaging;

/// <summary>
/// An image of a container as a tar in the OCI layout, for both processors, made without a daemon: the program on top of nothing but what a
/// glibc system brings with its base image. <c>skopeo copy --all oci-archive:FILE docker://…</c> or <c>podman load</c> take it: they want
/// one entry in <c>index.json</c>, which is the index of both.
/// </summary>
internal static class OciImage
{
    private const int User = 65532; // as in other images without a shell

    // Of a system's folders .NET looks into OpenSSL's own, which its package for the command line makes, and which is not in here.
    private const string Certificates = "etc/ssl/certs/ca-certificates.crt";
    private const string Layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    private const string Configuration = "application/vnd.oci.image.config.v1+json";
    private const string Manifest = "application/vnd.oci.image.manifest.v1+json";
    private const string Index = "application/vnd.oci.image.index.v1+json";

    /// <summary>Writes it; gives its path. Throws <see cref="ArgumentException"/> for a base without certificates.</summary>
    /// <param name="archives">The archives; those of Linux with glibc go in.</param>
    /// <param name="bases">By platform, the root file system below the program: a folder with glibc, libstdc++ and certificates.</param>
    /// <param name="dist">Where to.</param>
    /// <param name="source">The address of the repository; null where nobody says it.</param>
    /// <param name="revision">The commit; null where nobody says it.</param>
    public static string? Write(IReadOnlyList<ReleaseArchive> archives, IReadOnlyDictionary<string, string> bases, string dist,
        string? source = null, string? revision = null)
    {
        var files = new List<PackedFile>();
        var manifests = new List<(string Digest, int Size, string Processor)>();
        var version = "";
        var said = new List<(string Name, string Text)>();
        foreach (var archive in archives.Where(one => one.Backend.Length == 0 && bases.ContainsKey(one.Platform.Rid)))
        {
            if (!File.Exists(Path.Combine(bases[archive.Platform.Rid], Certificates)))
                throw new ArgumentException($"{bases[archive.Platform.Rid]} has no {Certificates}: the image would trust no server");
            version = archive.Version;
            said = Said(version, source, revision);
            var processor = archive.Platform.Debian!;
            var layers = new[] { Packed.Tar(PackedFile.In(bases[archive.Platform.Rid])), Packed.Tar(
                [
                    .. LinuxLayout.Program(archive), PackedFile.OfText("etc/passwd", $"root:x:0:0::/:\nshimmy:x:{User}:{User}::/data:\n"),
                    PackedFile.OfText("etc/group", $"root:x:0:\nshimmy:x:{User}:\n"),
                ], "", ("data", (UnixFileMode)0b111_101_101, User), ("tmp", (UnixFileMode)0b1_111_111_111, 0)) };
            var packed = layers.Select(Packed.Gzip).ToArray();
            var configuration = Json(json => WriteConfiguration(json, processor, layers, said));
            var manifest = Json(json =>
            {
                json.WriteStartObject();
                json.WriteNumber("schemaVersion", 2);
                json.WriteString("mediaType", Manifest);
                json.WritePropertyName("config");
                WriteDescriptor(json, Configuration, Add(configuration), configuration.Length);
                json.WriteStartArray("layers");
                foreach (var layer in packed)
                    WriteDescriptor(json, Layer, Add(layer), layer.Length);
                json.WriteEndArray();
                WriteTexts(json, "annotations", said);
                json.WriteEndObject();
            });
            manifests.Add((Add(manifest), manifest.Length, processor));
        }
        if (manifests.Count == 0)
            return null;
        files.Add(PackedFile.OfText("oci-layout", """{"imageLayoutVersion":"1.0.0"}"""));
        var both = Json(json => WriteIndex(json, () =>
        {
            foreach (var (digest, size, processor) in manifests)
                WriteDescriptor(json, Manifest, digest, size, processor);
        }, said));
        var all = Add(both);
        files.Add(new PackedFile("index.json", () => Json(json => WriteIndex(json,
            () => WriteDescriptor(json, Index, all, both.Length, name: $"{Product.Name}:{version}")))));
        return Packed.Write(Path.Combine(dist, $"{Product.Name}-{version}-oci.tar"), Packed.Tar(files));

        string Add(byte[] bytes)
        {
            var digest = Packed.Hash(bytes);
            if (!files.Exists(file => file.Path.EndsWith(digest, StringComparison.Ordinal)))
                files.Add(new PackedFile("blobs/sha256/" + digest, () => bytes));
            return "sha256:" + digest;
        }
    }

    // What the specification has names for, in annotations of the image and, for tools that read no manifest, in labels.
    private static List<(string Name, string Text)> Said(string version, string? source, string? revision)
    {
        var said = new List<(string, string)>
        {
            ("title", Product.Name), ("description", Product.Summary), ("version", version), ("licenses", Product.Licence),
            ("created", Packed.Time.ToString("yyyy-MM-ddTHH:mm:ssZ", null)),
        };
        if (source is not null)
            said.Add(("source", source));
        if (revision is not null)
            said.Add(("revision", revision));
        return said;
    }

    private static void WriteTexts(Utf8JsonWriter json, string name, IEnumerable<(string Name, string Text)> texts)
    {
        json.WriteStartObject(name);
        foreach (var (key, text) in texts)
            json.WriteString("org.opencontainers.image." + key, text);
        json.WriteEndObject();
    }

    private static void WriteIndex(Utf8JsonWriter json, Action writeManifests, IReadOnlyList<(string Name, string Text)>? said = null)
    {
        json.WriteStartObject();
        json.WriteNumber("schemaVersion", 2);
        json.WriteString("mediaType", Index);
        json.WriteStartArray("manifests");
        writeManifests();
        json.WriteEndArray();
        if (said is not null)
            WriteTexts(json, "annotations", said);
        json.WriteEndObject();
    }

    // A user of its own, a root that may be read-only, models in a volume.
    private static void WriteConfiguration(
        Utf8JsonWriter json, string processor, byte[][] layers, IReadOnlyList<(string Name, string Text)> said)
    {
        json.WriteStartObject();
        json.WriteString("architecture", processor);
        json.WriteString("os", "linux");
        json.WriteString("created", Packed.Time.ToString("yyyy-MM-ddTHH:mm:ssZ", null));
        json.WriteStartObject("config");
        json.WriteString("User", $"{User}:{User}");
        json.WriteString("WorkingDir", "/data");
        WriteStrings("Entrypoint", "/usr/bin/shimmy");
        WriteStrings("Cmd", "serve", "--bind", "0.0.0.0:11435");
        WriteStrings("Env", "HOME=/data", "XDG_CACHE_HOME=/data/cache", "SHIMMY_MODEL_PATHS=/models", "PATH=/usr/bin",
            "SSL_CERT_FILE=/" + Certificates);
        json.WriteStartObject("ExposedPorts");
        json.WriteStartObject("11435/tcp");
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartObject("Volumes");
        foreach (var volume in new[] { "/data", "/models" })
        {
            json.WriteStartObject(volume);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteString("StopSignal", "SIGTERM");
        WriteTexts(json, "Labels", said);
        json.WriteEndObject();
        json.WriteStartObject("rootfs");
        json.WriteString("type", "layers");
        WriteStrings("diff_ids", [.. layers.Select(layer => "sha256:" + Packed.Hash(layer))]);
        json.WriteEndObject();
        json.WriteEndObject();

        void WriteStrings(string name, params string[] values)
        {
            json.WriteStartArray(name);
            foreach (var value in values)
                json.WriteStringValue(value);
            json.WriteEndArray();
        }
    }

    private static void WriteDescriptor(
        Utf8JsonWriter json, string type, string digest, int size, string? processor = null, string? name = null)
    {
        json.WriteStartObject();
        json.WriteString("mediaType", type);
        json.WriteString("digest", digest);
        json.WriteNumber("size", size);
        if (processor is not null)
        {
            json.WriteStartObject("platform");
            json.WriteString("architecture", processor);
            json.WriteString("os", "linux");
            json.WriteEndObject();
        }
        if (name is not null)
            WriteTexts(json, "annotations", [("ref.name", name)]);
        json.WriteEndObject();
    }

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes))
            write(json);
        return bytes.ToArray();
    }
}
