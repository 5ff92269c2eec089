using System.Diagnostics;

namespace Shimmy.Observability;

/// <summary>Metrics of the server process, under the standard names of Prometheus' client libraries (process_…).</summary>
internal static class ProcessFacts
{
    /// <summary>Resident memory of this process in bytes, without the workers.</summary>
    public static long ResidentBytes => Environment.WorkingSet;

    /// <summary>Writes the metrics; those that the operating system does not provide are left out.</summary>
    public static void WriteTo(MetricsText text)
    {
        using var process = Process.GetCurrentProcess();
        text.Single("process_cpu_seconds_total", "counter", "CPU time of the server process in seconds, without the workers.",
            process.TotalProcessorTime.TotalSeconds);
        text.Single("process_resident_memory_bytes", "gauge", "Resident memory of the server process in bytes, without the workers.",
            process.WorkingSet64);
        text.Single("process_start_time_seconds", "gauge", "Start time of the server process, in seconds since the Unix epoch.",
            (process.StartTime.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds);
        if (OpenFiles() is { } open)
            text.Single("process_open_fds", "gauge", "Open file descriptors of the server process.", open);
        text.Single("process_threads", "gauge", "Threads of the server process.", process.Threads.Count);
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
