namespace Shimmy.Models.Discovery;

/// <summary>Something that a scan saw and did not list.</summary>
/// <param name="Path">Full path of the file or folder.</param>
/// <param name="Origin">The source that saw it.</param>
/// <param name="Reason">Why it is no model, or cannot be used.</param>
internal sealed record SkippedFile(string Path, string Origin, string Reason);
