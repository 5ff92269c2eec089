using System.Diagnostics;

namespace Shimmy.Observability;

/// <summary>Metrics of the server process, under the standard names of Prometheus' client libraries (process_…).</summary>
internal static class ProcessFacts
{
    /// <summary>Resident memory of this process in bytes, without the workers.</summary>
    public static long ResidentBytes => Environment.WorkingSet;

    // Asking the system takes longer than all other metrics together, and routers ask twenty times a second.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CountFresh = TimeSpan.FromSeconds(5);
    private static readonly double Start = StartOfProcess();
    private static volatile Reading? _last;

    /// <summary>
    /// Writes the metrics, at most a second old, counts of files and threads at most five; those that the operating system does not provide
    /// are left out.
    /// </summary>
    public static void WriteTo(MetricsText text)
    {
        var last = _last;
        if (last is null || Stopwatch.GetElapsedTime(last.At) > Fresh)
            _last = last = Read(last);
        text.Single("process_cpu_seconds_total", "counter", "CPU time of the server process in seconds, without the workers.", last.Cpu);
        text.Single("process_resident_memory_bytes", "gauge", "Resident memory of the server process in bytes, without the workers.",
            last.Resident);
        text.Single("process_start_time_seconds", "gauge", "Start time of the server process, in seconds since the Unix epoch.",
            Start);
        if (last.OpenFiles is { } open)
            text.Single("process_open_fds", "gauge", "Open file descriptors of the server process.", open);
        text.Single("process_threads", "gauge", "Threads of the server process.", last.Threads);
    }

    // What is counted in folders may be older: the system is asked about each entry.
    private static Reading Read(Reading? last)
    {
        var (now, cpu, resident) = (Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime.TotalSeconds, ResidentBytes);
        return last is not null && Stopwatch.GetElapsedTime(last.CountedAt) < CountFresh
            ? last with { At = now, Cpu = cpu, Resident = resident }
            : new Reading(now, cpu, resident, now, Entries("fd"), Entries("task") ?? ThreadsOfProcess());
    }

    private sealed record Reading(long At, double Cpu, long Resident, long CountedAt, int? OpenFiles, int Threads);

    // Linux alone has a folder of a process with an entry for each.
    private static int? Entries(string folder)
    {
        try
        {
            return OperatingSystem.IsLinux() ? Directory.EnumerateFileSystemEntries("/proc/self/" + folder).Count() : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static int ThreadsOfProcess()
    {
        using var process = Process.GetCurrentProcess();
        return process.Threads.Count;
    }

    private static double StartOfProcess()
    {
        using var process = Process.GetCurrentProcess();
        return (process.StartTime.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds;
    }
}
