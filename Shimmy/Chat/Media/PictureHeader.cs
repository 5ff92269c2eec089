using System.Buffers.Binary;
using System.IO.Compression;
using System.Numerics;

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

    /// <summary>Where a GIF file has the index of its background color.</summary>
    public const int GifBackground = 11;

    private const int MostSide = 1 << 20;

    // Each scan of a JPEG file costs as much as decoding the picture, and the encoders of today write about ten.
    private const int MostScans = 100;

    // GIF's blocks, and what stb_image has of its codes
    private const byte GifExtension = 0x21;
    private const byte GifControl = 0xF9;
    private const byte GifFrame = 0x2C;
    private const int MostGifBits = 12;
    private const int GifCodes = 8192;

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
            ? throw new FormatException($"is a picture of {header.Width} x {header.Height} pixels; sides from 1 to {MostSide} are taken")
            : header;
    }

    /// <summary>
    /// Refuses a file that the decoder would spend memory or time on without a limit. Throws <see cref="FormatException"/>.
    /// </summary>
    public void CheckContent(ReadOnlyMemory<byte> file, CancellationToken cancellation)
    {
        if (Format == PictureFormat.Png)
            CheckInflated(file, cancellation);
        else if (Format == PictureFormat.Jpeg && Scans(file.Span) > MostScans)
            throw new FormatException($"is a JPEG file of more than {MostScans} scans");
        else if (Format == PictureFormat.Gif)
            CheckCodes(file.Span);
    }

    // A code of a GIF file (LZW) stands for a string of up to thousands of pixels. The decoder goes through all of them even where its
    // picture is full, so that a megabyte of codes would take seconds. Read as StbImageSharp reads it, up to the end of the first frame.
    private void CheckCodes(ReadOnlySpan<byte> file)
    {
        var at = 13 + Palette(file[10]);
        while (at + 2 < file.Length && file[at] == GifExtension)
        {
            // That of a control extension that is not four bytes long is left behind its first block.
            if (file[at + 1] == GifControl && file[at + 2] != 4)
                at += 3 + file[at + 2];
            else
                at = BehindBlocks(file, at + 2);
        }
        if (at + 11 > file.Length || file[at] != GifFrame)
            return;
        // The decoder refuses it as damaged, where browsers cut it off.
        if (Side(file[(at + 1)..]) + Side(file[(at + 5)..]) > Width || Side(file[(at + 3)..]) + Side(file[(at + 7)..]) > Height)
            throw new FormatException("is a GIF file whose first frame reaches beyond the picture, which is not read");
        at += 10 + Palette(file[at + 9]);
        if (at >= file.Length || file[at] > MostGifBits)
            return;
        var clear = 1 << file[at];
        var lengths = new ushort[GifCodes];
        lengths.AsSpan(0, clear).Fill(1);
        var (bits, valid, size, next, before, pixels) = (0u, 0, file[at++] + 1, clear + 2, -1, 0L);
        for (var end = at; pixels <= (4 * Pixels) + (1 << 20);)
        {
            while (valid < size)
            {
                if (at == end)
                {
                    if (at >= file.Length || file[at] == 0)
                        return;
                    end = ++at + file[at - 1];
                }
                if (at >= file.Length)
                    return;
                bits |= (uint)file[at++] << valid;
                valid += 8;
            }
            var code = (int)(bits & ((1u << size) - 1));
            (bits, valid) = (bits >> size, valid - size);
            if (code == clear)
            {
                (size, next, before) = (BitOperations.Log2((uint)clear) + 1, clear + 2, -1);
                continue;
            }
            if (code == clear + 1 || code > next || (before < 0 && code >= clear) || (before >= 0 && next == GifCodes))
                return;
            if (before >= 0)
                lengths[next++] = (ushort)(lengths[before] + 1);
            pixels += lengths[code];
            if ((next & ((1 << size) - 1)) == 0 && next < 1 << MostGifBits)
                size++;
            before = code;
        }
        throw new FormatException("is a GIF file that holds more pixels than its header says");

        static int Palette(byte flags) => (flags & 0x80) == 0 ? 0 : 3 * (2 << (flags & 7));

        static int BehindBlocks(ReadOnlySpan<byte> file, int at)
        {
            while (at < file.Length && file[at] != 0)
                at += 1 + file[at];
            return at + 1;
        }
    }

    // The decoder inflates the pixels of a PNG file whatever its size says. What .NET's zlib does not inflate it may inflate all the same:
    // it takes headers and codes that zlib refuses. Neither asks for the checksum, as browsers do not.
    private void CheckInflated(ReadOnlyMemory<byte> file, CancellationToken cancellation)
    {
        using var compressed = new MemoryStream();
        for (var at = 8L; at + 12 <= file.Length;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(file.Span[(int)at..]);
            var kind = file.Span.Slice((int)at + 4, 4);
            if (kind.SequenceEqual("CgBI"u8))
                throw UnsupportedCgbi();
            if (kind.SequenceEqual("IDAT"u8))
                compressed.Write(file.Span.Slice((int)at + 8, (int)Math.Min(length, file.Length - at - 8)));
            at += 12L + length;
        }
        // Four channels of 16 bits and a byte a row, of all passes of an interlaced file.
        var most = (8 * Pixels) + (4L * Height) + 4096;
        // RFC 1950: deflate, a window of 32 KiB at most, no dictionary.
        var (method, flags) = compressed.Length < 2 ? (0, 0) : (compressed.GetBuffer()[0], compressed.GetBuffer()[1]);
        if ((method & 15) != 8 || method >> 4 > 7 || (flags & 32) != 0 || ((256 * method) + flags) % 31 != 0)
            throw Cut("PNG");
        compressed.Position = 2;
        var buffer = new byte[1 << 16];
        var total = 0L;
        try
        {
            using var inflated = new DeflateStream(compressed, CompressionMode.Decompress);
            for (int count; total <= most && (count = inflated.Read(buffer)) > 0;)
            {
                cancellation.ThrowIfCancellationRequested();
                total += count;
            }
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            throw Cut("PNG");
        }
        if (total > most)
            throw new FormatException("is a PNG file that holds more pixels than its header says");
    }

    private static int Scans(ReadOnlySpan<byte> file)
    {
        var scans = 0;
        for (var at = 2; at + 4 <= file.Length;)
        {
            var marker = file[at] == 0xFF ? file[at + 1] : (byte)0;
            if (marker == EndOfImage)
                break;
            // Pixels, fill bytes, and markers that stand alone
            if (marker is 0 or 1 or 0xFF or (>= 0xD0 and <= 0xD7))
            {
                at += marker is 0 or 0xFF ? 1 : 2;
                continue;
            }
            scans += marker == StartOfScan ? 1 : 0;
            at += 2 + BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
        }
        return scans;
    }

    private static PictureHeader Png(ReadOnlySpan<byte> file) => file.Length >= 16 && file[12..16].SequenceEqual("CgBI"u8)
        ? throw UnsupportedCgbi()
        : file.Length >= 33 && file[12..16].SequenceEqual("IHDR"u8)
        ? new PictureHeader(PictureFormat.Png, Side(BinaryPrimitives.ReadUInt32BigEndian(file[16..])),
            Side(BinaryPrimitives.ReadUInt32BigEndian(file[20..])), PngOrientation(file))
        : throw Cut("PNG");

    private static PictureHeader Gif(ReadOnlySpan<byte> file) => file.Length >= 13
        ? new PictureHeader(PictureFormat.Gif, Side(file[6..]), Side(file[8..]))
        : throw Cut("GIF");

    private static int Side(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt16LittleEndian(bytes);

    private static PictureHeader Bmp(ReadOnlySpan<byte> file)
    {
        if (file.Length < 26)
            throw Cut("BMP");
        var header = BinaryPrimitives.ReadUInt32LittleEndian(file[14..]);
        if (header is not (12 or 40 or 56 or 108 or 124))
            throw new FormatException($"is a BMP file of a rare kind (its header has {header} bytes, as OS/2's), which is not read");
        if (header == 12)
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(file[24..]) < 24)
                throw new FormatException("is a BMP file of a rare kind (OS/2 1.x with a palette), which is not read");
            return new PictureHeader(PictureFormat.Bmp, BinaryPrimitives.ReadUInt16LittleEndian(file[18..]),
                BinaryPrimitives.ReadUInt16LittleEndian(file[20..]));
        }
        // Bit fields (3) say where the channels are.
        if (file.Length >= 34 && BinaryPrimitives.ReadUInt32LittleEndian(file[30..]) is not (0 or 3) and var packed)
        {
            throw new FormatException("is a BMP file of a rare kind ("
                + (packed is 1 or 2 ? "compressed with RLE" : $"compression {packed}") + "), which is not read");
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
        _ => "is a file of an unknown format: its first bytes are those of no picture format",
    };

    private static int Side(uint pixels) => (int)Math.Min(pixels, int.MaxValue);

    private static FormatException UnsupportedCgbi() => new("is a PNG file in Apple's own form (CgBI), which is not read");

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
