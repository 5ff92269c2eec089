using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Gguf;

/// <summary>
/// Writes a GGUF file, version 3, little endian. Metadata and tensors are announced first; tensor data are asked for one tensor
/// at a time while the file is written, so that a model larger than memory can pass through.
/// </summary>
/// <param name="alignment">Bytes to whose multiples tensor data are aligned; a power of two.</param>
internal sealed class GgufWriter(int alignment = 32)
{
    private readonly List<(string Key, GgufValue Value)> _metadata = [];
    private readonly List<(string Name, GgmlType Type, long[] Dimensions, long SizeBytes,
        Action<Stream> WriteData)> _tensors = [];
    private readonly byte[] _scratch = new byte[8];

    /// <summary>Adds a text.</summary>
    public GgufWriter Add(string key, string value) => Add(key, GgufValue.OfText(value));

    /// <summary>Adds a 32-bit unsigned integer, the type that most keys want.</summary>
    public GgufWriter Add(string key, uint value) => Add(key, GgufValue.OfInteger(GgufType.UInt32, value));

    /// <summary>Adds a 32-bit floating point number.</summary>
    public GgufWriter Add(string key, float value) => Add(key, GgufValue.OfNumber(GgufType.Float32, value));

    /// <summary>Adds a truth value.</summary>
    public GgufWriter Add(string key, bool value) => Add(key, GgufValue.OfFlag(value));

    /// <summary>Adds an array of texts.</summary>
    public GgufWriter Add(string key, IEnumerable<string> values) => Add(key, GgufType.Text, values.Select(GgufValue.OfText));

    /// <summary>Adds an array of 32-bit floating point numbers.</summary>
    public GgufWriter Add(string key, IEnumerable<float> values) =>
        Add(key, GgufType.Float32, values.Select(value => GgufValue.OfNumber(GgufType.Float32, value)));

    /// <summary>Adds an array of 32-bit integers.</summary>
    public GgufWriter Add(string key, IEnumerable<int> values) =>
        Add(key, GgufType.Int32, values.Select(value => GgufValue.OfInteger(GgufType.Int32, value)));

    /// <summary>Adds a value of any type. Throws <see cref="ArgumentException"/> where the key was added before.</summary>
    public GgufWriter Add(string key, GgufValue value)
    {
        if (_metadata.Exists(entry => entry.Key == key))
        {
            throw new ArgumentException($"metadata key '{key}' was added before", nameof(key));
        }

        if (value.Array is { Items: null })
        {
            throw new ArgumentException($"the elements of '{key}' were stepped over when it was read", nameof(value));
        }

        _metadata.Add((key, value));
        return this;
    }

    /// <summary>Adds a tensor.</summary>
    /// <param name="name">Its name, at most 63 bytes.</param>
    /// <param name="type">Type of its elements.</param>
    /// <param name="dimensions">One to four dimensions, the contiguous one first; it must be a multiple of the type's
    /// block.</param>
    /// <param name="writeData">Writes exactly the tensor's bytes; called once by each write of the file.</param>
    public GgufWriter AddTensor(string name, GgmlType type, ReadOnlySpan<long> dimensions, Action<Stream> writeData)
    {
        if (dimensions.Length is 0 or > 4
            || Encoding.UTF8.GetByteCount(name) > 63
            || dimensions[0] % type.ElementsPerBlock() != 0)
        {
            throw new ArgumentException($"tensor '{name}' of {dimensions.Length} dimensions, rows of {type}, cannot be written",
                nameof(dimensions));
        }

        long elements = 1;
        foreach (var dimension in dimensions)
        {
            elements = checked(elements * dimension);
        }

        _tensors.Add((name, type, dimensions.ToArray(), type.BytesOf(elements), writeData));
        return this;
    }

    /// <summary>
    /// Writes the file beside its final path and moves it there once it is whole, so that nobody reads half of it.
    /// </summary>
    public void WriteFile(string path)
    {
        var partial = path + ".partial";
        try
        {
            using (var stream = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 16))
            {
                Write(stream);
            }

            File.Move(partial, path, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    /// <summary>Writes the whole file to a stream that knows its position and stands at 0.</summary>
    public void Write(Stream output)
    {
        output.Write("GGUF"u8);
        WriteUInt32(output, 3);
        WriteUInt64(output, (ulong)_tensors.Count);
        WriteUInt64(output, (ulong)_metadata.Count + (alignment == 32 ? 0u : 1u));
        if (alignment != 32)
        {
            WriteEntry(output, "general.alignment", GgufValue.OfInteger(GgufType.UInt32, alignment));
        }

        foreach (var (key, value) in _metadata)
        {
            WriteEntry(output, key, value);
        }

        long offset = 0;
        foreach (var tensor in _tensors)
        {
            WriteText(output, tensor.Name);
            WriteUInt32(output, (uint)tensor.Dimensions.Length);
            foreach (var dimension in tensor.Dimensions)
            {
                WriteUInt64(output, (ulong)dimension);
            }

            WriteUInt32(output, (uint)tensor.Type);
            WriteUInt64(output, (ulong)offset);
            offset += AlignUp(tensor.SizeBytes);
        }

        foreach (var tensor in _tensors)
        {
            Pad(output);
            var begin = output.Position;
            tensor.WriteData(output);
            if (output.Position - begin != tensor.SizeBytes)
            {
                throw new InvalidOperationException(
                    $"tensor '{tensor.Name}' was given {output.Position - begin} bytes instead of {tensor.SizeBytes}");
            }
        }

        Pad(output); // llama.cpp wants the last tensor padded too
    }

    private long AlignUp(long position) => (position + alignment - 1) & -(long)alignment;

    private void Pad(Stream output)
    {
        for (var missing = AlignUp(output.Position) - output.Position; missing > 0; missing--)
        {
            output.WriteByte(0);
        }
    }

    private void WriteEntry(Stream output, string key, GgufValue value)
    {
        WriteText(output, key);
        WriteUInt32(output, (uint)value.Type);
        WriteValue(output, value);
    }

    private void WriteValue(Stream output, GgufValue value)
    {
        switch (value.Type)
        {
            case GgufType.Text:
                WriteText(output, value.Text!);
                break;
            case GgufType.Array:
                WriteUInt32(output, (uint)value.Array!.ElementType);
                WriteUInt64(output, (ulong)value.Array.Items!.Count);
                foreach (var item in value.Array.Items)
                {
                    WriteValue(output, item);
                }

                break;
            case GgufType.Float32:
                WriteUInt32(output, BitConverter.SingleToUInt32Bits((float)value.Number!.Value));
                break;
            case GgufType.Float64:
                WriteUInt64(output, BitConverter.DoubleToUInt64Bits(value.Number!.Value));
                break;
            default:
                BinaryPrimitives.WriteInt64LittleEndian(_scratch, value.Bits);
                output.Write(_scratch, 0, value.Type.FixedSize());
                break;
        }
    }

    private GgufWriter Add(string key, GgufType elementType, IEnumerable<GgufValue> values)
    {
        var items = values.ToArray();
        return Add(key, GgufValue.OfArray(new GgufArray(elementType, items.Length, items)));
    }

    private void WriteText(Stream output, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        WriteUInt64(output, (ulong)bytes.Length);
        output.Write(bytes);
    }

    private void WriteUInt32(Stream output, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_scratch, value);
        output.Write(_scratch, 0, sizeof(uint));
    }

    private void WriteUInt64(Stream output, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_scratch, value);
        output.Write(_scratch, 0, sizeof(ulong));
    }
}
