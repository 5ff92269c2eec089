using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>Small pictures, as files and as what must come out of them.</summary>
internal static class Pictures
{
    /// <summary>A red pixel, half transparent, as PNG.</summary>
    public static byte[] HalfRed { get; } = Png(1, 1, 6, [255, 0, 0, 128]);

    /// <summary>Three pixels in a row, red, green and blue, as PNG.</summary>
    public static byte[] Row { get; } = Png(3, 1, 2, [255, 0, 0, 0, 255, 0, 0, 0, 255]);

    /// <summary>A square of one colour as PNG.</summary>
    public static byte[] Square(int side, byte red, byte green, byte blue) =>
        Png(side, side, 2, [.. Enumerable.Range(0, side * side).SelectMany(_ => new[] { red, green, blue })]);

    /// <summary>A picture as a data: URI.</summary>
    public static string Url(byte[] file) => "data:image/png;base64," + Convert.ToBase64String(file);

    /// <summary>A PNG file of 8 bits a channel; <paramref name="colour"/> is 2 for RGB, 6 for RGBA, 0 for grey.</summary>
    /// <param name="width">Pixels of a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="colour">PNG's kind of colour.</param>
    /// <param name="pixels">The channels of all pixels.</param>
    /// <param name="extra">A chunk in front of the pixels: its name and content.</param>
    public static byte[] Png(int width, int height, byte colour, byte[] pixels, (string Name, byte[] Content)? extra = null)
    {
        using var rows = new MemoryStream();
        var stride = width * (colour switch { 0 => 1, 2 => 3, _ => 4 });
        for (var row = 0; row < height && (row + 1) * stride <= pixels.Length; row++)
        {
            rows.WriteByte(0);
            rows.Write(pixels, row * stride, stride);
        }
        return PngOf(width, height, 8, colour, 0, Deflated(rows.ToArray()), extra);
    }

    /// <summary>A PNG file of any kind.</summary>
    /// <param name="width">Pixels of a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="depth">Bits of a channel.</param>
    /// <param name="colour">PNG's kind of colour.</param>
    /// <param name="interlace">1 for Adam7.</param>
    /// <param name="data">The compressed rows.</param>
    /// <param name="extra">A chunk in front of the pixels: its name and content.</param>
    public static byte[] PngOf(int width, int height, byte depth, byte colour, byte interlace, byte[] data,
        (string Name, byte[] Content)? extra = null)
    {
        using var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]);
        var head = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(head, width);
        BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(4), height);
        (head[8], head[9], head[12]) = (depth, colour, interlace);
        Chunk(file, "IHDR", head);
        if (extra is { } chunk)
            Chunk(file, chunk.Name, chunk.Content);
        Chunk(file, "IDAT", data);
        Chunk(file, "IEND", []);
        return file.ToArray();
    }

    /// <summary>
    /// A JPEG file of 8 x 8 pixels of one colour: only the mean of the block is written. Four channels are CMYK as Adobe writes it.
    /// </summary>
    /// <param name="channels">A value for each channel.</param>
    /// <param name="isProgressive">Whether it is progressive.</param>
    /// <param name="scans">How often the pixels are written.</param>
    public static byte[] Jpeg(byte[] channels, bool isProgressive = false, int scans = 1)
    {
        using var file = new MemoryStream();
        file.Write([0xFF, 0xD8]);
        if (channels.Length == 4)
            Segment(0xEE, [.. "Adobe"u8, 0, 100, 0, 0, 0, 0, 0]);
        Segment(0xDB, [0, .. Enumerable.Repeat((byte)1, 64)]);
        Segment((byte)(isProgressive ? 0xC2 : 0xC0),
            [8, 0, 8, 0, 8, (byte)channels.Length, .. channels.SelectMany((_, i) => new byte[] { (byte)(i + 1), 0x11, 0 })]);
        // Twelve codes of four bits for the size of a mean, and one of a bit that ends a block.
        Segment(0xC4, [0x00, 0, 0, 0, 12, .. new byte[12], .. Enumerable.Range(0, 12).Select(size => (byte)size)]);
        Segment(0xC4, [0x10, 1, .. new byte[15], 0]);
        var bits = string.Concat(channels.Select(value =>
        {
            var mean = 8 * (value - 128);
            var size = 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)Math.Abs(mean));
            var written = mean < 0 ? mean + (1 << size) - 1 : mean;
            return Convert.ToString(size, 2).PadLeft(4, '0')
                + (size == 0 ? "" : Convert.ToString(written, 2).PadLeft(size, '0')) + (isProgressive ? "" : "0");
        }));
        bits = bits.PadRight((bits.Length + 7) / 8 * 8, '1');
        for (var scan = 0; scan < scans; scan++)
        {
            Segment(0xDA, [(byte)channels.Length, .. channels.SelectMany((_, i) => new byte[] { (byte)(i + 1), 0 }), 0,
                (byte)(isProgressive ? 0 : 63), 0]);
            for (var i = 0; i < bits.Length; i += 8)
            {
                var value = Convert.ToByte(bits.Substring(i, 8), 2);
                file.WriteByte(value);
                if (value == 0xFF)
                    file.WriteByte(0);
            }
        }
        file.Write([0xFF, 0xD9]);
        return file.ToArray();

        void Segment(byte marker, byte[] content)
        {
            file.Write([0xFF, marker, (byte)((content.Length + 2) >> 8), (byte)(content.Length + 2)]);
            file.Write(content);
        }
    }

    /// <summary>
    /// A GIF file of 4 x 4 pixels whose one frame covers the 2 x 2 in the middle with red; the background color is blue.
    /// </summary>
    public static byte[] Gif { get; } =
    [
        .. "GIF89a"u8, 4, 0, 4, 0, 0x91, 1, 0, 255, 0, 0, 0, 0, 255, 0, 255, 0, 9, 9, 9, 0x2C, 1, 0, 1, 0, 2, 0, 2, 0, 0,
        // Codes of three bits, the lowest first: clear, red, red, clear, red, red, end.
        2, 3, 0x04, 0x08, 0x14, 0, 0x3B,
    ];

    /// <summary>EXIF's directory with nothing but an orientation.</summary>
    public static byte[] Exif(byte orientation) =>
        [(byte)'M', (byte)'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];

    /// <summary>Bytes as zlib writes them.</summary>
    public static byte[] Deflated(byte[] bytes)
    {
        using var written = new MemoryStream();
        using (var zlib = new ZLibStream(written, CompressionLevel.Fastest, leaveOpen: true))
            zlib.Write(bytes);
        return written.ToArray();
    }

    // The checksums are not read by any decoder here, so they are left 0.
    private static void Chunk(MemoryStream file, string name, byte[] content)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, content.Length);
        file.Write(length);
        file.Write(Encoding.ASCII.GetBytes(name));
        file.Write(content);
        file.Write(new byte[4]);
    }
}
