using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>Opens a model by its path, as given on the command line or in the configuration file.</summary>
internal static class SingleFile
{
    /// <summary>
    /// Whether a name on the command line is a path: of a file that ends in <c>.gguf</c>, or of a folder with a <c>config.json</c>.
    /// </summary>
    public static bool IsPath(string name) => ModelFileName.IsGguf(name) ? File.Exists(name) : File.Exists(Path.Join(name, "config.json"));

    /// <summary>
    /// The model in a file, which may be any shard of it. Throws <see cref="FileNotFoundException"/> where the file does not exist and
    /// <see cref="GgufException"/> where it does not contain a model or shards are missing.
    /// </summary>
    public static ModelEntry Open(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Directory.Exists(full))
            return OpenFolder(full);
        if (!File.Exists(full))
            throw new FileNotFoundException($"there is no file '{path}'", full);

        var name = ModelFileName.Parse(Path.GetFileName(full));
        var folder = Path.GetDirectoryName(full)!;
        var paths = name.Shard == 0
            ? [full]
            : Enumerable.Range(1, name.ShardCount).Select(number => Path.Join(folder, name.OfShard(number))).Where(File.Exists);
        var skipped = new List<SkippedFile>();
        var files = new List<InspectedFile>();
        foreach (var file in paths.Select(Inspect))
        {
            if (file.WhyNoModel(byName: false) is { } reason)
                throw new GgufException(reason);

            files.Add(file);
        }

        return ShardGroups.Join(files, skipped) is [var model, ..] ? Paired(model, folder) : throw new GgufException(skipped[0].Reason);
    }

    // A projector beside the file: by its name, and where none has that, by the headers of the files in the same folder. In Hugging Face's
    // cache it may lie above, up to the root of the repository.
    private static ModelEntry Paired(ModelEntry model, string folder)
    {
        var pairing = new AdapterPairing();
        var isNamed = false;
        var top = HuggingFaceSource.SnapshotOf(folder) ?? folder;
        try
        {
            for (var place = folder; ; place = Path.GetDirectoryName(place)!)
            {
                foreach (var path in Directory.EnumerateFiles(place, "*.gguf").Order(StringComparer.Ordinal))
                {
                    if (ModelFileName.Parse(Path.GetFileName(path)).HasWord("mmproj"))
                        isNamed |= pairing.Take(Inspect(path));
                }
                if (place == top)
                    break;
            }
            foreach (var path in Directory.EnumerateFiles(folder, "*.gguf").Order(StringComparer.Ordinal))
            {
                if (!isNamed && path != model.Path && Inspect(path) is { Facts.Content: GgufContent.Projector } projector)
                    pairing.Take(projector);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return model;
        }
        return pairing.PairWith([model], [])[0];
    }

    private static ModelEntry OpenFolder(string path)
    {
        var file = new InspectedFile(TensorFolder.Candidate(path, "file"),
            ModelFileName.Parse(Path.GetFileName(path)), GgufInspection.Inspect(path));
        return file.WhyNoModel(byName: false) is { } reason ? throw new GgufException(reason) : file.ToEntry([file]);
    }

    private static InspectedFile Inspect(string path)
    {
        var file = new FileInfo(path);
        var candidate = new ModelCandidate
        {
            Path = path,
            RealPath = path,
            Origin = "file",
            SizeBytes = GgufPlace.LengthOf(path, file.Length),
            ModifiedUtc = file.LastWriteTimeUtc,
        };
        return new InspectedFile(candidate, ModelFileName.Parse(file.Name), GgufInspection.Inspect(path));
    }
}
