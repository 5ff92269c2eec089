using System.Globalization;
using Shimmy.Models.Discovery;
using Shimmy.SafeTensors;

namespace Shimmy.Models.Pull;

/// <summary>How models are pulled.</summary>
internal sealed record PullOptions
{
    /// <summary>Folders and variables of this machine.</summary>
    public required HostEnvironment Host { get; init; }

    /// <summary>Whether nothing may be fetched.</summary>
    public bool Offline { get; init; }

    /// <summary>Folder in place of the layouts of tools; null for those.</summary>
    public string? To { get; init; }

    /// <summary>Bytes of memory that a model may need here.</summary>
    public required long MemoryBudget { get; init; }

    /// <summary>Address of Ollama's usual registry.</summary>
    public Uri OllamaAddress { get; init; } = OllamaRegistry.AddressOf(null);

    /// <summary>Free bytes of a folder's disk.</summary>
    public Func<string, long> FreeBytes { get; init; } = ConversionCache.FreeOf;

    /// <summary>Connections for one file.</summary>
    public int Connections { get; init; } = 4;

    /// <summary>Bytes that one connection fetches at a time.</summary>
    public long Piece { get; init; } = PartialFile.DefaultPiece;
}

/// <summary>
/// Brings models by their names: asks the registry what there is, fetches what is not here, and makes of it what the registry's own tool
/// would have made. Nothing else of Shimmy fetches models, and this does so only when a person has asked.
/// </summary>
/// <param name="options">How.</param>
internal sealed class Puller(PullOptions options)
{
    /// <summary>Whether nothing may be fetched.</summary>
    public bool IsOffline => options.Offline;

    /// <summary>Reads a name, as <see cref="PullName.Parse"/>.</summary>
    public PullName NameOf(string text, bool ofOllama = false) => PullName.Parse(text, ofOllama, HubRegistry.EndpointOf(options.Host));

    /// <summary>The models that a repository of the hub has to choose from. Throws <see cref="PullException"/>.</summary>
    public async Task<IReadOnlyList<PullChoice>> ChoicesAsync(PullName name, CancellationToken cancellation)
    {
        CheckOnline(name);
        if (name.Source != PullSource.Hub)
        {
            throw new PullException(PullFailure.BadName,
                $"'{name.Canonical}' names one model; only repositories of Hugging Face list several. "
                + "The tags of a model of Ollama's are on its page, https://ollama.com/library");
        }
        using var client = ClientOf(name);
        return await Hub(client).ChoicesAsync(name, cancellation).ConfigureAwait(false);
    }

    /// <summary>
    /// Brings a model. Throws <see cref="PullException"/>; what came by then is there for the next try.
    /// </summary>
    /// <param name="name">Its name.</param>
    /// <param name="report">Receives each step, from several threads, for each some kilobytes.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task<PulledModel> PullAsync(PullName name, Action<PullStep> report, CancellationToken cancellation)
    {
        CheckOnline(name);
        report(new PullStep(PullStage.Resolving, null, 0, 0, 0));
        using var client = ClientOf(name);
        try
        {
            var plan = await PlanAsync(name, client, cancellation).ConfigureAwait(false);
            await CheckTargetsAsync(plan, cancellation).ConfigureAwait(false);
            CheckSpace(plan);
            var fetched = await FetchAsync(plan, client, report, cancellation).ConfigureAwait(false);
            var there = plan.Entries.Where(File.Exists).ToHashSet(StringComparer.Ordinal);
            Finish(plan);
            PulledModels.Note(options.Host, plan, fetched, there);
            return new PulledModel(plan, fetched.Sum(file => file.Bytes ?? 0));
        }
        catch (Exception e) when (RegistryClient.IsBroken(e, cancellation))
        {
            throw client.Unreachable(e, name.Canonical);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PullException(PullFailure.NoSpace, $"{name.Canonical} cannot be written: {e.Message}", e);
        }
    }

    private void CheckOnline(PullName name)
    {
        if (options.Offline)
        {
            throw new PullException(PullFailure.Offline,
                $"{name.Canonical} is not fetched: --offline or SHIMMY_OFFLINE says that nothing is");
        }
        if (name.Source == PullSource.Hub && options.Host.Value("HF_HUB_OFFLINE")?.ToUpperInvariant() is "1" or "TRUE" or "YES" or "ON")
            throw new PullException(PullFailure.Offline, $"{name.Canonical} is not fetched: HF_HUB_OFFLINE says that nothing is");
    }

    private RegistryClient ClientOf(PullName name) => name.Source switch
    {
        PullSource.Hub => new RegistryClient(HubRegistry.EndpointOf(options.Host), HubRegistry.TokenOf(options.Host)),
        PullSource.Ollama => new RegistryClient(AddressOf(name)),
        _ => new RegistryClient(name.Url!),
    };

    private Uri AddressOf(PullName name) => name.Host is null ? options.OllamaAddress : OllamaRegistry.AddressOf(name.Host);

    private HubRegistry Hub(RegistryClient client) =>
        new(client, options.Host, HubRegistry.EndpointOf(options.Host), options.MemoryBudget);

    private Task<PullPlan> PlanAsync(PullName name, RegistryClient client, CancellationToken cancellation) => name.Source switch
    {
        PullSource.Hub => Hub(client).PlanAsync(name, options.To, cancellation),
        PullSource.Ollama => new OllamaRegistry(client, options.Host, AddressOf(name), name.Host ?? OllamaRegistry.DefaultHost)
            .PlanAsync(name, options.To, cancellation),
        _ => UrlAsync(name, client, cancellation),
    };

    // Where llama.cpp puts the files of URLs.
    private async Task<PullPlan> UrlAsync(PullName name, RegistryClient client, CancellationToken cancellation)
    {
        using var answer = await client.SendAsync(HttpMethod.Head, name.Url!, null, name.File!, cancellation).ConfigureAwait(false);
        if (answer.Size is not { } size)
            throw new PullException(PullFailure.BadAnswer, $"{client.Name} does not say how long {name.File} is");
        var folder = options.To ?? LlamaCppCacheSource.RootOf(options.Host);
        var file = new PlannedFile(name.File!, name.Url!, RegistryPath.Below(folder, name.File!), size)
        {
            Hash = RegistryPath.IsHash(answer.Etag, 64) ? answer.Etag : null,
            Etag = answer.Etag,
        };
        return new PullPlan(name.Canonical, PullSource.Url, Path.GetFullPath(folder), [file])
        {
            Entries = [file.Target],
            Remark = file.Hash is null ? $"{client.Name} says no SHA-256 of it: what came is what was sent, and no more is known" : null,
        };
    }

    // A folder of the user's has files of the user's.
    private async Task CheckTargetsAsync(PullPlan plan, CancellationToken cancellation)
    {
        if (options.To is null)
            return;
        foreach (var file in plan.Files)
        {
            if ((Path.Exists(file.Target) || new FileInfo(file.Target).LinkTarget is not null)
                && !PulledModels.HasBrought(options.Host, file.Target)
                && !(FileFetch.IsThere(file) && await FileFetch.HasHashAsync(file, cancellation).ConfigureAwait(false)))
            {
                throw new PullException(PullFailure.Exists, $"{file.Target} is there, was not pulled by Shimmy, and is not the "
                    + $"{file.Name} of {plan.Name}: it is not replaced; move it, or name another folder with --to");
            }
        }
    }

    private void CheckSpace(PullPlan plan)
    {
        var needed = 0L;
        foreach (var file in plan.Files)
        {
            if (!FileFetch.IsThere(file))
                needed += file.Size - PartialFile.DoneAt(file.Target + PartialFile.Ending, file.Size);
        }
        var folder = plan.Root;
        while (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { } parent)
            folder = parent;
        if (needed > 0 && options.FreeBytes(folder) is var free && free < needed)
        {
            throw new PullException(PullFailure.NoSpace, string.Create(CultureInfo.InvariantCulture,
                $"{plan.Name} takes {ByteCount.DownloadMegabytesUp(needed)} MB more, "
                + $"and the disk of {folder} has {ByteCount.DownloadMegabytes(free)} MB free"));
        }
    }

    private async Task<IReadOnlyList<(PlannedFile File, long? Bytes)>> FetchAsync(
        PullPlan plan, RegistryClient client, Action<PullStep> report, CancellationToken cancellation)
    {
        var total = plan.Bytes;
        var before = 0L;
        var fetched = new List<(PlannedFile, long?)>();
        foreach (var file in plan.Files)
        {
            var offset = before;
            var fetch = new FileFetch(client, file, options.Connections, options.Piece,
                (stage, done) => report(new PullStep(stage, file, done, offset + done, total)));
            var bytes = await fetch.RunAsync(cancellation).ConfigureAwait(false);
            fetched.Add((file, bytes));
            before += file.Size;
            report(new PullStep(PullStage.Fetching, file, file.Size, before, total));
        }
        report(new PullStep(PullStage.Finishing, null, 0, total, total));
        return fetched;
    }

    private static void Finish(PullPlan plan)
    {
        foreach (var (path, target) in plan.Links)
            Link(path, target);
        foreach (var (path, content) in plan.Texts)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            SmallFile.Write(path, content, PartialFile.Ending);
        }
    }

    // Relative, so that the folder can be moved. Where there are no links (Windows without developer mode, some disks) the file itself
    // goes there, as huggingface_hub has it.
    private static void Link(string path, string target)
    {
        var folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        var relative = Path.GetRelativePath(folder, target);
        if (new FileInfo(path).LinkTarget == relative)
            return;
        var part = $"{path}.{Environment.ProcessId}{PartialFile.Ending}";
        File.Delete(part);
        try
        {
            File.CreateSymbolicLink(part, relative);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            File.Move(target, part);
        }
        File.Move(part, path, overwrite: true);
    }
}
