using Shimmy.SafeTensors.Architectures;
using Shimmy.SafeTensors.Files;

namespace Shimmy.Models.Discovery;

/// <summary>A Hugging Face folder as a candidate: <c>config.json</c> with <c>model*.safetensors</c> beside it.</summary>
internal static class TensorFolder
{
    /// <summary>The file that a walk finds such a folder by.</summary>
    public const string Config = "config.json";

    /// <summary>The file that a walk finds an adapter in PEFT's form by.</summary>
    public const string AdapterConfig = ModelFolder.AdapterConfig;

    /// <summary>Whether a folder is a model or an adapter. What cannot be read is none.</summary>
    public static bool IsOne(string path) => Looks(path, ModelFolder.Looks) || IsAdapter(path);

    /// <summary>Whether a folder is an adapter in PEFT's form.</summary>
    public static bool IsAdapter(string path) => Looks(path, LoraFolder.Looks);

    private static bool Looks(string path, Func<string, bool> looks)
    {
        try
        {
            return looks(path);
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
