using System.Globalization;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.SafeTensors;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>discover</c>.</summary>
internal static class DiscoverCommand
{
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        var access = ModelContext.Create(options);
        await access.ScanAsync(cancellation);
        var scan = access.Registry.LastScan;
        // A further name counts only where the registry finds this model by it: registered models win.
        var models = access.Registry.Entries.Where(entry => entry.Source == ModelSource.Discovered)
            .Where(entry => !options.LanguageModelsOnly || entry.Type.IsLanguageModel()).ToList();
        models = [.. models.Select(entry => entry with
        {
            OtherNames = [.. entry.OtherNames.Where(name => name != entry.Name && access.Registry.Find(name)?.Name == entry.Name)],
        })];
        var places = access.Discovery.Sources.SelectMany(source =>
            source.Places.Select(place => new SearchedPlace(source.Origin, Path.GetFullPath(place), Directory.Exists(place)))).ToList();
        if (options.Json)
        {
            Printer.Line(CliJson.Of(DiscoveryReport.Of(models, scan, places, access.Conversions)));
        }
        else
        {
            Print(models, scan, places, access.Conversions);
        }
    }

    private static void Print(List<ModelEntry> models, ScanResult scan, List<SearchedPlace> places, ConversionCache conversions)
    {
        if (models.Count > 0)
        {
            Printer.Line(
                Table.Format(["NAME", "SIZE MB", "PARAMETERS", "QUANTIZATION", "CONTEXT", "TYPE", "FORMAT", "SHARDS", "SOURCE", "FILE"],
                models.Select(entry => new[]
                {
                    entry.Name,
                    ByteCount.Megabytes(entry.SizeBytes).ToString(CultureInfo.InvariantCulture),
                    entry.ParameterLabel,
                    entry.Quantization,
                    entry.ContextLength == 0 ? ModelEntry.Unknown : entry.ContextLength.ToString(CultureInfo.InvariantCulture),
                    entry.Type.Label(),
                    ModelListItem.FormatOf(conversions.StateOf(entry.Path)),
                    Math.Max(1, entry.Shards.Count).ToString(CultureInfo.InvariantCulture),
                    entry.Origin,
                    entry.Path,
                })));
            Printer.Line("");
        }
        foreach (var entry in models)
        {
            foreach (var (what, value) in Notes(entry))
                Printer.Line($"{entry.Name}: {what} {value}");
        }

        foreach (var file in scan.Skipped)
            Printer.Line($"skipped ({file.Origin}) {file.Path}: {file.Reason}");
        Printer.Line($"{models.Count} models, {scan.Skipped.Count} skipped, in {scan.Elapsed.TotalMilliseconds:F0} ms; looked in");
        foreach (var place in places)
            Printer.Line($"  {place.Origin,-12} {place.Path}{(place.Exists ? "" : " (not there)")}");
    }

    private static IEnumerable<(string What, string Value)> Notes(ModelEntry entry)
    {
        foreach (var adapter in entry.Adapters)
            yield return ("a LoRA adapter that fits:", adapter);
        if (entry.Projector is { } projector)
            yield return ("its projector:", projector);
        if (entry.OtherNames.Count > 0)
            yield return ("also found as", string.Join(", ", entry.OtherNames));
        if (entry.WhyUnloadable is { } reason)
            yield return ("cannot be loaded:", reason);
    }
}
