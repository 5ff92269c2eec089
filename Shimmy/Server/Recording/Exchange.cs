using System.Text;

namespace Shimmy.Server.Recording;

/// <summary>A request and its answer.</summary>
/// <param name="Request">The request.</param>
/// <param name="Status">The answer's HTTP status.</param>
internal sealed record Exchange(CanonicalRequest Request, int Status)
{
    /// <summary>The body of an answer that is not streamed; null for a stream.</summary>
    public byte[]? Answer { get; init; }

    /// <summary>Milliseconds from the request's arrival to its end.</summary>
    public double Milliseconds { get; init; }

    /// <summary>The server-sent events of a stream, or its lines of JSON, in order; null where the answer is not streamed.</summary>
    public IReadOnlyList<StreamPiece>? Stream { get; init; }

    /// <summary>Whether the stream is lines of JSON, not server-sent events.</summary>
    public bool IsLines => Stream is [var first, ..] && first.Text.StartsWith('{');

    /// <summary>The body as it goes over the wire.</summary>
    public byte[] Wire() => Answer ?? Encoding.UTF8.GetBytes(string.Concat(Stream!.Select(piece => piece.Text)));
}

/// <summary>One server-sent event, or what else stands between two empty lines of a stream; or one line of a stream of lines.</summary>
/// <param name="Text">All of it, the empty line at its end included.</param>
/// <param name="Milliseconds">When it was sent, from the request's arrival on.</param>
internal readonly record struct StreamPiece(string Text, double Milliseconds)
{
    /// <summary>
    /// Takes a stream apart, at its empty lines or at each line; <paramref name="flushes"/> says how many bytes were out at which time.
    /// </summary>
    public static List<StreamPiece> Split(byte[] body, IReadOnlyList<(int Bytes, double Milliseconds)> flushes, bool lines = false)
    {
        var separator = lines ? "\n"u8 : "\n\n"u8;
        var pieces = new List<StreamPiece>();
        var flush = 0;
        for (var at = 0; at < body.Length;)
        {
            var length = body.AsSpan(at).IndexOf(separator);
            var end = length < 0 ? body.Length : at + length + separator.Length;
            while (flush < flushes.Count - 1 && flushes[flush].Bytes < end)
                flush++;
            pieces.Add(new StreamPiece(Encoding.UTF8.GetString(body, at, end - at), flushes.Count == 0 ? 0 : flushes[flush].Milliseconds));
            at = end;
        }
        return pieces;
    }
}
