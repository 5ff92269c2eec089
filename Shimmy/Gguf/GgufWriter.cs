using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Gguf;

/// <summary>
/// Writes a GGUF file, version 3, little-endian. Metadata and tensors are added first; the data of each tensor is requested by a callback
/// while the file is written, so a model may be larger than memory.
/// </summary>
/// <param name="alignment">Alignment of tensor data in bytes; a power of two.</param>
internal sealed class GgufWriter(int alignment = 32)
{
    private readonly List<(string Key, GgufValue Value)> _metadata = [];
    private readonly List<(string Name, GgmlType Type, long[] Dimensions, long SizeBytes,
        Action<Stream> WriteData)> _tensors = [];
    private readonly byte[] _scratch = new byte[8];

    /// <summary>Adds a string.</summary>
    public GgufWriter Add(string key, string value) => Add(key, GgufValue.OfText(value));

    /// <summary>Adds a 32-bit unsigned integer, the type of most numeric keys.</summary>
    public GgufWriter Add(string key, uint value) => Add(key, GgufValue.OfInteger(GgufType.UInt32, value));

    /// <summary>Adds a 32-bit floating point number.</summary>
    public GgufWriter Add(string key, float value) => Add(key, GgufValue.OfNumber(GgufType.Float32, value));

    /// <summary>Adds a boolean.</summary>
    public GgufWriter Add(string key, bool value) => Add(key, GgufValue.OfFlag(value));

    /// <summary>Adds an array of strings.</summary>
    public GgufWriter Add(string key, IEnumerable<string> values) => Add(key, GgufType.Text, values.Select(GgufValue.OfText));

    /// <summary>Adds an array of 32-bit floating point numbers.</summary>
    public GgufWriter Add(string key, IEnumerable<float> values) =>
        Add(key, GgufType.Float32, values.Select(value => GgufValue.OfNumber(GgufType.Float32, value)));

    /// <summary>Adds an array of 32-bit integers.</summary>
    public GgufWriter Add(string key, IEnumerable<int> values) =>
        Add(key, GgufType.Int32, values.Select(value => GgufValue.OfInteger(GgufType.Int32, value)));

    /// <summary>
    /// Adds a value of any type. Throws <see cref="ArgumentException"/> for a duplicate key, or an array whose elements were skipped.
    /// </summary>
    public GgufWriter Add(string key, GgufValue value)
    {
        if (_metadata.Exists(entry => entry.Key == key))
            throw new ArgumentException($"metadata key '{key}' was added before", nameof(key));

        if (value.Array is { Items: null })
            throw new ArgumentException($"the elements of '{key}' were skipped when it was read (GgufLimits.WantsArray)", nameof(value));

        _metadata.Add((key, value));
        return this;
    }

    /// <summary>Adds a tensor. Throws <see cref="ArgumentException"/> where name or dimensions break the rules below.</summary>
    /// <param name="name">Name, at most 63 bytes (GGML_MAX_NAME).</param>
    /// <param name="type">Element type.</param>
    /// <param name="dimensions">One to four dimensions, the contiguous one first, which must be a multiple of the type's block.</param>
    /// <param name="writeData">Writes exactly the tensor's bytes; called once for each write of the file.</param>
    public GgufWriter AddTensor(string name, GgmlType type, ReadOnlySpan<long> dimensions, Action<Stream> writeData)
    {
        if (dimensions.Length is 0 or > 4
            || Encoding.UTF8.GetByteCount(name) > 63
            || dimensions[0] % type.ElementsPerBlock() != 0)
        {
            throw new ArgumentException(
                $"tensor '{name}' needs a name of at most 63 bytes, 1 to 4 dimensions, and rows in whole blocks of {type}",
                nameof(dimensions));
        }

        long elements = 1;
        foreach (var dimension in dimensions)
            elements = checked(elements * dimension);

        _tensors.Add((name, type, dimensions.ToArray(), type.BytesOf(elements), writeData));
        return this;
    }

    /// <summary>
    /// Writes the file as PATH.partial and renames it when it is complete, so that no reader sees half a file.
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
        catch (ArgumentOutOfRangeException e)
        {
            // What .NET makes of EFBIG, which is the system's limit of a file's size.
            File.Delete(partial);
            throw new IOException("the file grew beyond the size that the system allows", e);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    /// <summary>
    /// Writes the file to a stream at position 0 that reports its position. Throws <see cref="InvalidOperationException"/> where a callback
    /// writes too many or too few bytes.
    /// </summary>
    public void Write(Stream output)
    {
        output.Write("GGUF"u8);
        WriteUInt32(output, 3);
        WriteUInt64(output, (ulong)_tensors.Count);
        WriteUInt64(output, (ulong)_metadata.Count + (alignment == 32 ? 0u : 1u));
        if (alignment != 32)
            WriteEntry(output, "general.alignment", GgufValue.OfInteger(GgufType.UInt32, alignment));

        foreach (var (key, value) in _metadata)
            WriteEntry(output, key, value);

        long offset = 0;
        foreach (var tensor in _tensors)
        {
            WriteText(output, tensor.Name);
            WriteUInt32(output, (uint)tensor.Dimensions.Length);
            foreach (var dimension in tensor.Dimensions)
                WriteUInt64(output, (ulong)dimension);

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
                    $"tensor '{tensor.Name}' has {tensor.SizeBytes} bytes but its callback wrote {output.Position - begin}");
            }
        }

        Pad(output); // llama.cpp requires padding after the last tensor too
    }

    private long AlignUp(long position) => (position + alignment - 1) & -(long)alignment;

    private void Pad(Stream output)
    {
        for (var missing = AlignUp(output.Position) - output.Position; missing > 0; missing--)
            output.WriteByte(0);
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
                    WriteValue(output, item);

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
