using System.Numerics;

namespace Shimmy.Chat.Media;

/// <summary>
/// Reads FLAC files (RFC 9639): 4 to 32 bits, up to eight channels, in the native container. A frame is a header, a stretch of each channel
/// as a prediction and what it missed, and a checksum. Every size is checked before it is used; a frame whose checksum is wrong ends the
/// reading with a refusal.
/// </summary>
internal static class FlacFile
{
    private const int StreamInfo = 0;
    private const int MostBlock = 65_535;

    /// <summary>The samples. Throws <see cref="FormatException"/>.</summary>
    public static MonoSound Read(ReadOnlySpan<byte> file, double mostSeconds, CancellationToken cancellation)
    {
        var at = 4;
        var info = default(ReadOnlySpan<byte>);
        for (var isLast = false; !isLast;)
        {
            if (file.Length - at < 4)
                throw Damaged();
            isLast = (file[at] & 0x80) != 0;
            var type = file[at] & 0x7F;
            var size = (file[at + 1] << 16) | (file[at + 2] << 8) | file[at + 3];
            at += 4;
            if (size > file.Length - at)
                throw Damaged();
            if (type == StreamInfo && info.IsEmpty && size >= 34)
                info = file.Slice(at, size);
            at += size;
        }
        if (info.IsEmpty)
            throw Damaged();
        var rate = (info[10] << 12) | (info[11] << 4) | (info[12] >> 4);
        var channels = ((info[12] >> 1) & 7) + 1;
        var bits = (((info[12] & 1) << 4) | (info[13] >> 4)) + 1;
        var frames = ((info[13] & 0xFL) << 32) | ((uint)info[14] << 24) | ((uint)info[15] << 16) | ((uint)info[16] << 8) | info[17];
        var sound = new MonoSound(rate, frames, mostSeconds, cancellation);
        var reader = new FlacFrame(channels, bits);
        while (at < file.Length && (frames == 0 || sound.Count < frames))
            at += reader.Read(file[at..], sound);
        return sound;
    }

    private static FormatException Damaged() => new("is a damaged FLAC file");

    /// <summary>Reads the frames of a stream, one after the other.</summary>
    /// <param name="channels">Channels of the stream.</param>
    /// <param name="streamBits">Bits of its samples.</param>
    private sealed class FlacFrame(int channels, int streamBits)
    {
        private static readonly int[] Bits = [0, 8, 12, -1, 16, 20, 24, 32];
        private long[][] _samples = [];

        /// <summary>Reads a frame and adds its samples; gives its length back.</summary>
        public int Read(ReadOnlySpan<byte> data, MonoSound sound)
        {
            var bits = new BitReader(data);
            // Fourteen bits of synchronization and a reserved one; the next says whether blocks differ in size.
            if (bits.Unsigned(15) != 0x7FFC)
                throw Damaged();
            bits.Unsigned(1);
            var (block, rate) = ((int)bits.Unsigned(4), (int)bits.Unsigned(4));
            var (assignment, depth) = ((int)bits.Unsigned(4), (int)bits.Unsigned(3));
            if (bits.Unsigned(1) != 0 || block == 0 || rate == 15 || assignment > 10 || Bits[depth] < 0)
                throw Damaged();
            SkipNumber(ref bits);
            var count = block switch
            {
                1 => 192,
                <= 5 => 576 << (block - 2),
                6 => (int)bits.Unsigned(8) + 1,
                7 => (int)bits.Unsigned(16) + 1,
                _ => 256 << (block - 8),
            };
            if (rate is 12 or 13 or 14)
                bits.Unsigned(rate == 12 ? 8 : 16);
            var headEnd = bits.Bytes;
            if (count > MostBlock || bits.Unsigned(8) != Crc8(data[..headEnd]))
                throw Damaged();
            var width = Bits[depth] == 0 ? streamBits : Bits[depth];
            var inFrame = assignment < 8 ? assignment + 1 : 2;
            if (inFrame != channels || width != streamBits)
                throw new FormatException("is a FLAC file whose channels or bits change");
            if (_samples.Length != inFrame || _samples[0].Length < count)
                _samples = [.. Enumerable.Range(0, inFrame).Select(_ => new long[count])];
            for (var channel = 0; channel < inFrame; channel++)
            {
                // A difference of two channels has a bit more.
                var isDifference = (assignment is 8 or 10 && channel == 1) || (assignment == 9 && channel == 0);
                ReadChannel(ref bits, _samples[channel].AsSpan(0, count), width + (isDifference ? 1 : 0));
            }
            bits.Align();
            var end = bits.Bytes;
            if (bits.Unsigned(16) != Crc16(data[..end]))
                throw Damaged();
            Add(sound, assignment, count, Math.Pow(2, width - 1));
            return end + 2;
        }

        private void Add(MonoSound sound, int assignment, int count, double full)
        {
            for (var i = 0; i < count; i++)
            {
                var sum = 0.0;
                if (assignment < 8)
                {
                    foreach (var channel in _samples)
                        sum += channel[i];
                    sum /= _samples.Length;
                }
                else
                {
                    // Left and the difference; the difference and right; the sum's half and the difference, whose lowest bits agree.
                    var (one, other) = (_samples[0][i], _samples[1][i]);
                    sum = assignment switch
                    {
                        8 => one - (other / 2.0),
                        9 => other + (one / 2.0),
                        _ => ((one << 1) | (other & 1)) / 2.0,
                    };
                }
                sound.Add(sum / full);
            }
        }

        private static void ReadChannel(ref BitReader bits, Span<long> samples, int width)
        {
            if (bits.Unsigned(1) != 0)
                throw Damaged();
            var type = (int)bits.Unsigned(6);
            var wasted = bits.Unsigned(1) != 0 ? bits.Zeros() + 1 : 0;
            width -= wasted;
            if (width < 1)
                throw Damaged();
            switch (type)
            {
                case 0:
                    samples.Fill(bits.Signed(width));
                    break;
                case 1:
                    foreach (ref var sample in samples)
                        sample = bits.Signed(width);
                    break;
                case >= 8 and <= 12:
                    Predict(ref bits, samples, width, type - 8, Fixed[type - 8]);
                    break;
                case >= 32:
                    Predict(ref bits, samples, width, type - 31, null);
                    break;
                default:
                    throw Damaged();
            }
            if (wasted > 0)
            {
                foreach (ref var sample in samples)
                    sample <<= wasted;
            }
        }

        // The predictions whose weights need not be stated, by their order.
        private static readonly long[][] Fixed = [[], [1], [2, -1], [3, -3, 1], [4, -6, 4, -1]];

        private static void Predict(ref BitReader bits, Span<long> samples, int width, int order, long[]? weights)
        {
            var shift = 0;
            if (order > samples.Length)
                throw Damaged();
            for (var i = 0; i < order; i++)
                samples[i] = bits.Signed(width);
            if (weights is null)
            {
                var precision = (int)bits.Unsigned(4) + 1;
                shift = (int)bits.Signed(5);
                if (precision == 16 || shift < 0)
                    throw Damaged();
                weights = new long[order];
                foreach (ref var weight in weights.AsSpan())
                    weight = bits.Signed(precision);
            }
            ReadMisses(ref bits, samples, order);
            for (var i = order; i < samples.Length; i++)
            {
                var sum = 0L;
                for (var k = 0; k < order; k++)
                    sum += weights[k] * samples[i - 1 - k];
                samples[i] += sum >> shift;
            }
        }

        // What the prediction missed, in Rice's code: partitions of the block, each with a parameter of its own.
        private static void ReadMisses(ref BitReader bits, Span<long> samples, int order)
        {
            var method = bits.Unsigned(2);
            if (method > 1)
                throw Damaged();
            var parameterBits = method == 0 ? 4 : 5;
            var partitions = 1 << (int)bits.Unsigned(4);
            var length = samples.Length / partitions;
            if (length * partitions != samples.Length || length < order)
                throw Damaged();
            for (var (partition, i) = (0, order); partition < partitions; partition++)
            {
                var end = (partition + 1) * length;
                var parameter = (int)bits.Unsigned(parameterBits);
                if (parameter == (1 << parameterBits) - 1)
                {
                    var width = (int)bits.Unsigned(5);
                    for (; i < end; i++)
                        samples[i] = width == 0 ? 0 : bits.Signed(width);
                    continue;
                }
                for (; i < end; i++)
                {
                    var folded = ((long)bits.Zeros() << parameter) | bits.Unsigned(parameter);
                    samples[i] = (folded >> 1) ^ -(folded & 1);
                }
            }
        }

        // The number of the frame or of its first sample, coded as UTF-8 codes characters.
        private static void SkipNumber(ref BitReader bits)
        {
            var first = (byte)bits.Unsigned(8);
            var more = BitOperations.LeadingZeroCount((uint)(byte)~first) - 24;
            if (more is 1 or > 7)
                throw Damaged();
            for (; more > 1; more--)
            {
                if (bits.Unsigned(8) >> 6 != 2)
                    throw Damaged();
            }
        }

        private static uint Crc8(ReadOnlySpan<byte> data)
        {
            var crc = 0u;
            foreach (var value in data)
            {
                crc ^= value;
                for (var bit = 0; bit < 8; bit++)
                    crc = (crc & 0x80) != 0 ? (crc << 1) ^ 0x07 : crc << 1;
            }
            return crc & 0xFF;
        }

        private static uint Crc16(ReadOnlySpan<byte> data)
        {
            var crc = 0u;
            foreach (var value in data)
            {
                crc ^= (uint)value << 8;
                for (var bit = 0; bit < 8; bit++)
                    crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x8005 : crc << 1;
            }
            return crc & 0xFFFF;
        }
    }

    /// <summary>Bits of a text of bytes, the highest first. Reading past the end throws <see cref="FormatException"/>.</summary>
    private ref struct BitReader(ReadOnlySpan<byte> data)
    {
        private readonly ReadOnlySpan<byte> _data = data;
        private long _at;

        /// <summary>Bytes that were begun.</summary>
        public readonly int Bytes => (int)((_at + 7) / 8);

        /// <summary>A number without a sign, of at most 33 bits.</summary>
        public long Unsigned(int count)
        {
            if (_at + count > 8L * _data.Length)
                throw Damaged();
            var value = 0L;
            while (count > 0)
            {
                var free = 8 - (int)(_at & 7);
                var taken = Math.Min(free, count);
                var piece = (_data[(int)(_at >> 3)] >> (free - taken)) & ((1 << taken) - 1);
                value = (value << taken) | (uint)piece;
                _at += taken;
                count -= taken;
            }
            return value;
        }

        /// <summary>A number with a sign, of at most 33 bits.</summary>
        public long Signed(int count) => Unsigned(count) << (64 - count) >> (64 - count);

        /// <summary>Zeros up to the next one, which is read too.</summary>
        public int Zeros()
        {
            var zeros = 0;
            while (true)
            {
                if (_at >= 8L * _data.Length)
                    throw Damaged();
                var free = 8 - (int)(_at & 7);
                var rest = (uint)(_data[(int)(_at >> 3)] & ((1 << free) - 1));
                if (rest == 0)
                {
                    _at += free;
                    zeros += free;
                    continue;
                }
                var here = BitOperations.LeadingZeroCount(rest) - (32 - free);
                _at += here + 1;
                return zeros + here;
            }
        }

        /// <summary>Goes to the beginning of a byte.</summary>
        public void Align() => _at = 8L * Bytes;
    }
}
