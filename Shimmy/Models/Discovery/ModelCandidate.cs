using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>A file that a source found; its header is not read yet, so it may not be GGUF.</summary>
internal sealed record ModelCandidate
{
    /// <summary>Full path below the source's folder; may contain links.</summary>
    public required string Path { get; init; }

    /// <summary>Full path with all links resolved: candidates with the same real path are the same file.</summary>
    public required string RealPath { get; init; }

    /// <summary>Short name of the source that found it (<see cref="IModelSource.Origin"/>).</summary>
    public required string Origin { get; init; }

    /// <summary>Size in bytes.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>Time of the last write.</summary>
    public required DateTime ModifiedUtc { get; init; }

    /// <summary>
    /// The name that the source's tool shows, for example <c>llama3:8b</c>; null: made from <see cref="Repository"/> or the file name.
    /// </summary>
    public string? Name { get; init; }

    /// <summary>
    /// The Hugging Face repository, as <c>ORG/NAME</c>; with the quantization appended it is the model's name. Null where unknown.
    /// </summary>
    public string? Repository { get; init; }

    /// <summary>
    /// The folder below the source's own, with <c>/</c> between its parts; empty at the top, null where folders say nothing of names.
    /// </summary>
    public string? Folder { get; init; }

    /// <summary>Name of the source's own folder.</summary>
    public string RootName { get; init; } = "";

    /// <summary>Whether <see cref="Folder"/> is a name of the model by itself: <c>publisher/model</c>.</summary>
    public bool IsNamedByFolder { get; init; }

    /// <summary>Further names that the source's tool accepts.</summary>
    public IReadOnlyList<string> OtherNames { get; init; } = [];

    /// <summary>
    /// Distinguishes several uses of the same file: with other parameters or adapters it is another model. Empty: only the weights.
    /// </summary>
    public string Variant { get; init; } = "";

    /// <summary>Settings by the source's tool, for example Ollama's parameters.</summary>
    public ModelSettings Settings { get; init; } = ModelSettings.None;

    /// <summary>Full path of the projector, where the source names one; else null.</summary>
    public string? Projector { get; init; }

    /// <summary>Full path of Ollama's manifest; null where the file is not in Ollama's store.</summary>
    public string? Manifest { get; init; }

    /// <summary>The file is in Ollama's store, so Ollama may have converted it.</summary>
    public bool FromOllama => Manifest is not null;

    /// <summary>Makes a candidate of a file found by a walk.</summary>
    public static ModelCandidate Of(WalkedFile file, string origin) => new()
    {
        Path = file.Path,
        RealPath = file.RealPath,
        Origin = origin,
        SizeBytes = GgufPlace.LengthOf(file.RealPath, file.SizeBytes),
        ModifiedUtc = file.ModifiedUtc,
    };
}

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
