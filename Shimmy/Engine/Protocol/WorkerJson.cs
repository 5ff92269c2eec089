using System.Text.Json.Serialization;

namespace Shimmy.Engine.Protocol;

/// <summary>
/// JSON contracts of the records that cross the pipe once a request or less; events have a binary format (<see cref="EventCodec"/>).
/// </summary>
// Metadata alone: the faster paths that it could have beside it are 66 KB of the executable with those of CliJson, and save microseconds
// once a request.
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ModelSpec))]
[JsonSerializable(typeof(ModelFacts))]
[JsonSerializable(typeof(GenerationRequest))]
[JsonSerializable(typeof(Prompt))]
[JsonSerializable(typeof(EmbeddingRequest))]
[JsonSerializable(typeof(EngineStatistics))]
[JsonSerializable(typeof(SlotAction))]
[JsonSerializable(typeof(SlotResult))]
[JsonSerializable(typeof(BackendReport))]
[JsonSerializable(typeof(Dictionary<string, string>))]
[JsonSerializable(typeof(WorkerError))]
internal sealed partial class WorkerJson : JsonSerializerContext;

/// <summary>An <see cref="EngineException"/> on the pipe.</summary>
internal sealed record WorkerError(EngineFailure Failure, string Message, int PromptTokens,
    int ContextLength, string? Option, int RetryAfterSeconds, GpuShortage? Shortage, RuntimeFault? Fault)
{
    public static WorkerError Of(EngineException error) => new(
        error.Failure, error.Message, error.PromptTokens, error.ContextLength, error.Option, error.RetryAfterSeconds, error.Shortage,
        error.Fault);

    public EngineException ToException() => new(Failure, Message)
    {
        PromptTokens = PromptTokens,
        ContextLength = ContextLength,
        Option = Option,
        RetryAfterSeconds = RetryAfterSeconds,
        Shortage = Shortage,
        Fault = Fault,
    };
}
