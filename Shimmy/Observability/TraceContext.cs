using System.Security.Cryptography;

namespace Shimmy.Observability;

/// <summary>Where a request stands in a trace (W3C Trace Context): the trace, our span in it, and the span that called.</summary>
/// <param name="TraceId">32 hexadecimal digits.</param>
/// <param name="SpanId">16 hexadecimal digits; the server's own span.</param>
/// <param name="ParentId">16 hexadecimal digits; empty where the trace begins here.</param>
/// <param name="Sampled">Whether the caller wants the trace recorded.</param>
internal sealed record TraceContext(string TraceId, string SpanId, string ParentId, bool Sampled)
{
    private const int Length = 55;

    /// <summary>No trace.</summary>
    public static TraceContext None { get; } = new("", "", "", false);

    /// <summary>Whether there is a trace.</summary>
    public bool IsKnown => TraceId.Length > 0;

    /// <summary>
    /// Goes on with the trace of a <c>traceparent</c> header (<c>00-TRACE-SPAN-FLAGS</c>). Where there is none, or it is not valid, a new one
    /// begins if <paramref name="begin"/> says so.
    /// </summary>
    public static TraceContext Of(string header, bool begin)
    {
        // A later version may be longer, and begins the same.
        if (header.Length >= Length && header[2] == '-' && header[35] == '-' && header[52] == '-' && (header.Length == Length || header[Length] == '-')
            && IsHex(header[..2]) && header[..2] != "ff" && IsId(header[3..35]) && IsId(header[36..52]) && IsHex(header[53..55]))
        {
            return new TraceContext(header[3..35], NewId(8), header[36..52], (Convert.ToInt32(header[53..55], 16) & 1) == 1);
        }

        return begin ? new TraceContext(NewId(16), NewId(8), "", true) : None;
    }

    /// <summary>The place of a further request in the same trace.</summary>
    public TraceContext Next() => IsKnown ? this with { SpanId = NewId(8) } : this;

    /// <summary>A new id of so many bytes.</summary>
    public static string NewId(int bytes) => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(bytes));

    private static bool IsId(string text) => IsHex(text) && text.Any(c => c != '0');

    private static bool IsHex(string text) => text.All(c => c is (>= '0' and <= '9') or (>= 'a' and <= 'f'));
}
