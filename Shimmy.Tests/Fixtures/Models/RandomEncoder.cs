using Shimmy.Gguf;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// Writes GGUF models of the BERT architecture with random weights: embedders, and rerankers. The vocabulary is that of BERT in small:
/// marks, letters and a few words. The same seed gives the same bytes.
/// </summary>
internal static class RandomEncoder
{
    public const int Cls = 1;
    public const int Sep = 2;
    public const int Width = 64;
    public const int Context = 128;

    private const int Layers = 2;
    private const int FeedForward = 128;
    private const int Heads = 4;
    private const int RankPooling = 4;

    private static readonly string[] Words = ["▁the", "▁cat", "▁dog", "▁sat", "▁on", "▁mat", "▁what", "▁is"];

    /// <summary>
    /// Writes the model and gives its path back; <paramref name="pooling"/> is llama.cpp's number (1 mean, 2 cls, 4 rank),
    /// <paramref name="withHead"/> gives a reranker what it ranks with.
    /// </summary>
    public static string Write(string path, int pooling, int seed = 1, bool withHead = true)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var letters = Enumerable.Range('!', '~' - '!' + 1).Select(letter => ((char)letter).ToString()).ToArray();
        string[] tokens = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", .. Words, .. letters.Select(letter => "▁" + letter), .. letters];
        var writer = new GgufWriter()
            .Add("general.architecture", "bert")
            .Add("general.name", Path.GetFileNameWithoutExtension(path))
            .Add("bert.context_length", Context)
            .Add("bert.embedding_length", Width)
            .Add("bert.block_count", Layers)
            .Add("bert.feed_forward_length", FeedForward)
            .Add("bert.attention.head_count", Heads)
            .Add("bert.attention.layer_norm_epsilon", 1e-12f)
            .Add("bert.attention.causal", false)
            .Add("bert.pooling_type", (uint)pooling)
            .Add("tokenizer.ggml.model", "bert")
            .Add("tokenizer.ggml.tokens", tokens)
            .Add("tokenizer.ggml.token_type", tokens.Select((_, i) => i < 4 ? 3 : 1))
            .Add("tokenizer.ggml.token_type_count", 2u)
            .Add("tokenizer.ggml.padding_token_id", 0u)
            .Add("tokenizer.ggml.bos_token_id", Cls)
            .Add("tokenizer.ggml.cls_token_id", Cls)
            .Add("tokenizer.ggml.eos_token_id", Sep)
            .Add("tokenizer.ggml.seperator_token_id", Sep)
            .Add("tokenizer.ggml.unknown_token_id", 3u);
        var next = seed * 100_003;
        Matrix("token_embd", tokens.Length);
        Matrix("token_types", 2);
        Matrix("position_embd", Context);
        Norm("token_embd_norm");
        for (var layer = 0; layer < Layers; layer++)
        {
            foreach (var name in new[] { "attn_q", "attn_k", "attn_v", "attn_output" })
                Linear($"blk.{layer}.{name}", Width, Width);
            Norm($"blk.{layer}.attn_output_norm");
            Linear($"blk.{layer}.ffn_up", Width, FeedForward);
            Linear($"blk.{layer}.ffn_down", FeedForward, Width);
            Norm($"blk.{layer}.layer_output_norm");
        }
        if (pooling == RankPooling && withHead)
        {
            Linear("cls", Width, Width);
            Linear("cls.output", Width, 1);
        }
        writer.WriteFile(path);
        return path;

        void Matrix(string name, int rows) => RandomModel.AddRandom(writer, name + ".weight", GgmlType.F32, Width, rows, ++next);

        void Linear(string name, int columns, int rows)
        {
            RandomModel.AddRandom(writer, name + ".weight", GgmlType.F32, columns, rows, ++next);
            writer.AddTensor(name + ".bias", GgmlType.F32, [rows], output => TensorData.Write(output, GgmlType.F32, new float[rows]));
        }

        void Norm(string name)
        {
            RandomModel.AddOnes(writer, name + ".weight", Width);
            writer.AddTensor(name + ".bias", GgmlType.F32, [Width], output => TensorData.Write(output, GgmlType.F32, new float[Width]));
        }
    }
}
