using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// Bodies for what Kestrel refuses by itself: a request that is not valid HTTP never reaches the middleware, and is answered with an empty
/// body that no client can tell anything from. Kestrel has no hook for it, so its answer is recognised on its way out, by the lack of the
/// header that all of ours have, and written anew with the error of the dialect whose path the request has.
/// </summary>
/// <param name="routes">The routes, for the dialect of a path.</param>
internal sealed class RefusalBodies(RouteTable routes)
{
    /// <summary>Wraps a connection.</summary>
    public ConnectionDelegate Around(ConnectionDelegate next) => async connection =>
    {
        var transport = connection.Transport;
        var request = new RequestLine(transport.Input);
        connection.Transport = new WrappedTransport(request, new Output(transport.Output, request, routes));
        await next(connection).ConfigureAwait(false);
    };

    private static string MessageOf(int status) => status switch
    {
        408 => "the header of the request did not come in time",
        413 => "the request body is larger than this server accepts",
        414 => "the request line is too long",
        431 => "the header of the request is too large, or has too many lines",
        505 => "the version of HTTP is not supported; HTTP/1.1 is",
        _ => "the request is not valid HTTP: its first line or a line of its header is malformed",
    };

    // Reads along, for the first line of the latest request.
    private sealed class RequestLine(PipeReader inner) : PipeReader
    {
        private const int Longest = 2048;

        /// <summary>The path; / where the line is none.</summary>
        public string Path { get; private set; } = "/";

        /// <summary>Whether an answer may have a body.</summary>
        public bool TakesBody { get; private set; } = true;

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            var result = await inner.ReadAsync(cancellationToken).ConfigureAwait(false);
            Look(result.Buffer);
            return result;
        }

        public override bool TryRead(out ReadResult result)
        {
            var read = inner.TryRead(out result);
            if (read)
                Look(result.Buffer);
            return read;
        }

        public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => inner.AdvanceTo(consumed, examined);

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);

        // METHOD SP / … up to a space, a question mark or the end of the line.
        private void Look(in ReadOnlySequence<byte> buffer)
        {
            var start = buffer.FirstSpan;
            start = start[..Math.Min(start.Length, Longest)];
            var space = start.IndexOf((byte)' ');
            if (space is < 1 or > 20 || space + 1 >= start.Length || start[space + 1] != '/'
                || start[..space].ContainsAnyExceptInRange((byte)'A', (byte)'Z'))
            {
                return;
            }

            var path = start[(space + 1)..];
            var end = path.IndexOfAny(" ?\r\n"u8);
            Path = Encoding.ASCII.GetString(end < 0 ? path : path[..end]);
            TakesBody = !start[..space].SequenceEqual("HEAD"u8);
        }
    }

    // Kestrel writes the head of an answer in one piece.
    private sealed class Output(PipeWriter inner, RequestLine request, RouteTable routes) : PipeWriter
    {
        private Memory<byte> _given;

        public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

        public override long UnflushedBytes => inner.UnflushedBytes;

        public override Memory<byte> GetMemory(int sizeHint = 0) => _given = inner.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        public override void Advance(int bytes)
        {
            if (bytes > 0 && bytes <= _given.Length && OfRefusal(_given.Span[..bytes]) is { } answer)
                inner.Write(answer);
            else
                inner.Advance(bytes);
            _given = default;
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
            inner.FlushAsync(cancellationToken);

        public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default) =>
            inner.WriteAsync(source, cancellationToken);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);

        // Null where the bytes are no refusal of Kestrel's.
        private byte[]? OfRefusal(ReadOnlySpan<byte> head)
        {
            const string length = "\r\nContent-Length: 0\r\n";
            if (!head.StartsWith("HTTP/1.1 "u8) || head.Length < 12 || head[9] is not ((byte)'4' or (byte)'5') || !request.TakesBody)
                return null;
            var text = Encoding.ASCII.GetString(head);
            if (!text.EndsWith("\r\n\r\n", StringComparison.Ordinal) || !text.Contains(length, StringComparison.Ordinal)
                || !text.Contains("\r\nConnection: close\r\n", StringComparison.OrdinalIgnoreCase)
                || text.Contains("\r\nx-request-id:", StringComparison.OrdinalIgnoreCase)
                || !int.TryParse(text.AsSpan(9, 3), out var status))
            {
                return null;
            }

            var body = routes.DialectOf(request.Path).ErrorBody(new ApiError(status, MessageOf(status), "invalid_http", null));
            var stated = $"\r\nContent-Length: {body.Length}\r\nContent-Type: application/json\r\n";
            return [.. Encoding.ASCII.GetBytes(text.Replace(length, stated, StringComparison.Ordinal)), .. body];
        }
    }
}
