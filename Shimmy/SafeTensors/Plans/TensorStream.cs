using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Plans;

/// <summary>
/// Writes planned tensors: reads their parts, changes and widens or narrows them, a stretch at a time. What needs no change is copied as
/// bytes. Memory is that of one stretch, or of one tensor whose rows change places.
/// </summary>
internal sealed class TensorStream(GgmlType weights, Action<long> written, CancellationToken cancellation) : IDisposable
{
    private const int Stretch = 1 << 20;

    private readonly Dictionary<string, SafeFileHandle> _files = new(StringComparer.Ordinal);
    private readonly byte[] _bytes = new byte[Stretch];
    private readonly float[] _floats = new float[Stretch / 4];
    private readonly byte[] _encoded = new byte[Stretch];

    /// <summary>
    /// The type that a tensor gets: vectors and what llama.cpp's converter keeps wide are F32; rows that are no whole blocks of a
    /// quantization stay F16.
    /// </summary>
    public GgmlType TypeOf(PlannedTensor tensor) => TypeOf(tensor, weights);

    /// <inheritdoc cref="TypeOf(PlannedTensor)"/>
    public static GgmlType TypeOf(PlannedTensor tensor, GgmlType weights) =>
        tensor.Wide || tensor.Shape.Length < 2 || tensor.Name.EndsWith("_norm.weight", StringComparison.Ordinal)
            || !tensor.Name.EndsWith(".weight", StringComparison.Ordinal)
            ? GgmlType.F32
            : tensor.Shape[^1] % weights.ElementsPerBlock() == 0 ? weights : GgmlType.F16;

    /// <summary>Writes a tensor's data.</summary>
    public void Write(PlannedTensor tensor, Stream output)
    {
        var type = TypeOf(tensor);
        if (tensor.Values is { } values)
        {
            TensorData.Write(output, type, values);
            return;
        }

        if (tensor.Change == TensorChange.RotaryPairs)
        {
            WritePairs(tensor, type, output);
            return;
        }

        foreach (var part in tensor.Parts)
        {
            if (part.Tensor.Weights == type && tensor.Change == TensorChange.None)
                Copy(part, output);
            else
                Convert(part, type, tensor.Change, output);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in _files.Values)
            file.Dispose();
    }

    private void Copy(TensorPart part, Stream output)
    {
        var size = ElementSize(part.Tensor);
        for (var (at, end) = (part.First * size, (part.First + part.Count) * size); at < end;)
        {
            var count = (int)Math.Min(Stretch, end - at);
            Read(part.Tensor, at, _bytes.AsSpan(0, count));
            output.Write(_bytes, 0, count);
            at += count;
            written(count);
        }
    }

    private void Convert(TensorPart part, GgmlType type, TensorChange change, Stream output)
    {
        for (var (at, end) = (part.First, part.First + part.Count); at < end;)
        {
            var count = (int)Math.Min(_floats.Length, end - at);
            Widen(part.Tensor, at, _floats.AsSpan(0, count), change == TensorChange.PlusOne);
            output.Write(_encoded, 0, TensorData.Encode(type, _floats.AsSpan(0, count), _encoded));
            at += count;
            written((long)count * ElementSize(part.Tensor));
        }
    }

    // Row h·n + 2j + s of the output is row h·n + s·n/2 + j of the source, for heads of n rows.
    private void WritePairs(PlannedTensor tensor, GgmlType type, Stream output)
    {
        var part = tensor.Parts[0];
        var width = tensor.Shape.Length == 1 ? 1 : tensor.Shape[1];
        var rows = tensor.Shape[0];
        var size = ElementSize(part.Tensor);
        var all = new byte[checked(rows * width * size)];
        for (long at = 0; at < all.Length;)
        {
            var count = (int)Math.Min(Stretch, all.Length - at);
            Read(part.Tensor, at, all.AsSpan((int)at, count));
            at += count;
            written(count);
        }

        var perHead = rows / tensor.Heads;
        var row = new float[width];
        for (long target = 0; target < rows; target++)
        {
            var within = target % perHead;
            var source = target - within + (within % 2 * (perHead / 2)) + (within / 2);
            var bytes = all.AsSpan((int)(source * width * size), (int)(width * size));
            if (part.Tensor.Weights == type)
            {
                output.Write(bytes);
                continue;
            }

            Widen(part.Tensor.Weights!.Value, bytes, row, plusOne: false);
            TensorData.Write(output, type, row);
        }
    }

    private void Widen(StoredTensor tensor, long first, Span<float> into, bool plusOne)
    {
        var bytes = _bytes.AsSpan(0, into.Length * ElementSize(tensor));
        Read(tensor, first * ElementSize(tensor), bytes);
        Widen(tensor.Weights!.Value, bytes, into, plusOne);
    }

    private static void Widen(GgmlType type, ReadOnlySpan<byte> bytes, Span<float> into, bool plusOne)
    {
        switch (type)
        {
            case GgmlType.F32:
                MemoryMarshal.Cast<byte, float>(bytes).CopyTo(into);
                break;
            case GgmlType.F16:
                var halves = MemoryMarshal.Cast<byte, Half>(bytes);
                for (var i = 0; i < into.Length; i++)
                    into[i] = (float)(plusOne ? halves[i] + Half.One : halves[i]);

                return;
            default:
                var cut = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (var i = 0; i < into.Length; i++)
                    into[i] = BitConverter.UInt32BitsToSingle((uint)cut[i] << 16);

                break;
        }

        for (var i = 0; plusOne && i < into.Length; i++)
            into[i]++;
    }

    private void Read(StoredTensor tensor, long offset, Span<byte> into)
    {
        cancellation.ThrowIfCancellationRequested();
        if (!_files.TryGetValue(tensor.File, out var file))
        {
            file = File.OpenHandle(tensor.File, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            _files.Add(tensor.File, file);
        }

        if (SafeTensorsFile.ReadWhole(file, into, tensor.Offset + offset) < into.Length)
            throw new SafeTensorsException($"{Path.GetFileName(tensor.File)} became shorter while it was read");
    }

    private static int ElementSize(StoredTensor tensor) => tensor.Weights!.Value.BytesPerBlock();
}
