using System.Buffers.Binary;
using System.IO.Compression;

namespace Shimmy.Chat.Media;

/// <summary>
/// The beginning of a picture's file: its format by the first bytes, its size, and how the camera was held. Read before anything is
/// allocated; the bytes are untrusted.
/// </summary>
/// <param name="Format">The format.</param>
/// <param name="Width">Pixels of a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Orientation">EXIF's orientation, 1 to 8; 1 is upright.</param>
internal sealed record PictureHeader(PictureFormat Format, int Width, int Height, int Orientation = 1)
{
    /// <summary>The formats that are read, for error texts.</summary>
    public const string Formats = "PNG, JPEG, GIF and BMP are read";

    private const int MostSide = 1 << 20;

    // JPEG's markers
    private const byte StartOfScan = 0xDA;
    private const byte EndOfImage = 0xD9;
    private const byte Exif = 0xE1;

    /// <summary>Width of the picture as it is seen.</summary>
    public int SeenWidth => Orientation >= 5 ? Height : Width;

    /// <summary>Height of the picture as it is seen.</summary>
    public int SeenHeight => Orientation >= 5 ? Width : Height;

    /// <summary>Pixels.</summary>
    public long Pixels => (long)Width * Height;

    /// <summary>Reads it. Throws <see cref="FormatException"/> whose text follows the field's name.</summary>
    public static PictureHeader Read(ReadOnlySpan<byte> file)
    {
        if (file.IsEmpty)
            throw new FormatException("is empty");
        var header = file switch
        {
            [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Png(file),
            [0xFF, 0xD8, 0xFF, ..] => Jpeg(file),
            [(byte)'G', (byte)'I', (byte)'F', (byte)'8', (byte)'7' or (byte)'9', (byte)'a', ..] => Gif(file),
            [(byte)'B', (byte)'M', ..] => Bmp(file),
            _ => throw new FormatException($"{Unread(file)}; {Formats}"),
        };
        return header.Width is < 1 or > MostSide || header.Height is < 1 or > MostSide
            ? throw new FormatException($"is a picture of {header.Width} x {header.Height} pixels")
            : header;
    }

    /// <summary>
    /// Whether the compressed pixels of a PNG file are more than its size says: inflating them without a limit fills the memory.
    /// </summary>
    public bool InflatesTooFar(ReadOnlyMemory<byte> file)
    {
        if (Format != PictureFormat.Png)
            return false;
        using var compressed = new MemoryStream();
        for (var at = 8L; at + 12 <= file.Length;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(file.Span[(int)at..]);
            if (file.Span.Slice((int)at + 4, 4).SequenceEqual("IDAT"u8))
                compressed.Write(file.Span.Slice((int)at + 8, (int)Math.Min(length, file.Length - at - 8)));
            at += 12L + length;
        }
        // Four channels of 16 bits and a byte a row, of all passes of an interlaced file.
        var most = (8 * Pixels) + (4L * Height) + 4096;
        compressed.Position = 0;
        var buffer = new byte[1 << 16];
        var total = 0L;
        try
        {
            using var inflated = new ZLibStream(compressed, CompressionMode.Decompress);
            for (int count; total <= most && (count = inflated.Read(buffer)) > 0;)
                total += count;
        }
        catch (InvalidDataException)
        {
            // The decoder says what is wrong.
        }
        return total > most;
    }

    private static PictureHeader Png(ReadOnlySpan<byte> file) => file.Length >= 33 && file[12..16].SequenceEqual("IHDR"u8)
        ? new PictureHeader(PictureFormat.Png, Side(BinaryPrimitives.ReadUInt32BigEndian(file[16..])),
            Side(BinaryPrimitives.ReadUInt32BigEndian(file[20..])), PngOrientation(file))
        : throw Cut("PNG");

    private static PictureHeader Gif(ReadOnlySpan<byte> file) => file.Length >= 13
        ? new PictureHeader(PictureFormat.Gif, BinaryPrimitives.ReadUInt16LittleEndian(file[6..]),
            BinaryPrimitives.ReadUInt16LittleEndian(file[8..]))
        : throw Cut("GIF");

    private static PictureHeader Bmp(ReadOnlySpan<byte> file)
    {
        if (file.Length < 26)
            throw Cut("BMP");
        if (BinaryPrimitives.ReadUInt32LittleEndian(file[14..]) == 12)
        {
            return new PictureHeader(PictureFormat.Bmp, BinaryPrimitives.ReadUInt16LittleEndian(file[18..]),
                BinaryPrimitives.ReadUInt16LittleEndian(file[20..]));
        }
        var height = BinaryPrimitives.ReadInt32LittleEndian(file[22..]);
        return new PictureHeader(PictureFormat.Bmp, Side(BinaryPrimitives.ReadUInt32LittleEndian(file[18..])),
            // Negative where the rows stand from the top down.
            height == int.MinValue ? int.MaxValue : Math.Abs(height));
    }

    private static PictureHeader Jpeg(ReadOnlySpan<byte> file)
    {
        var orientation = 1;
        for (var at = 2; at + 4 <= file.Length;)
        {
            if (file[at] != 0xFF)
                throw Cut("JPEG");
            var marker = file[at + 1];
            if (marker == 0xFF)
            {
                at++;
                continue;
            }
            if (marker is StartOfScan or EndOfImage)
                break;
            // Markers that stand alone
            if (marker is 0x01 or (>= 0xD0 and <= 0xD7))
            {
                at += 2;
                continue;
            }
            var length = BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            if (length < 2 || at + 2 + length > file.Length)
                throw Cut("JPEG");
            var segment = file.Slice(at + 4, length - 2);
            if (marker == Exif && segment.StartsWith("Exif\0\0"u8))
                orientation = ExifOrientation(segment[6..]);
            if (marker is >= 0xC0 and <= 0xCF and not (0xC4 or 0xC8 or 0xCC))
            {
                if (marker > 0xC2)
                    throw new FormatException("is a JPEG file of a rare kind (lossless or arithmetic), which is not read");
                return segment.Length >= 6
                    ? new PictureHeader(PictureFormat.Jpeg, BinaryPrimitives.ReadUInt16BigEndian(segment[3..]),
                        BinaryPrimitives.ReadUInt16BigEndian(segment[1..]), orientation)
                    : throw Cut("JPEG");
            }
            at += 2 + length;
        }
        throw Cut("JPEG");
    }

    private static int PngOrientation(ReadOnlySpan<byte> file)
    {
        for (var at = 8L; at + 12 <= file.Length;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(file[(int)at..]);
            var kind = file.Slice((int)at + 4, 4);
            if (at + 12 + length > file.Length || kind.SequenceEqual("IDAT"u8))
                break;
            if (kind.SequenceEqual("eXIf"u8))
                return ExifOrientation(file.Slice((int)at + 8, (int)length));
            at += 12 + length;
        }
        return 1;
    }

    // The tag 0x0112 of the first directory of a TIFF header; 1 where it is missing or anything is odd.
    private static int ExifOrientation(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < 8)
            return 1;
        var little = tiff[0] == (byte)'I';
        var directory = Long(tiff, 4);
        if (directory < 8 || directory + 2 > tiff.Length)
            return 1;
        var entries = Short(tiff, (int)directory);
        for (var i = 0; i < entries; i++)
        {
            var at = directory + 2 + (12L * i);
            if (at + 12 > tiff.Length)
                return 1;
            if (Short(tiff, (int)at) == 0x0112)
                return Short(tiff, (int)at + 8) is >= 1 and <= 8 and var value ? value : 1;
        }
        return 1;

        int Short(ReadOnlySpan<byte> bytes, int at) => little
            ? BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..])
            : BinaryPrimitives.ReadUInt16BigEndian(bytes[at..]);

        long Long(ReadOnlySpan<byte> bytes, int at) => little
            ? BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..])
            : BinaryPrimitives.ReadUInt32BigEndian(bytes[at..]);
    }

    private static string Unread(ReadOnlySpan<byte> file) => file switch
    {
        [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', (byte)'E', (byte)'B', (byte)'P', ..] => "is a WebP picture",
        [(byte)'I', (byte)'I', 42, 0, ..] or [(byte)'M', (byte)'M', 0, 42, ..] => "is a TIFF picture",
        [_, _, _, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', (byte)'a', (byte)'v', ..] => "is an AVIF picture",
        [_, _, _, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', (byte)'h' or (byte)'m', ..] => "is a HEIC picture or a video",
        [(byte)'<', ..] => "is SVG or another text",
        [(byte)'P', >= (byte)'1' and <= (byte)'6', (byte)'\n' or (byte)' ', ..] => "is a PNM picture",
        [(byte)'%', (byte)'P', (byte)'D', (byte)'F', ..] => "is a PDF file",
        _ => "is no picture that is known by its first bytes",
    };

    private static int Side(uint pixels) => (int)Math.Min(pixels, int.MaxValue);

    private static FormatException Cut(string format) => new($"is a damaged {format} file");
}

/// <summary>Formats of pictures that are read.</summary>
internal enum PictureFormat
{
    /// <summary>Portable Network Graphics.</summary>
    Png,

    /// <summary>JPEG, baseline and progressive.</summary>
    Jpeg,

    /// <summary>GIF; its first frame.</summary>
    Gif,

    /// <summary>Windows' bitmap.</summary>
    Bmp,
}
