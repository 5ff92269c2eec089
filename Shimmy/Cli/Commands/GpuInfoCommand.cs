using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Workers;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>gpu-info</c>.</summary>
internal static class GpuInfoCommand
{
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        var report = await new WorkerEngine(loggers).ReportBackendsAsync(cancellation);
        if (options.Json)
            Printer.Line(CliJson.Of(report));
        else
            Print(report);
    }

    private static void Print(BackendReport report)
    {
        Printer.Line(Table.Format(["RUNTIME", "LLAMA.CPP", "PICTURES", "GPUS", "STATE"], report.Runtimes.Select(runtime => new[]
        {
            runtime.Name, runtime.Version ?? "-", runtime.Media ? "yes" : "no",
            runtime.Gpus.Count > 0 ? string.Join(' ', runtime.Gpus) : "-",
            runtime switch
            {
                { Chosen: true } => $"chosen: {runtime.Reason}",
                { Reason: { } reason } => $"cannot be loaded: {reason}",
                _ => "there; --runtime takes it, and models that need it get it",
            },
        })));
        Printer.Line("");
        Printer.Line($"The backends of llama.cpp {report.LibraryVersion} ({report.RuntimeDirectory}):");
        Printer.Line("");
        Printer.Line(Table.Format(["BACKEND", "VERSION", "STATE"],
            report.Backends.Select(backend =>
                new[] { backend.Name, backend.Version ?? (backend.Loaded ? "unknown" : "-"), StateOf(backend) })));
        Printer.Line("");
        Printer.Line(Table.Format(["DEVICE", "KIND", "BACKEND", "FREE MB", "TOTAL MB", "DESCRIPTION"], report.Devices.Select(device => new[]
        {
            device.Name, device.Kind, device.Backend, $"{ByteCount.Megabytes(device.MemoryFreeBytes)}",
            $"{ByteCount.Megabytes(device.MemoryTotalBytes)}", device.Description,
        })));
        Printer.Line("");
        Printer.Line($"--gpu-backend auto chooses {report.Auto}");
    }

    private static string StateOf(BackendFacts backend) => backend switch
    {
        { Loaded: false } => $"not loaded: {backend.Reason}",
        { Reason: { } reason } => reason,
        _ => $"loaded: {string.Join(", ", backend.Devices)}",
    };
}
