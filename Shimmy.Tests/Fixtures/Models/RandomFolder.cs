using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// Writes Hugging Face folders of small models with random weights: config.json, a tokenizer, and one or several files of SafeTensors. The
/// same seed gives the same bytes. <see cref="FolderFamily"/> has the architectures.
/// </summary>
internal static class RandomFolder
{
    public const int Width = 32;
    public const int Layers = 2;
    public const int Rows = FolderFamily.Pieces;

    /// <summary>Writes the folder and gives its path back.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="config">Changes config.json before it is written.</param>
    /// <param name="tensors">Changes the list of tensors before it is written.</param>
    /// <param name="shards">Number of weight files; more than one come with an index.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="family">The architecture; Llama where it is not given.</param>
    /// <param name="type">The type of each tensor by its name; F32 where it is not given.</param>
    /// <param name="weights">Weights by name, in place of random ones.</param>
    public static string Write(string path, Action<JsonObject>? config = null, Action<Dictionary<string, int[]>>? tensors = null,
        int shards = 1, int seed = 1, FolderFamily? family = null, Func<string, string>? type = null,
        Dictionary<string, float[]>? weights = null)
    {
        family ??= FolderFamily.Llama;
        Directory.CreateDirectory(path);
        var settings = (JsonObject)family.Config.DeepClone();
        config?.Invoke(settings);
        File.WriteAllText(Path.Combine(path, "config.json"), settings.ToJsonString());
        family.WriteTokenizer(path);
        var shapes = new Dictionary<string, int[]>(family.Shapes);
        tensors?.Invoke(shapes);
        weights ??= WeightsOf(shapes, seed);
        var names = shapes.Keys.ToList();
        var map = new JsonObject();
        for (var shard = 0; shard < shards; shard++)
        {
            var own = names.Where((_, index) => index % shards == shard).ToList();
            var file = shards == 1 ? "model.safetensors" : $"model-{shard + 1:D5}-of-{shards:D5}.safetensors";
            own.ForEach(name => map[name] = file);
            WriteFile(Path.Combine(path, file), own.Select(name => (name, type?.Invoke(name) ?? "F32", shapes[name], weights[name])));
        }

        if (shards > 1)
            File.WriteAllText(Path.Combine(path, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = map }.ToJsonString());

        return path;
    }

    /// <summary>Random weights for shapes; those of a name are the same whatever stands beside it.</summary>
    public static Dictionary<string, float[]> WeightsOf(IReadOnlyDictionary<string, int[]> shapes, int seed) =>
        shapes.ToDictionary(pair => pair.Key, pair =>
        {
            var random = new Random(seed + pair.Key.Sum(letter => (letter * 31) ^ 7) + (pair.Key.Length * 1009));
            var norm = pair.Key.Contains("norm", StringComparison.OrdinalIgnoreCase)
                && pair.Key.EndsWith("weight", StringComparison.Ordinal);
            return Enumerable.Range(0, pair.Value.Aggregate(1, (product, dimension) => product * dimension))
                .Select(_ => (float)((random.NextDouble() - 0.5) * 0.4) + (norm ? 1 : 0)).ToArray();
        });

    /// <summary>Writes a SafeTensors file.</summary>
    public static void WriteFile(string path, IEnumerable<(string Name, string Type, int[] Shape, float[] Values)> tensors)
    {
        var header = new JsonObject();
        using var data = new MemoryStream();
        Span<byte> number = stackalloc byte[8];
        foreach (var (name, type, shape, values) in tensors)
        {
            var begin = data.Position;
            foreach (var value in values)
            {
                BinaryPrimitives.WriteSingleLittleEndian(number, value);
                if (type == "F16")
                    BinaryPrimitives.WriteHalfLittleEndian(number[2..], (Half)value);
                data.Write(type == "F32" ? number[..4] : number[2..4]);
            }

            header[name] = new JsonObject
            {
                ["dtype"] = type,
                ["shape"] = new JsonArray([.. shape.Select(dimension => (JsonNode)dimension)]),
                ["data_offsets"] = new JsonArray(begin, data.Position),
            };
        }

        var text = Encoding.UTF8.GetBytes(header.ToJsonString());
        using var file = File.Create(path);
        BinaryPrimitives.WriteInt64LittleEndian(number, text.Length);
        file.Write(number);
        file.Write(text);
        data.Position = 0;
        data.CopyTo(file);
    }
}
