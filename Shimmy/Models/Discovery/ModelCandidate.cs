namespace Shimmy.Models.Discovery;

/// <summary>A file that a source takes for a GGUF; its header was not read yet.</summary>
internal sealed record ModelCandidate
{
    /// <summary>Full path as the source shows it.</summary>
    public required string Path { get; init; }

    /// <summary>Full path without links: two candidates of one real path are one file.</summary>
    public required string RealPath { get; init; }

    /// <summary>The source that found it.</summary>
    public required string Origin { get; init; }

    /// <summary>Bytes of the file.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>When it was last written.</summary>
    public required DateTime ModifiedUtc { get; init; }

    /// <summary>The name that the source's own tool shows; null takes it from the file name.</summary>
    public string? Name { get; init; }
}
