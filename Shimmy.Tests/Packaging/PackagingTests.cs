using System.Formats.Tar;
using System.Text.Json;
using Shimmy.Packaging;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Packaging;

/// <summary>Packages of a release, made of archives with a script in the place of the program.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class PackagingTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassInitialize]
    public static void Publish(TestContext context)
    {
        foreach (var platform in Product.Platforms)
            ReleaseArchive.Make(Published(Folder[$"{platform.Rid}-files"], platform), Folder["dist"], "1.2.3", platform, "");
    }

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    private static ReleaseArchive Archive => ReleaseArchive.In(Folder["dist"]).First(one => one.Platform.Rid == "linux-x64");

    [TestMethod]
    public void The_same_files_give_the_same_bytes_whenever_they_were_written()
    {
        var first = MakeAll(Folder["first"], DateTime.UtcNow);
        var second = MakeAll(Folder["second"], DateTime.UtcNow.AddYears(-3));

        Assert.IsGreaterThan(20, first.Count);
        Assert.HasCount(Product.Platforms.Count, first.Keys.Where(name => name.Contains("-symbols.", StringComparison.Ordinal)).ToArray());
        CollectionAssert.AreEqual(first.Keys.ToArray(), second.Keys.ToArray());
        foreach (var (name, hash) in first)
            Assert.AreEqual(hash, second[name], name);

        static SortedDictionary<string, string> MakeAll(string folder, DateTime written)
        {
            var taken = new List<string>();
            foreach (var platform in Product.Platforms)
            {
                var published = Published(Path.Combine(folder, platform.Rid), platform);
                var symbols = platform.NodeSystem switch { "linux" => "shimmy.dbg", "win32" => "shimmy.pdb", _ => "shimmy.dSYM/Contents/DWARF/shimmy" };
                Packed.Write(Path.Combine(published, symbols), [1, 2, 3]);
                foreach (var file in Directory.EnumerateFiles(published, "*", SearchOption.AllDirectories))
                    File.SetLastWriteTimeUtc(file, written);
                taken.Add(ReleaseArchive.TakeSymbols(published, Path.Combine(folder, "dist"), "1.2.3", platform, "")!);
                Assert.IsFalse(Path.Exists(Path.Combine(published, symbols.Split('/')[0])), "symbols are not in the archive");
                ReleaseArchive.Make(published, Path.Combine(folder, "dist"), "1.2.3", platform, "");
            }
            var archives = ReleaseArchive.In(Path.Combine(folder, "dist"));
            Assert.HasCount(Product.Platforms.Count, archives);
            CollectionAssert.AreEquivalent(taken, ReleaseArchive.SymbolsIn(Path.Combine(folder, "dist")).ToArray());
            var paths = archives.SelectMany(archive => archive.Platform.Debian is null
                    ? [archive.Path] : new[] { archive.Path, DebPackage.Write(archive, folder), RpmPackage.Write(archive, folder) })
                .Concat(NpmPackages.Write(archives, folder)).Concat(ToolPackages.Write(archives, folder))
                .Concat(new Manifests(archives, new Uri("https://example.org/o/shimmy/releases/download/v1.2.3")).Write(folder))
                .Append(OciImage.Write(archives, new Dictionary<string, string> { ["linux-x64"] = Base(folder), ["linux-arm64"] = Base(folder) }, folder)!);
            return new(paths.Concat(taken).ToDictionary(path => Path.GetFileName(path), path => Packed.Hash(File.ReadAllBytes(path))));
        }

        static string Base(string folder)
        {
            Directory.CreateDirectory(Path.Combine(folder, "base", "lib"));
            File.WriteAllText(Path.Combine(folder, "base", "lib", "libc.so.6"), "libc");
            Packed.Write(Path.Combine(folder, "base", "etc/ssl/certs/ca-certificates.crt"), "certificates"u8.ToArray());
            return Path.Combine(folder, "base");
        }
    }

    [TestMethod]
    public void An_archive_has_one_folder_of_its_name_and_its_program_runs()
    {
        using var gzip = new System.IO.Compression.GZipStream(File.OpenRead(Archive.Path), System.IO.Compression.CompressionMode.Decompress);
        using var tar = new TarReader(gzip);
        var names = new Dictionary<string, UnixFileMode>();
        while (tar.GetNextEntry() is { } entry)
            names.Add(entry.Name, entry.Mode);

        Assert.IsTrue(names.Keys.All(name => name.StartsWith("shimmy-1.2.3-linux-x64/", StringComparison.Ordinal)));
        Assert.IsTrue(names["shimmy-1.2.3-linux-x64/shimmy"].HasFlag(UnixFileMode.OtherExecute));
        foreach (var other in new[] { "LICENSE", "share/bash-completion/completions/shimmy" })
            Assert.IsFalse(names["shimmy-1.2.3-linux-x64/" + other].HasFlag(UnixFileMode.UserExecute), other);
        Assert.AreEqual($"{Archive.Hash}  {Archive.FileName}\n", File.ReadAllText(Archive.Path + ".sha256"));
    }

    // There GNU's format has times, which the readers that follow POSIX take for a folder above the name.
    [TestMethod]
    public void A_tar_has_nothing_where_POSIX_has_the_beginning_of_a_name()
    {
        var files = new[] { "short", "folder/" + new string('n', 200) }.Select(path => PackedFile.OfText(path, "text"))
            .Append(new PackedFile("link", () => [], Target: "short"));
        var tar = Packed.Tar(files, "root/", ("owned", UnixFileMode.UserRead, 1));

        var headers = 0;
        for (var at = 0; tar[at] != 0; headers++)
        {
            Assert.IsTrue(tar.AsSpan(at + 345, 155).IndexOfAnyExcept((byte)0) < 0, $"the header at {at}");
            var size = Convert.ToInt32(System.Text.Encoding.ASCII.GetString(tar, at + 124, 11), 8);
            at += 512 + ((size + 511) / 512 * 512);
        }
        // Two folders, three files, and the long name's own.
        Assert.AreEqual(6, headers);
    }

    [TestMethod]
    public async Task Other_readers_see_the_one_folder_of_an_archive()
    {
        foreach (var command in new[]
        {
            new[] { "busybox", "tar", "-tzf", Archive.Path },
            ["python3", "-c", "import sys, tarfile\nfor one in tarfile.open(sys.argv[1]): print(one.name)", Archive.Path],
        })
        {
            var names = await RunAsync(command[0], command[1..]);
            CollectionAssert.AreEqual(new[] { "shimmy-1.2.3-linux-x64" },
                names.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(name => name.Split('/')[0]).Distinct().ToArray(), command[0]);
        }
    }

    [TestMethod]
    public void The_bill_of_materials_lists_every_file_of_the_archive_and_what_was_brought()
    {
        var files = Archive.Files().ToDictionary(file => file.Path, file => Packed.Hash(file.Read()));
        using var bill = JsonDocument.Parse(Archive.Files().First(file => file.Path == SoftwareBill.FileName).Read());
        var components = bill.RootElement.GetProperty("components").EnumerateArray().ToArray();
        var listed = components.Where(one => one.GetProperty("type").GetString() == "file").ToDictionary(
            one => one.GetProperty("name").GetString()!,
            one => one.TryGetProperty("hashes", out var hashes) ? hashes[0].GetProperty("content").GetString()! : null);

        CollectionAssert.AreEquivalent(files.Keys, listed.Keys);
        foreach (var (path, hash) in files)
            Assert.AreEqual(path == SoftwareBill.FileName ? null : hash, listed[path], path);
        var packages = components.Where(one => one.TryGetProperty("purl", out _)).ToDictionary(one => one.GetProperty("purl").GetString()!);
        Assert.AreEqual("MIT", packages["pkg:nuget/Example@1.0.0"].GetProperty("licenses")[0].GetProperty("expression").GetString());
        Assert.IsTrue(packages.ContainsKey("pkg:npm/%40example/linux-x64@3.0.0"));
        Assert.IsTrue(packages.ContainsKey("pkg:nuget/Microsoft.NETCore.App.Runtime.NativeAOT.linux-x64@10.0.1"));
        Assert.IsFalse(packages.ContainsKey("pkg:nuget/Generator@1.0.0"), "what only compiles is not in it");
        Assert.IsTrue(packages.ContainsKey("pkg:nuget/OfPlatform@1.0.0"), "what is of this platform alone is");
        Assert.IsTrue(packages.ContainsKey("pkg:nuget/ConsoleAppFramework@5.0.0"), "what writes code into the program is");
        Assert.IsFalse(packages.Keys.Any(package => package.Contains("cuda", StringComparison.Ordinal)));
        foreach (var (name, licence) in new[]
        {
            ("pkg:generic/libgomp@12.2.0", "GPL-3.0-or-later WITH GCC-exception-3.1"), ("pkg:github/ggml-org/llama.cpp@v1", "MIT"),
            ("pkg:github/ggml-org/llama.cpp@v1#ggml", "MIT"),
        })
        {
            Assert.AreEqual(licence, packages[name].GetProperty("licenses")[0].GetProperty("expression").GetString());
        }
    }

    [TestMethod]
    public async Task A_bill_of_materials_has_the_plugins_that_were_asked_for_and_each_component_once()
    {
        var platform = Product.Platforms.First(one => one.Rid == "osx-arm64");
        var published = Pretended.Published(Folder["plugins"], Folder, platform, "cuda12-metal");
        var text = await File.ReadAllTextAsync(Path.Combine(published, SoftwareBill.FileName));

        await FollowsAsync(ManifestSchemas.CycloneDx, text);
        using var bill = JsonDocument.Parse(text);
        var references = bill.RootElement.GetProperty("components").EnumerateArray()
            .Select(one => one.GetProperty("bom-ref").GetString()!).ToArray();
        CollectionAssert.AllItemsAreUnique(references);
        CollectionAssert.AreEqual(new[] { "pkg:npm/%40example/osx-arm64-cuda12@3.0.0", "pkg:npm/%40example/osx-arm64@3.0.0" },
            references.Where(one => one.StartsWith("pkg:npm/", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToArray());
    }

    [TestMethod]
    public void A_restore_for_another_platform_makes_no_bill()
    {
        var published = Published(Folder["for-arm64"], Product.Platforms.First(one => one.Rid == "linux-arm64"));

        var refused = Assert.ThrowsExactly<InvalidOperationException>(() =>
            SoftwareBill.Write(published, Folder["assets.json"], Folder["manifest.json"], "1.2.3", Archive.Platform, ""));

        StringAssert.EndsWith(refused.Message, "is not of a restore for linux-x64: it names no runtime of .NET for it");
    }

    [TestMethod]
    public async Task Debians_tool_reads_the_deb()
    {
        var package = DebPackage.Write(Archive, Folder["deb"]);
        var listed = await RunAsync("dpkg-deb", "-c", package);
        StringAssert.Contains(listed, "./usr/bin/shimmy -> ../lib/shimmy/shimmy");
        StringAssert.Contains(listed, "./usr/share/man/man1/shimmy.1.gz");
        StringAssert.Contains(listed, "./usr/share/zsh/vendor-completions/_shimmy\n");
        Assert.DoesNotContain("site-functions", listed);
        StringAssert.Contains(listed, "./usr/lib/systemd/system/shimmy.service");
        StringAssert.Matches(listed, KeptFromOthers());
        Assert.AreEqual("/etc/shimmy/config.json\n/etc/shimmy/environment\n", await RunAsync("dpkg-deb", "-I", package, "conffiles"));
        await RunAsync("dpkg-deb", "-x", package, Folder["deb-root"]);
        Assert.AreEqual("pretended list\n", await RunAsync(Folder["deb-root/usr/bin/shimmy"], "list"));
    }

    [TestMethod]
    public async Task Rpm_checks_installs_verifies_and_removes_the_rpm()
    {
        var (package, root) = (RpmPackage.Write(Archive, Folder["rpm"]), Folder["rpm-root/x"]);
        StringAssert.Contains(await RunAsync("rpm", "-K", "--nosignature", package), "digests OK");
        StringAssert.Contains(await RunAsync("rpm", "-qpl", package), "/usr/share/zsh/site-functions/_shimmy\n");
        StringAssert.Contains(
            await RunAsync("rpm", "-qp", "--qf", @"[%{REQUIRENAME} %{REQUIREFLAGS:deptype}\n]", package), "/bin/sh post,preun,postun,interp\n");
        Assert.AreEqual("/etc/shimmy/config.json\n/etc/shimmy/environment\n", await RunAsync("rpm", "-qp", "--configfiles", package));
        StringAssert.Matches(await RunAsync("rpm", "-qplv", package), KeptFromOthers());
        if (Environment.UserName != "root")
            return;
        await RunAsync("rpm", "--root", root, "--nodeps", "--noscripts", "-i", package);
        Assert.AreEqual("", await RunAsync("rpm", "--root", root, "-V", "--nodeps", "shimmy"));
        Assert.AreEqual("pretended list\n", await RunAsync(Path.Combine(root, "usr/bin/shimmy"), "list"));
        await RunAsync("rpm", "--root", root, "--noscripts", "-e", "shimmy");
        Assert.IsFalse(File.Exists(Path.Combine(root, "usr/lib/shimmy/shimmy")));
    }

    [TestMethod]
    public void An_image_is_for_both_processors_and_every_digest_is_that_of_its_blob()
    {
        Directory.CreateDirectory(Folder["image-base/etc"]);
        File.WriteAllText(Folder["image-base/etc/ca"], "certificates");
        var bases = new Dictionary<string, string> { ["linux-x64"] = Folder["image-base/"], ["linux-arm64"] = Folder["image-base/"] };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => OciImage.Write(ReleaseArchive.In(Folder["dist"]), bases, Folder["image"]))
            .Message, "would trust no server");
        File.WriteAllText(Folder["image-base/etc/ssl/certs/ca-certificates.crt"], "certificates");
        File.WriteAllText(Folder["image-base/ld-linux-x86-64.so.2"], "the loader, which the system starts before a program");
        var path = OciImage.Write(ReleaseArchive.In(Folder["dist"]), bases, Folder["image"], "https://example.org/o/shimmy", "0123abc")!;
        var blobs = new Dictionary<string, byte[]>();
        using (var tar = new TarReader(File.OpenRead(path)))
        {
            while (tar.GetNextEntry(copyData: true) is { } file)
            {
                if (file.EntryType != TarEntryType.RegularFile)
                    continue;
                var bytes = new MemoryStream();
                file.DataStream!.CopyTo(bytes);
                blobs.Add(file.Name, bytes.ToArray());
            }
        }

        foreach (var (name, bytes) in blobs.Where(blob => blob.Key.StartsWith("blobs/", StringComparison.Ordinal)))
            Assert.AreEqual("blobs/sha256/" + Packed.Hash(bytes), name);
        // skopeo and podman take a file whose index has one entry.
        using var outer = JsonDocument.Parse(blobs["index.json"]);
        var entry = outer.RootElement.GetProperty("manifests").EnumerateArray().Single();
        Assert.AreEqual("application/vnd.oci.image.index.v1+json", entry.GetProperty("mediaType").GetString());
        Assert.AreEqual("shimmy:1.2.3", entry.GetProperty("annotations").GetProperty("org.opencontainers.image.ref.name").GetString());
        using var index = JsonDocument.Parse(Blob(entry));
        var processors = new List<string>();
        foreach (var one in index.RootElement.GetProperty("manifests").EnumerateArray())
        {
            processors.Add(one.GetProperty("platform").GetProperty("architecture").GetString()!);
            using var manifest = JsonDocument.Parse(Blob(one));
            Assert.AreEqual(2, manifest.RootElement.GetProperty("layers").GetArrayLength());
            using (var layer = new TarReader(new System.IO.Compression.GZipStream(
                new MemoryStream(Blob(manifest.RootElement.GetProperty("layers")[0])), System.IO.Compression.CompressionMode.Decompress)))
            {
                var modes = new Dictionary<string, UnixFileMode>();
                while (layer.GetNextEntry() is { } file)
                    modes.Add(file.Name, file.Mode);
                Assert.IsTrue(modes["ld-linux-x86-64.so.2"].HasFlag(UnixFileMode.OtherExecute));
                Assert.IsFalse(modes["etc/ca"].HasFlag(UnixFileMode.OtherExecute));
                Assert.IsTrue(modes.ContainsKey("etc/ssl/certs/ca-certificates.crt"));
            }
            var owners = new Dictionary<string, (int, int, string, string)>();
            using (var layer = new TarReader(new System.IO.Compression.GZipStream(
                new MemoryStream(Blob(manifest.RootElement.GetProperty("layers")[1])), System.IO.Compression.CompressionMode.Decompress)))
            {
                while (layer.GetNextEntry() is PosixTarEntry file)
                    owners.Add(file.Name, (file.Uid, file.Gid, file.UserName, file.GroupName));
            }
            Assert.AreEqual((65532, 65532, "", ""), owners["data/"]);
            Assert.AreEqual((0, 0, "root", "root"), owners["usr/bin/shimmy"]);
            using var configuration = JsonDocument.Parse(Blob(manifest.RootElement.GetProperty("config")));
            Assert.AreEqual("65532:65532", configuration.RootElement.GetProperty("config").GetProperty("User").GetString());
            // Where .NET looks for the authorities that it trusts.
            Assert.Contains("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", configuration.RootElement.GetProperty("config")
                .GetProperty("Env").EnumerateArray().Select(one => one.GetString()).ToArray());
            foreach (var said in new[]
            {
                manifest.RootElement.GetProperty("annotations"), index.RootElement.GetProperty("annotations"),
                configuration.RootElement.GetProperty("config").GetProperty("Labels"),
            })
            {
                foreach (var (name, value) in new[]
                {
                    ("title", "shimmy"), ("version", "1.2.3"), ("licenses", "MIT"), ("source", "https://example.org/o/shimmy"), ("revision", "0123abc"),
                })
                {
                    Assert.AreEqual(value, said.GetProperty("org.opencontainers.image." + name).GetString());
                }
            }
            Assert.AreEqual(2, configuration.RootElement.GetProperty("rootfs").GetProperty("diff_ids").GetArrayLength());
        }
        CollectionAssert.AreEquivalent(new[] { "amd64", "arm64" }, processors);

        byte[] Blob(JsonElement descriptor)
        {
            var bytes = blobs["blobs/" + descriptor.GetProperty("digest").GetString()!.Replace(':', '/')];
            Assert.HasCount(descriptor.GetProperty("size").GetInt32(), bytes);
            return bytes;
        }
    }

    [TestMethod]
    public async Task Manifests_of_package_managers_follow_their_schemas_and_name_every_archive_by_address_and_hash()
    {
        var archives = ReleaseArchive.In(Folder["dist"]);
        var texts = new Manifests(archives, new Uri("https://example.org/o/shimmy/releases/download/v1.2.3/")).Write(Folder["manifests"])
            .ToDictionary(path => Path.GetFileName(path), File.ReadAllText);
        foreach (var (file, rids) in new Dictionary<string, string[]>
        {
            ["shimmy.rb"] = ["linux-x64", "linux-arm64", "osx-x64", "osx-arm64"],
            ["shimmy.json"] = ["win-x64", "win-arm64"],
            ["PKGBUILD"] = ["linux-x64", "linux-arm64"],
            ["SRCINFO"] = ["linux-x64", "linux-arm64"],
            ["flake.nix"] = ["linux-x64", "linux-arm64", "osx-x64", "osx-arm64"],
            ["Shimmy.Shimmy.installer.yaml"] = ["win-x64", "win-arm64"],
        })
        {
            foreach (var archive in rids.Select(rid => archives.First(one => one.Platform.Rid == rid)))
            {
                StringAssert.Contains(texts[file], $"https://example.org/o/shimmy/releases/download/v1.2.3/{archive.FileName}");
                var hash = file == "flake.nix" ? Convert.ToBase64String(Convert.FromHexString(archive.Hash)) : archive.Hash;
                StringAssert.Contains(texts[file], hash, StringComparison.OrdinalIgnoreCase);
            }
        }
        Assert.AreEqual("1.2.3", JsonDocument.Parse(texts["shimmy.json"]).RootElement.GetProperty("version").GetString());
        foreach (var text in texts.Values)
            Assert.DoesNotContain("{{", text);

        foreach (var (file, schema) in new[]
        {
            ("Shimmy.Shimmy.installer.yaml", ManifestSchemas.WinGetInstaller), ("Shimmy.Shimmy.locale.en-US.yaml", ManifestSchemas.WinGetLocale),
            ("Shimmy.Shimmy.yaml", ManifestSchemas.WinGetVersion),
        })
        {
            await FollowsAsync(schema, JsonSerializer.Serialize(Yaml.Documents(texts[file]).Single()));
        }
        StringAssert.Contains(texts["Shimmy.Shimmy.installer.yaml"], "ArchiveBinariesDependOnPath: true");
        // Microsoft's libraries for C++, which those of llama.cpp need.
        foreach (var processor in new[] { "x64", "arm64" })
            StringAssert.Contains(texts["Shimmy.Shimmy.installer.yaml"], $"    - PackageIdentifier: Microsoft.VCRedist.2015+.{processor}\n");
        StringAssert.Contains(texts["shimmy.json"], "\"vcredist\": \"extras/vcredist2022\"");
        await FollowsAsync(ManifestSchemas.Scoop, texts["shimmy.json"]);
        // What brew audit says of a description.
        var description = texts["shimmy.rb"].Split('\n').Single(line => line.StartsWith("  desc ", StringComparison.Ordinal)).Split('"')[1];
        Assert.IsLessThanOrEqualTo(80, description.Length);
        Assert.DoesNotMatchRegex("^(A|An|The|[Ss]himmy) |\\.$", description);
        // What makepkg --printsrcinfo would say of PKGBUILD; Windows may have a bash that leads to no system.
        if (OperatingSystem.IsWindows())
            return;
        Assert.AreEqual(texts["SRCINFO"], await RunAsync("bash", "-c", """
            . "$0"
            printf 'pkgbase = %s\n\tpkgdesc = %s\n\tpkgver = %s\n\tpkgrel = %s\n\turl = %s\n' "$pkgname" "$pkgdesc" "$pkgver" "$pkgrel" "$url"
            printf '\tarch = %s\n' "${arch[@]}"
            printf '\tlicense = %s\n' "${license[@]}"
            printf '\tdepends = %s\n' "${depends[@]}"
            printf '\tprovides = %s\n' "${provides[@]}"
            printf '\tconflicts = %s\n' "${conflicts[@]}"
            printf '\toptions = %s\n' "${options[@]}"
            for one in "${arch[@]}"; do
                for field in source sha256sums; do eval "printf '\tFIELD = %s\n' \"\${${field}_$one[@]}\"" | sed "s/FIELD/${field}_$one/"; done
            done
            printf '\npkgname = %s\n' "$pkgname"
            """, Folder["manifests/aur/PKGBUILD"]));
        // An update unpacks beside the version before.
        Directory.CreateDirectory(Folder["aur/src/shimmy-1.2.2-linux-x64"]);
        await RunAsync("tar", "-xzf", Archive.Path, "-C", Folder["aur/src"]);
        Assert.AreEqual("pretended list\n", await RunAsync("bash", "-euc", """
            . "$0"
            CARCH=x86_64 srcdir=$1/src pkgdir=$1/pkg
            package
            "$pkgdir/usr/bin/shimmy" list
            """, Folder["manifests/aur/PKGBUILD"], Folder["aur"]));
    }

    [TestMethod]
    public async Task A_version_before_a_release_is_older_than_it_for_every_package_manager()
    {
        var platform = Archive.Platform;
        var archive = ReleaseArchive.Make(Published(Folder["before"], platform), Folder["before-dist"], "1.2.3-rc.1-b", platform, "");
        Assert.AreEqual(archive.Version, ReleaseArchive.In(Folder["before-dist"]).Single().Version);
        var deb = DebPackage.Write(archive, Folder["before-dist"]);
        StringAssert.EndsWith(deb, "shimmy_1.2.3-rc.1-b_amd64.deb");
        Assert.AreEqual("1.2.3~rc.1.b\n", await RunAsync("dpkg-deb", "-f", deb, "Version"));
        await RunAsync("dpkg", "--compare-versions", "1.2.3~rc.1.b", "lt", "1.2.3");
        var rpm = RpmPackage.Write(archive, Folder["before-dist"]);
        StringAssert.Contains(await RunAsync("rpm", "-K", "--nosignature", rpm), "digests OK");
        Assert.AreEqual("1.2.3~rc.1.b", await RunAsync("rpm", "-qp", "--qf", "%{VERSION}", rpm));
        StringAssert.Contains(await RunAsync("rpm", "-qp", "--requires", rpm), "rpmlib(TildeInVersions) <= 4.10.0-1");
        var recipe = new Manifests([archive], new Uri("https://example.org/o/shimmy/releases/download/v1.2.3-rc.1-b/")).Write(Folder["before-dist"])
            .Single(path => path.EndsWith("PKGBUILD", StringComparison.Ordinal));
        StringAssert.Contains(await File.ReadAllTextAsync(recipe), "pkgver=1.2.3rc.1.b\n");
        Assert.IsLessThan(0, VersionOrder.Alpm("1.2.3rc.1.b", "1.2.3"));
        Assert.AreEqual("1.2.3pre0.1", (archive with { Version = "1.2.3-0.1" }).LetteredVersion);
        Assert.AreEqual("-1\n", await RunAsync("rpm", "--eval", "%{lua:print(rpm.vercmp('1.2.3~rc.1.b', '1.2.3'))}"));
    }

    // As libalpm 13 says of them.
    [TestMethod]
    [DataRow("1.2.3_rc.1", "1.2.3", 1)]
    [DataRow("1.2.3rc.1", "1.2.3", -1)]
    [DataRow("1.0.a", "1.0", 1)]
    [DataRow("1.2.3pre0.1", "1.2.3", -1)]
    [DataRow("1.2.3rc.1.b", "1.2.3rc.1", 1)]
    [DataRow("1.2.3rc.10", "1.2.3rc.9", 1)]
    [DataRow("1.2.3rc.1", "1.2.2", 1)]
    [DataRow("1.2.3", "1.2.03", 0)]
    public void The_order_of_the_AUR_is_pacmans(string first, string second, int order)
    {
        Assert.AreEqual(order, VersionOrder.Alpm(first, second));
        Assert.AreEqual(-order, VersionOrder.Alpm(second, first));
    }

    [TestMethod]
    public async Task Packages_need_the_glibc_that_their_files_need()
    {
        var platform = Archive.Platform;
        var published = Published(Folder["needs"], platform);
        Packed.Write(Path.Combine(published, "runtimes/llamasharp/libllama.so"), Elf("GLIBC_2.2.5", "GLIBC_2.38", "GLIBC_2.9", "GLIBC_PRIVATE"));
        var archive = ReleaseArchive.Make(published, Folder["needs-dist"], "1.2.3", platform, "");

        StringAssert.StartsWith(
            await RunAsync("dpkg-deb", "-f", DebPackage.Write(archive, Folder["needs-dist"]), "Depends"), "libc6 (>= 2.38), ");
        StringAssert.Contains(
            await RunAsync("rpm", "-qp", "--requires", RpmPackage.Write(archive, Folder["needs-dist"])), "libc.so.6(GLIBC_2.38)(64bit)\n");
        Assert.AreEqual(new Version(2, 36), Glibc.NewestOf(Elf("GLIBC_2.34", "GLIBC_ABI_DT_RELR")));
        foreach (var none in new[] { [], "#!/bin/sh"u8.ToArray(), Elf("GLIBCXX_3.4.29") })
            Assert.IsNull(Glibc.NewestOf(none));
    }

    [TestMethod]
    public async Task The_glibc_that_a_library_needs_is_what_readelf_reads()
    {
        var libraries = Directory.GetFiles(AppContext.BaseDirectory, "*.so", SearchOption.AllDirectories);
        if (!OperatingSystem.IsLinux() || libraries.Length == 0)
            Assert.Inconclusive("readelf knows the files of Linux.");
        foreach (var library in libraries)
        {
            var said = await RunAsync("readelf", "--version-info", "--wide", library);
            var versions = GlibcVersion().Matches(said).Select(match => Version.Parse(match.Groups[1].Value));
            Assert.AreEqual(versions.DefaultIfEmpty().Max(), Glibc.NewestOf(await File.ReadAllBytesAsync(library)), library);
        }
    }

    // No more of an ELF file than says what it needs: a section of needs, of one library, and one of their names.
    private static byte[] Elf(params string[] versions)
    {
        const int header = 64, section = 64, need = 16;
        var names = "\0libc.so.6\0" + string.Concat(versions.Select(version => version + "\0"));
        var (needs, texts) = (header + (3 * section), header + (3 * section) + need + (need * versions.Length));
        var file = new byte[texts + names.Length];
        "\u007FELF\u0002\u0001"u8.CopyTo(file);
        Put(0x28, header);
        (file[0x3A], file[0x3C]) = (section, 3);
        Put(header + section + 4, 0x6FFFFFFE);
        Put(header + section + 0x18, needs);
        Put(header + section + 0x28, 2);
        Put(header + (2 * section) + 4, 3);
        Put(header + (2 * section) + 0x18, texts);
        Put(needs + 4, 1);
        Put(needs + 8, need);
        for (var i = 0; i < versions.Length; i++)
        {
            Put(needs + need + (i * need) + 8, names.IndexOf(versions[i] + "\0", StringComparison.Ordinal));
            Put(needs + need + (i * need) + 12, i + 1 < versions.Length ? need : 0);
        }
        System.Text.Encoding.ASCII.GetBytes(names).CopyTo(file, texts);
        return file;

        void Put(int at, int value) => System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at), value);
    }

    [TestMethod]
    [DataRow("shimmy-1.2.3-linux-x64-vulkan-cuda.tar.gz", "1.2.3", "vulkan-cuda")]
    [DataRow("shimmy-1.2.3-rc.1-linux-x64.tar.gz", "1.2.3-rc.1", "")]
    [DataRow("shimmy-1.2.3-linux-x64-symbols.tar.gz", null, "")]
    [DataRow("shimmy-1.2.3-linux-x64-vulkan-symbols.tar.gz", null, "")]
    [DataRow("shimmy-linux-x64.tar.gz", null, "")]
    public void An_archive_is_known_by_its_name(string name, string? version, string backend)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder[name], "");

        var found = ReleaseArchive.In(folder.Path).SingleOrDefault();

        Assert.AreEqual(version, found?.Version);
        Assert.AreEqual(backend, found?.Backend ?? "");
    }

    [TestMethod]
    public async Task The_scripts_have_nothing_that_shellcheck_finds()
    {
        foreach (var file in new[] { "install.sh", "postinst.sh", "prerm.sh", "postrm.sh" })
        {
            var path = Folder["scripts/" + file];
            await File.WriteAllTextAsync(path, Product.Text(file));
            Assert.AreEqual("", await RunAsync("shellcheck", path));
        }
        foreach (var file in new[] { "packaging/base.sh", "publish.sh" })
            Assert.AreEqual("", await RunAsync("shellcheck", Path.Combine(Repository.Root, file)));
    }

    private static string Published(string folder, Platform platform) => Pretended.Published(folder, Folder, platform);

    private static async Task FollowsAsync(string schema, string json) =>
        Assert.IsEmpty((await NJsonSchema.JsonSchema.FromJsonAsync(schema)).Validate(json), json);

    private static async Task<string> RunAsync(string tool, params string[] arguments)
    {
        var (code, output) = await Tool.RunAsync(tool, arguments);
        Assert.AreEqual(0, code, output);
        return output;
    }

    // Who reads the service's variables reads its API key.
    [System.Text.RegularExpressions.GeneratedRegex(@"-rw------- .*/etc/shimmy/environment\n")]
    private static partial System.Text.RegularExpressions.Regex KeptFromOthers();

    [System.Text.RegularExpressions.GeneratedRegex(@"Name: GLIBC_([\d.]+)")]
    private static partial System.Text.RegularExpressions.Regex GlibcVersion();
}
