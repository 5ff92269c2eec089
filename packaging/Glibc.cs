using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Packaging;

/// <summary>What programs and libraries of Linux need of glibc: the versions that their symbols have there (ELF, 64 bits).</summary>
internal static class Glibc
{
    private const int Needs = 0x6FFFFFFE; // SHT_GNU_verneed
    private const string Start = "GLIBC_";

    /// <summary>The newest version of glibc that one of them needs, as <c>2.34</c>; null where none needs any.</summary>
    public static string? NewestOf(IEnumerable<byte[]> files) => files.Select(NewestOf).Max()?.ToString();

    /// <summary>The newest version of glibc that a file needs; null where it needs none or is no ELF file.</summary>
    public static Version? NewestOf(byte[] file)
    {
        // 64 bits, little-endian.
        if (file.Length < 64 || !file.AsSpan().StartsWith("\u007FELF\u0002\u0001"u8))
            return null;
        var newest = (Version?)null;
        var (first, length, count) = ((int)Long(0x28), Short(0x3A), Short(0x3C));
        for (var section = first; section < first + (length * count); section += length)
        {
            if (Int(section + 4) != Needs)
                continue;
            var names = (int)Long(first + (length * Int(section + 0x28)) + 0x18);
            // A library, the versions of it, the next library: each says how many bytes behind it the next one is, and the last 0.
            for (var library = (int)Long(section + 0x18); ;)
            {
                for (var version = library + Int(library + 8); ;)
                {
                    newest = Newer(newest, Text(names + Int(version + 8)));
                    if (Int(version + 12) == 0)
                        break;
                    version += Int(version + 12);
                }
                if (Int(library + 12) == 0)
                    break;
                library += Int(library + 12);
            }
        }
        return newest;

        int Short(int at) => BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(at));
        int Int(int at) => BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at));
        long Long(int at) => BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(at));
        string Text(int at) => Encoding.ASCII.GetString(file.AsSpan(at, file.AsSpan(at).IndexOf((byte)0)));
    }

    private static Version? Newer(Version? than, string name)
    {
        // Relative relocations, which the loader of 2.36 was the first to know.
        var number = name == Start + "ABI_DT_RELR" ? "2.36" : name.StartsWith(Start, StringComparison.Ordinal) ? name[Start.Length..] : "";
        return Version.TryParse(number, out var version) && (than is null || version > than) ? version : than;
    }
}
