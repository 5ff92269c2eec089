using System.Runtime.InteropServices;
using Shimmy.Gguf;

namespace Shimmy.Tests.Worker.Model;

/// <summary>The llama architecture computed the plain way, token after token, from the files of a model and an adapter in F32.</summary>
internal sealed class LlamaReference(string modelPath, string? adapterPath, float scale)
{
    private readonly GgufHeader _header = GgufReader.ReadFile(modelPath);
    private readonly Dictionary<string, (float[] Values, int Columns)> _tensors = Read(modelPath);
    private readonly Dictionary<string, (float[] Values, int Columns)> _adapter = adapterPath is null ? [] : Read(adapterPath);
    private readonly float _alpha = adapterPath is null ? 0 : (float)GgufReader.ReadFile(adapterPath).Number("adapter.lora.alpha")!;

    /// <summary>Log probabilities of the token behind these.</summary>
    public double[] LogProbabilities(IReadOnlyList<int> tokens)
    {
        var width = (int)_header.Integer("llama.embedding_length")!;
        var layers = (int)_header.Integer("llama.block_count")!;
        var heads = (int)_header.Integer("llama.attention.head_count")!;
        var keyHeads = (int)_header.Integer("llama.attention.head_count_kv")!;
        var size = width / heads;
        var (keys, values) = (new List<double[]>[layers], new List<double[]>[layers]);
        double[] state = [];
        for (var position = 0; position < tokens.Count; position++)
        {
            state = [.. _tensors["token_embd.weight"].Values.AsSpan(tokens[position] * width, width)
                .ToArray().Select(value => (double)value)];
            for (var layer = 0; layer < layers; layer++)
            {
                var block = $"blk.{layer}.";
                var normed = Normed(state, block + "attn_norm.weight");
                var query = Rotated(Times(block + "attn_q.weight", normed), size, position);
                (keys[layer] ??= []).Add(Rotated(Times(block + "attn_k.weight", normed), size, position));
                (values[layer] ??= []).Add(Times(block + "attn_v.weight", normed));
                var attended = new double[width];
                for (var head = 0; head < heads; head++)
                {
                    var of = head / (heads / keyHeads) * size;
                    var weights = Softmax([.. keys[layer].Select(key => Dot(query, head * size, key, of, size) / Math.Sqrt(size))]);
                    for (var i = 0; i < size; i++)
                        attended[head * size + i] = weights.Zip(values[layer], (weight, value) => weight * value[of + i]).Sum();
                }
                state = Sum(state, Times(block + "attn_output.weight", attended));
                normed = Normed(state, block + "ffn_norm.weight");
                var gate = Times(block + "ffn_gate.weight", normed);
                var up = Times(block + "ffn_up.weight", normed);
                state = Sum(state,
                    Times(block + "ffn_down.weight", [.. gate.Zip(up, (open, value) => open / (1 + Math.Exp(-open)) * value)]));
            }
        }
        return [.. Softmax(Times("output.weight", Normed(state, "output_norm.weight"))).Select(share => Math.Log(share))];
    }

    // W x + scale * (alpha / r) * B (A x)
    private double[] Times(string name, double[] input)
    {
        var result = Product(_tensors[name], input);
        if (!_adapter.TryGetValue(name + ".lora_a", out var a))
            return result;
        var b = _adapter[name + ".lora_b"];
        var low = Product(a, input);
        return Sum(result, [.. Product(b, low).Select(value => value * scale * _alpha / low.Length)]);
    }

    private static double[] Product((float[] Values, int Columns) matrix, double[] input)
    {
        var rows = matrix.Values.Length / matrix.Columns;
        var result = new double[rows];
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < matrix.Columns; column++)
                result[row] += matrix.Values[row * matrix.Columns + column] * input[column];
        }
        return result;
    }

    private double[] Normed(double[] input, string name)
    {
        var root = Math.Sqrt(input.Sum(value => value * value) / input.Length + 1e-5);
        return [.. input.Zip(_tensors[name].Values, (value, weight) => value / root * weight)];
    }

    // Pairs of neighbours turn, as the llama architecture has it.
    private static double[] Rotated(double[] input, int size, int position)
    {
        var result = new double[input.Length];
        for (var i = 0; i < input.Length; i += 2)
        {
            var angle = position * Math.Pow(10000, -(double)(i % size) / size);
            result[i] = input[i] * Math.Cos(angle) - input[i + 1] * Math.Sin(angle);
            result[i + 1] = input[i] * Math.Sin(angle) + input[i + 1] * Math.Cos(angle);
        }
        return result;
    }

    private static double Dot(double[] a, int fromA, double[] b, int fromB, int count) =>
        Enumerable.Range(0, count).Sum(i => a[fromA + i] * b[fromB + i]);

    private static double[] Sum(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    private static double[] Softmax(double[] values)
    {
        var most = values.Max();
        var powers = values.Select(value => Math.Exp(value - most)).ToArray();
        return [.. powers.Select(power => power / powers.Sum())];
    }

    private static Dictionary<string, (float[], int)> Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        return GgufReader.ReadFile(path).Tensors.ToDictionary(tensor => tensor.Name, tensor =>
            (MemoryMarshal.Cast<byte, float>(bytes.AsSpan((int)tensor.Offset, (int)tensor.SizeBytes))
                .ToArray(), (int)tensor.Dimensions[0]));
    }
}
