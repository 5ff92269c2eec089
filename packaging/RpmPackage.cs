using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Shimmy.Packaging;

/// <summary>
/// A package for Fedora, RHEL and SUSE (RPM 4): a lead, a signature header of sizes and digests, the header with all that is said of the
/// package and its files, and a gzipped cpio with their content.
/// </summary>
internal static class RpmPackage
{
    private const int Configuration = 1 | 16; // %config(noreplace)
    private const int OfScripts = 256 | 1024 | 2048 | 4096; // what runs the scripts: after installing, before and after removing
    private const int Rpmlib = (1 << 24) | 2 | 8; // a feature of rpm itself, this version or an older one
    private const uint Regular = 0x8000, Link = 0xA000;

    /// <summary>Writes it beside the archive; gives its path.</summary>
    public static string Write(ReleaseArchive archive, string dist)
    {
        var files = LinuxLayout.Package(archive).OrderBy(file => file.Path, StringComparer.Ordinal)
            .Select(file => (File: file, Bytes: file.Target is { } target ? Encoding.UTF8.GetBytes(target) : file.Read())).ToArray();
        var cpio = Cpio(files);
        var payload = Packed.Gzip(cpio);
        var header = Header(archive, files, payload);
        var signature = Signature(header, payload, cpio.Length);
        var package = new MemoryStream();
        package.Write(Lead($"{Product.Name}-{archive.OrderedVersion}-1"));
        package.Write(signature);
        package.Write(new byte[(8 - (signature.Length % 8)) % 8]);
        package.Write(header);
        package.Write(payload);
        return Packed.Write(Path.Combine(dist, $"{Product.Name}-{archive.Version}-1.{archive.Platform.Rpm}.rpm"), package.ToArray());
    }

    private static byte[] Header(ReleaseArchive archive, (PackedFile File, byte[] Bytes)[] files, byte[] payload)
    {
        var time = (int)Packed.Time.ToUnixTimeSeconds();
        var folders = files.Select(one => FolderOf(one.File.Path)).Distinct(StringComparer.Ordinal).ToList();
        var header = new RpmHeader(63);
        header.Strings(100, "C");
        header.Text(1000, Product.Name);
        header.Text(1001, archive.OrderedVersion);
        header.Text(1002, "1");
        header.Localized(1004, Product.Summary);
        header.Localized(1005, Product.Description);
        header.Numbers(1006, time);
        header.Text(1007, "localhost");
        header.Numbers(1009, (int)files.Sum(one => (long)one.Bytes.Length));
        header.Text(1014, Product.Licence);
        header.Localized(1016, "Applications/Internet");
        header.Text(1021, "linux");
        header.Text(1022, archive.Platform.Rpm!);
        header.Text(1024, Product.Text("postinst.sh"));
        header.Text(1025, Product.Text("prerm.sh"));
        header.Text(1026, Product.Text("postrm.sh"));
        header.Numbers(1028, [.. files.Select(one => one.Bytes.Length)]);
        header.Shorts(1030, [.. files.Select(one => (ushort)ModeOf(one.File))]);
        header.Shorts(1033, [.. files.Select(_ => (ushort)0)]);
        header.Numbers(1034, [.. files.Select(_ => time)]);
        header.Strings(1035, [.. files.Select(one => one.File.Target is null ? Packed.Hash(one.Bytes) : "")]);
        header.Strings(1036, [.. files.Select(one => one.File.Target ?? "")]);
        header.Numbers(1037, [.. files.Select(one => LinuxLayout.Configuration.Contains(one.File) ? Configuration : 0)]);
        header.Strings(1039, [.. files.Select(_ => "root")]);
        header.Strings(1040, [.. files.Select(_ => "root")]);
        header.Text(1044, $"{Product.Name}-{archive.OrderedVersion}-1.src.rpm");
        header.Strings(1047, Product.Name);
        var glibc = Glibc.NewestOf(files.Select(one => one.Bytes)) is { } newest ? $"GLIBC_{newest}" : "";
        var required = new List<(string Name, string Version, int Flags)>
        {
            ($"libc.so.6({glibc})(64bit)", "", 0), ("libssl.so.3()(64bit)", "", 0), ("libstdc++.so.6()(64bit)", "", 0),
            ("/bin/sh", "", OfScripts), ("rpmlib(CompressedFileNames)", "3.0.4-1", Rpmlib), ("rpmlib(FileDigests)", "4.6.0-1", Rpmlib),
            ("rpmlib(PayloadFilesHavePrefix)", "4.0-1", Rpmlib),
        };
        if (archive.OrderedVersion.Contains('~', StringComparison.Ordinal))
            required.Add(("rpmlib(TildeInVersions)", "4.10.0-1", Rpmlib));
        header.Numbers(1048, [.. required.Select(one => one.Flags)]);
        header.Strings(1049, [.. required.Select(one => one.Name)]);
        header.Strings(1050, [.. required.Select(one => one.Version)]);
        header.Text(1064, "4.18.0");
        header.Strings(1085, "/bin/sh");
        header.Strings(1086, "/bin/sh");
        header.Strings(1087, "/bin/sh");
        header.Numbers(1095, [.. files.Select(_ => 1)]);
        header.Numbers(1096, [.. Enumerable.Range(1, files.Length)]);
        header.Strings(1097, [.. files.Select(_ => "")]);
        header.Numbers(1112, 8);
        header.Strings(1113, $"{archive.OrderedVersion}-1");
        header.Numbers(1116, [.. files.Select(one => folders.IndexOf(FolderOf(one.File.Path)))]);
        header.Strings(1117, [.. files.Select(one => one.File.Path[(one.File.Path.LastIndexOf('/') + 1)..])]);
        header.Strings(1118, [.. folders]);
        header.Text(1124, "cpio");
        header.Text(1125, "gzip");
        header.Text(1126, "9");
        header.Numbers(5011, 8);
        header.Strings(5092, Packed.Hash(payload));
        header.Numbers(5093, 8);
        return header.ToArray();
    }

    // Digests that the format keeps for its oldest readers are written beside those that count.
#pragma warning disable CA5350, CA5351
    private static byte[] Signature(byte[] header, byte[] payload, int unpacked)
    {
        var both = (byte[])[.. header, .. payload];
        var signature = new RpmHeader(62);
        signature.Text(269, Convert.ToHexStringLower(SHA1.HashData(header)));
        signature.Text(273, Packed.Hash(header));
        signature.Numbers(1000, both.Length);
        signature.Bytes(1004, MD5.HashData(both));
        signature.Numbers(1007, unpacked);
        return signature.ToArray();
    }
#pragma warning restore CA5350, CA5351

    private static byte[] Lead(string name)
    {
        var lead = new byte[96];
        ReadOnlySpan<byte> start = [0xED, 0xAB, 0xEE, 0xDB, 3, 0, 0, 0, 0, 1];
        start.CopyTo(lead);
        Encoding.ASCII.GetBytes(name.Length > 65 ? name[..65] : name).CopyTo(lead, 10);
        lead[77] = 1; // Linux
        lead[79] = 5; // a signature header follows
        return lead;
    }

    private static byte[] Cpio((PackedFile File, byte[] Bytes)[] files)
    {
        var cpio = new MemoryStream();
        for (var i = 0; i < files.Length; i++)
            Entry("./" + files[i].File.Path, i + 1, ModeOf(files[i].File), files[i].Bytes);
        Entry("TRAILER!!!", 0, 0, []);
        return cpio.ToArray();

        void Entry(string name, int inode, uint mode, byte[] bytes)
        {
            var text = Encoding.UTF8.GetBytes(name + "\0");
            var time = mode == 0 ? 0 : Packed.Time.ToUnixTimeSeconds();
            cpio.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
                $"070701{inode:x8}{mode:x8}{0:x8}{0:x8}{1:x8}{time:x8}{bytes.Length:x8}{0:x8}{0:x8}{0:x8}{0:x8}{text.Length:x8}{0:x8}")));
            cpio.Write(text);
            Pad();
            cpio.Write(bytes);
            Pad();
        }

        void Pad() => cpio.Write(new byte[(4 - (cpio.Length % 4)) % 4]);
    }

    private static uint ModeOf(PackedFile file) => file.Target is null ? Regular | (uint)file.Mode : Link | 0x1FF;

    private static string FolderOf(string path) => "/" + path[..(path.LastIndexOf('/') + 1)];

    /// <summary>A header of RPM: an index of tags, and a store of their values, enclosed by a tag of the whole region.</summary>
    private sealed class RpmHeader(int region)
    {
        private const int EntryLength = 16;
        private readonly List<(int Tag, int Type, int Offset, int Count)> _entries = [];
        private readonly List<byte> _store = [];

        public void Text(int tag, string value) => Add(tag, 6, 1, 1, Encoding.UTF8.GetBytes(value + "\0"));

        public void Localized(int tag, string value) => Add(tag, 9, 1, 1, Encoding.UTF8.GetBytes(value + "\0"));

        public void Strings(int tag, params string[] values) =>
            Add(tag, 8, 1, values.Length, Encoding.UTF8.GetBytes(string.Concat(values.Select(value => value + "\0"))));

        public void Bytes(int tag, byte[] value) => Add(tag, 7, 1, value.Length, value);

        public void Numbers(int tag, params int[] values)
        {
            var bytes = new byte[values.Length * 4];
            for (var i = 0; i < values.Length; i++)
                BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(i * 4), values[i]);
            Add(tag, 4, 4, values.Length, bytes);
        }

        public void Shorts(int tag, params ushort[] values)
        {
            var bytes = new byte[values.Length * 2];
            for (var i = 0; i < values.Length; i++)
                BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(i * 2), values[i]);
            Add(tag, 3, 2, values.Length, bytes);
        }

        public byte[] ToArray()
        {
            var count = _entries.Count + 1;
            // The region's value is an entry of the index that points back to its beginning.
            var trailer = Entry(region, 7, -count * EntryLength, EntryLength);
            var offset = _store.Count;
            var bytes = new MemoryStream();
            bytes.Write([0x8E, 0xAD, 0xE8, 1, 0, 0, 0, 0]);
            Span<byte> number = stackalloc byte[4];
            foreach (var value in new[] { count, offset + EntryLength })
            {
                BinaryPrimitives.WriteInt32BigEndian(number, value);
                bytes.Write(number);
            }
            bytes.Write(Entry(region, 7, offset, EntryLength));
            foreach (var (tag, type, at, length) in _entries.OrderBy(entry => entry.Tag))
                bytes.Write(Entry(tag, type, at, length));
            bytes.Write([.. _store]);
            bytes.Write(trailer);
            return bytes.ToArray();
        }

        private void Add(int tag, int type, int alignment, int count, byte[] value)
        {
            _store.AddRange(new byte[(alignment - (_store.Count % alignment)) % alignment]);
            _entries.Add((tag, type, _store.Count, count));
            _store.AddRange(value);
        }

        private static byte[] Entry(int tag, int type, int offset, int count)
        {
            var entry = new byte[EntryLength];
            foreach (var (at, value) in new[] { (0, tag), (4, type), (8, offset), (12, count) })
                BinaryPrimitives.WriteInt32BigEndian(entry.AsSpan(at), value);
            return entry;
        }
    }
}
