namespace Shimmy.Models.Discovery;

/// <summary>The result of one scan.</summary>
/// <param name="Models">The models, in the order of the sources, with unique names.</param>
/// <param name="Skipped">Files and folders that are not listed as models, with the reasons.</param>
/// <param name="Elapsed">Duration of the scan.</param>
internal sealed record ScanResult(IReadOnlyList<ModelEntry> Models, IReadOnlyList<SkippedFile> Skipped, TimeSpan Elapsed)
{
    /// <summary>The result before the first scan.</summary>
    public static ScanResult Empty { get; } = new([], [], TimeSpan.Zero);
}

/// <summary>A file or folder that a scan did not list as a model.</summary>
/// <param name="Path">Full path of the file or folder.</param>
/// <param name="Origin">Short name of the source that found it.</param>
/// <param name="Reason">Why it is not a model, or cannot be used.</param>
internal sealed record SkippedFile(string Path, string Origin, string Reason)
{
    /// <summary>The reason for a folder that somebody named and that is missing.</summary>
    public const string NoFolder = "there is no such folder";

    /// <summary>Whether a whole folder was skipped.</summary>
    public bool IsFolder => Reason == NoFolder || Directory.Exists(Path);
}
