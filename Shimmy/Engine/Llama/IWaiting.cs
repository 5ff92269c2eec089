namespace Shimmy.Engine.Llama;

/// <summary>What waits in a <see cref="WaitingLine{T}"/>.</summary>
internal interface IWaiting
{
    /// <summary>The id under which it came.</summary>
    uint RequestId { get; }

    /// <summary>Where it stands among those that wait.</summary>
    QueuePlace Place { get; }

    /// <summary>Nobody waits for it any more.</summary>
    bool Cancelled { get; set; }
}
