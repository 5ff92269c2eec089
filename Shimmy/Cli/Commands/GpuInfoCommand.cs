using System.Globalization;
using System.Text.Json;
using ConsoleAppFramework;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Workers;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>gpu-info</c>.</summary>
internal static class GpuInfoCommand
{
    /// <summary>Shows the backends that really loaded, and their devices</summary>
    /// <param name="context">The parser's.</param>
    /// <param name="json">As JSON</param>
    /// <param name="cancellation">The user interrupts.</param>
    public static async Task RunAsync(ConsoleAppContext context, bool json = false, CancellationToken cancellation = default)
    {
        RefuseModelOptions((GlobalOptions)context.GlobalOptions!);
        var reader = OptionReader.ForProcess;
        json = reader.Flag("--json", json);
        var options = CommandOptions.Read(context.GlobalOptions, reader);
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        var report = await new WorkerEngine(loggers).ReportBackendsAsync(cancellation);
        if (json)
            Printer.Line(JsonSerializer.Serialize(report, CliJson.Default.BackendReport));
        else
            Print(report);
    }

    // The parser gives every command the options for models; here they would do nothing.
    private static void RefuseModelOptions(GlobalOptions given)
    {
        var option = given switch
        {
            { ModelDirs: not null } => "--model-dirs",
            { Ctx: not null } => "--ctx",
            { Threads: not null } => "--threads",
            { Template: not null } => "--template",
            { Lora: not null } => "--lora",
            { Draft: not null } => "--draft",
            _ => given.Tuning.FirstOrDefault(option => option.Value is not null).Key is { } name ? "--" + name : null,
        };
        if (option is not null)
            throw new UsageException($"unknown option {option}");
    }

    private static void Print(BackendReport report)
    {
        Printer.Line($"llama.cpp {report.LibraryVersion} ({report.RuntimeDirectory})");
        Printer.Line("");
        Printer.Line(Table.Format(["BACKEND", "VERSION", "STATE"], report.Backends.Select(backend => new[] { backend.Name, backend.Version ?? (backend.Loaded ? "unknown" : "-"), StateOf(backend) })));
        Printer.Line("");
        Printer.Line(Table.Format(["DEVICE", "KIND", "BACKEND", "FREE MB", "TOTAL MB", "DESCRIPTION"], report.Devices.Select(device => new[]
        {
            device.Name, device.Kind, device.Backend, Megabytes(device.MemoryFreeBytes), Megabytes(device.MemoryTotalBytes), device.Description,
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

    private static string Megabytes(long bytes) => (bytes / (1024 * 1024)).ToString(CultureInfo.InvariantCulture);
}
