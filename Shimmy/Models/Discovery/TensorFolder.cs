using Shimmy.SafeTensors.Files;

namespace Shimmy.Models.Discovery;

/// <summary>A Hugging Face folder as a candidate: <c>config.json</c> with <c>model*.safetensors</c> beside it.</summary>
internal static class TensorFolder
{
    /// <summary>The file that a walk finds such a folder by.</summary>
    public const string Config = "config.json";

    /// <summary>Whether a folder is one. What cannot be read is none.</summary>
    public static bool IsOne(string path)
    {
        try
        {
            return ModelFolder.Looks(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>
    /// The folder as a candidate; its size is that of its weights, its time that of the file written last, so that a scan sees changes.
    /// </summary>
    public static ModelCandidate Candidate(string path, string origin)
    {
        var (bytes, written) = (0L, DateTime.MinValue);
        foreach (var file in new DirectoryInfo(path).EnumerateFiles())
        {
            if (file.Extension is not (".safetensors" or ".json" or ".model" or ".jinja"))
                continue;

            // Caches keep files behind links.
            var target = file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? file;
            if (!target.Exists)
                continue;

            bytes += file.Extension == ".safetensors" ? target.Length : 0;
            written = target.LastWriteTimeUtc > written ? target.LastWriteTimeUtc : written;
        }

        return new ModelCandidate { Path = path, RealPath = RealPath.Of(path), Origin = origin, SizeBytes = bytes, ModifiedUtc = written };
    }
}
