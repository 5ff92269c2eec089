using System.Diagnostics;
using System.Globalization;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Models.Pull;

namespace Shimmy.Cli.Commands;

/// <summary>The commands <c>pull</c> and <c>rm</c>.</summary>
internal static class PullCommand
{
    /// <summary>Runs <c>pull</c>.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(options.Name))
            throw new UsageException("NAME is missing: the model to pull, as ORG/REPO:QUANT of Hugging Face or MODEL:TAG of Ollama's library");
        var models = ModelContext.Create(options);
        var puller = models.PullerOf(options);
        var name = puller.NameOf(options.Name);
        if (options.ListsChoices)
        {
            ShowChoices(name, await puller.ChoicesAsync(name, cancellation));
            return;
        }
        var line = new PullRate(name.Canonical);
        var started = Stopwatch.GetTimestamp();
        PulledModel pulled;
        try
        {
            pulled = await puller.PullAsync(name, line.Report, cancellation);
        }
        finally
        {
            line.End();
        }
        if (pulled.Plan.Remark is { } remark)
            Printer.Notice("pull", remark);
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Printer.Line(pulled.Fetched == 0
            ? $"{pulled.Plan.Name} was here: {pulled.Plan.Entries[0]}"
            : string.Create(CultureInfo.InvariantCulture,
                $"{pulled.Plan.Name}: {ByteCount.DownloadText(pulled.Fetched)} in {seconds:F1} s: {pulled.Plan.Entries[0]}"));
        await ShowNameAsync(models, pulled.Plan, cancellation);
    }

    /// <summary>Runs <c>rm</c>.</summary>
    public static async Task RemoveAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(options.Name))
            throw new UsageException("NAME is missing: the model to remove, which shimmy pull has brought");
        var models = ModelContext.Create(options);
        await models.ScanAsync(cancellation);
        var removed = PulledModels.Remove(models.Host, options.Name, models.Registry.Find(options.Name));
        Printer.Line($"{removed.Name} is removed; {ByteCount.DownloadText(removed.Bytes)} are free");
        foreach (var kept in removed.Kept)
            Printer.Notice("rm", kept + ", and stays");
    }

    // What it is called from now on; or why it is no model here.
    private static async Task ShowNameAsync(ModelContext models, PullPlan plan, CancellationToken cancellation)
    {
        await models.ScanAsync(cancellation);
        var folders = plan.Entries.Select(Path.GetDirectoryName).ToHashSet(StringComparer.Ordinal);
        if (models.Registry.Entries.FirstOrDefault(entry => plan.Entries.Contains(entry.Path)
            || (entry.Manifest is { } manifest && plan.Entries.Contains(manifest)) || folders.Contains(entry.Path)) is { } found)
        {
            Printer.Remark($"shimmy generate {found.Name} --prompt \"Hello\" asks it");
        }
        else if (models.Registry.LastScan.Skipped.FirstOrDefault(file => plan.Entries.Contains(file.Path)) is { } skipped)
        {
            Printer.Notice("pull", $"it cannot be used: {skipped.Reason}");
        }
        else
        {
            Printer.Notice("pull", $"models are not looked for in {plan.Root}: name the file, or the folder with --model-dirs");
        }
    }

    private static void ShowChoices(PullName name, IReadOnlyList<PullChoice> choices)
    {
        if (choices.Count == 0)
        {
            Printer.Line($"{name.Repository} has no GGUF files; shimmy pull {name.Repository} brings its SafeTensors, where it has a model in these");
            return;
        }
        Printer.Line(Table.Format(["NAME", "SIZE", "FILES", "FITS", ""], choices.Select(choice => new[]
        {
            choice.Name,
            ByteCount.DownloadText(choice.Bytes),
            choice.Shards.ToString(CultureInfo.InvariantCulture),
            choice.Fits ? "yes" : "no",
            choice.Chosen ? "taken where none is named" : "",
        })));
    }

    // One line, some times a second, on a terminal alone. Steps come from several threads.
    private sealed class PullRate(string name)
    {
        private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(250);
        private static readonly TimeSpan Window = TimeSpan.FromSeconds(5);

        private readonly Lock _lock = new();
        private readonly Queue<(long At, long Done)> _seen = new();
        private long _shown;
        private bool _ended;

        public void Report(PullStep step)
        {
            lock (_lock)
            {
                if (_ended || (step.Stage == PullStage.Fetching && _shown != 0 && Stopwatch.GetElapsedTime(_shown) < Pace))
                    return;
                _shown = Stopwatch.GetTimestamp();
                Printer.Progress(step.Stage switch
                {
                    PullStage.Fetching => Fetching(step),
                    PullStage.Waiting => $"{name}: another process fetches {step.File!.Name}; waiting for it",
                    PullStage.Checking => $"{name}: checking {step.File!.Name}",
                    PullStage.Finishing => $"{name}: finishing",
                    _ => $"{name}: asking the registry",
                }, step.Stage == PullStage.Fetching ? (float)step.Done / Math.Max(1, step.Total) : null);
            }
        }

        public void End()
        {
            lock (_lock)
            {
                _ended = true;
                Printer.ClearProgress();
            }
        }

        private string Fetching(PullStep step)
        {
            _seen.Enqueue((_shown, step.Done));
            while (_seen.Count > 2 && Stopwatch.GetElapsedTime(_seen.Peek().At) > Window)
                _seen.Dequeue();
            var (at, done) = _seen.Peek();
            var seconds = Stopwatch.GetElapsedTime(at, _shown).TotalSeconds;
            var rate = seconds > 0 ? (step.Done - done) / seconds : 0;
            var left = rate > 0 ? TimeSpan.FromSeconds(Math.Min((step.Total - step.Done) / rate, 359_999)) : (TimeSpan?)null;
            return string.Create(CultureInfo.InvariantCulture,
                $"{name}: {ByteCount.DownloadText(step.Done)} of {ByteCount.DownloadText(step.Total)} "
                + $"({100.0 * step.Done / Math.Max(1, step.Total):F0} %), {ByteCount.DownloadText(rate)}/s")
                + (left is { } time ? string.Create(CultureInfo.InvariantCulture, $", {(int)time.TotalHours}:{time.Minutes:D2}:{time.Seconds:D2} left") : "");
        }
    }
}
