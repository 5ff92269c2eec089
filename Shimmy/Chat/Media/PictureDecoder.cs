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

    /// <summary>
    /// Decodes a picture. Throws <see cref="FormatException"/> whose text follows the field's name, and
    /// <see cref="OperationCanceledException"/> where <paramref name="cancellation"/> asks.
    /// </summary>
    /// <param name="file">The file.</param>
    /// <param name="mostPixels">Most pixels; checked before anything is allocated.</param>
    /// <param name="cancellation">Ends the decoding.</param>
    public static Medium Decode(ReadOnlyMemory<byte> file, long mostPixels, CancellationToken cancellation = default)
    {
        var header = HeaderOf(file.Span, mostPixels);
        header.CheckContent(file, cancellation);
        var image = Load(file, header.Format, cancellation);
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

    private static ImageResult Load(ReadOnlyMemory<byte> file, PictureFormat format, CancellationToken cancellation)
    {
        try
        {
            var bytes = format != PictureFormat.Gif && MemoryMarshal.TryGetArray(file, out var segment) && segment.Offset == 0
                && segment.Count == segment.Array!.Length ? segment.Array : file.ToArray();
            // What the first frame does not cover is transparent in every browser. StbImageSharp would fill it with a background color,
            // and takes that from a wrong place.
            if (format == PictureFormat.Gif)
                bytes[PictureHeader.GifBackground] = 0;
            using var stream = new PictureStream(bytes, cancellation);
            var image = ImageResult.FromStream(stream, ColorComponents.Default);
            cancellation.ThrowIfCancellationRequested();
            return image;
        }
        // The decoder's own exceptions are of many kinds, and none says more than that the file is damaged.
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            throw new FormatException($"is a damaged {format.ToString().ToUpperInvariant()} file", e);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new OperationCanceledException(cancellation);
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

/// <summary>
/// A file for StbImageSharp, which frees what it has allocated where its own checks fail, but not where an exception passes through it. A
/// chunk of negative length makes it seek backwards, which ends the file here, as in stb_image. Where cancellation is asked for, the file
/// ends as well: its position is the end then, by which the decoder leaves the loops that look for a marker.
/// </summary>
/// <param name="file">The file.</param>
/// <param name="cancellation">Ends the file.</param>
internal sealed class PictureStream(byte[] file, CancellationToken cancellation) : MemoryStream(file, writable: false)
{
    /// <inheritdoc/>
    public override int ReadByte() => IsAtEnd() ? -1 : base.ReadByte();

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => IsAtEnd() ? 0 : base.Read(buffer, offset, count);

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin loc) =>
        loc == SeekOrigin.Current && offset < 0 ? Position = Length : base.Seek(offset, loc);

    private bool IsAtEnd()
    {
        if (cancellation.IsCancellationRequested)
            Position = Length;
        return Position >= Length;
    }
}
