namespace Shimmy.Api;

/// <summary>
/// A stream broke off after its error event was sent. Thrown through to Kestrel, which then sends what was written and closes the connection
/// without the end of the body: clients that know no error events (OpenAI's of .NET) see that the answer is not whole.
/// </summary>
internal sealed class StreamBrokenException(Exception cause, bool isOurFault) : Exception(cause.Message, cause)
{
    /// <summary>Whether the cause is none that a client is told about.</summary>
    public bool IsOurFault { get; } = isOurFault;
}
