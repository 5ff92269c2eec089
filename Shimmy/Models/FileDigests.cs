using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using Shimmy.Gguf;

namespace Shimmy.Models;

/// <summary>
/// SHA-256 digests of models, by which Ollama's clients tell them apart. Of a model in Ollama's store it is the digest of its manifest, as
/// Ollama has it; of others that of the file, which takes seconds a gigabyte: it is computed once, in the background, one file after
/// another, and remembered in a file by path, size and time of the last write.
/// </summary>
/// <param name="memory">The file that remembers them; null remembers nothing.</param>
internal sealed class FileDigests(string? memory = null) : IDisposable
{
    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _turn = new(1);
    private readonly ConcurrentDictionary<string, Lazy<Task<string>>> _known = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();
    private Dictionary<string, string>? _remembered;

    /// <summary>The digest in hexadecimal; empty while it is not known, or where the file cannot be read. Begins to compute it.</summary>
    public string Of(ModelEntry entry) => Begin(entry) is { IsCompletedSuccessfully: true } done ? done.Result : "";

    /// <summary>Begins to compute the digests of all, and waits a moment: those of small files are known then.</summary>
    public async Task SettleAsync(IEnumerable<ModelEntry> entries, TimeSpan longest, CancellationToken cancellation)
    {
        var all = Task.WhenAll(entries.Select(Begin).ToList());
        await ((Task)all).WaitAsync(longest, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <inheritdoc/>
    public void Dispose() => _end.Cancel();

    private Task<string> Begin(ModelEntry entry)
    {
        var files = entry.Manifest is { } manifest ? [manifest] : FilesOf(entry);
        if (KeyOf(files) is not { } key)
            return Task.FromResult("");
        return _known.GetOrAdd(key, _ => new Lazy<Task<string>>(() =>
            Remembered(key) is { } digest ? Task.FromResult(digest) : Task.Run(() => ComputeAsync(key, files)))).Value;
    }

    private static string[] FilesOf(ModelEntry entry)
    {
        try
        {
            return Directory.Exists(entry.Path)
                ? [.. Directory.EnumerateFiles(entry.Path, "*.safetensors").Order(StringComparer.Ordinal)]
                : entry.Shards.Count > 0 ? [.. entry.Shards] : [entry.Path];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    // The same as long as nobody has written to the files; null where they are not there.
    private static string? KeyOf(string[] files)
    {
        var infos = Array.ConvertAll(files, file => new FileInfo(file));
        return infos.Length == 0 || Array.Exists(infos, info => !info.Exists || info.FullName.AsSpan().IndexOfAny('\t', '\n') >= 0)
            ? null
            : string.Create(CultureInfo.InvariantCulture,
                $"{infos.Sum(info => info.Length)}\t{infos.Max(info => info.LastWriteTimeUtc.Ticks)}\t{infos[0].FullName}");
    }

    private async Task<string> ComputeAsync(string key, string[] files)
    {
        await _turn.WaitAsync(_end.Token).ConfigureAwait(false);
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var buffer = new byte[1 << 20];
            foreach (var file in files)
            {
                await using var stream = GgufPlace.Open(file, out var place);
                var left = place.Length;
                for (int read; (read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, buffer.Length)), _end.Token)
                    .ConfigureAwait(false)) > 0; left -= read)
                {
                    hash.AppendData(buffer.AsSpan(0, read));
                }
            }
            var digest = Convert.ToHexStringLower(hash.GetHashAndReset());
            // One whose file was written to meanwhile is none.
            if (KeyOf(files) == key)
                Remember(key, digest);
            return digest;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
        finally
        {
            _turn.Release();
        }
    }

    private string? Remembered(string key)
    {
        lock (_lock)
            return (_remembered ??= Read()).GetValueOrDefault(key);
    }

    // A line each: digest, size, time, path. Of two for one file the later counts.
    private Dictionary<string, string> Read()
    {
        var all = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            foreach (var line in memory is null || !File.Exists(memory) ? [] : File.ReadLines(memory))
            {
                var tab = line.IndexOf('\t', StringComparison.Ordinal);
                if (tab == 2 * SHA256.HashSizeInBytes)
                    all[line[(tab + 1)..]] = line[..tab];
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // They are computed again.
        }
        return all;
    }

    private void Remember(string key, string digest)
    {
        if (memory is null)
            return;
        try
        {
            lock (_lock)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(memory)!);
                File.AppendAllText(memory, $"{digest}\t{key}\n");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is known as long as this process lives.
        }
    }
}
