namespace Shimmy.Gguf;

/// <summary>
/// Facts of a file on embedding and ranking that llama.cpp does not report: whether there is anything to rank with, and whether its
/// embeddings may be cut.
/// </summary>
/// <param name="HasRankingHead">
/// Whether it has the tensors of a classification head. Without them, a model that pools as a reranker gives every document one score.
/// </param>
/// <param name="IsMatryoshka">Whether its embeddings were trained to be cut (Matryoshka, Kusupati et al. 2022), by its tags.</param>
internal sealed record EmbeddingTraits(bool HasRankingHead, bool IsMatryoshka)
{
    /// <summary>Reads the headers of a model's file and, of one in shards, of the others beside it. Throws as the reader does.</summary>
    public static EmbeddingTraits Read(string path)
    {
        var first = GgufReader.ReadFile(path);
        var name = ModelFileName.Parse(Path.GetFileName(path));
        var has = HasHead(first);
        for (var shard = 2; !has && shard <= Math.Min(name.ShardCount, first.Integer("split.count") ?? 0); shard++)
            has = HasHead(GgufReader.ReadFile(Path.Join(Path.GetDirectoryName(path), name.OfShard(shard))));
        var tags = first.Array("general.tags")?.Items ?? [];
        return new EmbeddingTraits(has,
            tags.Any(tag => tag.Text?.Contains("matryoshka", StringComparison.OrdinalIgnoreCase) == true)
            || first.Metadata.Keys.Any(key => key.Contains("matryoshka", StringComparison.OrdinalIgnoreCase)));
    }

    /// <summary>Whether one of the tensors of a classification head is in this file: those that llama.cpp pools with.</summary>
    public static bool HasHead(GgufHeader header) => header.Tensors.Any(tensor => tensor.Name is "cls.weight" or "cls.output.weight");
}
