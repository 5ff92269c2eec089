namespace Shimmy.Engine;

/// <summary>
/// A request or load that failed in an engine. The server turns <see cref="Failure"/> into a status and the dialect's error body.
/// </summary>
public sealed class EngineException(EngineFailure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The kind of failure.</summary>
    public EngineFailure Failure { get; } = failure;

    /// <summary>For <see cref="EngineFailure.PromptTooLong"/>: tokens of the prompt.</summary>
    public int PromptTokens { get; init; }

    /// <summary>For <see cref="EngineFailure.PromptTooLong"/>: tokens the context has.</summary>
    public int ContextLength { get; init; }

    /// <summary>For <see cref="EngineFailure.QueueFull"/>: seconds after which the queue may have capacity, at least 1.</summary>
    public int RetryAfterSeconds { get; init; } = 1;

    /// <summary>
    /// For <see cref="EngineFailure.LoadFailed"/>: the GPU memory that was missing; null where the load failed for another reason.
    /// </summary>
    public GpuShortage? Shortage { get; init; }

    /// <summary>
    /// For <see cref="EngineFailure.LoadFailed"/>: what the runtime could not, where another may; null where none could.
    /// </summary>
    public RuntimeFault? Fault { get; init; }

    /// <summary>
    /// Whether to try again is in vain, as long as nobody changes the model's file or the options (422 instead of 502): it can never fit,
    /// or its chat template is broken.
    /// </summary>
    public bool IsLasting { get; init; }

    /// <summary>
    /// For <see cref="EngineFailure.GenerationFailed"/>: whether the model gave logits that are no numbers, which what it remembers of a
    /// sequence then is neither.
    /// </summary>
    public bool HasBrokenMemory { get; init; }

    /// <summary>For <see cref="EngineFailure.InvalidRequest"/>: the field at fault, as requests spell it (<c>logit_bias</c>).</summary>
    public string? Option { get; init; }

    /// <summary>
    /// For <see cref="EngineFailure.InvalidRequest"/>: a short name for programs, such as <c>invalid_image</c>; null where the dialect's
    /// name for wrong values says enough.
    /// </summary>
    public string? Code { get; init; }

    /// <summary>A refusal of a request for which there is no memory now (429): others that wait or run hold as much as they may.</summary>
    /// <param name="what">What holds the memory, in the plural.</param>
    /// <param name="held">Bytes that it holds.</param>
    /// <param name="most">Bytes that it may hold.</param>
    public static EngineException Held(string what, long held, long most) => new(EngineFailure.QueueFull,
        $"{what} hold {held >> 20} MiB of the {most >> 20} MiB that are allowed; try again when some of them have ended")
    {
        RetryAfterSeconds = 5,
    };
}

/// <summary>Why a runtime (a build of llama.cpp) failed, which decides whether another one is tried.</summary>
public enum RuntimeFault
{
    /// <summary>It cannot be loaded: a library is missing, or it is a build that is not known.</summary>
    Unusable,

    /// <summary>It does not know what the model is made of: its architecture, for one.</summary>
    UnknownModel,
}

/// <summary>Too little free GPU memory for a model.</summary>
/// <param name="Devices">The devices that it was to go to, by ggml's names.</param>
/// <param name="MissingBytes">Bytes that must become free on all of them together, as far as that can be estimated; at least 1.</param>
public sealed record GpuShortage(IReadOnlyList<string> Devices, long MissingBytes);

/// <summary>Kinds of failure of an engine.</summary>
public enum EngineFailure
{
    /// <summary>The model could not be loaded (502; exit code 2 of the commands).</summary>
    LoadFailed,

    /// <summary>The prompt exceeds the context (400).</summary>
    PromptTooLong,

    /// <summary>An option or a grammar is wrong (400).</summary>
    InvalidRequest,

    /// <summary>The queue is full (429).</summary>
    QueueFull,

    /// <summary>The worker died or was unloaded while it generated (502).</summary>
    WorkerLost,

    /// <summary>llama.cpp could not decode (502).</summary>
    GenerationFailed,
}
