using Shimmy.Engine;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Scheduling;

/// <summary>Work for the scheduler's thread that is no generation: a text to embed.</summary>
/// <param name="requestId">The request.</param>
/// <param name="place">Where it stands among those that wait.</param>
/// <param name="work">The work.</param>
/// <param name="refused">Hears that it is not done because too many wait.</param>
internal sealed class EmbeddingJob(uint requestId, QueuePlace place, Action work, Action<EngineException> refused) : IQueued
{
    public uint RequestId { get; } = requestId;

    public QueuePlace Place { get; } = place;

    public bool Cancelled { get; set; }

    public void Do() => work();

    public void Refuse(EngineException error) => refused(error);
}
