using System.Globalization;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Models;
using Shimmy.SafeTensors;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>list</c>.</summary>
internal static class ListCommand
{
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        var models = ModelContext.Create(options);
        await models.ScanAsync(cancellation);
        var entries = models.Registry.Entries;
        if (options.Json)
        {
            Printer.Line(CliJson.Of(
                entries.Select(entry => ModelListItem.Of(entry, models.Conversions.StateOf(entry.Path))).ToArray()));
        }
        else if (entries.Count == 0)
        {
            Printer.Notice("list", "no models were found; shimmy discover says where they are looked for");
        }
        else if (options.Short)
        {
            Printer.Line(string.Join('\n', entries.Select(entry => entry.Name)));
        }
        else
        {
            Printer.Line(Format(entries, models.Conversions));
        }
    }

    private static string Format(IReadOnlyList<ModelEntry> entries, ConversionCache conversions) => Table.Format(
        ["NAME", "SIZE MB", "PARAMETERS", "QUANTIZATION", "CONTEXT", "TYPE", "FORMAT", "SOURCE", "FILE"],
        entries.Select(entry => new[]
        {
            entry.Name,
            ByteCount.Megabytes(entry.SizeBytes).ToString(CultureInfo.InvariantCulture),
            entry.ParameterLabel,
            entry.Quantization,
            entry.ContextLength == 0 ? ModelEntry.Unknown : entry.ContextLength.ToString(CultureInfo.InvariantCulture),
            $"{entry.Type.Label()}{(entry.Sees ? ", vision" : "")}{(entry.Hears ? ", audio" : "")}",
            ModelListItem.FormatOf(conversions.StateOf(entry.Path)),
            entry.Source == ModelSource.Registered ? "registered" : entry.Origin,
            entry.Path,
        }));
}
