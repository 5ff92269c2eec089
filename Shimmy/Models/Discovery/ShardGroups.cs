namespace Shimmy.Models.Discovery;

/// <summary>Joins shards into models: the files <c>…-00001-of-0000N.gguf</c> of one folder are one model.</summary>
internal static class ShardGroups
{
    /// <summary>
    /// The models in these files, in their order. A model with missing shards is reported to <paramref name="skipped"/>, with the shards'
    /// names.
    /// </summary>
    public static List<ModelEntry> Join(IReadOnlyList<InspectedFile> files, List<SkippedFile> skipped)
    {
        var groups = new Dictionary<(string Folder, string Stem, int Count), SortedList<int, InspectedFile>>();
        var order = new List<IReadOnlyList<InspectedFile>>();
        foreach (var file in files)
        {
            if (file.FileName.Shard == 0)
            {
                AddWhole(file);
                continue;
            }

            var key = (Path.GetDirectoryName(file.Candidate.Path)!, file.FileName.Stem, file.FileName.ShardCount);
            if (!groups.TryGetValue(key, out var group))
            {
                groups.Add(key, group = []);
                order.Add(group.Values.AsReadOnly());
            }

            group.TryAdd(file.FileName.Shard, file);
        }

        return [.. order.Select(group => ToEntry(group)).OfType<ModelEntry>()];

        void AddWhole(InspectedFile file)
        {
            if (file.Facts.ShardCount > 1)
            {
                Skip(file,
                    $"one of {file.Facts.ShardCount} shards, but its file name has no shard number: "
                    + $"llama.cpp needs …-00001-of-{file.Facts.ShardCount:D5}.gguf");
            }
            else
            {
                order.Add([file]);
            }
        }

        ModelEntry? ToEntry(IReadOnlyList<InspectedFile> group)
        {
            var first = group[0];
            if (first.FileName.ShardCount == group.Count || first.FileName.Shard == 0)
                return first.ToEntry(group);

            var present = group.Select(file => file.FileName.Shard).ToHashSet();
            var missing = Enumerable.Range(1, first.FileName.ShardCount).Where(number => !present.Contains(number)).ToList();
            var names = string.Join(", ", missing.Take(3).Select(first.FileName.OfShard));
            Skip(first, missing.Count <= 3
                ? $"missing shards: {names}"
                : $"missing shards: {names} and {missing.Count - 3} more");
            return null;
        }

        void Skip(InspectedFile file, string reason) =>
            skipped.Add(new SkippedFile(file.Candidate.Path, file.Candidate.Origin, reason));
    }
}
