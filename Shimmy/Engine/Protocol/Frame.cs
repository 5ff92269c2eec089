namespace Shimmy.Engine.Protocol;

/// <summary>Kinds of frames. The first letter of each comment is the sender: P the parent, W the worker.</summary>
internal enum FrameKind : byte
{
    /// <summary>P: JSON of a <see cref="ModelSpec"/>.</summary>
    Load = 1,

    /// <summary>P: a <see cref="GenerationRequest"/> as <see cref="PromptFrames"/> writes it.</summary>
    Generate = 2,

    /// <summary>P: ends the request of this id. A generation is answered by its end event, anything else not at all.</summary>
    Cancel = 3,

    /// <summary>
    /// P: a <see cref="Prompt"/> as <see cref="PromptFrames"/> writes it; answered by <see cref="Reply"/> with token ids, -1 for each token
    /// of a medium.
    /// </summary>
    Tokenize = 4,

    /// <summary>P: token ids; answered by <see cref="Reply"/> with bytes.</summary>
    Detokenize = 5,

    /// <summary>P: answered by <see cref="Reply"/> with the JSON of an <see cref="EngineStatistics"/>.</summary>
    Statistics = 6,

    /// <summary>
    /// P: JSON of the names of backends that must not be loaded, with the reasons; answered by <see cref="Reply"/> with the JSON of a
    /// <see cref="BackendReport"/>. Loads no model.
    /// </summary>
    ReportBackends = 7,

    /// <summary>
    /// P: JSON of an <see cref="EmbeddingRequest"/>; answered by <see cref="Reply"/> with the token count and the values.
    /// </summary>
    Embed = 8,

    /// <summary>W: a float, 0 to 1: how much of the model is loaded.</summary>
    Progress = 32,

    /// <summary>W: the answer to the request of this id; its format is that of the request's kind.</summary>
    Reply = 33,

    /// <summary>W: JSON of a <see cref="WorkerError"/>: the failure of the request of this id.</summary>
    Failed = 34,

    /// <summary>W: the events of one turn, of all sequences (<see cref="EventCodec"/>).</summary>
    Events = 35,

    /// <summary>W: a line of llama.cpp's log: one byte level, then UTF-8.</summary>
    Log = 36,
}

/// <summary>A message between a server and its worker.</summary>
/// <param name="Kind">The kind, which decides the format of the payload.</param>
/// <param name="Id">Id of the request; 0 for a frame that belongs to none.</param>
/// <param name="Payload">The content; the receiver owns it.</param>
internal readonly record struct Frame(FrameKind Kind, uint Id, byte[] Payload);
