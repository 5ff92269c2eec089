using System.Diagnostics;

namespace Shimmy.Observability;

/// <summary>The basics of this process, under the names that Prometheus' own clients use for them.</summary>
internal static class ProcessFacts
{
    /// <summary>Bytes of this process in memory.</summary>
    public static long ResidentBytes => Environment.WorkingSet;

    /// <summary>Writes the families; what the system does not tell is left out.</summary>
    public static void WriteTo(MetricsText text)
    {
        using var process = Process.GetCurrentProcess();
        text.Single("process_cpu_seconds_total", "counter", "Processor time of the server, workers not counted.", process.TotalProcessorTime.TotalSeconds);
        text.Single("process_resident_memory_bytes", "gauge", "Bytes of the server in memory, workers not counted.", process.WorkingSet64);
        text.Single("process_start_time_seconds", "gauge", "When the server started, in seconds since 1970.",
            (process.StartTime.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds);
        if (OpenFiles() is { } open)
            text.Single("process_open_fds", "gauge", "Open file descriptors of the server.", open);
        text.Single("process_threads", "gauge", "Threads of the server.", process.Threads.Count);
    }

    private static int? OpenFiles()
    {
        try
        {
            return OperatingSystem.IsLinux() ? Directory.EnumerateFileSystemEntries("/proc/self/fd").Count() : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
