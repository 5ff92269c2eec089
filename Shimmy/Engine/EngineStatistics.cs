namespace Shimmy.Engine;

/// <summary>Counters of one model's scheduler; totals count since the load, the others are of this moment.</summary>
public sealed record EngineStatistics
{
    /// <summary>Sequences that are prefilling or decoding now, and the text that is embedded now.</summary>
    public int SlotsBusy { get; init; }

    /// <summary>The slots now, in the order of their ids.</summary>
    public IReadOnlyList<SlotState> Slots { get; init; } = [];

    /// <summary>Requests that wait for a slot now, and texts that wait to be embedded.</summary>
    public int Waiting { get; init; }

    /// <summary>Names of the adapters that act on a sequence that runs now.</summary>
    public IReadOnlyList<string> RunningAdapters { get; init; } = [];

    /// <summary>Names of the adapters that are to act on a request that waits now.</summary>
    public IReadOnlyList<string> WaitingAdapters { get; init; } = [];

    /// <summary>KV cells in use now, idle prefixes included.</summary>
    public int CellsUsed { get; init; }

    /// <summary>Those of them that hold requests which run; the others are given up wherever cells are needed.</summary>
    public int CellsBusy { get; init; }

    /// <summary>All KV cells.</summary>
    public int Cells { get; init; }

    /// <summary>Requests admitted.</summary>
    public long Requests { get; init; }

    /// <summary>Prompt tokens of admitted requests.</summary>
    public long PromptTokens { get; init; }

    /// <summary>Prompt tokens that were really computed.</summary>
    public long PrefilledTokens { get; init; }

    /// <summary>Prompt tokens that were not computed again.</summary>
    public long CachedTokens { get; init; }

    /// <summary><see cref="CachedTokens"/> by where they were: <c>cells</c>, <c>checkpoint</c>, <c>memory</c>, <c>disk</c>.</summary>
    public IReadOnlyDictionary<string, long> CachedTokensFrom { get; init; } = new Dictionary<string, long>();

    /// <summary>Bytes of states that are kept in the host's memory now.</summary>
    public long StateBytes { get; init; }

    /// <summary>States that are kept in the host's memory now.</summary>
    public int States { get; init; }

    /// <summary>States that were brought back.</summary>
    public long StatesRestored { get; init; }

    /// <summary>Bytes of this model's states on disk.</summary>
    public long StateFileBytes { get; init; }

    /// <summary>States dropped because others needed their memory.</summary>
    public long StatesEvicted { get; init; }

    /// <summary>Milliseconds that states took to be brought back.</summary>
    public double RestoreMilliseconds { get; init; }

    /// <summary>Tokens generated.</summary>
    public long GeneratedTokens { get; init; }

    /// <summary>Upper bounds, included, of <see cref="BatchSizes"/>, in tokens.</summary>
    public static IReadOnlyList<int> BatchSizeBounds { get; } = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

    /// <summary>Batches by number of tokens: an entry for each of <see cref="BatchSizeBounds"/> and one for larger batches.</summary>
    public IReadOnlyList<long> BatchSizes { get; init; } = [];

    /// <summary>Tokens of all batches.</summary>
    public long BatchTokens { get; init; }

    /// <summary>Requests refused because too many waited.</summary>
    public long Refused { get; init; }

    /// <summary>Tokens drafted by speculative decoding.</summary>
    public long DraftedTokens { get; init; }

    /// <summary>Drafted tokens that were accepted.</summary>
    public long AcceptedTokens { get; init; }

    /// <summary>Drafts verified.</summary>
    public long Drafts { get; init; }

    /// <summary>Time of prompts, of ended requests, from their slot to their first token.</summary>
    public double PromptSeconds { get; init; }

    /// <summary>Time of answers, of ended requests, from their first token to their end.</summary>
    public double GeneratedSeconds { get; init; }

    /// <summary>Tokens of <see cref="GeneratedSeconds"/>: those of ended requests but the first of each, which the prompt gave.</summary>
    public long GeneratedSteps { get; init; }

    /// <summary>Most tokens that a sequence has had, prompt and answer.</summary>
    public long MostTokens { get; init; }

    /// <summary>llama_decode calls.</summary>
    public long DecodeCalls { get; init; }

    /// <summary>Sequences in those calls.</summary>
    public long DecodedSlots { get; init; }

    /// <summary>Preemptions: sequences sent back to the queue because the KV cells ran out. They are computed again later.</summary>
    public long Preemptions { get; init; }

    /// <summary>Idle prefixes dropped because their cells were needed.</summary>
    public long PrefixesDropped { get; init; }

    /// <summary>Resident bytes of the worker.</summary>
    public long ResidentBytes { get; init; }

    /// <summary>
    /// Whether none of it but <see cref="ResidentBytes"/> changes until the worker is asked for something else: nothing runs, waits, or
    /// is being tokenized or written to disk.
    /// </summary>
    public bool IsSettled { get; init; }
}

/// <summary>A slot of a model at one moment.</summary>
/// <param name="Id">Its number, from 0.</param>
/// <param name="Request">Number of the request that runs in it; 0 where it is idle.</param>
/// <param name="Tokens">Tokens whose cells it holds.</param>
/// <param name="PromptTokens">Tokens of the prompt of the request that runs.</param>
/// <param name="Generated">Tokens that this has generated.</param>
/// <param name="Remaining">Tokens that it may still generate.</param>
/// <param name="Used">Whether it has run a request since the load, or its cells came from a file.</param>
public sealed record SlotState(int Id, uint Request, int Tokens, int PromptTokens, int Generated, int Remaining, bool Used);

/// <summary>An action on the cells of a slot, done once no request runs in it.</summary>
/// <param name="Slot">The slot's number.</param>
/// <param name="Path">Full path of the file with the slot's tokens and cells; null where they are erased.</param>
/// <param name="Restore">Whether the file is read; else it is written.</param>
/// <param name="Client">Name of the client's API key; empty where there is none.</param>
public sealed record SlotAction(int Slot, string? Path, bool Restore, string Client = "");

/// <summary>The result of a <see cref="SlotAction"/>.</summary>
/// <param name="Tokens">Tokens that were written, read or erased.</param>
/// <param name="Bytes">Bytes of the file.</param>
/// <param name="Milliseconds">How long it took.</param>
public sealed record SlotResult(int Tokens, long Bytes, double Milliseconds);
