using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Shimmy.Gguf;
using Shimmy.SafeTensors.Files;

namespace Shimmy.SafeTensors.Plans;

/// <summary>
/// Writes planned tensors a stretch at a time: while one is changed and written, the next is read. What needs no change is copied as
/// bytes. Memory is that of two stretches, each of a megabyte, or of one head where rows of heads change places.
/// <code>
/// file ─► read ahead ─► rows in pairs ─► widen, add, scale ─► encode, or llama.cpp's quantizer ─► file
///                       └────────── only where the tensor asks for it ──────────┘
/// </code>
/// </summary>
internal sealed class TensorStream(Func<Quantizer>? quantizer, Action<long> written, CancellationToken cancellation) : IDisposable
{
    private const int Stretch = 1 << 20;

    private readonly Dictionary<string, SafeFileHandle> _files = new(StringComparer.Ordinal);
    private byte[][] _read = [new byte[Stretch], new byte[Stretch]];
    private float[] _floats = [];
    private byte[] _encoded = [];
    private Quantizer? _quantizer;

    /// <summary>Writes a tensor's data as a type.</summary>
    public void Write(PlannedTensor tensor, GgmlType type, Stream output)
    {
        if (tensor.Values is { } values)
        {
            TensorData.Write(output, type, values);
            return;
        }

        if (tensor.Change == TensorChange.Transposed)
        {
            WriteTransposed(tensor.Parts[0], type, output);
            return;
        }

        foreach (var part in tensor.Parts)
            WritePart(tensor, part, type, output);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _quantizer?.Dispose();
        foreach (var file in _files.Values)
            file.Dispose();
    }

    private void WritePart(PlannedTensor tensor, TensorPart part, GgmlType type, Stream output)
    {
        var width = tensor.Shape.Length == 1 ? 1 : tensor.Shape[^1];
        var unit = tensor.Change == TensorChange.RotaryPairs ? checked(tensor.Shape[0] / tensor.Heads * width)
            : part.Tensor.Weights == type || type.ElementsPerBlock() == 1 ? 1
            : width;
        var size = ElementSize(part.Tensor);
        var count = Math.Max(1, Stretch / size / unit) * unit;
        Reserve(checked((int)(Math.Min(count, part.Count) * size)));
        // A task a stretch costs less than a thousandth of it.
        var next = ReadAhead(part.First);
        for (var (at, end, turn) = (part.First, part.First + part.Count, 0); at < end; turn++)
        {
            var bytes = next.GetAwaiter().GetResult();
            at += bytes.Length / size;
            if (at < end)
                next = ReadAhead(at, turn + 1);

            if (tensor.Change == TensorChange.RotaryPairs)
                bytes = Paired(bytes, (int)(unit / width), checked((int)(width * size)));

            Emit(tensor, part, type, (int)Math.Min(width, int.MaxValue), bytes.Span, output);
            written(bytes.Length);
        }

        Task<ReadOnlyMemory<byte>> ReadAhead(long from, int turn = 0)
        {
            var into = _read[turn % 2].AsMemory(0, (int)(Math.Min(count, part.First + part.Count - from) * size));
            // What fits in one stretch has nothing to overlap with.
            if (count >= part.Count)
            {
                Read(part.Tensor, from * size, into.Span);
                return Task.FromResult<ReadOnlyMemory<byte>>(into);
            }

            var file = FileOf(part.Tensor);
            return Task.Run(() =>
            {
                Read(file, part.Tensor, from * size, into.Span);
                return (ReadOnlyMemory<byte>)into;
            });
        }
    }

    private void Emit(PlannedTensor tensor, TensorPart part, GgmlType type, int width, ReadOnlySpan<byte> bytes, Stream output)
    {
        var stored = part.Tensor.Weights!.Value;
        if (stored == type && tensor.Change != TensorChange.PlusOne && tensor.Factor == 1)
        {
            output.Write(bytes);
            return;
        }

        var count = bytes.Length / ElementSize(part.Tensor);
        if (_floats.Length < count)
            (_floats, _encoded) = (new float[count], new byte[count * sizeof(float)]);

        var floats = _floats.AsSpan(0, count);
        Widen(stored, bytes, floats, tensor.Change == TensorChange.PlusOne);
        for (var i = 0; tensor.Factor != 1 && i < count; i++)
            floats[i] *= tensor.Factor;

        if (type.ElementsPerBlock() == 1 || (quantizer is null && TensorData.CanEncode(type)))
        {
            output.Write(_encoded, 0, TensorData.Encode(type, floats, _encoded));
        }
        else
        {
            output.Write(
                (_quantizer ??= quantizer?.Invoke() ?? throw new InvalidOperationException("no quantizer")).Quantize(type, floats, width));
        }
    }

    // Row h·n + 2j + s of the output is row h·n + s·n/2 + j of the source, for heads of n rows.
    private static byte[] Paired(ReadOnlyMemory<byte> bytes, int perHead, int row)
    {
        var paired = new byte[bytes.Length];
        for (var target = 0; target < bytes.Length / row; target++)
        {
            var within = target % perHead;
            var source = target - within + (within % 2 * (perHead / 2)) + (within / 2);
            bytes.Span.Slice(source * row, row).CopyTo(paired.AsSpan(target * row));
        }

        return paired;
    }

    private void WriteTransposed(TensorPart part, GgmlType type, Stream output)
    {
        var (rows, columns) = ((int)part.Tensor.Shape[0], (int)part.Tensor.Shape[1]);
        var bytes = new byte[checked((int)part.Tensor.Length)];
        Read(part.Tensor, 0, bytes);
        var values = new float[part.Tensor.Elements];
        Widen(part.Tensor.Weights!.Value, bytes, values, plusOne: false);
        var column = new float[rows];
        for (var i = 0; i < columns; i++)
        {
            for (var j = 0; j < rows; j++)
                column[j] = values[(j * columns) + i];

            TensorData.Write(output, type, column);
        }

        written(bytes.Length);
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

    private void Reserve(int length)
    {
        if (_read[0].Length < length)
            _read = [new byte[length], new byte[length]];
    }

    private void Read(StoredTensor tensor, long offset, Span<byte> into) => Read(FileOf(tensor), tensor, offset, into);

    private void Read(SafeFileHandle file, StoredTensor tensor, long offset, Span<byte> into)
    {
        cancellation.ThrowIfCancellationRequested();
        if (SafeTensorsFile.ReadWhole(file, into, tensor.Offset + offset) < into.Length)
            throw new SafeTensorsException($"{Path.GetFileName(tensor.File)} became shorter while it was read");
    }

    private SafeFileHandle FileOf(StoredTensor tensor)
    {
        if (!_files.TryGetValue(tensor.File, out var file))
        {
            file = File.OpenHandle(tensor.File, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            _files.Add(tensor.File, file);
        }

        return file;
    }

    private static int ElementSize(StoredTensor tensor) => tensor.Weights!.Value.BytesPerBlock();
}
