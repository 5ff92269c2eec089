using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Shimmy.Packaging;

/// <summary>
/// What other package managers read: where the archives of a release are, and what their SHA-256 is. All are made from the same archives and
/// <see cref="Product"/>'s table.
/// </summary>
/// <param name="archives">The archives of one release.</param>
/// <param name="releases">The address below which a release's files lie, as <c>https://host/owner/shimmy/releases/download/v1.2.3</c>.</param>
internal sealed class Manifests(IReadOnlyList<ReleaseArchive> archives, Uri releases)
{
    private readonly IReadOnlyList<ReleaseArchive> _plain = [.. archives.Where(archive => archive.Backend.Length == 0)];

    private string Version => _plain[0].Version;

    private string Home => HomeOf(releases);

    /// <summary>The address of the product: where the releases are, without what is of a release.</summary>
    public static string HomeOf(Uri releases) => releases.AbsoluteUri.Split("/releases/")[0];

    /// <summary>Writes all of them; gives their paths. What has no archive for its systems is left out.</summary>
    public IEnumerable<string> Write(string dist)
    {
        foreach (var (path, text) in new[]
        {
            ("homebrew/shimmy.rb", Formula()), ("scoop/shimmy.json", Scoop()), ("nix/flake.nix", Flake()), ("aur/PKGBUILD", Pkgbuild("PKGBUILD")),
            // In the AUR's repository it is .SRCINFO; the files of a release cannot begin with a full stop.
            ("aur/SRCINFO", Pkgbuild("SRCINFO")),
            ($"winget/Shimmy.Shimmy.yaml", WinGet("version", "DefaultLocale: en-US")),
            ($"winget/Shimmy.Shimmy.installer.yaml", WinGet("installer", Installers())),
            ($"winget/Shimmy.Shimmy.locale.en-US.yaml", WinGet("defaultLocale", Locale())),
        })
        {
            if (text is not null)
                yield return Packed.Write(Path.Combine(dist, path), Encoding.UTF8.GetBytes(text));
        }
    }

    private ReleaseArchive? Of(string rid) => _plain.FirstOrDefault(archive => archive.Platform.Rid == rid);

    private string Address(ReleaseArchive archive) => $"{releases.AbsoluteUri.TrimEnd('/')}/{archive.FileName}";

    private string? Formula()
    {
        var text = new StringBuilder();
        Line("# Made by packaging/, as every file of a release.");
        Line("class Shimmy < Formula");
        Line($"  desc \"{Product.Summary}\"");
        Line($"  homepage \"{Home}\"");
        Line($"  version \"{Version}\"");
        Line($"  license \"{Product.Licence}\"");
        var any = false;
        foreach (var (system, first, second) in new[] { ("macos", "osx-arm64", "osx-x64"), ("linux", "linux-arm64", "linux-x64") })
        {
            if (Of(first) is null && Of(second) is null)
                continue;
            any = true;
            Line("");
            Line($"  on_{system} do");
            foreach (var (processor, archive) in new[] { ("arm", Of(first)), ("intel", Of(second)) })
            {
                if (archive is null)
                    continue;
                Line($"    on_{processor} do");
                Line($"      url \"{Address(archive)}\"");
                Line($"      sha256 \"{archive.Hash}\"");
                Line("    end");
            }
            Line("  end");
        }
        foreach (var line in new[]
        {
            "", "  def install", "    man1.install Dir[\"share/man/man1/*\"]", "    bash_completion.install \"share/bash-completion/completions/shimmy\"",
            "    zsh_completion.install \"share/zsh/site-functions/_shimmy\"", "    fish_completion.install \"share/fish/vendor_completions.d/shimmy.fish\"",
            "    libexec.install Dir[\"*\"]", "    bin.install_symlink libexec/\"shimmy\"", "  end", "", "  service do",
            "    run [opt_bin/\"shimmy\", \"serve\"]", "    keep_alive true", "  end", "", "  test do",
            "    assert_match \"shimmy-demo\", shell_output(\"#{bin}/shimmy list\")", "  end", "end",
        })
        {
            Line(line);
        }
        return any ? text.ToString() : null;

        void Line(string line) => text.Append(line).Append('\n');
    }

    private string? Scoop()
    {
        if (_plain.All(archive => !archive.Platform.IsWindows))
            return null;
        var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true, IndentSize = 4, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("version", Version);
            json.WriteString("description", Product.Summary);
            json.WriteString("homepage", Home);
            json.WriteString("license", Product.Licence);
            json.WriteStartObject("architecture");
            foreach (var (name, rid) in new[] { ("64bit", "win-x64"), ("arm64", "win-arm64") })
            {
                if (Of(rid) is not { } archive)
                    continue;
                json.WriteStartObject(name);
                json.WriteString("url", Address(archive));
                json.WriteString("hash", archive.Hash);
                json.WriteString("extract_dir", archive.Folder);
                json.WriteEndObject();
            }
            json.WriteEndObject();
            // llama.cpp's libraries need Microsoft's of C++ and of OpenMP (VCOMP140.DLL), which Windows does not bring.
            json.WriteStartObject("suggest");
            json.WriteString("vcredist", "extras/vcredist2022");
            json.WriteEndObject();
            json.WriteString("bin", "shimmy.exe");
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(bytes.ToArray()) + "\n";
    }

    // The three files of WinGet's schema 1.9.
    private string? WinGet(string kind, string? body) => body is null || _plain.All(archive => !archive.Platform.IsWindows) ? null
        : $"""
        # yaml-language-server: $schema=https://aka.ms/winget-manifest.{kind}.1.9.0.schema.json
        PackageIdentifier: Shimmy.Shimmy
        PackageVersion: {Version}
        {body}
        ManifestType: {kind}
        ManifestVersion: 1.9.0

        """.ReplaceLineEndings("\n");

    private string Installers()
    {
        // The program looks for its runtimes beside itself, so its folder goes into PATH, and no link to it elsewhere.
        var text = new StringBuilder("InstallerType: zip\nNestedInstallerType: portable\nArchiveBinariesDependOnPath: true\nInstallers:");
        foreach (var archive in _plain.Where(archive => archive.Platform.IsWindows))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n- Architecture: {archive.Platform.NodeProcessor}\n  NestedInstallerFiles:\n");
            text.Append(CultureInfo.InvariantCulture, $"  - RelativeFilePath: {archive.Folder}\\shimmy.exe\n    PortableCommandAlias: shimmy\n");
            text.Append("  Dependencies:\n    PackageDependencies:\n");
            text.Append(CultureInfo.InvariantCulture, $"    - PackageIdentifier: Microsoft.VCRedist.2015+.{archive.Platform.NodeProcessor}\n");
            text.Append(CultureInfo.InvariantCulture, $"  InstallerUrl: {Address(archive)}\n  InstallerSha256: {archive.Hash.ToUpperInvariant()}");
        }
        return text.ToString();
    }

    private static string Locale() => $"PackageLocale: en-US\nPublisher: Shimmy\nPackageName: Shimmy\nLicense: {Product.Licence}\n"
        + $"ShortDescription: {Product.Summary}";

    private string? Flake()
    {
        var systems = _plain.Where(archive => archive.Platform.Nix is not null).ToArray();
        if (systems.Length == 0)
            return null;
        var text = new StringBuilder();
        foreach (var archive in systems)
        {
            text.Append(CultureInfo.InvariantCulture, $"        {archive.Platform.Nix} = {{ url = \"{Address(archive)}\"; ");
            text.Append(CultureInfo.InvariantCulture, $"hash = \"sha256-{Convert.ToBase64String(Convert.FromHexString(archive.Hash))}\"; }};\n");
        }
        return Product.Text("flake.nix", ("summary", Product.Summary), ("version", Version), ("home", Home), ("systems", text.ToString().TrimEnd('\n')));
    }

    // PKGBUILD, or SRCINFO, which says the same of it. A version has no hyphen there.
    private string? Pkgbuild(string file)
    {
        var systems = new[] { (Processor: "x86_64", Archive: Of("linux-x64")), (Processor: "aarch64", Archive: Of("linux-arm64")) }
            .Where(system => system.Archive is not null).ToArray();
        if (systems.Length == 0)
            return null;
        var isScript = file == "PKGBUILD";
        var (processors, sources, folders) = (new StringBuilder(), new StringBuilder(), new StringBuilder());
        foreach (var (processor, archive) in systems)
        {
            processors.Append(isScript ? $" '{processor}'" : $"\n\tarch = {processor}");
            sources.Append(isScript ? $"\nsource_{processor}=(\"{Address(archive!)}\")" : $"\n\tsource_{processor} = {Address(archive!)}");
            sources.Append(isScript ? $"\nsha256sums_{processor}=('{archive!.Hash}')" : $"\n\tsha256sums_{processor} = {archive!.Hash}");
            folders.Append(CultureInfo.InvariantCulture, $"\n_folder_{processor}={archive.Folder}");
        }
        return Product.Text(file, ("summary", Product.Summary), ("version", _plain[0].LetteredVersion), ("home", Home),
            ("licence", Product.Licence), ("processors", processors.ToString().TrimStart()), ("sources", sources.ToString().TrimStart()),
            ("folders", folders.ToString().TrimStart()));
    }
}
