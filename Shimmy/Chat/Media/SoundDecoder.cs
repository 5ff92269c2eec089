using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Shimmy.Engine;

namespace Shimmy.Chat.Media;

/// <summary>
/// Decodes sounds to samples of one channel at the rate of a projector. No file of a client ever reaches native code: the worker gets
/// samples.
/// </summary>
internal static class SoundDecoder
{
    /// <summary>Seconds where nothing but memory sets a limit.</summary>
    public const double MostSeconds = 3600;

    /// <summary>The format by the first bytes. Throws <see cref="FormatException"/> whose text follows the field's name.</summary>
    public static SoundFormat FormatOf(ReadOnlySpan<byte> file) => file switch
    {
        [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', (byte)'A', (byte)'V', (byte)'E', ..] => SoundFormat.Wav,
        [(byte)'f', (byte)'L', (byte)'a', (byte)'C', ..] => SoundFormat.Flac,
        [(byte)'I', (byte)'D', (byte)'3', ..] => file[TagLength(file)..].StartsWith("fLaC"u8) ? SoundFormat.Flac : SoundFormat.Mp3,
        // A frame of layer 1, 2 or 3: eleven bits of synchronization, and neither a reserved version nor a reserved layer.
        [0xFF, var second, ..] when (second & 0xE0) == 0xE0 && (second & 0x18) != 0x08 && (second & 0x06) != 0 => SoundFormat.Mp3,
        [] => throw new FormatException($"is empty; {Taken}"),
        _ => throw new FormatException($"is {NameOf(file)}; {Taken}"),
    };

    /// <summary>Whether the first bytes are those of a sound, of a format that is taken or not.</summary>
    public static bool IsSound(ReadOnlySpan<byte> file)
    {
        try
        {
            FormatOf(file);
            return true;
        }
        catch (FormatException)
        {
            return NameOf(file) != Unknown;
        }
    }

    /// <summary>Decodes a sound. Throws <see cref="FormatException"/> whose text follows the field's name.</summary>
    /// <param name="file">The file.</param>
    /// <param name="rate">Samples a second that the projector wants.</param>
    /// <param name="mostSeconds">The longest sound that is taken; checked before memory is taken for it.</param>
    /// <param name="cancellation">Ends it: an hour of sound takes minutes.</param>
    public static Medium Decode(ReadOnlyMemory<byte> file, int rate, double mostSeconds, CancellationToken cancellation = default)
    {
        var samples = Read(file, mostSeconds, cancellation).At(rate, cancellation);
        var data = MemoryMarshal.AsBytes(samples).ToArray();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{samples.Length} at {rate} ")));
        hash.AppendData(data);
        return new Medium(MediumKind.Sound, Enough(samples.Length), 1, Convert.ToHexStringLower(hash.GetHashAndReset())) { Data = data };
    }

    /// <summary>The length of a sound at a rate, without its samples: enough to count its tokens.</summary>
    public static Medium Measure(ReadOnlyMemory<byte> file, int rate, double mostSeconds, CancellationToken cancellation = default) =>
        new(MediumKind.Sound, Enough(Read(file, mostSeconds, cancellation).LengthAt(rate)), 1, "");

    // libmtmd ends the process for one sample.
    private static int Enough(int samples) => samples >= 2 ? samples : throw new FormatException("is a sound of fewer than two samples");

    /// <summary>The samples of a file as they are. Throws <see cref="FormatException"/>.</summary>
    public static MonoSound Read(ReadOnlyMemory<byte> file, double mostSeconds, CancellationToken cancellation = default)
    {
        var format = FormatOf(file.Span);
        try
        {
            return format switch
            {
                SoundFormat.Wav => WavFile.Read(file.Span, mostSeconds, cancellation),
                SoundFormat.Flac => FlacFile.Read(file.Span[TagLength(file.Span)..], mostSeconds, cancellation),
                _ => Mp3File.Read(file, mostSeconds, cancellation),
            };
        }
        // The bytes are a stranger's: what a decoder did not foresee says that they are damaged.
        catch (Exception e) when (e is not (FormatException or OutOfMemoryException or OperationCanceledException))
        {
            throw new FormatException($"is a damaged {format.ToString().ToUpperInvariant()} file", e);
        }
    }

    // The bytes of an ID3v2 tag in front of a sound: ten, and as many as it says in four times seven bits.
    private static int TagLength(ReadOnlySpan<byte> file) =>
        file is [(byte)'I', (byte)'D', (byte)'3', _, _, _, var a, var b, var c, var d, ..]
        ? Math.Min(file.Length, 10 + ((a & 0x7F) << 21 | (b & 0x7F) << 14 | (c & 0x7F) << 7 | (d & 0x7F)))
        : 0;

    private const string Taken = "WAV, MP3 and FLAC are taken";
    private const string Unknown = "a file of an unknown format: its first bytes are those of no sound format";

    private static string NameOf(ReadOnlySpan<byte> file) => file switch
    {
        [(byte)'O', (byte)'g', (byte)'g', (byte)'S', ..] => "an Ogg file",
        [_, _, _, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', (byte)'M', (byte)'4', (byte)'A', ..] => "an M4A file",
        [_, _, _, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', (byte)'m' or (byte)'i', ..] => "an MP4 file",
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "a WebM file",
        [(byte)'F', (byte)'O', (byte)'R', (byte)'M', ..] => "an AIFF file",
        [(byte)'R', (byte)'F', (byte)'6', (byte)'4', ..] => "an RF64 file",
        [(byte)'R', (byte)'I', (byte)'F', (byte)'X', ..] => "a RIFX file",
        [0xFF, var second, ..] when (second & 0xF6) == 0xF0 => "an AAC file",
        _ => Unknown,
    };
}

/// <summary>Formats of sounds, by their first bytes.</summary>
internal enum SoundFormat
{
    Wav,
    Mp3,
    Flac,
}

/// <summary>Samples of one channel, as a decoder adds them: what is too long is refused before memory is taken for it.</summary>
internal sealed class MonoSound
{
    private const int LeastRate = 8_000;
    private const int MostRate = 192_000;

    // Of a file, before they are brought to the projector's rate: 256 MiB.
    private const int MostFrames = 1 << 26;

    // Zero crossings of the sinc on each side.
    private const int Crossings = 24;

    // Samples between two looks at whether the sound is still wanted, less one: milliseconds.
    private const int Block = (1 << 12) - 1;

    private readonly double _mostSeconds;
    private readonly CancellationToken _cancellation;
    private float[] _samples;
    private int _count;

    /// <summary>An empty one. Throws <see cref="FormatException"/> where rate or length are not taken.</summary>
    /// <param name="rate">Samples a second.</param>
    /// <param name="frames">Samples that the file says to have; 0 where it does not say.</param>
    /// <param name="mostSeconds">The longest sound that is taken.</param>
    /// <param name="cancellation">Ends the adding of samples.</param>
    public MonoSound(long rate, long frames, double mostSeconds, CancellationToken cancellation)
    {
        if (rate is < LeastRate or > MostRate)
            throw new FormatException($"has {rate} samples a second; from {LeastRate} to {MostRate} are taken");
        Rate = (int)rate;
        _mostSeconds = mostSeconds;
        _cancellation = cancellation;
        Check(frames);
        _samples = new float[Math.Clamp(frames, 256, 1 << 16)];
    }

    /// <summary>Samples a second.</summary>
    public int Rate { get; }

    /// <summary>Samples so far.</summary>
    public int Count => _count;

    /// <summary>Seconds.</summary>
    public double Seconds => (double)_count / Rate;

    /// <summary>Adds a sample: the mean of the channels. Throws <see cref="FormatException"/> where the sound is too long.</summary>
    public void Add(double sample)
    {
        if (!double.IsFinite(sample))
            throw new FormatException("has samples that are not finite numbers (NaN or infinity)");
        if ((_count & Block) == 0)
            _cancellation.ThrowIfCancellationRequested();
        if (_count == _samples.Length)
        {
            Check(_count + 1L);
            Array.Resize(ref _samples, Math.Min(2 * _samples.Length, MostFrames));
        }
        _samples[_count++] = (float)Math.Clamp(sample, -1, 1);
    }

    /// <summary>How many samples it has at a rate. Throws <see cref="FormatException"/> where it is too long.</summary>
    public int LengthAt(int rate)
    {
        Check(_count);
        var divisor = CommonDivisor(rate, Rate);
        return (int)((((long)_count * (rate / divisor)) + (Rate / divisor) - 1) / (Rate / divisor));
    }

    /// <summary>The samples at a rate; throws as <see cref="LengthAt"/> does.</summary>
    /// <remarks>
    /// A sum of sincs under Blackman's window: it lets pass what both rates can hold, and damps what the lower one cannot, which would come
    /// back as another tone.
    /// </remarks>
    public Span<float> At(int rate, CancellationToken cancellation = default)
    {
        var to = new float[LengthAt(rate)];
        var from = _samples.AsSpan(0, _count);
        if (rate == Rate)
            return from;
        var divisor = CommonDivisor(rate, Rate);
        var (up, down) = (rate / divisor, Rate / divisor);
        // Below the lower rate's half, with room for the slope.
        var cutoff = Math.Min(1.0, (double)rate / Rate) * 0.95;
        var reach = (int)Math.Ceiling(Crossings / cutoff);
        var kernels = new float[]?[up];
        for (var i = 0; i < to.Length; i++)
        {
            if ((i & Block) == 0)
                cancellation.ThrowIfCancellationRequested();
            var place = (long)i * down;
            var (whole, phase) = ((int)(place / up), (int)(place % up));
            var kernel = kernels[phase] ??= Kernel((double)phase / up, cutoff, reach);
            var first = whole - reach + 1;
            var (begin, end) = (Math.Max(0, -first), Math.Min(kernel.Length, _count - first));
            var sum = 0f;
            for (var k = begin; k < end; k++)
                sum += kernel[k] * from[first + k];
            to[i] = sum;
        }
        return to;
    }

    private static int CommonDivisor(int one, int other) => other == 0 ? one : CommonDivisor(other, one % other);

    // The weights of the samples from (reach - 1) before to reach behind a place that lies by a fraction behind a sample.
    private static float[] Kernel(double fraction, double cutoff, int reach)
    {
        var weights = new double[2 * reach];
        var sum = 0.0;
        for (var k = 0; k < weights.Length; k++)
        {
            var distance = k - reach + 1 - fraction;
            var x = Math.PI * distance * cutoff;
            var window = Math.Abs(distance) >= reach ? 0
                : 0.42 + (0.5 * Math.Cos(Math.PI * distance / reach)) + (0.08 * Math.Cos(2 * Math.PI * distance / reach));
            weights[k] = (Math.Abs(x) < 1e-9 ? 1 : Math.Sin(x) / x) * window;
            sum += weights[k];
        }
        return Array.ConvertAll(weights, weight => (float)(weight / sum));
    }

    private void Check(long frames)
    {
        if (frames > _mostSeconds * Rate)
        {
            throw new FormatException(string.Create(CultureInfo.InvariantCulture,
                $"is a sound of {(frames > _count + 1L ? "" : "more than ")}{(double)frames / Rate:F1} s; at most {_mostSeconds:F0} s are taken, which is what fits the model's context, and no more than an hour"));
        }
        if (frames > MostFrames)
            throw new FormatException($"has {frames} samples; at most {MostFrames} are taken");
    }
}

/// <summary>Reads MP3 files, and those of layers 1 and 2.</summary>
internal static class Mp3File
{
    // Bytes of a second at the highest bit rate, and room for tags and pictures beside the frames.
    private const double MostBytesPerSecond = 56_000;
    private const int Tags = 16 << 20;

    // The name, what is in the tag, two numbers and a hundred places of the file.
    private const int SizeTable = 4 + 4 + 4 + 4 + 100 + 4;

    /// <summary>The samples. Throws <see cref="FormatException"/>, or what the decoder throws for what it did not foresee.</summary>
    public static MonoSound Read(ReadOnlyMemory<byte> file, double mostSeconds, CancellationToken cancellation)
    {
        // The decoder looks through all of it before it gives the first sample.
        if (file.Length > (mostSeconds * MostBytesPerSecond) + Tags)
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"is longer than {mostSeconds:F0} s"));
        using var stream = new WantedBytes(WithoutSizes(file), cancellation);
        using var decoder = new NLayer.MpegFile(stream);
        var channels = decoder.Channels;
        if (channels is not (1 or 2))
            throw new FormatException($"has {channels} channels; 1 and 2 are taken");
        // What it says of its length is an estimate by the bit rate.
        var sound = new MonoSound(decoder.SampleRate, 0, mostSeconds, cancellation);
        var samples = new float[4608];
        for (int count; (count = decoder.ReadSamples(samples, 0, samples.Length)) > 0;)
        {
            for (var i = 0; i + channels <= count; i += channels)
                sound.Add(channels == 1 ? samples[i] : (samples[i] + samples[i + 1]) / 2.0);
        }
        return sound;
    }

    // The decoder reads all of the file before it gives a sample.
    private sealed class WantedBytes(byte[] bytes, CancellationToken cancellation) : MemoryStream(bytes, writable: false)
    {
        public override int Read(byte[] buffer, int offset, int count)
        {
            cancellation.ThrowIfCancellationRequested();
            return base.Read(buffer, offset, count);
        }
    }

    // A copy whose tags about its own length (Xing, Info, VBRI) are none: the decoder believes them, ends where one says so, and takes
    // memory for a table of the size that one says to have, without end for some sizes. Frames that held one are silence. The table goes
    // with the name where a frame begins before it: of a frame with a checksum, which may cover the name and is then wrong, the decoder
    // would take the table's bytes for the next one.
    private static byte[] WithoutSizes(ReadOnlyMemory<byte> file)
    {
        var copy = file.ToArray();
        foreach (var tag in (string[])["Xing", "Info", "VBRI"])
        {
            var name = Encoding.ASCII.GetBytes(tag);
            for (int at = 0, found; (found = copy.AsSpan(at).IndexOf(name)) >= 0; at += found + name.Length)
            {
                var (begin, length) = (at + found, BeginsFrame(copy, at + found) ? SizeTable : 1);
                copy.AsSpan(begin, Math.Min(length, copy.Length - begin)).Clear();
            }
        }
        return copy;
    }

    // Behind the head are 9, 17 or 32 bytes about the frame, by its channels and version, and perhaps two of a checksum.
    private static bool BeginsFrame(byte[] file, int tag) => Array.Exists((int[])[9, 11, 17, 19, 32, 34], behind =>
        tag - behind - 4 is var at and >= 0 && file[at] == 0xFF && (file[at + 1] & 0xE6) == 0xE2);
}

/// <summary>
/// Reads WAV files: whole numbers of 8 to 32 bits and floats, up to 64 channels. A file that ends before its header says, or whose header
/// says nothing of its length, is read up to its end, as programs that write to a pipe leave it.
/// </summary>
internal static class WavFile
{
    private const int Pcm = 1;
    private const int Float = 3;
    private const int Extensible = 0xFFFE;
    private const int MostChannels = 64;

    /// <summary>The samples. Throws <see cref="FormatException"/>.</summary>
    public static MonoSound Read(ReadOnlySpan<byte> file, double mostSeconds, CancellationToken cancellation)
    {
        var format = default(ReadOnlySpan<byte>);
        for (var at = 12L; at + 8 <= file.Length;)
        {
            var chunk = file[(int)at..];
            var size = BinaryPrimitives.ReadUInt32LittleEndian(chunk[4..]);
            var content = chunk.Slice(8, (int)Math.Min(size, chunk.Length - 8));
            if (chunk.StartsWith("fmt "u8) && format.IsEmpty)
                format = content;
            else if (chunk.StartsWith("data"u8))
                return Samples(format, size == 0 && !AreChunks(chunk[8..]) ? chunk[8..] : content, mostSeconds, cancellation);
            // Chunks begin at even places.
            at += 8L + size + (size & 1);
        }
        throw new FormatException("is a WAV file without samples");
    }

    // Whether nothing but other chunks follows, up to the end.
    private static bool AreChunks(ReadOnlySpan<byte> rest)
    {
        while (rest.Length >= 8 && !rest[..4].ContainsAnyExceptInRange((byte)' ', (byte)'~'))
        {
            var size = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
            rest = rest[(int)Math.Min(rest.Length, 8L + size + (size & 1))..];
        }
        return rest.IsEmpty;
    }

    private static MonoSound Samples(
        ReadOnlySpan<byte> format, ReadOnlySpan<byte> data, double mostSeconds, CancellationToken cancellation)
    {
        if (format.Length < 16)
            throw new FormatException("is a WAV file that does not say how its samples are written");
        int tag = BinaryPrimitives.ReadUInt16LittleEndian(format);
        int channels = BinaryPrimitives.ReadUInt16LittleEndian(format[2..]);
        var rate = BinaryPrimitives.ReadUInt32LittleEndian(format[4..]);
        int frame = BinaryPrimitives.ReadUInt16LittleEndian(format[12..]);
        int bits = BinaryPrimitives.ReadUInt16LittleEndian(format[14..]);
        if (tag == Extensible && format.Length >= 26)
            tag = BinaryPrimitives.ReadUInt16LittleEndian(format[24..]);
        if (tag is not (Pcm or Float))
            throw new FormatException($"is a WAV file of the coding {tag}; PCM (1) and floats (3) are taken");
        if (channels is < 1 or > MostChannels)
            throw new FormatException($"has {channels} channels; from 1 to {MostChannels} are taken");
        // 20 bits lie in three bytes, as 24 do.
        var width = (bits + 7) / 8;
        if (tag == Pcm ? width is < 1 or > 4 : bits is not (32 or 64))
            throw new FormatException($"has samples of {bits} bits; {(tag == Pcm ? "8, 16, 24 and 32" : "32 and 64")} are taken");
        // Some writers leave it open; others put 24 bits into four bytes, of which the first is then empty.
        var place = frame == 0 ? width : frame / channels;
        if (place < width || place > (tag == Pcm ? 4 : width) || (frame > 0 && frame % channels != 0))
            throw new FormatException($"says that {channels} samples of {bits} bits take {frame} bytes");
        frame = place * channels;

        var sound = new MonoSound(rate, data.Length / frame, mostSeconds, cancellation);
        for (var at = 0; at + frame <= data.Length; at += frame)
        {
            var sum = 0.0;
            for (var channel = 0; channel < channels; channel++)
                sum += Sample(data.Slice(at + (channel * place), place), tag == Float);
            sound.Add(sum / channels);
        }
        return sound;
    }

    private static double Sample(ReadOnlySpan<byte> bytes, bool isFloat) => bytes.Length switch
    {
        // The only one without a sign.
        1 => (bytes[0] - 128) / 128.0,
        2 => BinaryPrimitives.ReadInt16LittleEndian(bytes) / 32768.0,
        3 => ((bytes[2] << 24) | (bytes[1] << 16) | (bytes[0] << 8)) / 2147483648.0,
        4 => isFloat ? BinaryPrimitives.ReadSingleLittleEndian(bytes) : BinaryPrimitives.ReadInt32LittleEndian(bytes) / 2147483648.0,
        _ => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
    };
}
