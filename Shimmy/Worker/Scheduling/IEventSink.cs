using Shimmy.Engine;

namespace Shimmy.Worker.Scheduling;

/// <summary>Takes what happens in a turn; <see cref="Flush"/> sends it. Called on the scheduler's thread alone.</summary>
internal interface IEventSink
{
    void Started(uint requestId, GenerationStart start);

    void Token(uint requestId, int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability, TokenDraft draft);

    void PromptToken(uint requestId, int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability);

    void Ended(uint requestId, GenerationEnd end);

    void Failed(uint requestId, EngineException error);

    void Flush();
}
