using System.Globalization;
using Shimmy.SafeTensors.Files;

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
    private static readonly TimeSpan LockPause = TimeSpan.FromMilliseconds(200);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Running> _running = new(StringComparer.Ordinal);

    /// <summary>A conversion that is under way, with those who are told of its progress.</summary>
    private sealed record Running(Task<string> Task, List<IProgress<float>> Listeners);

    /// <summary>Where the files are.</summary>
    public string Folder => folder;

    /// <summary>The finished file for what a folder holds now; null where it was not converted yet.</summary>
    public string? Find(string source)
    {
        var path = PathOf(source);
        return File.Exists(path) ? path : null;
    }

    /// <summary>
    /// The file for a folder, converted now if need be. Throws <see cref="SafeTensorsException"/> where that is refused or fails for want
    /// of space. Cancelling ends the wait; the conversion goes on for whoever asks next.
    /// </summary>
    /// <param name="source">The Hugging Face folder.</param>
    /// <param name="progress">Is told the share that is done, 0 to 1.</param>
    /// <param name="begin">Is called where a conversion begins.</param>
    /// <param name="warn">Is told what the owner should know about this folder, before it is converted.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task<string> FileOfAsync(
        string source, IProgress<float>? progress, Action begin, Action<string> warn, CancellationToken cancellation)
    {
        var path = PathOf(source);
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

                List<IProgress<float>> listeners = progress is null ? [] : [progress];
                var conversion = Task.Run(() => ConvertAsync(source, path, listeners, begin, warn), CancellationToken.None);
                running = new Running(conversion, listeners);
                _running.Add(path, running);
            }

            task = running.Task;
        }

        return await task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    private string PathOf(string source)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(source)));
        return Path.Join(folder, $"{name}-{ModelFolder.Fingerprint(source)}-{type}{Ending}");
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
        string source, string path, List<IProgress<float>> listeners, Action begin, Action<string> warn)
    {
        try
        {
            Directory.CreateDirectory(folder);
            await using var _ = await OtherProcessesAsync(path + ".lock").ConfigureAwait(false);
            if (Touched(path))
                return path;

            begin();
            var conversion = FolderConversion.Of(source, type);
            foreach (var warning in conversion.Warnings)
                warn(warning);

            MakeRoom(conversion.TargetBytes);
            conversion.WriteFile(path, new Shares(share => Tell(listeners, share)));
            if (PathOf(source) != path)
            {
                File.Delete(path);
                throw new SafeTensorsException("the folder was changed while it was read; try again when it is complete");
            }

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

    private void Tell(List<IProgress<float>> listeners, float share)
    {
        IProgress<float>[] all;
        lock (_gate)
            all = [.. listeners];
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
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            }
            catch (IOException) when (File.Exists(path))
            {
                await Task.Delay(LockPause).ConfigureAwait(false);
            }
        }
    }

    // What a process that was killed left behind goes first.
    private void MakeRoom(long needed)
    {
        var files = new DirectoryInfo(folder).EnumerateFiles().ToList();
        foreach (var partial in files.Where(file =>
            file.Name.EndsWith(".partial", StringComparison.Ordinal) && !File.Exists(file.FullName[..^".partial".Length] + ".lock")))
        {
            partial.Delete();
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
                $"it takes {needed >> 20} MB to convert, and {folder} has {free >> 20} MB free (--convert-cache names another folder)"));
        }
    }

    private long Free() => new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace;

    // Told at once and in order, as Progress<T> would not.
    private sealed class Shares(Action<float> report) : IProgress<float>
    {
        public void Report(float value) => report(value);
    }
}
