using System.Diagnostics;
using System.Globalization;
using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;

namespace Shimmy.SafeTensors;

/// <summary>
/// Folder of GGUF files that were made from Hugging Face folders. A folder is converted once: its file is found again by a fingerprint of
/// what the folder holds. Several requests, and several processes, that want the same file wait for one conversion. The file appears whole
/// or not at all.
/// </summary>
/// <param name="folder">Where the files go; made where it is missing.</param>
/// <param name="type">What weights become, one of <see cref="FolderConversion.Types"/>.</param>
/// <param name="bound">Bytes of all files together; the least recently used leave where more would be kept.</param>
internal sealed class ConversionCache(string folder, string type, long bound = ConversionCache.DefaultBound)
{
    /// <summary>Bytes that are kept where nothing else is said.</summary>
    public const long DefaultBound = 256L << 30;

    private const string Ending = ".gguf";
    private const string LockEnding = ".lock";
    private const string PartialEnding = ".partial";
    private static readonly TimeSpan LockPause = TimeSpan.FromMilliseconds(200);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Running> _running = new(StringComparer.Ordinal);

    /// <summary>A conversion that is under way, with those who receive its progress.</summary>
    private sealed class Running(List<IProgress<float>> listeners)
    {
        public Task<string> Task { get; set; } = null!;
        public List<IProgress<float>> Listeners { get; } = listeners;
        public float Share { get; set; }
    }

    /// <summary>The folder of the files.</summary>
    public string Folder => folder;

    /// <summary>Makes what quantizes, where the type needs llama.cpp for it.</summary>
    public Func<Quantizer>? Quantizer { get; init; }

    /// <summary>The finished file for what a folder holds now; null where it was not converted yet.</summary>
    public string? Find(string source) => PathOf(source) is var path && File.Exists(path) ? path : null;

    /// <summary>How far the conversion of a folder is; null for what is no folder, or cannot be read.</summary>
    public ConversionState? StateOf(string source)
    {
        string path;
        try
        {
            if (!Directory.Exists(source))
                return null;
            path = PathOf(source);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        lock (_gate)
        {
            if (_running.TryGetValue(path, out var running))
                return new ConversionState(false, running.Share);
        }

        return new ConversionState(File.Exists(path), null);
    }

    /// <summary>
    /// The file for a folder, converted now if need be. Throws <see cref="SafeTensorsException"/> where that is refused or fails for want
    /// of space. Cancelling ends the wait; the conversion goes on for whoever asks next.
    /// </summary>
    /// <param name="source">The Hugging Face folder.</param>
    /// <param name="progress">Receives the share that is done, 0 to 1.</param>
    /// <param name="watch">Receives where a conversion begins and what the owner should know about the folder.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public Task<string> FileOfAsync(string source, IProgress<float>? progress, ConversionWatch watch, CancellationToken cancellation) =>
        FileOfAsync(() => PathOf(source), () => FolderConversion.Of(source, type), progress, watch, cancellation);

    /// <summary>
    /// The file for an adapter's folder and a model, as
    /// <see cref="FileOfAsync(string, IProgress{float}?, ConversionWatch, CancellationToken)"/>.
    /// </summary>
    /// <param name="source">The folder of PEFT.</param>
    /// <param name="model">The model's GGUF.</param>
    /// <param name="watch">Receives where a conversion begins.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public Task<string> AdapterOfAsync(string source, string model, ConversionWatch watch, CancellationToken cancellation)
    {
        var header = GgufReader.ReadFile(model, new GgufLimits { ArrayLength = 0 });
        var (heads, few) =
            (header.OfArchitecture("attention.head_count")?.Integer, header.OfArchitecture("attention.head_count_kv")?.Integer);
        var kind = string.Create(CultureInfo.InvariantCulture, $"{header.Architecture}-{heads ?? 0}-{few ?? 0}");
        return FileOfAsync(() => PathOf(source, kind), () => FolderConversion.OfAdapter(source, header), null, watch, cancellation);
    }

    private async Task<string> FileOfAsync(Func<string> pathOf, Func<FolderConversion> read, IProgress<float>? progress,
        ConversionWatch watch, CancellationToken cancellation)
    {
        var path = pathOf();
        Task<string> task;
        lock (_gate)
        {
            if (_running.TryGetValue(path, out var running))
            {
                if (progress is not null)
                    running.Listeners.Add(progress);
            }
            else
            {
                if (Touched(path))
                    return path;

                running = new Running(progress is null ? [] : [progress]);
                running.Task = Task.Run(() => ConvertAsync(pathOf, path, read, running, watch), CancellationToken.None);
                _running.Add(path, running);
            }

            task = running.Task;
        }

        return await task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    private string PathOf(string source, string? kind = null)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(source)));
        return Path.Join(folder, $"{name}-{ModelFolder.Fingerprint(source)}-{kind ?? type}{Ending}");
    }

    // The time of the last use decides who leaves first.
    private static bool Touched(string path)
    {
        if (!File.Exists(path))
            return false;

        try
        {
            File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A cache that cannot be written serves what it has.
        }

        return true;
    }

    private async Task<string> ConvertAsync(
        Func<string> pathOf, string path, Func<FolderConversion> read, Running running, ConversionWatch watch)
    {
        try
        {
            Directory.CreateDirectory(folder);
            await using var _ = await OtherProcessesAsync(path + LockEnding).ConfigureAwait(false);
            if (Touched(path))
                return path;

            watch.Begin();
            var started = Stopwatch.GetTimestamp();
            var conversion = read();
            foreach (var warning in conversion.Warnings)
                watch.Warn(warning);

            FreeDisk(conversion.TargetBytes);
            conversion.WriteFile(path, new Shares(share => Tell(running, share)), Quantizer);
            if (pathOf() != path)
            {
                File.Delete(path);
                throw new SafeTensorsException("the folder was changed while it was read; try again when it is complete");
            }

            watch.End(new FileInfo(path).Length, Stopwatch.GetElapsedTime(started));
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SafeTensorsException($"it cannot be converted into {folder}: {e.Message} (--convert-cache names another folder)", e);
        }
        finally
        {
            lock (_gate)
                _running.Remove(path);
        }
    }

    private void Tell(Running running, float share)
    {
        IProgress<float>[] all;
        lock (_gate)
        {
            running.Share = share;
            all = [.. running.Listeners];
        }

        foreach (var listener in all)
            listener.Report(share);
    }

    // The system takes the lock away from a process that dies.
    private static async Task<FileStream> OtherProcessesAsync(string path)
    {
        for (; ; )
        {
            try
            {
                return SmallFile.Lock(path);
            }
            catch (IOException) when (File.Exists(path))
            {
                await Task.Delay(LockPause).ConfigureAwait(false);
            }
        }
    }

    // Whether a file has a name that PathOf gives: what else lies in the folder is not ours to delete.
    private static bool IsOurs(string name) =>
        name.Split('-').SkipLast(1).Skip(1).Any(part => part.Length == 32 && part.All(char.IsAsciiHexDigitLower));

    // What a process that was killed left behind goes first: nobody holds its lock.
    private void FreeDisk(long needed)
    {
        var files = new DirectoryInfo(folder).EnumerateFiles().Where(file => IsOurs(file.Name)).ToList();
        foreach (var partial in files.Where(file => file.Name.EndsWith(PartialEnding, StringComparison.Ordinal)))
        {
            var lockFile = partial.FullName[..^PartialEnding.Length] + LockEnding;
            try
            {
                using var unheld = SmallFile.Lock(lockFile);
                partial.Delete();
            }
            catch (IOException)
            {
                // Another process writes it.
            }
        }

        var kept = files.Where(file => file.Extension == Ending).OrderBy(file => file.LastWriteTimeUtc).ToList();
        var bytes = kept.Sum(file => file.Length);
        foreach (var file in kept)
        {
            if (bytes + needed <= bound && Free() >= needed)
                break;

            bytes -= file.Length;
            file.Delete();
        }

        if (Free() is var free && free < needed)
        {
            throw new SafeTensorsException(string.Create(CultureInfo.InvariantCulture,
                $"it takes {ByteCount.MegabytesUp(needed)} MB to convert, and {folder} has {ByteCount.Megabytes(free)} MB free "
                + $"(--convert-cache names another folder)"));
        }
    }

    /// <summary>Free bytes of a folder's disk.</summary>
    public static long FreeOf(string folder) => new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace;

    private long Free() => FreeOf(folder);

    // Reported at once and in order, as Progress<T> would not.
    private sealed class Shares(Action<float> report) : IProgress<float>
    {
        public void Report(float value) => report(value);
    }
}

/// <summary>How far a folder's conversion is.</summary>
/// <param name="Done">Whether its file is there.</param>
/// <param name="Share">The share that is done, 0 to 1, where it is under way.</param>
internal sealed record ConversionState(bool Done, float? Share)
{
    /// <summary>The state in a word.</summary>
    public string Word => Done ? "converted" : Share is null ? "not converted" : "converting";

    /// <summary>The state as people read it.</summary>
    public override string ToString() =>
        Share is { } share ? string.Create(CultureInfo.InvariantCulture, $"{Word} {(int)(share * 100)}%") : Word;
}

/// <summary>The receivers of a conversion's progress.</summary>
/// <param name="Begin">It begins.</param>
/// <param name="Warn">What the owner should know, before it is converted.</param>
/// <param name="End">It is done: bytes of the file, and the time it took.</param>
internal sealed record ConversionWatch(Action Begin, Action<string> Warn, Action<long, TimeSpan> End)
{
    /// <summary>Ignores progress.</summary>
    public static ConversionWatch None { get; } = new(() => { }, _ => { }, (_, _) => { });
}
