using Shimmy.Engine;

namespace Shimmy.Worker.Sequences;

/// <summary>What waits in a <c>WaitingLine&lt;T&gt;</c>.</summary>
internal interface IWaiting
{
    /// <summary>The id under which it came.</summary>
    uint RequestId { get; }

    /// <summary>Where it stands among those that wait.</summary>
    QueuePlace Place { get; }

    /// <summary>Nobody waits for it any more.</summary>
    bool Cancelled { get; set; }
}
