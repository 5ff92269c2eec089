using System.IO.Compression;
using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>
/// The body of a request that a client has compressed (<c>Content-Encoding</c>, RFC 9110, 8.4), unpacked while it is read and no longer
/// than a body may be: a few bytes unpack to gigabytes.
/// </summary>
internal sealed class DecodedBody : ForwardStream
{
    private readonly Stream _unpacked;
    private readonly string _encoding;
    private readonly long _limit;
    private long _read;

    private DecodedBody(Stream unpacked, string encoding, long limit) => (_unpacked, _encoding, _limit) = (unpacked, encoding, limit);

    /// <summary>
    /// Unpacks the body of a request that says that it is packed. Throws <see cref="ApiException"/> (415) for an encoding that is not
    /// supported.
    /// </summary>
    public static void Unpack(HttpRequest request, long limit)
    {
        var encoding = request.Headers.ContentEncoding.ToString().Trim().ToLowerInvariant();
        if (encoding is "" or "identity")
            return;
        Stream unpacked = encoding switch
        {
            "gzip" or "x-gzip" => new GZipStream(request.Body, CompressionMode.Decompress),
            "deflate" => new ZLibStream(request.Body, CompressionMode.Decompress),
            _ => throw new ApiException(415,
                $"Content-Encoding: {RequestFields.Quote(encoding)} is not supported; gzip and deflate are", "unsupported_encoding"),
        };
        request.Body = new DecodedBody(unpacked, encoding, limit);
        request.Headers.Remove("Content-Encoding");
        request.ContentLength = null;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            var read = await _unpacked.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            _read += read;
            return _read <= _limit
                ? read
                : throw new ApiException(413, "the request body is larger than this server accepts, once it is unpacked",
                    "request_too_large");
        }
        catch (InvalidDataException)
        {
            throw new ApiException(400, $"Content-Encoding: the body is not {_encoding}, or is damaged", "invalid_body");
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _unpacked.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>A stream that is read once, from its beginning to its end, without blocking a thread.</summary>
internal abstract class ForwardStream : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public abstract override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }
}
