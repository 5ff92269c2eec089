using System.Buffers.Binary;
using System.Text.Json;
using Shimmy.Gguf;

namespace Shimmy.SafeTensors.Files;

/// <summary>
/// Reads the header of a SafeTensors file (github.com/huggingface/safetensors, "Format"): eight bytes of length, JSON that names each
/// tensor with type, shape and place, then the data. Files are untrusted: every length and place is checked before it is used.
/// </summary>
internal static class SafeTensorsFile
{
    /// <summary>The longest header that is read, in bytes; the format's own library has the same limit.</summary>
    private const int LongestHeader = 100_000_000;

    private const int MostTensors = 1 << 18;
    private const int MostDimensions = 8;
    private const int LongestName = 1024;

    /// <summary>
    /// The tensors of a file in the order of its header. Throws <see cref="SafeTensorsException"/> for a malformed file,
    /// <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/> for one that cannot be read.
    /// </summary>
    public static List<StoredTensor> Read(string path)
    {
        var file = Path.GetFileName(path);
        using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var length = RandomAccess.GetLength(handle);
        Span<byte> prefix = stackalloc byte[8];
        if (length < 8 || ReadWhole(handle, prefix, 0) < 8)
            throw new SafeTensorsException($"{file}: a SafeTensors file has at least 8 bytes, this one has {length}");

        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (headerLength > (ulong)(length - 8))
        {
            throw new SafeTensorsException(
                $"{file}: its header claims {headerLength} bytes, {length - 8} are there: truncated or no SafeTensors");
        }

        if (headerLength > LongestHeader)
        {
            throw new SafeTensorsException(
                $"{file}: its header of {headerLength} bytes is longer than the {LongestHeader} that are allowed");
        }

        var header = new byte[(int)headerLength];
        if (ReadWhole(handle, header, 8) < header.Length)
            throw new SafeTensorsException($"{file}: it ended while its header was read");

        try
        {
            return Tensors(header, path, file, 8 + (long)headerLength, length);
        }
        catch (JsonException broken)
        {
            throw new SafeTensorsException($"{file}: its header is not valid JSON: {PlainJson.Reason(broken)}", broken);
        }
    }

    /// <summary>Reads until a span is full or the file ends; gives the number of bytes.</summary>
    public static int ReadWhole(Microsoft.Win32.SafeHandles.SafeFileHandle handle, Span<byte> into, long offset)
    {
        var done = 0;
        while (done < into.Length)
        {
            var read = RandomAccess.Read(handle, into[done..], offset + done);
            if (read == 0)
                break;

            done += read;
        }

        return done;
    }

    private static List<StoredTensor> Tensors(ReadOnlySpan<byte> header, string path, string file, long dataStart, long fileLength)
    {
        var reader = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = 8 });
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw new SafeTensorsException($"{file}: its header is not a JSON object");

        var tensors = new List<StoredTensor>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueSpan.Length > LongestName)
            {
                throw new SafeTensorsException(
                    $"{file}: a tensor's name has {reader.ValueSpan.Length} bytes; at most {LongestName} are allowed");
            }

            var name = PlainJson.Text(ref reader);
            reader.Read();
            if (name == "__metadata__")
            {
                reader.Skip();
                continue;
            }

            if (!names.Add(name))
                throw new SafeTensorsException($"{file}: tensor '{name}' is named twice");

            if (tensors.Count == MostTensors)
                throw new SafeTensorsException($"{file}: more than {MostTensors} tensors");

            tensors.Add(Tensor(ref reader, name, path, file, dataStart, fileLength));
        }

        RequireApart(tensors, file);
        return tensors;
    }

    private static StoredTensor Tensor(ref Utf8JsonReader reader, string name, string path, string file, long dataStart, long fileLength)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new SafeTensorsException($"{file}: tensor '{name}' is not described by an object");

        string? type = null;
        List<long>? shape = null, place = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = PlainJson.Text(ref reader);
            reader.Read();
            switch (key)
            {
                case "dtype" when reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length <= 32:
                    type = PlainJson.Text(ref reader);
                    break;
                case "shape":
                    shape = Numbers(ref reader, MostDimensions);
                    break;
                case "data_offsets":
                    place = Numbers(ref reader, 2);
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        if (type is null || shape is null || place is not [var begin, var end])
            throw new SafeTensorsException($"{file}: tensor '{name}' needs dtype, shape and two data_offsets of whole numbers");

        if (begin > end || end > fileLength - dataStart)
        {
            throw new SafeTensorsException($"{file}: tensor '{name}' lies at bytes {begin} to {end}, "
                + $"but the file holds {fileLength - dataStart} bytes of data: truncated or forged");
        }

        RequireSize(file, name, type, shape, end - begin);
        return new StoredTensor(path, name, type, [.. shape], dataStart + begin, end - begin);
    }

    private static void RequireSize(string file, string name, string type, List<long> shape, long length)
    {
        var size = type switch
        {
            "F64" or "I64" or "U64" => 8,
            "F32" or "I32" or "U32" => 4,
            "F16" or "BF16" or "I16" or "U16" => 2,
            "I8" or "U8" or "BOOL" or "F8_E4M3" or "F8_E5M2" or "F8_E8M0" => 1,
            // Types of the future and packed ones: refused where they would be weights, by name.
            _ => 0,
        };
        if (size == 0)
            return;

        // A product beyond what the file holds is wrong whatever it is: no need to compute it to the end.
        long elements = 1;
        foreach (var dimension in shape)
            elements = dimension == 0 || elements <= length / Math.Max(1, dimension) ? elements * dimension : long.MaxValue / 16;

        if (elements * size != length)
        {
            throw new SafeTensorsException(
                $"{file}: tensor '{name}' is {StoredTensor.Shown(shape)} of {type} but has {length} bytes");
        }
    }

    // Whole numbers that are not negative; null where anything else stands.
    private static List<long>? Numbers(ref Utf8JsonReader reader, int most)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            reader.Skip();
            return null;
        }

        var numbers = new List<long>();
        var wrong = false;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out var number) && number >= 0 && numbers.Count < most)
                numbers.Add(number);
            else
                wrong = true;

            reader.Skip();
        }

        return wrong ? null : numbers;
    }

    private static void RequireApart(List<StoredTensor> tensors, string file)
    {
        StoredTensor? last = null;
        foreach (var tensor in tensors.Where(tensor => tensor.Length > 0).OrderBy(tensor => tensor.Offset))
        {
            if (last is not null && tensor.Offset < last.Offset + last.Length)
                throw new SafeTensorsException($"{file}: tensors '{last.Name}' and '{tensor.Name}' lie over each other");

            last = tensor;
        }
    }
}

/// <summary>A tensor of a SafeTensors file: what its header says, checked against the file's length.</summary>
/// <param name="File">Path of the file.</param>
/// <param name="Name">Name, as stored.</param>
/// <param name="Type">The element type as the format spells it: "BF16", "F32", "I64" …</param>
/// <param name="Shape">Dimensions, the slowest first (row-major); empty for a scalar.</param>
/// <param name="Offset">Where the data begins, in bytes from the start of the file.</param>
/// <param name="Length">Length of the data in bytes.</param>
internal sealed record StoredTensor(string File, string Name, string Type, long[] Shape, long Offset, long Length)
{
    /// <summary>Number of elements.</summary>
    public long Elements => Product(Shape);

    /// <summary>The element type in ggml's terms; null for one that weights are not read from (integers, eight-bit floats).</summary>
    public GgmlType? Weights => Type switch
    {
        "F32" => GgmlType.F32,
        "F16" => GgmlType.F16,
        "BF16" => GgmlType.BF16,
        _ => null,
    };

    /// <summary>The shape as people write it: [2, 64].</summary>
    public static string Shown(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";

    /// <summary>The product of dimensions; throws <see cref="OverflowException"/> above 2^63 - 1.</summary>
    public static long Product(ReadOnlySpan<long> shape)
    {
        long product = 1;
        foreach (var dimension in shape)
            product = checked(product * dimension);

        return product;
    }
}

/// <summary>
/// A Hugging Face folder cannot be served. The message says what is wrong with which of its files, in words for its owner. Whoever takes
/// models of any format treats it as a broken file.
/// </summary>
internal sealed class SafeTensorsException(string message, Exception? inner = null) : GgufException(message, inner);
