namespace Shimmy.Models.Pull;

/// <summary>A file to fetch.</summary>
/// <param name="Name">What it is called, for people and errors.</param>
/// <param name="Url">Where it is.</param>
/// <param name="Target">Full path that it gets.</param>
/// <param name="Size">Its bytes.</param>
internal sealed record PlannedFile(string Name, Uri Url, string Target, long Size)
{
    /// <summary>
    /// Its hash in hexadecimal as the registry says it: 64 characters of SHA-256, or 40 of Git's SHA-1; null where it says none.
    /// </summary>
    public string? Hash { get; init; }

    /// <summary>The tag of this version where there is no hash.</summary>
    public string? Etag { get; init; }

    /// <summary>The identity of the content.</summary>
    public string Identity => Hash ?? $"{Url.AbsoluteUri} {Etag}";
}

/// <summary>The plan of a pull: the files to fetch, and what makes a model of them in the layout of a tool.</summary>
/// <param name="Name">The name in one spelling.</param>
/// <param name="Source">Where it comes from.</param>
/// <param name="Root">The folder that all of it lies in.</param>
/// <param name="Files">The files.</param>
internal sealed record PullPlan(string Name, PullSource Source, string Root, IReadOnlyList<PlannedFile> Files)
{
    /// <summary>Links to make once all files are there: full path, and full path of what it leads to.</summary>
    public IReadOnlyList<(string Path, string Target)> Links { get; init; } = [];

    /// <summary>Small files to write last: full path and content.</summary>
    public IReadOnlyList<(string Path, byte[] Content)> Texts { get; init; } = [];

    /// <summary>A remark for the user; null where there is nothing.</summary>
    public string? Remark { get; init; }

    /// <summary>Bytes of all files.</summary>
    public long Bytes => Files.Sum(file => file.Size);

    /// <summary>The paths that discovery finds the model by: links, a manifest, or the files themselves.</summary>
    public required IReadOnlyList<string> Entries { get; init; }
}

/// <summary>One of the models that a repository has to choose from.</summary>
/// <param name="Name">Its name, to be pulled by.</param>
/// <param name="Quantization">Its quantization, or what distinguishes it from the others.</param>
/// <param name="Bytes">Bytes of its files, without those of a projector.</param>
/// <param name="Shards">Number of its files.</param>
/// <param name="Fits">Whether this machine's memory holds it.</param>
/// <param name="Chosen">Whether it is taken where no quantization is named.</param>
internal sealed record PullChoice(string Name, string Quantization, long Bytes, int Shards, bool Fits, bool Chosen);

/// <summary>The stage of a pull.</summary>
internal enum PullStage
{
    /// <summary>It waits for another pull of this server.</summary>
    Queued,

    /// <summary>The registry is asked what there is.</summary>
    Resolving,

    /// <summary>Another process fetches the same file.</summary>
    Waiting,

    /// <summary>A file is fetched.</summary>
    Fetching,

    /// <summary>A file is there, and what is left of its hash is computed.</summary>
    Checking,

    /// <summary>All files are there; the tool's layout is made.</summary>
    Finishing,
}

/// <summary>How far a pull is.</summary>
/// <param name="Stage">What it does now.</param>
/// <param name="File">The file that it is at; null before the first.</param>
/// <param name="FileDone">Bytes of that file that are there.</param>
/// <param name="Done">Bytes of all files that are there.</param>
/// <param name="Total">Bytes of all files; 0 before the registry has said it.</param>
internal readonly record struct PullStep(PullStage Stage, PlannedFile? File, long FileDone, long Done, long Total);

/// <summary>A model that was pulled.</summary>
/// <param name="Plan">What was done.</param>
/// <param name="Fetched">Bytes that came over the network; the rest was there.</param>
internal sealed record PulledModel(PullPlan Plan, long Fetched);
