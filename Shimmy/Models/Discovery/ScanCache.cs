using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Models.Discovery;

/// <summary>
/// Caches the facts of file headers by path, size and modification time, in memory and on disk, so that a scan opens only new and changed
/// files. A cache file that is missing, damaged or of another version is ignored, and so is a failure to write it.
/// </summary>
/// <param name="path">Full path of the cache file; null: in memory only.</param>
internal sealed class ScanCache(string? path)
{
    private const ulong Magic = 0x35_4E_41_43_53_4D_48_53; // "SHMSCAN5": the last character is the version of the format
    private const int MaxBytes = 64 << 20;

    // Models that are gone are remembered while their file exists: another command may search other folders.
    private const int MostRemembered = 50_000;

    private Dictionary<string, Entry>? _entries;
    private Dictionary<string, int> _since = new(StringComparer.Ordinal);

    private readonly record struct Entry(long Size, long Ticks, GgufFacts Facts);

    /// <summary>The user's cache file; null where there is no cache folder.</summary>
    public static string? DefaultPath(HostEnvironment host) =>
        string.IsNullOrEmpty(host.Home)
            && host.Value("XDG_CACHE_HOME") is null
            ? null
            : host.Join(host.CacheFolder(), "shimmy", "models.cache");

    /// <summary>Begins a scan: reads the cache file at the first call.</summary>
    public void Open() => _entries ??= Load() ?? [];

    /// <summary>
    /// The facts of a file; null where it is new or changed. Thread-safe between <see cref="Open"/> and <see cref="Replace"/>.
    /// </summary>
    public GgufFacts? Find(ModelCandidate file) =>
        _entries!.TryGetValue(file.RealPath, out var entry)
            && entry.Size == file.SizeBytes
            && entry.Ticks == file.ModifiedUtc.Ticks ? entry.Facts : null;

    /// <summary>Number of cached files.</summary>
    public int Count => _entries!.Count;

    /// <summary>Ends a scan: replaces the content by the scanned files, and writes the cache file if anything changed.</summary>
    public void Replace(IReadOnlyList<ModelCandidate> files, IReadOnlyList<GgufFacts> facts)
    {
        var entries = new Dictionary<string, Entry>(files.Count, StringComparer.Ordinal);
        for (var i = 0; i < files.Count; i++)
        {
            // A file that could not be read may become readable without changing.
            if (!facts[i].IsTransient)
                entries[files[i].RealPath] = new Entry(files[i].SizeBytes, files[i].ModifiedUtc.Ticks, facts[i]);
        }

        var changed = entries.Count != _entries!.Count
            || entries.Any(entry => !_entries.TryGetValue(entry.Key, out var old) || old != entry.Value);
        _entries = entries;
        if (changed)
            Save();
    }

    /// <summary>
    /// The models with the scan in which each was first seen, by the path of its file. A replaced file keeps its number.
    /// </summary>
    public IReadOnlyList<ModelEntry> WithSince(IReadOnlyList<ModelEntry> models)
    {
        var next = _since.Count == 0 ? 1 : _since.Values.Max() + 1;
        var since = new Dictionary<string, int>(models.Count, StringComparer.Ordinal);
        foreach (var model in models)
            since[model.Path] = _since.GetValueOrDefault(model.Path, next);
        foreach (var (file, number) in _since)
        {
            if (since.Count < MostRemembered && !since.ContainsKey(file) && File.Exists(file))
                since.Add(file, number);
        }

        var changed = since.Count != _since.Count || since.Any(pair => !_since.TryGetValue(pair.Key, out var old) || old != pair.Value);
        _since = since;
        if (changed)
            Save();
        return [.. models.Select(model => model with { Since = since[model.Path] })];
    }

    private void Save()
    {
        if (path is null)
            return;

        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            SmallFile.Write(path, Encode(_entries!, _since));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            // Harmless: the next start reads the headers again.
        }
    }

    private Dictionary<string, Entry>? Load()
    {
        if (path is null)
            return null;

        try
        {
            var file = new FileInfo(path);
            return file.Exists && file.Length <= MaxBytes ? Decode(File.ReadAllBytes(path), out _since) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            return null;
        }
    }

    // Layout: magic, checksum of the rest, count, entries, count, paths with the scan in which each was first seen.
    private static byte[] Encode(Dictionary<string, Entry> entries, Dictionary<string, int> since)
    {
        var stream = new MemoryStream(entries.Count * 160);
        var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(Magic);
        writer.Write(0ul);
        writer.Write(entries.Count);
        foreach (var (file, entry) in entries)
        {
            writer.Write(file);
            writer.Write(entry.Size);
            writer.Write(entry.Ticks);
            entry.Facts.Write(writer);
        }

        writer.Write(since.Count);
        foreach (var (file, number) in since)
        {
            writer.Write(file);
            writer.Write(number);
        }

        var bytes = stream.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), Checksum(bytes.AsSpan(16)));
        return bytes;
    }

    private static Dictionary<string, Entry>? Decode(byte[] bytes, out Dictionary<string, int> since)
    {
        since = new Dictionary<string, int>(StringComparer.Ordinal);
        if (bytes.Length < 20
            || BinaryPrimitives.ReadUInt64LittleEndian(bytes) != Magic
            || BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(8)) != Checksum(bytes.AsSpan(16)))
        {
            return null;
        }

        try
        {
            var reader = new BinaryReader(new MemoryStream(bytes, 16, bytes.Length - 16), Encoding.UTF8);
            var count = reader.ReadInt32();
            var entries = new Dictionary<string, Entry>(Math.Clamp(count, 0, bytes.Length / 64), StringComparer.Ordinal);
            for (var i = 0; i < count; i++)
            {
                var file = reader.ReadString();
                entries[file] = new Entry(reader.ReadInt64(), reader.ReadInt64(), GgufFacts.Read(reader));
            }

            for (var i = reader.ReadInt32(); i > 0; i--)
                since[reader.ReadString()] = reader.ReadInt32();
            return entries;
        }
        catch (Exception e) when (e is IOException or FormatException or ArgumentException)
        {
            return null; // valid checksum, but not written by this code
        }
    }

    // Detects damage, not tampering. Eight bytes at a time, since it runs at every start.
    private static ulong Checksum(ReadOnlySpan<byte> bytes)
    {
        var sum = (ulong)bytes.Length;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            sum = ulong.RotateLeft((sum ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes)) * 0x9E3779B97F4A7C15, 29);

        foreach (var value in bytes)
            sum = (sum ^ value) * 0x100000001B3;

        return sum;
    }
}
