using System.Text;
using Shimmy.Chat.Media;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;

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
