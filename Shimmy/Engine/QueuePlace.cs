namespace Shimmy.Engine;

/// <summary>
/// Where a request stands among those that wait for a slot. Clients of a higher rank come first; clients of one rank take turns; a client's
/// own requests go by priority, then by their arrival.
/// </summary>
/// <param name="Client">Who asks: the name of a key; all without one are one client.</param>
/// <param name="Rank">The client's rank; higher comes first.</param>
/// <param name="Priority">The request's priority among those of its client; as in vLLM lower comes first.</param>
public sealed record QueuePlace(string Client, int Rank = 0, int Priority = 0)
{
    /// <summary>The place of a request that says nothing.</summary>
    public static QueuePlace Default { get; } = new("");
}
