using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.SafeTensors;

namespace Shimmy.Cli.Commands;

/// <summary>The result of <c>discover --json</c>.</summary>
/// <param name="Models">The models, in the order of the search.</param>
/// <param name="Skipped">Files that were seen and not listed, with the reason.</param>
/// <param name="Places">The folders that were searched, in order.</param>
/// <param name="ElapsedMilliseconds">Milliseconds that the scan took.</param>
internal sealed record DiscoveryReport(
    IReadOnlyList<DiscoveredModel> Models, IReadOnlyList<SkippedFile> Skipped, IReadOnlyList<SearchedPlace> Places,
    double ElapsedMilliseconds)
{
    /// <summary>The report of a scan.</summary>
    public static DiscoveryReport Of(IEnumerable<ModelEntry> models, ScanResult scan,
        IReadOnlyList<SearchedPlace> places, ConversionCache conversions) =>
        new([.. models.Select(entry => DiscoveredModel.Of(entry, conversions.StateOf(entry.Path)))],
            scan.Skipped, places, Math.Round(scan.Elapsed.TotalMilliseconds, 3));
}

/// <summary>A folder that is searched.</summary>
/// <param name="Origin">The source that searches it.</param>
/// <param name="Path">Its full path.</param>
/// <param name="Exists">Whether the folder exists.</param>
internal sealed record SearchedPlace(string Origin, string Path, bool Exists);

/// <summary>A model as <c>discover --json</c> shows it.</summary>
internal sealed record DiscoveredModel : ModelListItem
{
    /// <inheritdoc cref="ModelEntry.Origin"/>
    public required string Origin { get; init; }

    /// <inheritdoc cref="ModelEntry.Shards"/>
    public required IReadOnlyList<string> Shards { get; init; }

    /// <summary>Further names that find this model and no other.</summary>
    public required IReadOnlyList<string> OtherNames { get; init; }

    /// <inheritdoc cref="ModelEntry.Adapters"/>
    public required IReadOnlyList<string> Adapters { get; init; }

    /// <inheritdoc cref="ModelEntry.Projector"/>
    public required string? Projector { get; init; }

    /// <inheritdoc cref="ModelEntry.WhyUnloadable"/>
    public required string? WhyUnloadable { get; init; }

    /// <summary>The item of an entry.</summary>
    public static new DiscoveredModel Of(ModelEntry entry, ConversionState? conversion) => new(ModelListItem.Of(entry, conversion))
    {
        Origin = entry.Origin,
        Shards = entry.Shards,
        OtherNames = entry.OtherNames,
        Adapters = entry.Adapters,
        Projector = entry.Projector,
        WhyUnloadable = entry.WhyUnloadable,
    };

    [System.Diagnostics.CodeAnalysis.SetsRequiredMembers]
    private DiscoveredModel(ModelListItem listed) : base(listed)
    {
        Origin = "";
        Shards = OtherNames = Adapters = [];
    }
}
