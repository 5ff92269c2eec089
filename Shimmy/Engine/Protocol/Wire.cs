using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Shimmy.Engine.Protocol;

/// <summary>
/// The fields of records as bytes, one after the other and without names: both ends of the pipe are one build of the program, which
/// <see cref="WorkerRecords.Form"/> makes sure of. One description of a record serves both directions: each method here takes a field's
/// value, and either writes it and gives it back, or gives back the value that it reads. What cannot be read throws
/// <see cref="InvalidDataException"/>.
/// </summary>
internal sealed class Wire
{
    private readonly ArrayBufferWriter<byte>? _written;
    private readonly ReadOnlyMemory<byte> _read;
    private int _position;

    private Wire(ArrayBufferWriter<byte>? written, ReadOnlyMemory<byte> read) => (_written, _read) = (written, read);

    /// <summary>The bytes of a value.</summary>
    public static byte[] Write<T>(T value, Func<Wire, T, T> fields)
    {
        var written = new ArrayBufferWriter<byte>();
        fields(new Wire(written, default), value);
        return written.WrittenSpan.ToArray();
    }

    /// <summary>The value of bytes that <see cref="Write"/> made.</summary>
    /// <param name="bytes">All of them.</param>
    /// <param name="blank">Any value, which the fields take the place of.</param>
    /// <param name="fields">The same description.</param>
    public static T Read<T>(ReadOnlyMemory<byte> bytes, T blank, Func<Wire, T, T> fields)
    {
        var wire = new Wire(null, bytes);
        var value = fields(wire, blank);
        return wire._position == bytes.Length
            ? value
            : throw new InvalidDataException("a record of the worker pipe is longer than its fields");
    }

    /// <summary>A whole number: seven bits a byte, the sign in the lowest.</summary>
    public long Number(long value)
    {
        if (_written is null)
        {
            ulong bits = 0;
            for (var shift = 0; shift < 64; shift += 7)
            {
                var next = Take(1)[0];
                bits |= (ulong)(next & 127) << shift;
                if (next < 128)
                    return (long)(bits >> 1) ^ -(long)(bits & 1);
            }
            throw new InvalidDataException("a number of the worker pipe has no end");
        }
        var rest = (ulong)((value << 1) ^ (value >> 63));
        for (; rest > 127; rest >>= 7)
            Put((byte)(rest | 128));
        Put((byte)rest);
        return value;
    }

    public int Int(int value) => (int)Number(value);

    public bool Flag(bool value) => Number(value ? 1 : 0) != 0;

    public float Float(float value)
    {
        if (_written is null)
            return BinaryPrimitives.ReadSingleLittleEndian(Take(sizeof(float)));
        BinaryPrimitives.WriteSingleLittleEndian(_written.GetSpan(sizeof(float)), value);
        _written.Advance(sizeof(float));
        return value;
    }

    public double Double(double value) => BitConverter.Int64BitsToDouble(Number(BitConverter.DoubleToInt64Bits(value)));

    public string Text(string value)
    {
        if (_written is null)
            return Encoding.UTF8.GetString(Take(Length()));
        var length = Encoding.UTF8.GetByteCount(value);
        Number(length);
        _written.Advance(Encoding.UTF8.GetBytes(value, _written.GetSpan(length)));
        return value;
    }

    public string? TextOrNull(string? value) => Flag(value is not null) ? Text(value ?? "") : null;

    public long? NumberOrNull(long? value) => Flag(value is not null) ? Number(value ?? 0) : null;

    public int? IntOrNull(int? value) => (int?)NumberOrNull(value);

    public float? FloatOrNull(float? value) => Flag(value is not null) ? Float(value ?? 0) : null;

    public bool? FlagOrNull(bool? value) => NumberOrNull(value is { } known ? (known ? 1 : 0) : null) is { } number ? number != 0 : null;

    public T? OrNull<T>(T? value, T blank, Func<Wire, T, T> fields)
        where T : class => Flag(value is not null) ? fields(this, value ?? blank) : null;

    public IReadOnlyList<T> List<T>(IReadOnlyList<T> values, T blank, Func<Wire, T, T> fields)
    {
        if (_written is null)
        {
            var read = new T[Length()];
            for (var i = 0; i < read.Length; i++)
                read[i] = fields(this, blank);
            return read;
        }
        Number(values.Count);
        foreach (var value in values)
            fields(this, value);
        return values;
    }

    public IReadOnlyList<string> Texts(IReadOnlyList<string> values) => List(values, "", static (wire, text) => wire.Text(text));

    public IReadOnlyList<int> Ints(IReadOnlyList<int> values) => List(values, 0, static (wire, number) => wire.Int(number));

    public IReadOnlyDictionary<string, T> Map<T>(IReadOnlyDictionary<string, T> values, T blank, Func<Wire, T, T> fields)
    {
        if (_written is null)
        {
            var read = new Dictionary<string, T>();
            for (var rest = Length(); rest > 0; rest--)
                read[Text("")] = fields(this, blank);
            return read;
        }
        Number(values.Count);
        foreach (var (key, value) in values)
        {
            Text(key);
            fields(this, value);
        }
        return values;
    }

    public IReadOnlyDictionary<string, string> TextMap(IReadOnlyDictionary<string, string> values) =>
        Map(values, "", static (wire, text) => wire.Text(text));

    // Of a text or a list: nothing takes less than a byte, so a damaged one asks for no more memory than the frame has.
    private int Length() => Number(0) is var length && length >= 0 && length <= _read.Length - _position
        ? (int)length : throw new InvalidDataException($"a record of the worker pipe has a length of {length}");

    private void Put(byte value)
    {
        _written!.GetSpan(1)[0] = value;
        _written.Advance(1);
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length > _read.Length - _position)
            throw new InvalidDataException("a record of the worker pipe is cut");
        _position += length;
        return _read.Span.Slice(_position - length, length);
    }
}
