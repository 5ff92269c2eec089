namespace Shimmy.Packaging;

/// <summary>Where an archive's files go in a Linux system: the same for .deb, .rpm and the image of a container.</summary>
internal static class LinuxLayout
{
    /// <summary>The folder of the executable and what lies beside it.</summary>
    public const string Home = "usr/lib/shimmy/";

    private const string Zsh = "zsh/site-functions";

    /// <summary>What the administrator may change and an upgrade leaves: the configuration, and the service's variables.</summary>
    public static IReadOnlyList<PackedFile> Configuration { get; } =
    [
        PackedFile.OfText("etc/shimmy/config.json", Product.Text("config.json")),
        // The API key is one of them.
        PackedFile.OfText("etc/shimmy/environment", Product.Text("environment")) with { IsSecret = true },
    ];

    /// <summary>The program alone: its folder, and a link in the path.</summary>
    public static IEnumerable<PackedFile> Program(ReleaseArchive archive) => archive.Files()
        .Where(file => !file.Path.StartsWith("share/", StringComparison.Ordinal))
        .Select(file => file with { Path = Home + file.Path })
        .Append(new PackedFile("usr/bin/shimmy", () => [], Target: "../lib/shimmy/shimmy"));

    /// <summary>All that a package installs: the program, manual and completions, the service and its user.</summary>
    /// <param name="archive">The archive.</param>
    /// <param name="zsh">Where the system's zsh looks for completions of packages, below usr/share.</param>
    public static IReadOnlyList<PackedFile> Package(ReleaseArchive archive, string zsh = Zsh) =>
    [
        .. Program(archive),
        .. archive.Files().Where(file => file.Path.StartsWith("share/", StringComparison.Ordinal)).Select(Shared).Select(file =>
            file with { Path = file.Path.Replace($"/{Zsh}/", $"/{zsh}/", StringComparison.Ordinal) }),
        PackedFile.OfText("usr/lib/systemd/system/shimmy.service", Product.Text("shimmy.service")),
        PackedFile.OfText("usr/lib/sysusers.d/shimmy.conf", Product.Text("shimmy.sysusers")),
        .. Configuration,
        .. archive.Files().Where(file => file.Path == "LICENSE").Select(file => file with { Path = "usr/share/doc/shimmy/copyright" }),
    ];

    private static PackedFile Shared(PackedFile file) => file.Path.StartsWith("share/man/", StringComparison.Ordinal)
        ? file with { Path = $"usr/{file.Path}.gz", Read = () => Packed.Gzip(file.Read()) }
        : file with { Path = "usr/" + file.Path };
}
