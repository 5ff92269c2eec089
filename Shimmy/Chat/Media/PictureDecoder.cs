using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Shimmy.Engine;
using StbImageSharp;

namespace Shimmy.Chat.Media;

/// <summary>
/// Decodes pictures to RGB: transparency over white, and turned as the camera says. No file of a client ever reaches native code: the
/// worker gets pixels.
/// </summary>
internal static class PictureDecoder
{
    /// <summary>Pixels that a picture may have where nothing else is set: 24 megapixels, as phones make them.</summary>
    public const int DefaultMostPixels = 25_000_000;

    /// <summary>Decodes a picture. Throws <see cref="FormatException"/> whose text follows the field's name.</summary>
    /// <param name="file">The file.</param>
    /// <param name="mostPixels">Most pixels; checked before anything is allocated.</param>
    public static Medium Decode(ReadOnlyMemory<byte> file, long mostPixels)
    {
        var header = HeaderOf(file.Span, mostPixels);
        if (header.InflatesTooFar(file))
            throw new FormatException("is a PNG file that holds more pixels than its header says");
        var image = Load(file);
        if ((image.Width, image.Height) != (header.Width, header.Height))
            throw new FormatException("is a picture of another size than its header says");
        var pixels = Turned(OverWhite(image), header.Width, header.Height, header.Orientation);
        return Of(header.SeenWidth, header.SeenHeight, pixels);
    }

    /// <summary>The size of a picture, without its pixels: enough to count its tokens. Throws <see cref="FormatException"/>.</summary>
    public static Medium Measure(ReadOnlySpan<byte> file, long mostPixels) =>
        HeaderOf(file, mostPixels) is var header ? new Medium(MediumKind.Picture, header.SeenWidth, header.SeenHeight, "") : null!;

    /// <summary>A picture of these pixels.</summary>
    public static Medium Of(int width, int height, byte[] rgb)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{width}x{height} ")));
        hash.AppendData(rgb);
        return new Medium(MediumKind.Picture, width, height, Convert.ToHexStringLower(hash.GetHashAndReset())) { Data = rgb };
    }

    private static PictureHeader HeaderOf(ReadOnlySpan<byte> file, long mostPixels)
    {
        var header = PictureHeader.Read(file);
        return header.Pixels <= mostPixels
            ? header
            : throw new FormatException(
                $"is a picture of {header.Width} x {header.Height} pixels; at most {mostPixels} pixels are taken (--media-pixels)");
    }

    private static ImageResult Load(ReadOnlyMemory<byte> file)
    {
        try
        {
            var bytes = MemoryMarshal.TryGetArray(file, out var segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length
                ? segment.Array
                : file.ToArray();
            return ImageResult.FromMemory(bytes, ColorComponents.Default);
        }
        // The decoder's own exceptions are of many kinds, and none tells more than that the file is damaged.
        catch (Exception e)
        {
            throw new FormatException("is a damaged picture", e);
        }
    }

    private static byte[] OverWhite(ImageResult image)
    {
        var (data, channels) = (image.Data, (int)image.Comp);
        var pixels = image.Width * image.Height;
        if (channels == 3)
            return data;
        var rgb = new byte[3 * pixels];
        for (var i = 0; i < pixels; i++)
        {
            var from = data.AsSpan(i * channels, channels);
            var alpha = channels is 2 or 4 ? from[^1] : (byte)255;
            for (var channel = 0; channel < 3; channel++)
            {
                var value = from[channels <= 2 ? 0 : channel];
                rgb[(3 * i) + channel] = (byte)(((value * alpha) + (255 * (255 - alpha)) + 127) / 255);
            }
        }
        return rgb;
    }

    private static byte[] Turned(byte[] rgb, int width, int height, int orientation)
    {
        if (orientation == 1)
            return rgb;
        var turned = new byte[rgb.Length];
        var seenWidth = orientation >= 5 ? height : width;
        for (var row = 0; row < height; row++)
        {
            for (var column = 0; column < width; column++)
            {
                // Where the stored pixel is seen.
                var (x, y) = orientation switch
                {
                    2 => (width - 1 - column, row),
                    3 => (width - 1 - column, height - 1 - row),
                    4 => (column, height - 1 - row),
                    5 => (row, column),
                    6 => (height - 1 - row, column),
                    7 => (height - 1 - row, width - 1 - column),
                    _ => (row, width - 1 - column),
                };
                rgb.AsSpan(3 * ((row * width) + column), 3).CopyTo(turned.AsSpan(3 * ((y * seenWidth) + x)));
            }
        }
        return turned;
    }
}
