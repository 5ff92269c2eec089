using System.Text;

namespace Shimmy.Tests.Soak.Fuzz;

/// <summary>What a client does beside sending.</summary>
internal enum Manner
{
    /// <summary>Sends all at once and waits.</summary>
    Plain,

    /// <summary>Sends in small pieces.</summary>
    Pieces,

    /// <summary>Closes its own direction behind the request.</summary>
    HalfClosed,

    /// <summary>Leaves without a word.</summary>
    Gone,
}

/// <summary>A damaged request as it goes over the wire.</summary>
/// <param name="Path">The path that its dialect is known by.</param>
/// <param name="Bytes">What is sent.</param>
/// <param name="Framed">Whether HTTP itself is whole, so that exactly one answer must come, with the dialect's error if any.</param>
/// <param name="Manner">What the client does beside sending.</param>
internal sealed record FuzzCase(string Path, byte[] Bytes, bool Framed, Manner Manner)
{
    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder($"{Manner} ");
        foreach (var one in Bytes.Take(1000))
            text.Append(one is >= 32 and < 127 and not (byte)'\\' ? (char)one : one == '\n' ? "\\n" : one == '\r' ? "\\r" : $"\\x{one:x2}");
        return text.Append(Bytes.Length > 1000 ? $"… ({Bytes.Length} bytes)" : "").ToString();
    }
}
