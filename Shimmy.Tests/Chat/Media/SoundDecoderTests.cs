using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Shimmy.Chat.Media;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Media;

/// <summary>Sounds from files to samples of one channel; the files are a stranger's.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class SoundDecoderTests
{
    private const int Rate = 16_000;
    private static readonly float[] Levels = [0, 0.5f, -0.5f, 0.25f, -1];

    [TestMethod]
    [DataRow(8)]
    [DataRow(16)]
    [DataRow(24)]
    [DataRow(32)]
    public void Whole_numbers_of_every_width_are_the_same_sound(int bits)
    {
        var width = bits / 8;
        var data = new byte[width * Levels.Length];
        for (var i = 0; i < Levels.Length; i++)
        {
            var whole = (int)Math.Clamp(Levels[i] * 2147483648.0, int.MinValue, int.MaxValue) >> (32 - bits);
            var bytes = new byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(bytes, bits == 8 ? whole + 128 : whole);
            bytes.AsSpan(0, width).CopyTo(data.AsSpan(i * width));
        }
        foreach (var isExtensible in (bool[])[false, true])
            CollectionAssert.AreEqual(Levels, SamplesOf(Sounds.Wav(Rate, 1, bits, 1, data, isExtensible)));
    }

    [TestMethod]
    public void Floats_of_both_widths_are_the_same_sound_and_clipped_as_players_do()
    {
        var (single, wide) = (MemoryMarshal.AsBytes<float>(Levels).ToArray(),
            MemoryMarshal.AsBytes<double>(Array.ConvertAll(Levels, level => (double)level)).ToArray());
        CollectionAssert.AreEqual(Levels, SamplesOf(Sounds.Wav(Rate, 1, 32, 3, single)));
        CollectionAssert.AreEqual(Levels, SamplesOf(Sounds.Wav(Rate, 1, 64, 3, wide, isExtensible: true)));
        CollectionAssert.AreEqual(new[] { 1f, -1f }, SamplesOf(Sounds.Wav(Rate, 1, 32, 3, MemoryMarshal.AsBytes<float>([3e38f, -7]).ToArray())));
    }

    [TestMethod]
    public void Channels_become_their_mean()
    {
        CollectionAssert.AreEqual(new[] { 0.25f, -0.25f }, Rounded(SamplesOf(Sounds.Wav(Rate, 2, [0.5f, 0, 0, -0.5f]))));
        CollectionAssert.AreEqual(new[] { 0.5f, 0 }, Rounded(SamplesOf(Sounds.Wav(Rate, 3, [0.5f, 0.5f, 0.5f, 0.5f, 0, -0.5f]))));
    }

    [TestMethod]
    public void Chunks_of_odd_length_and_lengths_that_lie_are_read_as_programs_write_them()
    {
        byte[] data = [0, 0, 0, 64, 0, 32];
        var expected = new[] { 0, 0.5f, 0.25f };
        CollectionAssert.AreEqual(expected, SamplesOf(Sounds.Wav(Rate, 1, 16, 1, data, before: [.. "LIST"u8, 3, 0, 0, 0, 1, 2, 3, 0])));
        // What writes to a pipe does not know the length.
        foreach (var says in (uint[])[uint.MaxValue, 4_000_000_000, 7])
            CollectionAssert.AreEqual(expected, SamplesOf(Sounds.Wav(Rate, 1, 16, 1, data, says: says)));
        CollectionAssert.AreEqual(expected, SamplesOf(Sounds.Wav(Rate, 1, 16, 1, data, says: 0)));
        // No samples, and what a program says of itself behind them.
        IsRefused("fewer than two samples", Sounds.Wav(Rate, 1, 16, 1, [.. "LIST"u8, 6, 0, 0, 0, .. "editor"u8], says: 0));
        // An odd byte at the end belongs to no sample.
        CollectionAssert.AreEqual(expected, SamplesOf(Sounds.Wav(Rate, 1, 16, 1, [.. data, 9])));
    }

    [TestMethod]
    public void A_WAV_file_may_leave_the_length_of_a_frame_open_or_give_its_samples_more_bytes()
    {
        byte[] data = [0, 0, 0, 0, 0, 0, 0, 64];
        var open = Sounds.Wav(Rate, 1, 16, 1, data);
        open.AsSpan(32, 2).Clear();
        CollectionAssert.AreEqual(new[] { 0, 0, 0, 0.5f }, SamplesOf(open));

        var wide = Sounds.Wav(Rate, 1, 24, 1, data);
        wide[32] = 4;
        CollectionAssert.AreEqual(new[] { 0, 0.5f }, SamplesOf(wide));
        wide[32] = 5;
        IsRefused("24 bits take 5 bytes", wide);
    }

    // LAME writes it four bytes behind a frame's head and what is about the frame, also where a checksum lies between; the checksum then
    // covers the beginning of its name.
    [TestMethod]
    public void The_table_of_an_MP3_file_with_checksums_costs_its_own_frame_alone()
    {
        const int frame = 417, side = 17, frames = 41;
        byte[] head = [0xFF, 0xFA, 0x90, 0xC0];
        var file = new byte[frames * frame];
        for (var i = 0; i < frames; i++)
        {
            var at = file.AsSpan(i * frame, frame);
            head.CopyTo(at);
            if (i == 0)
            {
                "Info"u8.CopyTo(at[(4 + side)..]);
                at[4 + side + 7] = 15;
                // Places of the file, of which the last two and what is behind them look like a frame.
                for (var place = 0; place < 100; place++)
                    at[4 + side + 16 + place] = (byte)Math.Min(255, place * 255 / 98);
            }
            BinaryPrimitives.WriteUInt16BigEndian(at[4..], Checksum([.. head[2..], .. at.Slice(6, side)]));
        }

        Assert.AreEqual(frames * 1152, SoundDecoder.Read(file, 10).Count);
    }

    // That of MPEG audio (ISO/IEC 11172-3, 2.4.3.1).
    private static ushort Checksum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0xFFFF;
        foreach (var one in bytes)
        {
            for (var bit = 7; bit >= 0; bit--)
                sum = ((sum << 1) ^ ((((sum >> 15) ^ (one >> bit)) & 1) == 1 ? 0x8005 : 0)) & 0xFFFF;
        }
        return (ushort)sum;
    }

    [TestMethod]
    public void The_first_example_of_FLACs_specification_is_read()
    {
        var sound = SoundDecoder.Read(Convert.FromHexString("664c614380000022100010000000" + "0f00000f0ac442f0000000013e84b41807dc690307586a3d"
            + "ad1a2e0ffff8691800" + "00bf0358fd03128baa9a"), 1);
        Assert.AreEqual((44_100, 1), (sound.Rate, sound.Count));
        Assert.AreEqual((25588 + 10416) / 2 / 32768f, sound.At(44_100)[0]);
    }

    [TestMethod]
    [DataRow(0, null)]
    [DataRow(1, null)]
    [DataRow(1, 8)]
    [DataRow(8, null)]
    [DataRow(9, 9)]
    [DataRow(10, 10)]
    [DataRow(11, 8)]
    [DataRow(12, 10)]
    [DataRow(32, 9)]
    [DataRow(63, null)]
    public void FLAC_is_read_however_it_is_written(int kind, int? assignment)
    {
        var random = new Random(3);
        var left = Enumerable.Range(0, 2_500).Select(i => (int)(9_000 * Math.Sin(i * 0.05)) + (kind == 0 ? 0 : random.Next(-300, 300))).ToArray();
        var right = Array.ConvertAll(left, sample => (sample / 2) + 77);
        if (kind == 0)
            (left, right) = ([.. left.Select((_, i) => 500 * (i / 1024))], [.. left.Select((_, i) => -300 * (i / 1024))]);
        var expected = left.Zip(right, (one, other) => (one + other) / 2f / 32768).ToArray();
        CollectionAssert.AreEqual(expected, SamplesOf(Sounds.Flac(Rate, [left, right], kind, assignment)));
        CollectionAssert.AreEqual(Array.ConvertAll(left, sample => sample / 32768f), SamplesOf(Sounds.Flac(Rate, [left], kind)));
    }

    [TestMethod]
    public void A_damaged_FLAC_file_is_refused()
    {
        var file = Sounds.Flac(Rate, [[.. Enumerable.Range(0, 3_000).Select(i => i % 97)]], 10);
        var random = new Random(11);
        for (var i = 0; i < 2_000; i++)
        {
            var damaged = (byte[])file.Clone();
            // Not in the sum of the whole, which is not looked at.
            var at = random.Next(8) == 0 ? random.Next(4, 26) : random.Next(42, file.Length);
            damaged[at] ^= (byte)(1 << random.Next(8));
            try
            {
                SoundDecoder.Decode(damaged, Rate, 60);
                Assert.IsLessThan(42, at);
            }
            catch (FormatException e)
            {
                Assert.IsNotNull(e.Message);
            }
        }
        for (var length = 4; length < 60; length++)
            Assert.ThrowsExactly<FormatException>(() => SoundDecoder.Decode(file.AsMemory(0, length), Rate, 60));
    }

    [TestMethod]
    public void MP3_is_read_and_cut_to_its_frames()
    {
        var sound = SoundDecoder.Read(Sounds.Mpeg(20), 10);
        Assert.AreEqual((32_000, 20 * 384), (sound.Rate, sound.Count));
        // A level that changes its sign with each of 1000 samples a second in a band of 500 Hz.
        var samples = sound.At(32_000)[2_000..].ToArray();
        var crossings = samples.Zip(samples.Skip(1)).Count(pair => pair.First < 0 != pair.Second < 0);
        Assert.AreEqual(500.0, crossings / 2.0 / samples.Length * 32_000, 20);
        Assert.IsGreaterThan(0.05f, samples.Max());
        Assert.AreEqual(0f, SoundDecoder.Read(Sounds.Mpeg(20, isSilent: true), 10).At(32_000).ToArray().Max(Math.Abs));
        Assert.AreEqual(20 * 384 / 2, SoundDecoder.Decode(Sounds.Mpeg(20), Rate, 10).Width);
        IsRefused("more than", Sounds.Mpeg(200));
    }

    // The decoder would take memory for a table of that size before it looks whether there is one, without end for this one.
    [TestMethod]
    [Timeout(20_000)]
    public void What_an_MP3_file_says_of_its_size_is_not_believed()
    {
        var file = Sounds.Mpeg(20);
        "VBRI"u8.CopyTo(file.AsSpan(36));
        BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(36 + 18), 40_000);
        BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(36 + 22), 40_000);

        Assert.IsGreaterThan(18 * 384, SoundDecoder.Read(file, 10).Count);
    }

    [TestMethod]
    public void FLAC_behind_a_tag_of_MP3_is_FLAC()
    {
        byte[] tagged = [.. "ID3"u8, 4, 0, 0, 0, 0, 1, 2, .. new byte[130], .. Sounds.Flac(Rate, [[.. Enumerable.Range(0, 3_000)]], 10)];
        Assert.AreEqual(3_000, SoundDecoder.Read(tagged, 10).Count);
    }

    [TestMethod]
    public void A_damaged_MP3_file_is_read_or_refused_and_nothing_else()
    {
        var random = new Random(5);
        for (var i = 0; i < 1_000; i++)
        {
            var file = Sounds.Mpeg(6);
            for (var hits = random.Next(1, 20); hits > 0; hits--)
                file[random.Next(file.Length)] = (byte)random.Next(256);
            // The same head as that of layer 3, whose decoder reads all of the rest.
            if (i % 2 == 0)
            {
                for (var at = 0; at < file.Length; at += 384)
                    file[at + 1] = 0xFB;
            }
            try
            {
                Assert.IsGreaterThanOrEqualTo(2, SoundDecoder.Decode(file.AsMemory(0, random.Next(2, file.Length)), Rate, 10).Width);
            }
            catch (FormatException e)
            {
                Assert.IsNotNull(e.Message);
            }
        }
    }

    [TestMethod]
    public void FLAC_that_says_to_be_endless_takes_no_memory()
    {
        var file = Sounds.Flac(8_000, [new int[1024]], 0);
        // 2^36 - 1 samples.
        file.AsSpan(21, 5).Fill(0xFF);
        IsRefused("at most 1 s", file);
        // No length, and frames that take a dozen bytes for a thousand samples each.
        file.AsSpan(22, 4).Clear();
        file[21] &= 0xF0;
        IsRefused("at most 1 s", [.. file, .. Enumerable.Repeat(file[42..], 100_000).SelectMany(frame => frame)]);
    }

    [TestMethod]
    [DataRow(8_000)]
    [DataRow(11_025)]
    [DataRow(22_050)]
    [DataRow(44_100)]
    [DataRow(44_101)]
    [DataRow(48_000)]
    [DataRow(192_000)]
    public void A_tone_of_any_rate_is_the_same_tone_at_the_projectors(int rate)
    {
        var samples = SamplesOf(Sounds.Wav(rate, 1, Sounds.Sine(rate, rate, 440)));
        var expected = Sounds.Sine(Rate, Rate, 440);
        Assert.HasCount(Rate, samples);
        // Not at the ends, where the kernel reaches into silence.
        for (var i = 500; i < Rate - 500; i++)
            Assert.AreEqual(expected[i], samples[i], 0.003);
    }

    [TestMethod]
    public void What_the_lower_rate_cannot_hold_is_damped()
    {
        var samples = SamplesOf(Sounds.Wav(48_000, 1, Sounds.Sine(48_000, 48_000, 11_000)));
        Assert.IsLessThan(0.002f, samples.Skip(500).SkipLast(500).Max(Math.Abs));
    }

    [TestMethod]
    public void A_wrong_file_is_refused_with_what_is_wrong()
    {
        var pcm = new byte[8];
        IsRefused("is empty", []);
        IsRefused("an Ogg file", [.. "OggS"u8, 0, 2]);
        IsRefused("an M4A file", [0, 0, 0, 32, .. "ftypM4A "u8]);
        IsRefused("a WebM file", [0x1A, 0x45, 0xDF, 0xA3]);
        IsRefused("a file of an unknown format", Pictures.Row);
        IsRefused("without samples", Sounds.Tone[..36]);
        IsRefused("does not say how", [.. "RIFF"u8, 0, 0, 0, 0, .. "WAVEdata"u8, 4, 0, 0, 0, 1, 2, 3, 4]);
        IsRefused("0 channels", Sounds.Wav(Rate, 0, 16, 1, pcm));
        IsRefused("65 channels", Sounds.Wav(Rate, 65, 16, 1, pcm));
        IsRefused("7999 samples a second", Sounds.Wav(7_999, 1, 16, 1, pcm));
        IsRefused("192001 samples a second", Sounds.Wav(192_001, 1, 16, 1, pcm));
        IsRefused("samples of 0 bits", Sounds.Wav(Rate, 1, 0, 1, pcm));
        IsRefused("samples of 16 bits", Sounds.Wav(Rate, 1, 16, 3, pcm));
        IsRefused("samples of 40 bits", Sounds.Wav(Rate, 1, 40, 1, pcm));
        IsRefused("the coding 85", Sounds.Wav(Rate, 1, 16, 85, pcm));
        IsRefused("fewer than two samples", Sounds.Wav(Rate, 1, 16, 1, [1, 2]));
        IsRefused("fewer than two samples", Sounds.Wav(Rate, 1, 16, 1, []));
        IsRefused("not finite numbers", Sounds.Wav(Rate, 1, 32, 3, MemoryMarshal.AsBytes<float>([0, float.NaN]).ToArray()));
        IsRefused("not finite numbers", Sounds.Wav(Rate, 1, 32, 3, MemoryMarshal.AsBytes<float>([0, float.PositiveInfinity]).ToArray()));
        IsRefused("a sound of 2.0 s; at most 1 s", Sounds.Wav(Rate, 1, new float[2 * Rate]));
    }

    [TestMethod]
    public void The_length_is_the_same_without_the_samples_and_the_hash_is_of_the_samples()
    {
        var sound = SoundDecoder.Decode(Sounds.Tone, Rate, 60);
        Assert.AreEqual(sound.DataLength, sound.Data.Length);
        Assert.AreEqual(new Medium(MediumKind.Sound, sound.Width, 1, ""), SoundDecoder.Measure(Sounds.Tone, Rate, 60));
        Assert.AreEqual(sound.Hash, SoundDecoder.Decode(Sounds.Wav(Rate, 1, Sounds.Sine(Rate, Rate, 440)), Rate, 60).Hash);
        Assert.AreNotEqual(sound.Hash, SoundDecoder.Decode(Sounds.Wav(Rate, 1, Sounds.Sine(Rate, Rate, 441)), Rate, 60).Hash);
    }

    [TestMethod]
    public void A_sound_that_nobody_waits_for_is_read_and_resampled_no_further()
    {
        var gone = new CancellationToken(canceled: true);
        foreach (var file in (byte[][])[Sounds.Tone, Sounds.Flac(Rate, [new int[3_000]], 10), Sounds.Mpeg(20)])
        {
            Assert.ThrowsExactly<OperationCanceledException>(() => SoundDecoder.Read(file, 10, gone));
            Assert.ThrowsExactly<OperationCanceledException>(() => SoundDecoder.Measure(file, Rate, 10, gone));
        }
        Assert.ThrowsExactly<OperationCanceledException>(() => { SoundDecoder.Read(Sounds.Tone, 10).At(8_000, gone); });
    }

    [TestMethod]
    public async Task Resampling_that_has_begun_ends_with_its_request()
    {
        // To resample it takes many times as long as to read it.
        var file = Sounds.Wav(192_000, 1, 8, 1, new byte[192_000 * 60]);
        using var cancellation = new CancellationTokenSource();
        var decoding = Task.Run(() => SoundDecoder.Decode(file, Rate, 3600, cancellation.Token));
        SoundDecoder.Read(file, 3600);
        await cancellation.CancelAsync();

        await Assert.ThrowsExactlyAsync<OperationCanceledException>(() => decoding);
    }

    [TestMethod]
    public void Damaged_files_are_read_or_refused_and_nothing_else()
    {
        var random = new Random(7);
        for (var i = 0; i < 3_000; i++)
        {
            var file = Sounds.Wav(Rate, 2, 16, 1, new byte[64], isExtensible: i % 2 == 0);
            for (var hits = random.Next(1, 6); hits > 0; hits--)
                file[random.Next(12, 60)] = (byte)random.Next(256);
            try
            {
                Assert.IsGreaterThanOrEqualTo(2, SoundDecoder.Decode(file.AsMemory(0, random.Next(12, file.Length + 1)), Rate, 1).Width);
            }
            catch (FormatException e)
            {
                Assert.DoesNotContain("damaged", e.Message);
            }
        }
    }

    private static void IsRefused(string reason, byte[] file) =>
        Assert.Contains(reason, Assert.ThrowsExactly<FormatException>(() => SoundDecoder.Decode(file, Rate, 1)).Message);

    private static float[] SamplesOf(byte[] file) => MemoryMarshal.Cast<byte, float>(SoundDecoder.Decode(file, Rate, 60).Data.Span).ToArray();

    private static float[] Rounded(float[] samples) => Array.ConvertAll(samples, sample => MathF.Round(sample, 3));
}
