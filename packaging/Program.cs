using Shimmy.Packaging;

// dotnet run --project packaging -- archive PUBLISHED RID VERSION [BACKEND]   the folder that was published becomes an archive in its
// parent, and its symbols for debuggers another
//                                   notes VERSION --releases URL             what CHANGELOG.md says of a version
//                                   size MSTAT [EXECUTABLE] [--rows]         what the executable's bytes are, by assembly and namespace
//                                   release DIST [--releases URL] [--revision COMMIT] [--base RID=FOLDER]…
//                                                                            packages and manifests of the archives in a folder
// Run by publish.sh, publish.ps1 and the release. The same files in give the same bytes out (SOURCE_DATE_EPOCH is the time of everything).
try
{
    switch (args)
    {
        case ["archive", var published, var rid, var version, .. var backend]:
            Archive(Path.TrimEndingDirectorySeparator(published), rid, version, string.Concat(backend));
            break;
        case ["release", var dist, .. var more]:
            Release(dist, more);
            break;
        case ["size", var mstat, .. var more]:
            Size(mstat, more);
            break;
        case ["notes", var version, "--releases", var address] when Uri.TryCreate(address, UriKind.Absolute, out var releases):
            Console.Write(Notes.Of(File.ReadAllText("CHANGELOG.md"), version, Manifests.HomeOf(releases)));
            break;
        default:
            throw new ArgumentException(
                "usage: archive PUBLISHED RID VERSION [BACKEND] | notes VERSION --releases URL | size MSTAT [EXECUTABLE] [--rows] | release DIST [--releases URL] [--revision COMMIT] [--base RID=FOLDER]…");
    }
    return 0;
}
catch (Exception e) when (e is ArgumentException or IOException or InvalidOperationException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"packaging: {e.Message}");
    return 1;
}

static void Archive(string published, string rid, string version, string backend)
{
    var platform = Product.Platforms.FirstOrDefault(one => one.Rid == rid)
        ?? throw new ArgumentException($"unknown RID '{rid}': {string.Join(", ", Product.Platforms.Select(one => one.Rid))}");
    var dist = Path.GetDirectoryName(published)!;
    ReleaseArchive.TakeSymbols(published, dist, version, platform, backend);
    SoftwareBill.Write(published, "Shimmy/obj/project.assets.json", "runtimes/manifest.json", version, platform, backend);
    var archive = ReleaseArchive.Make(published, dist, version, platform, backend);
    Console.WriteLine($"{archive.Path} ({new FileInfo(archive.Path).Length >> 10} KiB), SHA-256 {archive.Hash}");
}

static void Size(string mstat, string[] more)
{
    var rows = ExecutableSize.Of(mstat);
    Console.Write(ExecutableSize.Describe(rows, more.FirstOrDefault(one => one != "--rows")));
    if (more.Contains("--rows"))
    {
        foreach (var (kind, owner, name, bytes) in rows.Where(row => row.Bytes > 0))
            Console.WriteLine($"{bytes}\t{kind}\t{owner.Assembly}\t{owner.Namespace}\t{name}");
    }
}

static void Release(string dist, string[] options)
{
    var releases = new Uri("https://localhost/releases/download/");
    string? home = null, revision = null;
    var bases = new Dictionary<string, string>(StringComparer.Ordinal);
    for (var i = 0; i < options.Length; i += 2)
    {
        var value = i + 1 < options.Length ? options[i + 1] : throw new ArgumentException($"{options[i]} needs a value");
        if (options[i] == "--releases" && Uri.TryCreate(value, UriKind.Absolute, out var address))
            (releases, home) = (address, Manifests.HomeOf(address));
        else if (options[i] == "--revision")
            revision = value;
        else if (options[i] == "--base" && value.Split('=', 2) is [var rid, var folder])
            bases[rid] = folder;
        else
            throw new ArgumentException($"{options[i]} '{value}' is not understood");
    }
    var archives = ReleaseArchive.In(dist);
    if (archives.Count == 0)
        throw new ArgumentException($"{dist} has no archive; publish.sh makes them");
    if (archives.Select(archive => archive.Version).Distinct().Count() > 1)
        throw new ArgumentException($"{dist} has archives of several versions");

    var written = new List<string>();
    foreach (var archive in archives.Where(archive => archive.Backend.Length == 0 && archive.Platform.Debian is not null))
    {
        written.Add(DebPackage.Write(archive, dist));
        written.Add(RpmPackage.Write(archive, dist));
    }
    written.AddRange(NpmPackages.Write(archives, dist, home));
    written.AddRange(ToolPackages.Write(archives, dist));
    if (OciImage.Write(archives, bases, dist, home, revision) is { } image)
        written.Add(image);
    if (archives.Any(archive => archive.Backend.Length == 0))
    {
        var own = new Uri($"{releases.AbsoluteUri.TrimEnd('/')}/v{archives[0].Version}/");
        written.AddRange(new Manifests(archives, own).Write(dist));
    }
    // Scripts that run, and are checked, as they lie here: their words are of another form than those of the manifests.
    foreach (var script in new[] { "install.sh", "install.ps1" })
    {
        written.Add(Packed.Write(Path.Combine(dist, script), System.Text.Encoding.UTF8.GetBytes(
            Product.Text(script).Replace("@RELEASES@", releases.AbsoluteUri.TrimEnd('/'), StringComparison.Ordinal)
                .Replace("@VERSION@", archives[0].Version, StringComparison.Ordinal))));
    }
    // A release is one folder of files: names stand without ours. With them what no package has, for debuggers.
    var all = archives.Select(archive => archive.Path).Concat(written).Concat(ReleaseArchive.SymbolsIn(dist))
        .Select(path => (Path: path, Name: Path.GetFileName(path)));
    File.WriteAllText(Path.Combine(dist, "SHA256SUMS"), string.Concat(all.OrderBy(one => one.Name, StringComparer.Ordinal)
        .Select(one => $"{Packed.Hash(File.ReadAllBytes(one.Path))}  {one.Name}\n")));
    Console.WriteLine($"{written.Count} files beside {archives.Count} archives, and SHA256SUMS");
}
