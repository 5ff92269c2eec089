namespace Shimmy.Models.Discovery;

/// <summary>What one scan gave.</summary>
/// <param name="Models">The models, in the order of the sources; names are unique.</param>
/// <param name="Skipped">What was seen and not listed, with the reason.</param>
/// <param name="Elapsed">How long it took.</param>
internal sealed record ScanResult(IReadOnlyList<ModelEntry> Models, IReadOnlyList<SkippedFile> Skipped, TimeSpan Elapsed)
{
    /// <summary>A scan that found nothing.</summary>
    public static ScanResult Empty { get; } = new([], [], TimeSpan.Zero);
}

/// <summary>Something that a scan saw and did not list.</summary>
/// <param name="Path">Full path of the file or folder.</param>
/// <param name="Origin">The source that saw it.</param>
/// <param name="Reason">Why it is no model, or cannot be used.</param>
internal sealed record SkippedFile(string Path, string Origin, string Reason);
