using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Architectures;

/// <summary>How the vectors of a text's tokens become one: llama.cpp's numbers.</summary>
internal enum PoolingKind
{
    /// <summary>Their mean.</summary>
    Mean = 1,

    /// <summary>That of the first token.</summary>
    First = 2,

    /// <summary>That of the last token.</summary>
    Last = 3,

    /// <summary>A score by a classifier.</summary>
    Rank = 4,
}

/// <summary>Reads what sentence-transformers writes about pooling: modules.json, and the configuration of its pooling module.</summary>
internal static class Pooling
{
    private const int Largest = 1 << 20;

    /// <summary>The pooling of a folder; null where it says nothing about it.</summary>
    public static PoolingKind? Of(ModelFolder folder)
    {
        if (PlainJson.Read(folder.Path, "modules.json", Largest) is not { } modules)
            return null;

        var path = modules.Items.FirstOrDefault(
            module => module["type"].AsText?.EndsWith(".Pooling", StringComparison.Ordinal) == true)["path"].AsText;
        if (path is null)
            return null;

        if (path != System.IO.Path.GetFileName(path) || path is "" or "." or "..")
            throw new SafeTensorsException($"modules.json names '{path}': only names of folders in the model's folder are allowed, without a path");

        if (PlainJson.Read(System.IO.Path.Combine(folder.Path, path), "config.json", Largest) is not { } config)
            throw new SafeTensorsException($"{path}/config.json is missing; modules.json names it");

        var flags =
            new[] { ("pooling_mode_mean_tokens", PoolingKind.Mean), ("pooling_mode_cls_token", PoolingKind.First),
                ("pooling_mode_lasttoken", PoolingKind.Last) };
        var chosen = config["pooling_mode"].AsText switch
        {
            "mean" => PoolingKind.Mean,
            "cls" => PoolingKind.First,
            "lasttoken" or "last" => PoolingKind.Last,
            null => flags.Where(flag => config[flag.Item1].AsFlag == true).Select(flag => (PoolingKind?)flag.Item2).FirstOrDefault(),
            _ => null,
        };
        return chosen
            ?? throw new SafeTensorsException(
                $"{path}/config.json asks for a pooling that llama.cpp lacks; mean, first token (cls) and last token are there");
    }
}
