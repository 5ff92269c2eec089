using System.Runtime.InteropServices;
using Shimmy.Engine;
using Shimmy.Worker.Media;
using Shimmy.Worker.Model;
using Shimmy.Worker.Sampling;

namespace Shimmy.Worker.Sequences;

/// <summary>A generation on its way through the scheduler: its tokens, its sampler, and its state in the current turn.</summary>
internal sealed class Sequence : IQueued, IDisposable
{
    private readonly List<int> _tokens;
    private PrefixKey? _key;

    public Sequence(uint requestId, List<int> prompt, GenerationOptions options, Sampler sampler, uint seed, int contextLength)
    {
        RequestId = requestId;
        _tokens = prompt;
        PromptLength = prompt.Count;
        Options = options;
        Sampler = sampler;
        Seed = seed;
        var left = contextLength - prompt.Count;
        MaxTokens = Math.Min(options.MaxTokens ?? int.MaxValue, left);
    }

    /// <summary>The id under which its events are sent.</summary>
    public uint RequestId { get; }

    public GenerationOptions Options { get; }

    public Sampler Sampler { get; }

    public uint Seed { get; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptLength { get; }

    /// <summary>Most tokens to generate: what was asked for, or what the context has cells for.</summary>
    public int MaxTokens { get; }

    /// <summary>Control tokens that are spelled out in the answer.</summary>
    public IReadOnlySet<int> Shown { get; init; } = System.Collections.ObjectModel.ReadOnlySet<int>.Empty;

    /// <summary>The media of its prompt, in order.</summary>
    public IReadOnlyList<MediaSpan> Media { get; init; } = [];

    /// <summary>The medium whose tokens come next; null where text does.</summary>
    public MediaSpan? NextMedium
    {
        get
        {
            var computed = Slot?.Tokens.Count ?? 0;
            foreach (var span in Media)
            {
                if (span.Start <= computed && computed < span.End)
                    return span;
            }
            return null;
        }
    }

    /// <summary>Tokens whose cells are not computed yet, up to the next medium; 0 where that comes next.</summary>
    public int PendingText
    {
        get
        {
            var computed = Slot?.Tokens.Count ?? 0;
            foreach (var span in Media)
            {
                if (computed < span.End)
                    return Math.Max(0, span.Start - computed);
            }
            return _tokens.Count - computed;
        }
    }

    /// <summary>Whether its prompt is computed, so that one token after the other comes.</summary>
    public bool Generates => Joins is null && Pending == 1 && NextMedium is null;

    /// <summary>Its place in the queue.</summary>
    public QueuePlace Place { get; init; } = QueuePlace.Default;

    /// <summary>The adapters that it is computed with.</summary>
    public required AdapterSet Adapters { get; init; }

    /// <summary>The key that a prefix must have to be taken over.</summary>
    public PrefixKey Key => _key ??= new PrefixKey(Adapters, SharingClient);

    /// <summary>The client whose requests alone share prefixes with it; empty where those of all clients do.</summary>
    public string SharingClient { get; init; } = "";

    /// <summary>Prompt and what was generated so far.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>Tokens generated.</summary>
    public int Generated => _tokens.Count - PromptLength;

    /// <summary>The slot in which it runs; null while it waits.</summary>
    public Slot? Slot { get; set; }

    /// <summary>Tokens whose cells are not computed yet; 1 while it generates.</summary>
    public int Pending => _tokens.Count - (Slot?.Tokens.Count ?? 0);

    /// <summary>Whether even its last token is computed: the logits behind it were kept.</summary>
    public bool IsComputed => Joins is null && Pending == 0;

    /// <summary>The sequence that computes a prefix that this one waits for, and how long that prefix is.</summary>
    public (Sequence Source, int Length)? Joins { get; set; }

    /// <summary>The lengths at which checkpoints of its prompt are taken, in order.</summary>
    public int[] Checkpoints { get; set; } = [];

    /// <summary>The first of <see cref="Checkpoints"/> behind so many tokens; the greatest number where there is none.</summary>
    public int NextCheckpoint(int computed)
    {
        foreach (var place in Checkpoints)
        {
            if (place > computed)
                return place;
        }
        return int.MaxValue;
    }

    /// <summary>
    /// Index in the batch of the token whose logits come next; -1 where this turn computes none, or where they were kept.
    /// </summary>
    public int LogitsIndex { get; set; } = -1;

    /// <summary>Position of the first token that this turn computes, and its index in the batch.</summary>
    public (int Position, int Index) Chunk { get; set; }

    /// <summary>Prompt lookup that predicts its next tokens; null before it generates, or without speculative decoding.</summary>
    public PromptLookup? Lookup { get; set; }

    /// <summary>Drafted tokens that this turn computes behind the last one.</summary>
    public List<int> Draft { get; } = [];

    /// <summary>Whether <see cref="Draft"/> comes from the draft model.</summary>
    public bool DraftIsProposed { get; set; }

    /// <summary>Acceptance of the draft model's tokens in this sequence; null before it was asked.</summary>
    public DraftBackoff? DraftBackoff { get; set; }

    /// <summary>Tokens drafted so far.</summary>
    public int Drafted { get; set; }

    /// <summary>Drafted tokens that were accepted.</summary>
    public int Accepted { get; set; }

    /// <summary>Tokens of the prompt that were reported, or are not to be.</summary>
    public int PromptReported { get; set; }

    /// <summary>When tokens of its media were computed last, as a counter of such turns.</summary>
    public long MediumTurn { get; set; }

    /// <summary>Whether its start was reported.</summary>
    public bool Started { get; set; }

    /// <summary>Whether it was cancelled; it leaves at the next turn.</summary>
    public bool Cancelled { get; set; }

    public long ArrivedAt { get; } = System.Diagnostics.Stopwatch.GetTimestamp();

    public long AdmittedAt { get; set; }

    public long FirstTokenAt { get; set; }

    public void Append(int token) => _tokens.Add(token);

    /// <summary>How long it waited, was prefilled and generated, by the clock's ticks at its admission, first token and end.</summary>
    public GenerationTimings TimingsOf(long admitted, long first, long end) => new(
        System.Diagnostics.Stopwatch.GetElapsedTime(ArrivedAt, admitted).TotalMilliseconds,
        System.Diagnostics.Stopwatch.GetElapsedTime(admitted, first).TotalMilliseconds,
        System.Diagnostics.Stopwatch.GetElapsedTime(first, end).TotalMilliseconds)
    {
        DraftedTokens = Drafted,
        AcceptedTokens = Accepted,
    };

    /// <inheritdoc/>
    public void Dispose() => Sampler.Dispose();
}

/// <summary>An entry of a <c>RequestQueue&lt;T&gt;</c>.</summary>
internal interface IQueued
{
    /// <summary>Id of the request.</summary>
    uint RequestId { get; }

    /// <summary>Its place in the queue.</summary>
    QueuePlace Place { get; }

    /// <summary>Whether it was cancelled; it leaves at the next turn.</summary>
    bool Cancelled { get; set; }
}
