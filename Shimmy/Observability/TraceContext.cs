using System.Security.Cryptography;

namespace Shimmy.Observability;

/// <summary>
/// Trace context of a request (W3C Trace Context): ids of the trace, of the server's span in it, and of the caller's span.
/// </summary>
/// <param name="TraceId">32 lowercase hexadecimal digits; empty without a trace.</param>
/// <param name="SpanId">The server's span: 16 lowercase hexadecimal digits.</param>
/// <param name="ParentId">The caller's span: 16 lowercase hexadecimal digits; empty where the trace begins here.</param>
/// <param name="Sampled">The sampled flag: whether the trace is to be recorded.</param>
internal sealed record TraceContext(string TraceId, string SpanId, string ParentId, bool Sampled)
{
    private const int Length = 55;

    /// <summary>No trace.</summary>
    public static TraceContext None { get; } = new("", "", "", false);

    /// <summary>Whether there is a trace.</summary>
    public bool IsKnown => TraceId.Length > 0;

    /// <summary>
    /// Continues the trace of a <c>traceparent</c> header (<c>00-TRACE-SPAN-FLAGS</c>). Where the header is missing or invalid, starts a
    /// new trace if <paramref name="begin"/> is true, else returns <see cref="None"/>.
    /// </summary>
    public static TraceContext Of(string header, bool begin)
    {
        // W3C: later versions may append fields, but begin with the same ones. Version ff is invalid.
        if (header.Length >= Length && header[2] == '-' && header[35] == '-' && header[52] == '-'
            && (header.Length == Length || header[Length] == '-')
            && IsHex(header[..2]) && header[..2] != "ff" && IsId(header[3..35]) && IsId(header[36..52]) && IsHex(header[53..55]))
        {
            return new TraceContext(header[3..35], NewId(8), header[36..52], (Convert.ToInt32(header[53..55], 16) & 1) == 1);
        }

        return begin ? new TraceContext(NewId(16), NewId(8), "", true) : None;
    }

    /// <summary>The context of a further request in the same trace, with a span of its own.</summary>
    public TraceContext Next() => IsKnown ? this with { SpanId = NewId(8) } : this;

    /// <summary>A random id: 16 bytes for a trace, 8 for a span, in hexadecimal.</summary>
    public static string NewId(int bytes) => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(bytes));

    private static bool IsId(string text) => IsHex(text) && text.Any(c => c != '0');

    private static bool IsHex(string text) => text.All(c => c is (>= '0' and <= '9') or (>= 'a' and <= 'f'));
}
