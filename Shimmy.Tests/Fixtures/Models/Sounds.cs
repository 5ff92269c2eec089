using System.Buffers.Binary;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>Small sounds, as files.</summary>
internal static class Sounds
{
    /// <summary>A tone of 440 Hz: a second at 16,000 samples a second, as WAV.</summary>
    public static byte[] Tone { get; } = Wav(16_000, 1, Sine(16_000, 16_000, 440));

    /// <summary>A sound as a data: URI.</summary>
    public static string Url(byte[] file) => "data:audio/wav;base64," + Convert.ToBase64String(file);

    /// <summary>Samples of a tone at half of full strength.</summary>
    public static float[] Sine(int count, int rate, double hertz) =>
        [.. Enumerable.Range(0, count).Select(i => (float)(0.5 * Math.Sin(2 * Math.PI * hertz * i / rate)))];

    /// <summary>
    /// A FLAC file of 16 bits in frames of 1024 samples. Each channel is written as <paramref name="kind"/> says: 0 constant, 1 verbatim, 8 to
    /// 12 predicted by fixed weights, 32 and more by weights of the given order (which predict the last sample again); the misses are in
    /// Rice's code, the last partition as it is.
    /// </summary>
    /// <param name="rate">Samples a second.</param>
    /// <param name="channels">The channels.</param>
    /// <param name="kind">How samples are written.</param>
    /// <param name="assignment">How two channels are: 1 side by side, 8 left and difference, 9 difference and right, 10 middle and difference.</param>
    public static byte[] Flac(int rate, int[][] channels, int kind, int? assignment = null)
    {
        const int most = 1024;
        var info = new Bits();
        info.Put(most, 16).Put(most, 16).Put(0, 48).Put(rate, 20).Put(channels.Length - 1, 3).Put(15, 5).Put(channels[0].Length, 36);
        byte[] file = [.. "fLaC"u8, 0x80, 0, 0, 34, .. info.Bytes, .. new byte[16]];
        for (var (at, number) = (0, 0); at < channels[0].Length; at += most, number++)
        {
            var count = Math.Min(most, channels[0].Length - at);
            var frame = new Bits();
            frame.Put(0x7FFC, 15).Put(0, 1).Put(7, 4).Put(0, 4).Put(assignment ?? channels.Length - 1, 4).Put(0, 3).Put(0, 1);
            // The number of a frame beyond 127 takes two bytes.
            frame.Put(number < 128 ? number : 0xC080 | ((number >> 6) << 8) | (number & 63), number < 128 ? 8 : 16).Put(count - 1, 16);
            frame.Put(Crc(frame.Bytes, 8, 0x07), 8);
            var written = channels.Select(channel => channel.AsSpan(at, count).ToArray()).ToArray();
            if (assignment is 8 or 9 or 10)
            {
                var side = written[0].Zip(written[1], (left, right) => left - right).ToArray();
                written = assignment == 8 ? [written[0], side]
                    : assignment == 9 ? [side, written[1]]
                    : [[.. written[0].Zip(written[1], (left, right) => (left + right) >> 1)], side];
            }
            for (var i = 0; i < written.Length; i++)
                Put(frame, written[i], kind, 16 + ((assignment is 8 or 10 && i == 1) || (assignment == 9 && i == 0) ? 1 : 0));
            frame.Align();
            frame.Put(Crc(frame.Bytes, 16, 0x8005), 16);
            file = [.. file, .. frame.Bytes];
        }
        return file;
    }

    /// <summary>A damaged FLAC file of one frame with checksums that are right for what it has now, in place of the old ones.</summary>
    public static byte[] Sealed(byte[] file)
    {
        // Behind the facts of the stream: a header of seven bytes, its checksum, the samples, and the checksum of it all.
        const int begin = 42;
        const int head = 7;
        if (file.Length < begin + head + 3)
            return file;
        var bytes = (byte[])file.Clone();
        bytes[begin + head] = (byte)Crc(bytes[begin..(begin + head)], 8, 0x07);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(bytes.Length - 2), (ushort)Crc(bytes[begin..^2], 16, 0x8005));
        return bytes;
    }

    /// <summary>
    /// An MPEG-1 file of layer 1 at 32,000 samples a second, 384 in a frame: a level in the lowest of 32 bands whose sign changes with each
    /// sample of the band, or silence.
    /// </summary>
    /// <param name="frames">Frames.</param>
    /// <param name="isSilent">Whether it is silent.</param>
    public static byte[] Mpeg(int frames, bool isSilent = false)
    {
        var frame = new Bits();
        // Version 1, layer 1, no checksum; 256 kbit/s, 32 kHz; one channel.
        frame.Put(0xFFF, 12).Put(1, 1).Put(3, 2).Put(1, 1).Put(8, 4).Put(2, 2).Put(0, 2).Put(3, 2).Put(0, 6);
        // Eight bits for the lowest band, none for the others.
        frame.Put(isSilent ? 0 : 7, 4).Put(0, 124);
        if (!isSilent)
        {
            frame.Put(6, 6);
            for (var i = 0; i < 12; i++)
                frame.Put(i % 2 == 0 ? 192 : 64, 8);
        }
        byte[] bytes = [.. frame.Bytes, .. new byte[384 - frame.Bytes.Length]];
        return [.. Enumerable.Repeat(bytes, frames).SelectMany(one => one)];
    }

    private static void Put(Bits frame, int[] samples, int kind, int width)
    {
        var order = kind >= 32 ? kind - 31 : kind >= 8 ? kind - 8 : 0;
        frame.Put(kind << 1, 8);
        foreach (var sample in kind == 0 ? samples[..1] : kind == 1 ? samples : samples[..order])
            frame.Put(sample, width);
        if (kind < 8)
            return;
        int[] weights = kind >= 32 ? [4, .. new int[order - 1]]
            : order switch { 0 => [], 1 => [1], 2 => [2, -1], 3 => [3, -3, 1], _ => [4, -6, 4, -1] };
        if (kind >= 32)
        {
            // Weights of four bits, shifted by two: four quarters of the last sample.
            frame.Put(3, 4).Put(2, 5);
            foreach (var weight in weights)
                frame.Put(weight, 4);
        }
        var partitions = samples.Length % 2 == 0 && samples.Length >= 2 * order ? 2 : 1;
        frame.Put(0, 2).Put(partitions - 1, 4);
        for (var partition = 0; partition < partitions; partition++)
        {
            var isPlain = partition == 1;
            frame.Put(isPlain ? 15 : 5, 4);
            if (isPlain)
                frame.Put(24, 5);
            for (var i = Math.Max(order, partition * samples.Length / partitions); i < (partition + 1) * samples.Length / partitions; i++)
            {
                var predicted = 0;
                for (var k = 0; k < order; k++)
                    predicted += weights[k] * samples[i - 1 - k];
                var miss = samples[i] - (kind >= 32 ? predicted >> 2 : predicted);
                if (isPlain)
                {
                    frame.Put(miss, 24);
                    continue;
                }
                var folded = miss < 0 ? (-2 * miss) - 1 : 2 * miss;
                for (var zeros = folded >> 5; zeros > 0; zeros--)
                    frame.Put(0, 1);
                frame.Put(1, 1).Put(folded, 5);
            }
        }
    }

    private static int Crc(byte[] data, int width, int polynomial)
    {
        var crc = 0;
        foreach (var value in data)
        {
            crc ^= value << (width - 8);
            for (var bit = 0; bit < 8; bit++)
                crc = (crc >> (width - 1) & 1) != 0 ? (crc << 1) ^ polynomial : crc << 1;
        }
        return crc & ((1 << width) - 1);
    }

    // Bits, the highest first.
    private sealed class Bits
    {
        private readonly List<byte> _bytes = [];
        private int _count;

        public byte[] Bytes => [.. _bytes];

        public Bits Put(long value, int count)
        {
            for (var i = count - 1; i >= 0; i--, _count++)
            {
                if (_count % 8 == 0)
                    _bytes.Add(0);
                _bytes[^1] |= (byte)(((value >> i) & 1) << (7 - (_count % 8)));
            }
            return this;
        }

        public void Align() => _count = 8 * _bytes.Count;
    }

    /// <summary>A WAV file of 16 bits.</summary>
    /// <param name="rate">Samples a second.</param>
    /// <param name="channels">Channels, whose samples take turns.</param>
    /// <param name="samples">The samples.</param>
    public static byte[] Wav(int rate, int channels, IReadOnlyList<float> samples)
    {
        var data = new byte[2 * samples.Count];
        for (var i = 0; i < samples.Count; i++)
            BinaryPrimitives.WriteInt16LittleEndian(data.AsSpan(2 * i), (short)Math.Round(samples[i] * 32767));
        return Wav(rate, channels, 16, 1, data);
    }

    /// <summary>A WAV file with these bytes as its samples.</summary>
    /// <param name="rate">Samples a second.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="bits">Bits of a sample.</param>
    /// <param name="coding">1 for whole numbers, 3 for floats.</param>
    /// <param name="data">The samples.</param>
    /// <param name="isExtensible">Whether the coding stands in the longer form of the header.</param>
    /// <param name="before">A chunk in front of the samples.</param>
    /// <param name="says">Bytes of samples that the header says to follow; null tells the truth.</param>
    public static byte[] Wav(int rate, int channels, int bits, int coding, byte[] data, bool isExtensible = false,
        byte[]? before = null, uint? says = null)
    {
        using var file = new MemoryStream();
        using var writer = new BinaryWriter(file);
        var frame = channels * ((bits + 7) / 8);
        writer.Write("RIFF"u8);
        writer.Write((uint)(36 + data.Length));
        writer.Write("WAVEfmt "u8);
        writer.Write(isExtensible ? 40u : 16u);
        writer.Write((ushort)(isExtensible ? 0xFFFE : coding));
        writer.Write((ushort)channels);
        writer.Write((uint)rate);
        writer.Write((uint)(rate * frame));
        writer.Write((ushort)frame);
        writer.Write((ushort)bits);
        if (isExtensible)
        {
            writer.Write((ushort)22);
            writer.Write((ushort)bits);
            writer.Write(0u);
            writer.Write((ushort)coding);
            writer.Write(new byte[14]);
        }
        writer.Write(before ?? []);
        writer.Write("data"u8);
        writer.Write(says ?? (uint)data.Length);
        writer.Write(data);
        writer.Flush();
        return file.ToArray();
    }
}
