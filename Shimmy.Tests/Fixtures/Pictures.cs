using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Shimmy.Tests.Fixtures;

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
        using var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]);
        var head = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(head, width);
        BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(4), height);
        (head[8], head[9]) = (8, colour);
        Chunk(file, "IHDR", head);
        if (extra is { } chunk)
            Chunk(file, chunk.Name, chunk.Content);
        Chunk(file, "IDAT", Deflated(rows.ToArray()));
        Chunk(file, "IEND", []);
        return file.ToArray();
    }

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
