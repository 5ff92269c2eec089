using System.Text;
using Shimmy.Chat.Media;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Media;

/// <summary>Pictures come out as pixels; what is no picture, or too large a one, is refused before it costs memory.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PictureDecoderTests
{
    private const int Most = PictureDecoder.DefaultMostPixels;

    [TestMethod]
    public void Transparency_is_laid_over_white()
    {
        CollectionAssert.AreEqual(new byte[] { 255, 127, 127 }, PictureDecoder.Decode(Pictures.HalfRed, Most).Data.ToArray());
        var grey = PictureDecoder.Decode(Pictures.Png(2, 1, 0, [7, 200]), Most);
        CollectionAssert.AreEqual(new byte[] { 7, 7, 7, 200, 200, 200 }, grey.Data.ToArray());
    }

    [TestMethod]
    [DataRow(1, 3, 1, "RGB")]
    [DataRow(2, 3, 1, "BGR")]
    [DataRow(3, 3, 1, "BGR")]
    [DataRow(4, 3, 1, "RGB")]
    [DataRow(5, 1, 3, "RGB")]
    [DataRow(6, 1, 3, "RGB")]
    [DataRow(7, 1, 3, "BGR")]
    [DataRow(8, 1, 3, "BGR")]
    public void A_picture_is_turned_as_the_camera_says(int orientation, int width, int height, string colours)
    {
        var file = Pictures.Png(3, 1, 2, [255, 0, 0, 0, 255, 0, 0, 0, 255], ("eXIf", Pictures.Exif((byte)orientation)));
        var picture = PictureDecoder.Decode(file, Most);
        var seen = string.Concat(picture.Data.ToArray().Chunk(3).Select(pixel => "RGB"[Array.IndexOf(pixel, (byte)255)]));
        Assert.AreEqual((width, height, colours), (picture.Width, picture.Height, seen));
        Assert.AreEqual((width, height), PictureDecoder.Measure(file, Most) is var size ? (size.Width, size.Height) : default);
    }

    [TestMethod]
    public void A_bitmap_is_read()
    {
        // Two rows of one pixel, blue below red, as Windows writes them: from the last row up, blue first, rows of four bytes.
        byte[] file =
        [
            (byte)'B', (byte)'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0, 0, 0, 0, 0, 8, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0,
        ];
        var picture = PictureDecoder.Decode(file, Most);
        Assert.AreEqual((1, 2), (picture.Width, picture.Height));
        CollectionAssert.AreEqual(new byte[] { 255, 0, 0, 0, 0, 255 }, picture.Data.ToArray());
    }

    [TestMethod]
    [DataRow("", "is empty")]
    [DataRow("RIFF\u0001\u0002\u0003\u0004WEBPVP8 ", "is a WebP picture; PNG, JPEG, GIF and BMP are read")]
    [DataRow("\u0001\u0002\u0003\u0004ftypheic", "is a HEIC picture or a video")]
    [DataRow("\u0001\u0002\u0003\u0004ftypavif", "is an AVIF picture")]
    [DataRow("II*\0........", "is a TIFF picture")]
    [DataRow("<svg xmlns=", "is SVG or another text")]
    [DataRow("P6\n1 1\n255\n", "is a PNM picture")]
    [DataRow("hello", "is a file of an unknown format: its first bytes are those of no picture format")]
    [DataRow("GIF89a", "is a damaged GIF file")]
    public void What_is_no_picture_is_named(string file, string reason) =>
        Assert.StartsWith(reason, Assert.ThrowsExactly<FormatException>(() => PictureHeader.Read(Encoding.Latin1.GetBytes(file))).Message);

    [TestMethod]
    public void The_size_is_checked_before_anything_is_allocated()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var huge = Pictures.Png(60_000, 60_000, 2, []);
        Assert.Contains("60000 x 60000", Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(huge, Most)).Message);
        Assert.Contains("--media-pixels", Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(Pictures.Row, 2)).Message);
        Assert.IsLessThan(1 << 20, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(Pictures.Png(0, 1, 2, []), Most));
    }

    [TestMethod]
    public void A_file_that_inflates_beyond_its_size_is_refused()
    {
        // A row too many by a thousandfold.
        var bomb = Pictures.Png(1, 1_000_000, 0, new byte[1_000_000]);
        bomb[16 + 6] = 0;
        bomb[16 + 5] = 0;
        Assert.Contains("holds more pixels", Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(bomb, Most)).Message);
    }

    [TestMethod]
    public void What_zlib_does_not_inflate_is_never_inflated_without_a_limit()
    {
        var rows = Pictures.Deflated(new byte[1_000_000]);
        // A window larger than zlib has.
        (rows[0], rows[1]) = (0x88, 0x1C);
        var header = Pictures.PngOf(1, 1, 8, 0, 0, rows);
        var apples = Pictures.PngOf(1, 1, 8, 0, 0, Pictures.Deflated(new byte[1_000_000])[2..^4], ("CgBI", [0x50, 0, 0x20, 2]));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("damaged PNG", Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(header, Most)).Message);
        Assert.Contains("CgBI", Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(apples, Most)).Message);
        Assert.Contains("CgBI", Assert.ThrowsExactly<FormatException>(() => PictureHeader.Read(
            [.. apples[..8], .. apples[33..49], .. apples[8..33], .. apples[49..]])).Message);
        Assert.IsLessThan(900_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    public void What_a_frame_of_a_GIF_does_not_cover_is_white()
    {
        var picture = PictureDecoder.Decode(Pictures.Gif, Most);
        for (var i = 0; i < 16; i++)
        {
            CollectionAssert.AreEqual(i is 5 or 6 or 9 or 10 ? new byte[] { 255, 0, 0 } : [255, 255, 255],
                picture.Data.Slice(3 * i, 3).ToArray(), $"pixel {i}");
        }
        // The file is the caller's, and stays as it was.
        Assert.AreEqual(1, Pictures.Gif[PictureHeader.GifBackground]);
    }

    [TestMethod]
    public void A_GIF_file_has_no_codes_for_many_times_its_pixels()
    {
        var beyond = GifOf(4, 4, 16);
        beyond[Array.IndexOf(beyond, (byte)0x2C, 13) + 1] = 1;
        Assert.Contains("reaches beyond the picture", Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(beyond, Most)).Message);
        var plain = PictureDecoder.Decode(GifOf(300, 300, 90_000), Most);
        Assert.AreEqual((300, 300), (plain.Width, plain.Height));
        Assert.IsTrue(plain.Data.Span.Trim([(byte)0]).IsEmpty, "all is the first color, black");
        // What follows the last pixel is not shown, but read.
        Assert.AreEqual(1, PictureDecoder.Decode(GifOf(1, 1, 500_000), Most).Width);

        var refused = Assert.ThrowsExactly<FormatException>(() => PictureDecoder.Decode(GifOf(1, 1, 2_000_000), Most));

        Assert.Contains("more pixels than its header says", refused.Message);
    }

    // One color, as LZW packs it best: each code stands for one pixel more than the last, up to the longest.
    private static byte[] GifOf(int width, int height, int pixels)
    {
        const int clear = 256;
        var codes = new List<(int Code, int Bits)> { (clear, 9), (0, 9) };
        var (left, length, next, bits) = (pixels - 1, 1, clear + 2, 9);
        while (left > 0)
        {
            length = Math.Min(left, Math.Min(length + 1, 4095 - clear));
            codes.Add((length == 1 ? 0 : clear + length, bits));
            left -= length;
            if (++next == 1 << bits && bits < 12)
                bits++;
        }
        codes.Add((clear + 1, bits));
        var data = new List<byte>();
        var (held, count) = (0, 0);
        foreach (var (code, size) in codes)
        {
            held |= code << count;
            for (count += size; count >= 8; count -= 8, held >>= 8)
                data.Add((byte)held);
        }
        data.Add((byte)held);
        return
        [
            .. "GIF89a"u8, (byte)width, (byte)(width >> 8), (byte)height, (byte)(height >> 8), 0x80, 0, 0, 0, 0, 0, 255, 255, 255,
            0x21, 0xF9, 4, 0, 0, 0, 0, 0, 0x2C, 0, 0, 0, 0, (byte)width, (byte)(width >> 8), (byte)height, (byte)(height >> 8), 0, 8,
            .. data.Chunk(255).SelectMany(block => block.Prepend((byte)block.Length)), 0, 0x3B,
        ];
    }

    [TestMethod]
    public void Every_kind_of_PNG_is_read()
    {
        // Each pixel of 8 x 8 has its place as its value, in the seven passes of Adam7.
        var rows = new List<byte>();
        foreach (var (x, y, dx, dy) in ((int, int, int, int)[])
            [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)])
        {
            for (var row = y; row < 8; row += dy)
            {
                rows.Add(0);
                for (var column = x; column < 8; column += dx)
                    rows.Add((byte)((8 * row) + column));
            }
        }
        var interlaced = PictureDecoder.Decode(Pictures.PngOf(8, 8, 8, 0, 1, Pictures.Deflated([.. rows])), Most);
        CollectionAssert.AreEqual(Enumerable.Range(0, 64).ToArray(), interlaced.Data.ToArray().Chunk(3).Select(pixel => (int)pixel[1]).ToArray());
        var wide = PictureDecoder.Decode(Pictures.PngOf(2, 1, 16, 2, 0, Pictures.Deflated([0, 255, 9, 128, 8, 1, 7, 0, 0, 64, 99, 2, 255])), Most);
        CollectionAssert.AreEqual(new byte[] { 255, 128, 1, 0, 64, 2 }, wide.Data.ToArray());
        var keyed = PictureDecoder.Decode(Pictures.Png(3, 1, 2, [255, 0, 0, 0, 255, 0, 0, 0, 255], ("tRNS", [0, 255, 0, 0, 0, 0])), Most);
        CollectionAssert.AreEqual(new byte[] { 255, 255, 255, 0, 255, 0, 0, 0, 255 }, keyed.Data.ToArray());
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void Every_kind_of_JPEG_is_read(bool isProgressive)
    {
        // Red, as brightness and differences, and as the inverse of cyan, magenta, yellow and black.
        foreach (var channels in (byte[][])[[76, 85, 255], [255, 0, 0, 255]])
        {
            var picture = PictureDecoder.Decode(Pictures.Jpeg(channels, isProgressive), Most);
            Assert.AreEqual((8, 8), (picture.Width, picture.Height));
            foreach (var pixel in picture.Data.ToArray().Chunk(3))
                Assert.IsTrue(pixel[0] >= 250 && pixel[1] <= 5 && pixel[2] <= 5, string.Join(' ', pixel));
        }
        var grey = PictureDecoder.Decode(Pictures.Jpeg([200], isProgressive), Most).Data.ToArray();
        Assert.IsTrue(grey.All(value => Math.Abs(value - 200) <= 1));
    }

    [TestMethod]
    public void A_JPEG_of_hundreds_of_scans_is_refused()
    {
        Assert.AreEqual(8, PictureDecoder.Decode(Pictures.Jpeg([200], scans: 100), Most).Width);
        Assert.Contains("more than 100 scans", Assert.ThrowsExactly<FormatException>(
            () => PictureDecoder.Decode(Pictures.Jpeg([200], scans: 101), Most)).Message);
        Assert.Contains("more than 100 scans", Assert.ThrowsExactly<FormatException>(
            () => PictureDecoder.Decode(Pictures.Jpeg([200], isProgressive: true, scans: 101), Most)).Message);
    }

    [TestMethod]
    public void A_client_that_leaves_ends_the_decoding()
    {
        using var left = new CancellationTokenSource();
        left.Cancel();
        Assert.Throws<OperationCanceledException>(() => PictureDecoder.Decode(Pictures.Jpeg([200]), Most, left.Token));
        Assert.Throws<OperationCanceledException>(() => PictureDecoder.Decode(Pictures.Row, Most, left.Token));
        using var stream = new PictureStream([1, 2, 3], left.Token);
        Assert.AreEqual((-1, 0), (stream.ReadByte(), stream.Read(new byte[3], 0, 3)));
        Assert.AreEqual(stream.Length, stream.Position, "by which the decoder leaves its loops");
    }

    // In the middle of the pixels and between segments, wherever the decoder reads on until it finds a marker.
    [TestMethod]
    [Timeout(30_000, CooperativeCancellation = false)]
    public void A_client_that_leaves_in_the_middle_ends_the_decoding()
    {
        var file = Pictures.Jpeg([200]);
        for (var read = 0; read < file.Length; read++)
        {
            using var left = new CancellationTokenSource();
            using var stream = new LeavingStream(file, read, left);
            try
            {
                StbImageSharp.ImageResult.FromStream(stream, StbImageSharp.ColorComponents.RedGreenBlue);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // Damaged, as far as it has come.
            }
        }
    }

    private sealed class LeavingStream(byte[] file, int after, CancellationTokenSource left) : Stream
    {
        private readonly PictureStream _file = new(file, left.Token);
        private int _read;

        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => _file.Length;

        public override long Position { get => _file.Position; set => _file.Position = value; }

        public override int ReadByte()
        {
            if (_read++ == after)
                left.Cancel();
            return _file.ReadByte();
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            if ((_read += count) >= after)
                left.Cancel();
            return _file.Read(buffer, offset, count);
        }

        public override long Seek(long offset, SeekOrigin origin) => _file.Seek(offset, origin);

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }
    }

    [TestMethod]
    [DataRow(40, 1, 8, "compressed with RLE")]
    [DataRow(40, 4, 24, "compression 4")]
    [DataRow(64, 0, 24, "its header has 64 bytes")]
    [DataRow(12, 0, 8, "OS/2 1.x with a palette")]
    public void A_rare_kind_of_bitmap_is_named(int header, int compression, int bits, string reason)
    {
        var file = new byte[100];
        (file[0], file[1], file[14], file[18], file[30]) = ((byte)'B', (byte)'M', (byte)header, 1, (byte)compression);
        file[header == 12 ? 20 : 22] = 1;
        file[header == 12 ? 24 : 28] = (byte)bits;
        Assert.Contains(reason, Assert.ThrowsExactly<FormatException>(() => PictureHeader.Read(file)).Message);
    }

    [TestMethod]
    public void Damaged_files_are_refused_or_read_and_nothing_else()
    {
        var random = new Random(11);
        byte[][] seeds = [Pictures.Square(16, 10, 200, 30), .. Shared()];
        for (var i = 0; i < 1500; i++)
        {
            var file = (byte[])seeds[i % seeds.Length].Clone();
            for (var changes = random.Next(1, 6); changes > 0; changes--)
                file[random.Next(8, file.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0)
                file = file[..random.Next(file.Length)];
            try
            {
                var picture = PictureDecoder.Decode(file, 1 << 16);
                Assert.AreEqual(picture.DataLength, picture.Data.Length);
            }
            catch (FormatException)
            {
                // Said in words.
            }
        }
    }

    // Pictures of all formats, where a developer's machine has them.
    private static IEnumerable<byte[]> Shared() => Environment.GetEnvironmentVariable("SHIMMY_MEDIA_CASES") is { Length: > 0 } folder
        ? ((string[])["red-block.jpg", "red-square.gif", "red-square.bmp", "red-square-palette.png", "red-square-16bit.png"])
            .Select(name => File.ReadAllBytes(Path.Combine(folder, "images", name)))
        : [];

    [TestMethod]
    public void The_hash_is_of_the_pixels()
    {
        var one = PictureDecoder.Decode(Pictures.Row, Most);
        var same = PictureDecoder.Decode(Pictures.Png(3, 1, 2, [255, 0, 0, 0, 255, 0, 0, 0, 255], ("tEXt", [1, 2, 3])), Most);
        var turned = PictureDecoder.Of(1, 3, [255, 0, 0, 0, 255, 0, 0, 0, 255]);
        Assert.AreEqual(one.Hash, same.Hash);
        Assert.AreNotEqual(one.Hash, turned.Hash);
        Assert.AreEqual(MediumKind.Picture, one.Kind);
    }
}
