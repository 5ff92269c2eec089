using System.Globalization;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>bench</c>.</summary>
internal static class BenchCommand
{
    private const int DefaultPromptTokens = 512;

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        await using var model = await ModelContext.Create(options).LoadAsync(options.Name, loggers, cancellation);

        var fits = model.Facts.ContextLength - options.MaxTokens;
        var prompt = options.PromptTokens ?? Math.Min(DefaultPromptTokens, fits);
        if (prompt < 1 || prompt > fits)
        {
            throw new UsageException($"a prompt of {Math.Max(prompt, 1)} and {options.MaxTokens} generated tokens do not fit " +
                $"into the context of {model.Facts.ContextLength} tokens: lower --prompt-tokens or --max-tokens, or raise --ctx");
        }
        var report = await new Benchmark(model, prompt, options.MaxTokens, options.Parallel).RunAsync(
            run => Printer.Progress(run == 0 ? "warming up" : $"run {run} of {Benchmark.Runs}"), cancellation);
        Printer.ClearProgress();
        if (options.Json)
            Printer.Line(CliJson.Of(report));
        else
            Print(report);
    }

    private static void Print(BenchReport report)
    {
        Printer.Line($"{report.Model}, {ByteCount.Megabytes(report.SizeBytes)} MB on {string.Join(", ", report.Devices)}, " +
            $"{report.Threads} threads ({report.BatchThreads} for prompts), loaded in {report.LoadMilliseconds:F0} ms");
        Printer.Line($"{report.PromptTokens} prompt tokens, {report.GeneratedTokens} generated, {report.Parallel} at once, " +
            $"median of {report.Runs} runs (least to greatest)");
        Print("prompt", report.PromptTokensPerSecond, "tokens/s");
        Print("generation", report.GenerationTokensPerSecond, "tokens/s");
        Print("first token", report.TimeToFirstTokenMilliseconds, "ms");
    }

    private static void Print(string what, Spread spread, string unit) => Printer.Line(string.Create(CultureInfo.InvariantCulture,
        $"  {what,-12} {spread.Median,10:F1} {unit,-9} ({spread.Min:F1} to {spread.Max:F1})"));
}
