using Shimmy.Engine;

namespace Shimmy.Worker.Sequences;

/// <summary>An entry of a <c>RequestQueue&lt;T&gt;</c>.</summary>
internal interface IQueued
{
    /// <summary>The id under which it came.</summary>
    uint RequestId { get; }

    /// <summary>Where it stands among those that wait.</summary>
    QueuePlace Place { get; }

    /// <summary>Nobody waits for it any more.</summary>
    bool Cancelled { get; set; }
}
