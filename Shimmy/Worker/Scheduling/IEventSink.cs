using Shimmy.Engine;

namespace Shimmy.Worker.Scheduling;

/// <summary>Receiver of the events of a turn, which <see cref="Flush"/> sends. Called on the scheduler's thread only.</summary>
internal interface IEventSink
{
    void Started(uint requestId, GenerationStart start);

    void Token(uint requestId, int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability, TokenDraft draft);

    void PromptToken(uint requestId, int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability);

    void Progress(uint requestId, int computed);

    void Ended(uint requestId, GenerationEnd end);

    void Failed(uint requestId, EngineException error);

    /// <summary>Changes of what is held, as <see cref="CellBlocks"/> writes them; sent at once.</summary>
    void Holds(ReadOnlyMemory<byte> changes);

    void Flush();
}
