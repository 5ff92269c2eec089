using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Shimmy.Packaging;

/// <summary>A package for Debian and Ubuntu: an ar of debian-binary, control.tar.gz and data.tar.gz (deb(5)).</summary>
internal static class DebPackage
{
    /// <summary>Writes it beside the archive; gives its path.</summary>
    public static string Write(ReleaseArchive archive, string dist)
    {
        var files = LinuxLayout.Package(archive, zsh: "zsh/vendor-completions");
        var contents = files.Where(file => file.Target is null).Select(file => (file.Path, Bytes: file.Read())).ToArray();
        var sums = new StringBuilder();
        foreach (var (path, bytes) in contents)
            sums.Append(CultureInfo.InvariantCulture, $"{Sum(bytes)}  {path}\n");
        var glibc = Glibc.NewestOf(contents.Select(file => file.Bytes)) is { } newest ? $"libc6 (>= {newest})" : "libc6";
        var control = $"""
            Package: {Product.Name}
            Version: {archive.OrderedVersion}
            Architecture: {archive.Platform.Debian}
            Maintainer: {Product.Maintainer}
            Installed-Size: {contents.Sum(file => (file.Bytes.LongLength + 1023) / 1024)}
            Depends: {glibc}, libstdc++6, libssl3t64 | libssl3
            Recommends: ca-certificates
            Section: net
            Priority: optional
            Description: {Product.Summary}
             {Product.Description}

            """.ReplaceLineEndings("\n");
        var parts = new (string Name, byte[] Bytes)[]
        {
            ("debian-binary", "2.0\n"u8.ToArray()),
            ("control.tar.gz", Packed.Gzip(Packed.Tar(
            [
                PackedFile.OfText("control", control),
                PackedFile.OfText("md5sums", sums.ToString()),
                PackedFile.OfText("conffiles", string.Concat(LinuxLayout.Configuration.Select(file => $"/{file.Path}\n"))),
                PackedFile.OfText("postinst", Product.Text("postinst.sh"), runs: true),
                PackedFile.OfText("prerm", Product.Text("prerm.sh"), runs: true),
                PackedFile.OfText("postrm", Product.Text("postrm.sh"), runs: true),
            ], "./"))),
            ("data.tar.gz", Packed.Gzip(Packed.Tar(files, "./"))),
        };
        var package = new MemoryStream();
        package.Write("!<arch>\n"u8);
        foreach (var (name, bytes) in parts)
        {
            package.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
                $"{name,-16}{Packed.Time.ToUnixTimeSeconds(),-12}{0,-6}{0,-6}{"100644",-8}{bytes.Length,-10}`\n")));
            package.Write(bytes);
            if (bytes.Length % 2 == 1)
                package.WriteByte((byte)'\n');
        }
        return Packed.Write(Path.Combine(dist, $"{Product.Name}_{archive.Version}_{archive.Platform.Debian}.deb"), package.ToArray());
    }

    // The format wants MD5; it finds damage, and nobody trusts it for more.
#pragma warning disable CA5351
    private static string Sum(byte[] bytes) => Convert.ToHexStringLower(MD5.HashData(bytes));
#pragma warning restore CA5351
}
