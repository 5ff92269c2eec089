using System.Buffers;
using System.Runtime.InteropServices;

namespace Shimmy.Gguf;

/// <summary>Encodes floating point numbers as tensor data: F32, F16, BF16 and Q8_0.</summary>
internal static class TensorData
{
    /// <summary>Elements per block of Q8_0, which share one scale.</summary>
    public const int Q8Block = 32;

    /// <summary>Whether <see cref="Encode"/> supports the type.</summary>
    public static bool CanEncode(GgmlType type) => type is GgmlType.F32 or GgmlType.F16 or GgmlType.BF16 or GgmlType.Q8_0;

    /// <summary>
    /// Encodes whole blocks of elements. Throws <see cref="NotSupportedException"/> for a type that <see cref="CanEncode"/> rejects.
    /// </summary>
    /// <param name="type">Type to encode to.</param>
    /// <param name="source">The elements; their number must be a multiple of the type's block.</param>
    /// <param name="destination">Receives the bytes; must have the length that <see cref="GgmlTypes.BytesOf"/> gives, or more.</param>
    /// <returns>Number of bytes written.</returns>
    public static int Encode(GgmlType type, ReadOnlySpan<float> source, Span<byte> destination)
    {
        switch (type)
        {
            case GgmlType.F32:
                MemoryMarshal.AsBytes(source).CopyTo(destination);
                break;
            case GgmlType.F16:
                var halves = MemoryMarshal.Cast<byte, Half>(destination);
                for (var i = 0; i < source.Length; i++)
                    halves[i] = (Half)source[i];

                break;
            case GgmlType.BF16:
                var truncated = MemoryMarshal.Cast<byte, ushort>(destination);
                for (var i = 0; i < source.Length; i++)
                    truncated[i] = ToBFloat16(source[i]);

                break;
            case GgmlType.Q8_0:
                EncodeQ8(source, destination);
                break;
            default:
                throw new NotSupportedException($"tensor data cannot be encoded as {type}; F32, F16, BF16 and Q8_0 are supported");
        }

        return (int)type.BytesOf(source.Length);
    }

    /// <summary>Encodes elements and writes them to a stream.</summary>
    public static void Write(Stream output, GgmlType type, ReadOnlySpan<float> source)
    {
        const int Chunk = 8192;
        var bytes = ArrayPool<byte>.Shared.Rent(Chunk * sizeof(float));
        try
        {
            for (var done = 0; done < source.Length; done += Chunk)
            {
                var count = Math.Min(Chunk, source.Length - done);
                output.Write(bytes, 0, Encode(type, source.Slice(done, count), bytes));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    // One block: a half-precision scale and 32 signed bytes. Follows ggml's quantize_row_q8_0_ref.
    private static void EncodeQ8(ReadOnlySpan<float> source, Span<byte> destination)
    {
        var blockBytes = GgmlType.Q8_0.BytesPerBlock();
        for (var block = 0; block < source.Length / Q8Block; block++)
        {
            var values = source.Slice(block * Q8Block, Q8Block);
            var bytes = destination.Slice(block * blockBytes, blockBytes);
            float largest = 0;
            foreach (var value in values)
                largest = Math.Max(largest, Math.Abs(value));

            var scale = largest / 127;
            var inverse = scale == 0 ? 0 : 1 / scale;
            var stored = (Half)scale;
            MemoryMarshal.Write(bytes, in stored);
            for (var i = 0; i < Q8Block; i++)
            {
                var scaled = values[i] * inverse;
                bytes[2 + i] = (byte)(sbyte)(scaled + MathF.CopySign(0.5f, scaled)); // rounds half away from zero, as ggml does
            }
        }
    }

    // Rounds to nearest even; 0x40 keeps a NaN from becoming an infinity.
    private static ushort ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
