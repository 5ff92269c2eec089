using Shimmy.Gguf;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// Writes projectors of the kind mlp (LLaVA's) with random weights: pictures of 28 x 28 pixels become four tokens for a model of
/// <see cref="RandomModelShape"/>'s width. The same seed gives the same bytes.
/// </summary>
internal static class RandomProjector
{
    private const int Width = 32;
    private const int Size = 28;
    private const int Patch = 14;

    /// <summary>Tokens of a picture.</summary>
    public const int Tokens = Size / Patch * (Size / Patch);

    /// <summary>Tokens of each begun 30 seconds of a sound.</summary>
    public const int SoundTokens = Positions / Stack;

    private const int Positions = 1500;
    private const int Stack = 10;
    private const int Mels = 80;

    /// <summary>Writes one of the kind ultravox, which hears as Whisper does, and gives its path back.</summary>
    /// <param name="path">The file.</param>
    /// <param name="embedding">Embedding length of its model.</param>
    /// <param name="positions">Rows of positions, of which fewer than 1500 are wrong.</param>
    /// <param name="bands">Bands of the spectrum, as the metadata have them; others than 80 are wrong.</param>
    /// <param name="joined">Positions that are joined, as the metadata have them; others than 10 are wrong.</param>
    public static string WriteHearing(string path, int embedding, int positions = Positions, int bands = Mels, int joined = Stack)
    {
        var writer = new GgufWriter()
            .Add("general.architecture", "clip")
            .Add("general.file_type", 0u)
            .Add("clip.projector_type", "ultravox")
            .Add("clip.has_audio_encoder", true)
            .Add("clip.audio.embedding_length", Width)
            .Add("clip.audio.feed_forward_length", 2u * Width)
            .Add("clip.audio.block_count", 1u)
            .Add("clip.audio.projection_dim", (uint)embedding)
            .Add("clip.audio.attention.head_count", 2u)
            .Add("clip.audio.attention.layer_norm_epsilon", 1e-5f)
            .Add("clip.audio.num_mel_bins", (uint)bands)
            .Add("clip.audio.projector.stack_factor", (uint)joined);
        var seed = 70;
        Kernel("a.conv1d.1.weight", Mels);
        Kernel("a.conv1d.2.weight", Width);
        Matrix("a.position_embd.weight", Width, positions);
        foreach (var layer in (string[])["a.blk.0.ln1", "a.blk.0.ln2", "a.post_ln"])
        {
            RandomModel.AddOnes(writer, $"{layer}.weight", Width);
            Zeros($"{layer}.bias", Width);
        }
        foreach (var part in (string[])["attn_q", "attn_k", "attn_v", "attn_out"])
            Matrix($"a.blk.0.{part}.weight", Width, Width);
        foreach (var part in (string[])["attn_q", "attn_v", "attn_out", "ffn_down"])
            Zeros($"a.blk.0.{part}.bias", Width);
        Matrix("a.blk.0.ffn_up.weight", Width, 2 * Width);
        Zeros("a.blk.0.ffn_up.bias", 2 * Width);
        Matrix("a.blk.0.ffn_down.weight", 2 * Width, Width);
        RandomModel.AddOnes(writer, "mm.a.norm_pre.weight", Stack * Width);
        Matrix("mm.a.mlp.1.weight", Stack * Width, 2 * Width);
        RandomModel.AddOnes(writer, "mm.a.norm_mid.weight", Width);
        Matrix("mm.a.mlp.2.weight", Width, embedding);
        writer.WriteFile(path);
        return path;

        void Kernel(string name, int channels)
        {
            writer.AddTensor(name, GgmlType.F16, [3, channels, Width], output => TensorData.Write(output, GgmlType.F16,
                [.. Enumerable.Range(0, 3 * channels * Width).Select(i => MathF.Sin(i * 0.37f) * 0.1f)]));
            writer.AddTensor(name.Replace("weight", "bias", StringComparison.Ordinal), GgmlType.F32, [1, Width],
                output => TensorData.Write(output, GgmlType.F32, new float[Width]));
        }

        void Zeros(string name, int width) =>
            writer.AddTensor(name, GgmlType.F32, [width], output => TensorData.Write(output, GgmlType.F32, new float[width]));

        void Matrix(string name, int columns, int rows) => RandomModel.AddRandom(writer, name, GgmlType.F32, columns, rows, ++seed);
    }

    /// <summary>Writes one and gives its path back.</summary>
    /// <param name="path">The file.</param>
    /// <param name="embedding">Embedding length of its model.</param>
    /// <param name="without">A tensor to leave out.</param>
    /// <param name="heads">Heads, of which 0 is wrong.</param>
    /// <param name="kind">The kind that it calls itself.</param>
    /// <param name="side">Pixels of a side of its pictures; a picture becomes a token for each 14 x 14 of them.</param>
    /// <param name="width">Its own embedding length.</param>
    /// <param name="blocks">Its blocks.</param>
    public static string Write(string path, int embedding, string? without = null, int heads = 2, string kind = "mlp", int side = Size,
        int width = Width, int blocks = 1)
    {
        var writer = new GgufWriter()
            .Add("general.architecture", "clip")
            .Add("general.name", "random-mmproj")
            .Add("general.file_type", 0u)
            .Add("clip.projector_type", kind)
            .Add("clip.has_vision_encoder", true)
            .Add("clip.vision.embedding_length", (uint)width)
            .Add("clip.vision.feed_forward_length", 2u * (uint)width)
            .Add("clip.vision.block_count", (uint)blocks)
            .Add("clip.vision.projection_dim", (uint)embedding)
            .Add("clip.vision.attention.head_count", (uint)heads)
            .Add("clip.vision.attention.layer_norm_epsilon", 1e-5f)
            .Add("clip.vision.image_size", (uint)side)
            .Add("clip.vision.patch_size", Patch)
            .Add("clip.vision.image_mean", [0.5f, 0.5f, 0.5f])
            .Add("clip.vision.image_std", [0.25f, 0.25f, 0.25f])
            .Add("clip.use_gelu", false);
        var seed = 7;
        Ones("v.pre_ln.weight", width);
        Zeros("v.pre_ln.bias", width);
        Zeros("v.class_embd", width);
        if (kind is "gemma4v")
        {
            writer.AddTensor("v.position_embd.weight", GgmlType.F32, [width, 512, 2],
                output => TensorData.Write(output, GgmlType.F32, new float[width * 512 * 2]));
        }
        else
        {
            Matrix("v.position_embd.weight", width, (side / Patch * (side / Patch)) + 1);
        }
        if (without != "v.patch_embd.weight")
        {
            writer.AddTensor("v.patch_embd.weight", GgmlType.F32, [Patch, Patch, 3, width], output =>
                TensorData.Write(output, GgmlType.F32,
                    [.. Enumerable.Range(0, Patch * Patch * 3 * width).Select(i => MathF.Sin(i * 0.37f) * 0.05f)]));
        }
        for (var block = 0; block < blocks; block++)
            Block($"v.blk.{block}");
        // Gemma's own name for the last matrix, in kinds whose pictures take tokens by their size.
        if (kind is "gemma4v")
            Matrix("mm.input_projection.weight", width, embedding);
        Matrix("mm.0.weight", width, embedding);
        Zeros("mm.0.bias", embedding);
        Matrix("mm.2.weight", embedding, embedding);
        Zeros("mm.2.bias", embedding);
        writer.WriteFile(path);
        return path;

        void Block(string prefix)
        {
            foreach (var layer in (string[])["ln1", "ln2"])
            {
                Ones($"{prefix}.{layer}.weight", width);
                Zeros($"{prefix}.{layer}.bias", width);
            }
            foreach (var part in (string[])["attn_q", "attn_k", "attn_v", "attn_out"])
            {
                Matrix($"{prefix}.{part}.weight", width, width);
                Zeros($"{prefix}.{part}.bias", width);
            }
            Matrix($"{prefix}.ffn_up.weight", width, 2 * width);
            Zeros($"{prefix}.ffn_up.bias", 2 * width);
            Matrix($"{prefix}.ffn_down.weight", 2 * width, width);
            Zeros($"{prefix}.ffn_down.bias", width);
        }

        void Ones(string name, int length)
        {
            if (name != without)
                RandomModel.AddOnes(writer, name, length);
        }

        void Zeros(string name, int length)
        {
            if (name != without)
                writer.AddTensor(name, GgmlType.F32, [length], output => TensorData.Write(output, GgmlType.F32, new float[length]));
        }

        void Matrix(string name, int columns, int rows)
        {
            if (name != without)
                RandomModel.AddRandom(writer, name, GgmlType.F32, columns, rows, ++seed);
        }
    }
}
