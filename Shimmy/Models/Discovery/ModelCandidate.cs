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

    /// <summary>
    /// The name that the source's own tool shows; null takes it from <see cref="Repository"/> or the file name.
    /// </summary>
    public string? Name { get; init; }

    /// <summary>The repository that the file comes from, as <c>ORG/NAME</c>; the quantization makes it a model's name.</summary>
    public string? Repository { get; init; }

    /// <summary>Further names of the source's own tool.</summary>
    public IReadOnlyList<string> OtherNames { get; init; } = [];

    /// <summary>Of files used in several ways, what tells the ways apart: one file of two variants is two models.</summary>
    public string Variant { get; init; } = "";

    /// <summary>How the source's own tool uses it.</summary>
    public ModelSettings Settings { get; init; } = ModelSettings.None;

    /// <summary>The projector that the source says belongs to it.</summary>
    public string? Projector { get; init; }

    /// <summary>Whether the file was made by Ollama, where its metadata do not say.</summary>
    public bool FromOllama { get; init; }

    /// <summary>A file that a walk met.</summary>
    public static ModelCandidate Of(WalkedFile file, string origin) => new()
    {
        Path = file.Path,
        RealPath = file.RealPath,
        Origin = origin,
        SizeBytes = file.SizeBytes,
        ModifiedUtc = file.ModifiedUtc,
    };
}
