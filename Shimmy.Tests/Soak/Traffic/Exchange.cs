using System.Text;

namespace Shimmy.Tests.Soak.Traffic;

/// <summary>What a request asks for.</summary>
internal enum Route
{
    Chat,
    Completion,
    Response,
    Embedding,
    Messages,
    CountTokens,
    Generate,
    Socket,
    Tokenize,
    Models,
    Status,
    Health,
}

/// <summary>A valid request.</summary>
/// <param name="Route">What it asks for.</param>
/// <param name="Method">HTTP's method.</param>
/// <param name="Path">HTTP's path.</param>
/// <param name="Body">The body; null for none.</param>
/// <param name="Stream">Whether the answer comes in pieces.</param>
/// <param name="Tokens">Tokens that a whole answer has, neither more nor less; null where none are generated.</param>
internal sealed record Exchange(Route Route, string Method, string Path, string? Body, bool Stream, int? Tokens)
{
    /// <summary>The name of the model that is asked: the one that is always there.</summary>
    public const string Model = "shimmy-demo";

    /// <summary>The request as HTTP/1.1.</summary>
    public byte[] Bytes
    {
        get
        {
            var body = Body ?? "";
            var type = Body is null ? "" : $"Content-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n";
            return Encoding.UTF8.GetBytes($"{Method} {Path} HTTP/1.1\r\nHost: localhost\r\n{type}\r\n{body}");
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Method} {Path} {Body}";
}
