using System.Globalization;

namespace Shimmy.Engine.Memory;

/// <summary>
/// Bytes of memory that this process may use: those of the machine, or of the container where that has fewer. Read from the kernel's files,
/// because .NET gives the limit of its own heap, which in a container is three quarters of it.
/// </summary>
internal static class MachineMemory
{
    // From here on a limit means "unlimited": cgroup v1 writes the largest multiple of a page for that.
    private const long Unlimited = 1L << 62;

    // Files of the kernel have one line, or as /proc/meminfo fifty.
    private const int MostLines = 1000;

    /// <summary>The bytes for this process.</summary>
    public static long Bytes { get; } =
        (OperatingSystem.IsLinux() ? OfLinux("/") : null) ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>
    /// The bytes by the files below a root folder: MemTotal of <c>/proc/meminfo</c>, and the least limit of the process' control groups and
    /// all those above them, version 1 and 2. Null where none of the files can be read.
    /// </summary>
    public static long? OfLinux(string root)
    {
        var least = Total(root);
        foreach (var line in Lines(Path.Join(root, "proc/self/cgroup")))
        {
            // NUMBER:CONTROLLERS:PATH; version 2 has the number 0 and no controllers.
            var parts = line.Split(':', 3);
            if (parts.Length < 3)
                continue;
            if (parts[1].Length == 0)
            {
                Limit(["sys/fs/cgroup", "sys/fs/cgroup/unified"], parts[2], "memory.max");
                Limit(["sys/fs/cgroup", "sys/fs/cgroup/unified"], parts[2], "memory.high");
            }
            else if (parts[1].Split(',').Contains("memory"))
            {
                Limit(["sys/fs/cgroup/memory"], parts[2], "memory.limit_in_bytes");
            }
        }

        return least;

        // In a container the path may be that of the machine, which is not there: then the root of the mount is the container's own group.
        void Limit(string[] mounts, string group, string file)
        {
            foreach (var mount in mounts)
            {
                var top = Path.Join(root, mount);
                for (var at = group.Trim('/'); ; at = Path.GetDirectoryName(at) ?? "")
                {
                    if (Number(Lines(Path.Join(top, at, file)).FirstOrDefault()) is { } bytes && bytes < (least ?? long.MaxValue))
                        least = bytes;
                    if (at.Length == 0)
                        break;
                }
            }
        }
    }

    private static long? Total(string root)
    {
        var line = Lines(Path.Join(root, "proc/meminfo")).FirstOrDefault(line => line.StartsWith("MemTotal:", StringComparison.Ordinal));
        return line?.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var number, ..] && Number(number) is { } kilobytes
            ? kilobytes << 10
            : null;
    }

    // The word max is no number.
    private static long? Number(string? text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is > 0 and < Unlimited
            ? number
            : null;

    private static List<string> Lines(string path)
    {
        try
        {
            return [.. File.ReadLines(path).Take(MostLines)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
