using System.Numerics;

namespace Shimmy.Gguf;

/// <summary>
/// Reads the header of a GGUF file, versions 2 and 3, little-endian, without native code; the weights are not read. Files are untrusted:
/// every count and length is checked against the bytes left in the file and against <see cref="GgufLimits"/> before anything is allocated
/// or read. The format is specified in github.com/ggml-org/ggml/blob/master/docs/gguf.md.
/// </summary>
internal static class GgufReader
{
    private const uint Magic = 0x46554747; // "GGUF"
    private const int DefaultAlignment = 32;
    private const int MaxDimensions = 4; // GGML_MAX_DIMS
    private const int MaxTensorName = 63; // GGML_MAX_NAME without the terminating NUL
    private const int LeastEntry = 8 + 4 + 1; // key length, type, one byte
    private const int LeastTensor = 8 + 4 + 8 + 4 + 8; // name length, dimension count, one dimension, type, offset

    /// <summary>
    /// Reads a file's header. Throws <see cref="GgufException"/> for a malformed file, <see cref="IOException"/> or
    /// <see cref="UnauthorizedAccessException"/> for one that cannot be read.
    /// </summary>
    public static GgufHeader ReadFile(string path, GgufLimits? limits = null)
    {
        using var stream = GgufPlace.Open(path, out var place);
        return Read(stream, limits, place.Length);
    }

    /// <summary>
    /// Reads the header at the position of a seekable stream; offsets count from there. Throws <see cref="GgufException"/> where it is
    /// malformed.
    /// </summary>
    /// <param name="stream">The stream.</param>
    /// <param name="limits">What is read at most.</param>
    /// <param name="length">Bytes of the GGUF; null: up to the stream's end.</param>
    public static GgufHeader Read(Stream stream, GgufLimits? limits = null, long? length = null)
    {
        limits ??= GgufLimits.Default;
        using var cursor = new GgufCursor(stream, limits, length ?? (stream.Length - stream.Position));

        var version = ReadMagicAndVersion(cursor);
        var tensorCount = cursor.ReadUInt64();
        var entryCount = cursor.ReadUInt64();
        RequirePlausible(cursor, tensorCount, LeastTensor, limits.Tensors, "tensors");
        RequirePlausible(cursor, entryCount, LeastEntry, limits.Entries, "metadata entries");

        var metadata = ReadMetadata(cursor, (int)entryCount, limits);
        var alignment = AlignmentOf(metadata);
        RequirePlausible(cursor, tensorCount, LeastTensor, limits.Tensors, "tensors");
        var infos = ReadTensorInfos(cursor, (int)tensorCount, alignment);
        // A file without tensors (a vocabulary) may end right after its header, without padding.
        var dataOffset = infos.Length == 0 ? cursor.Position : AlignUp(cursor.Position, alignment);

        return new GgufHeader
        {
            Version = version,
            Metadata = metadata,
            Tensors = Place(infos, dataOffset, cursor.Length),
            Alignment = alignment,
            DataOffset = dataOffset,
            FileLength = cursor.Length,
        };
    }

    private static int ReadMagicAndVersion(GgufCursor cursor)
    {
        if (cursor.Length < 4 || cursor.ReadUInt32() != Magic)
            throw new GgufException("not a GGUF file: it does not begin with \"GGUF\"");

        var version = cursor.ReadUInt32();
        return version switch
        {
            2 or 3 => (int)version,
            // A small version number in the wrong byte order has zeros in its low 16 bits.
            _ when (version & 0xFFFF) == 0 && version != 0 =>
                throw new GgufException("the file is big-endian; only little-endian GGUF is supported "
                    + "(llama.cpp's gguf_convert_endian.py converts it)"),
            _ => throw new GgufException($"GGUF version {version} is not supported; versions 2 and 3 are"),
        };
    }

    private static void RequirePlausible(GgufCursor cursor, ulong count, int leastBytes, long limit, string what)
    {
        var most = (ulong)(cursor.Remaining / leastBytes);
        if (count > most)
            throw new GgufException($"the file claims {count} {what} but its remaining bytes hold at most {most}: forged or truncated");

        if (count > (ulong)limit)
            throw new GgufException($"the file has {count} {what}; at most {limit} are allowed");
    }

    private static Dictionary<string, GgufValue> ReadMetadata(GgufCursor cursor, int count, GgufLimits limits)
    {
        cursor.Charge(48L * count);
        var metadata = new Dictionary<string, GgufValue>(count, StringComparer.Ordinal);
        for (var i = 0; i < count; i++)
        {
            var key = cursor.ReadText(limits.KeyLength, "a metadata key");
            var type = ReadType(cursor, key);
            var value = type == GgufType.Array
                ? GgufValue.OfArray(ReadArray(cursor, key, limits))
                : ReadValue(cursor, type, key, limits);
            if (!metadata.TryAdd(key, value))
                throw new GgufException($"metadata key '{Shown(key)}' occurs twice");
        }

        return metadata;
    }

    private static GgufType ReadType(GgufCursor cursor, string key)
    {
        var number = cursor.ReadUInt32();
        return number <= (uint)GgufType.Float64
            ? (GgufType)number
            : throw new GgufException($"metadata key '{Shown(key)}' has the unknown type {number}");
    }

    private static GgufArray ReadArray(GgufCursor cursor, string key, GgufLimits limits)
    {
        var elementType = ReadType(cursor, key);
        if (elementType == GgufType.Array)
            throw new GgufException($"metadata key '{Shown(key)}' is an array of arrays, which is not supported");

        var count = cursor.ReadUInt64();
        var size = elementType.FixedSize();
        var least = size == 0 ? sizeof(ulong) : size;
        if (count > (ulong)(cursor.Remaining / least))
        {
            throw new GgufException($"metadata key '{Shown(key)}' claims {count} elements but the file's remaining bytes "
                + $"hold at most {cursor.Remaining / least}: forged or truncated");
        }

        cursor.Charge(48);
        if ((long)count > limits.ArrayLength && !limits.WantsArray(key))
        {
            SkipElements(cursor, key, size, (long)count);
            return new GgufArray(elementType, (long)count, Items: null);
        }

        cursor.Charge(24 * (long)count);
        var items = new GgufValue[(int)count];
        for (var i = 0; i < items.Length; i++)
            items[i] = ReadValue(cursor, elementType, key, limits);

        return new GgufArray(elementType, (long)count, items);
    }

    private static void SkipElements(GgufCursor cursor, string key, int size, long count)
    {
        if (size != 0)
        {
            cursor.Skip(count * size);
            return;
        }

        cursor.SkipTexts(key, count);
    }

    private static GgufValue ReadValue(GgufCursor cursor, GgufType type, string key, GgufLimits limits) => type switch
    {
        GgufType.UInt8 => GgufValue.OfInteger(type, cursor.ReadByte()),
        GgufType.Int8 => GgufValue.OfInteger(type, (sbyte)cursor.ReadByte()),
        GgufType.UInt16 => GgufValue.OfInteger(type, cursor.ReadUInt16()),
        GgufType.Int16 => GgufValue.OfInteger(type, (short)cursor.ReadUInt16()),
        GgufType.UInt32 => GgufValue.OfInteger(type, cursor.ReadUInt32()),
        GgufType.Int32 => GgufValue.OfInteger(type, (int)cursor.ReadUInt32()),
        GgufType.Float32 => GgufValue.OfNumber(type, BitConverter.UInt32BitsToSingle(cursor.ReadUInt32())),
        GgufType.Bool => GgufValue.OfFlag(cursor.ReadByte() != 0),
        GgufType.Text => GgufValue.OfText(cursor.ReadText(limits.TextLength, $"metadata key '{Shown(key)}'")),
        GgufType.UInt64 or GgufType.Int64 => GgufValue.OfInteger(type, (long)cursor.ReadUInt64()),
        _ => GgufValue.OfNumber(type, BitConverter.UInt64BitsToDouble(cursor.ReadUInt64())),
    };

    private static int AlignmentOf(Dictionary<string, GgufValue> metadata)
    {
        if (!metadata.TryGetValue("general.alignment", out var value))
            return DefaultAlignment;

        return value.Integer is > 0 and <= 1 << 20 && BitOperations.IsPow2(value.Integer.Value)
            ? (int)value.Integer.Value
            : throw new GgufException($"general.alignment is {Shown(value.ToString())}; it must be a power of two up to 1048576");
    }

    private static GgufTensor[] ReadTensorInfos(GgufCursor cursor, int count, int alignment)
    {
        cursor.Charge(64L * count);
        var tensors = new GgufTensor[count];
        var names = new HashSet<string>(count, StringComparer.Ordinal);
        for (var i = 0; i < count; i++)
        {
            var name = cursor.ReadText(MaxTensorName, "a tensor's name");
            if (!names.Add(name))
                throw new GgufException($"tensor '{Shown(name)}' occurs twice");

            cursor.Charge(176);
            tensors[i] = ReadTensorInfo(cursor, name, alignment);
        }

        return tensors;
    }

    private static GgufTensor ReadTensorInfo(GgufCursor cursor, string name, int alignment)
    {
        var rank = cursor.ReadUInt32();
        if (rank is 0 or > MaxDimensions)
            throw new GgufException($"tensor '{Shown(name)}' has {rank} dimensions; 1 to {MaxDimensions} are allowed");

        var dimensions = new long[rank];
        UInt128 elements = 1;
        for (var i = 0; i < dimensions.Length; i++)
        {
            var dimension = cursor.ReadUInt64();
            elements *= dimension;
            if (dimension > long.MaxValue || elements > long.MaxValue)
                throw new GgufException($"tensor '{Shown(name)}' has more elements than there can be (2^63 - 1)");

            dimensions[i] = (long)dimension;
        }

        var number = cursor.ReadUInt32();
        if (!GgmlTypes.IsKnown(number))
            throw new GgufException($"tensor '{Shown(name)}' has the unknown or withdrawn type {number}");

        var type = (GgmlType)number;
        if (dimensions[0] % type.ElementsPerBlock() != 0)
        {
            throw new GgufException(
                $"tensor '{Shown(name)}' has rows of {dimensions[0]} elements, "
                + $"not a multiple of {type}'s block of {type.ElementsPerBlock()}");
        }

        var offset = cursor.ReadUInt64();
        if (offset > long.MaxValue || (long)offset % alignment != 0)
            throw new GgufException($"tensor '{Shown(name)}' begins at offset {offset}, not a multiple of the alignment {alignment}");

        return new GgufTensor
        {
            Name = name,
            Type = type,
            Dimensions = dimensions,
            Offset = (long)offset,
            ElementCount = (long)elements
        };
    }

    // Turns offsets from the start of the tensor data, as in the file, into offsets from the start of the file.
    private static GgufTensor[] Place(GgufTensor[] infos, long dataOffset, long fileLength)
    {
        for (var i = 0; i < infos.Length; i++)
        {
            var tensor = infos[i];
            var size = (UInt128)(tensor.ElementCount / tensor.Type.ElementsPerBlock()) * (uint)tensor.Type.BytesPerBlock();
            var end = (UInt128)dataOffset + (UInt128)tensor.Offset + size;
            if (end > (UInt128)fileLength)
            {
                throw new GgufException(
                    $"file is truncated: tensor '{Shown(tensor.Name)}' ends at {end} but the file has {fileLength} bytes");
            }

            infos[i] = tensor with { Offset = dataOffset + tensor.Offset };
        }

        return infos;
    }

    private static long AlignUp(long position, int alignment) => (position + alignment - 1) & -(long)alignment;

    private static string Shown(string name) => ShownText.Of(name, 80);
}

/// <summary>A file is not a usable model file. The message is the reason, without the file's path.</summary>
internal class GgufException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Limits on the cost of reading a header, whatever the file claims. Each is several times what the largest published models need: the
/// header of a model with 262,144 tokens and their merges is 15 MB long, and the models with the most tensors have a few thousand.
/// </summary>
internal sealed record GgufLimits
{
    /// <summary>The default limits.</summary>
    public static GgufLimits Default { get; } = new();

    /// <summary>Bytes of memory for the objects of a header; an estimate, checked before each allocation.</summary>
    public long Memory { get; init; } = 10 << 20;

    /// <summary>Bytes of the header that are read; arrays of numbers that are skipped by seeking are not counted.</summary>
    public long Walk { get; init; } = 96 << 20;

    /// <summary>Number of metadata entries.</summary>
    public long Entries { get; init; } = 16_384;

    /// <summary>Number of tensors.</summary>
    public long Tensors { get; init; } = 32_768;

    /// <summary>Bytes of a metadata key. The GGUF specification allows 65,535; no key in use has more than a hundred.</summary>
    public long KeyLength { get; init; } = 4_096;

    /// <summary>Bytes of a string value. The longest in use are chat templates of some 100,000.</summary>
    public long TextLength { get; init; } = 1 << 20;

    /// <summary>
    /// Elements of an array; a longer array is skipped (<see cref="GgufArray.Items"/> is null) unless <see cref="WantsArray"/>.
    /// </summary>
    public long ArrayLength { get; init; } = 1_024;

    /// <summary>Whether the array of this key is read whatever its length, within <see cref="Memory"/>.</summary>
    public Predicate<string> WantsArray { get; init; } = static _ => false;
}
