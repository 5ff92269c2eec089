using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Worker.Media;
using Shimmy.Worker.Model;
using Shimmy.Worker.Prefixes;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Scheduling;

/// <summary>
/// Admission: which waiting request gets which slot, and which prefix it starts from. A prefix is held by a slot or the store, or another
/// sequence is computing it: then the request has a slot, holds no cells, and joins that sequence once the prefix is there. Called by the
/// <see cref="Scheduler"/>, on its thread.
/// </summary>
internal sealed class Admission(LlamaModel model, PrefixCache cache, BatchBuilder turn, MediaEncoder? encoder, SchedulerCounters counters,
    IEventSink events, RequestQueue<Sequence> waiting, List<Sequence> running)
{
    private const int LongestRetryAfter = 60; // seconds

    // In tokens: a join must save more than the turn that waiting may cost.
    private const int ShortestJoin = 16;

    private double _secondsPerRequest;

    /// <summary>
    /// A sequence was preempted since the last one left: admitting a request now would only preempt another.
    /// </summary>
    public bool CellsRanOut { get; set; }

    /// <summary>
    /// Whether a sequence may start from a prefix that another has computed. One that reports its prompt needs the logits of every token.
    /// </summary>
    public bool Shares(Sequence sequence) =>
        model.Spec.SharePrefixes && sequence.Options is { CachePrompt: true, ReportPrompt: false };

    /// <summary>Notes how long a request took.</summary>
    public void NoteTime(double seconds) =>
        _secondsPerRequest = _secondsPerRequest <= 0 ? seconds : (0.8 * _secondsPerRequest) + (0.2 * seconds);

    /// <summary>
    /// The error for a request for which the queue has no place. Retry-After: the time until as many requests have ended as wait now, at
    /// the recent rate.
    /// </summary>
    /// <param name="embeddings">Embeddings that wait.</param>
    public EngineException Refusal(int embeddings)
    {
        counters.Refused++;
        var seconds = Math.Clamp(Math.Ceiling(_secondsPerRequest * (waiting.Count + 1) / model.Slots), 1, LongestRetryAfter);
        return new EngineException(EngineFailure.QueueFull,
            $"{waiting.Count + embeddings} requests wait for this model already and {running.Count} run; try again in {seconds} s "
            + "(--queue sets how many may wait)")
        {
            RetryAfterSeconds = (int)seconds,
        };
    }

    /// <summary>1. Waiting requests get slots, and take over the longest prefix there is or wait for the one that there will be.</summary>
    public void Admit()
    {
        // Once cells ran out, admitting a request would preempt another: it waits until a sequence has left.
        List<Sequence>? held = null;
        while (waiting.Count > 0 && cache.HasIdleSlot && !(CellsRanOut && running.Count > 0))
        {
            CellsRanOut = false;
            var sequence = waiting.TakeNext(running);
            if (cache.Wished(sequence) is { Owner: not null })
            {
                (held ??= []).Add(sequence);
                continue;
            }
            if (sequence.AdmittedAt == 0)
            {
                sequence.AdmittedAt = Stopwatch.GetTimestamp();
                counters.Requests++;
                counters.PromptTokens += sequence.PromptLength;
            }
            Place(sequence);
        }
        for (var i = (held?.Count ?? 0) - 1; i >= 0; i--)
            waiting.Return(held![i]);
    }

    private void Place(Sequence sequence)
    {
        if (cache.Wished(sequence) is { } wished)
        {
            var own = sequence.Options is { CachePrompt: true, ReportPrompt: false };
            Begin(sequence, wished, own ? cache.LongestIn(wished, sequence) : default);
            return;
        }
        var share = Shares(sequence);
        var prefix = share ? cache.Longest(sequence, turn.SecondsPerPromptToken) : default;
        var (computing, future) = share ? LongestInTheMaking(sequence) : (null, 0);
        if (computing is not null && future >= prefix.Length + ShortestJoin)
        {
            sequence.Joins = (computing, future);
            // It holds no cells yet, so it takes the slot whose prefix is least useful.
            Occupy(sequence, cache.ChooseIdle(default));
            return;
        }
        var slot = cache.ChooseIdle(prefix);
        Begin(sequence, slot, prefix);
    }

    // The slot's own prefix is saved first, so it must not have an owner yet.
    private void Begin(Sequence sequence, Slot slot, Prefix prefix)
    {
        var origin = prefix.Origin;
        var cached = cache.TakeOver(prefix, slot, sequence, turn.SecondsPerPromptToken, isAlone: waiting.Count == 0);
        if (slot.Owner is null)
            Occupy(sequence, slot);
        Begin(sequence, cached, origin);
    }

    private void Occupy(Sequence sequence, Slot slot)
    {
        slot.Owner = sequence;
        sequence.Slot = slot;
        running.Add(sequence);
    }

    private (Sequence? Source, int Length) LongestInTheMaking(Sequence sequence)
    {
        (Sequence? Source, int Length) best = (null, 0);
        foreach (var other in running)
        {
            // Only prompts count, since generated tokens are not known in advance; a sequence that joins another is no source.
            if (other == sequence || other.Joins is not null || other.Pending <= 1 || !other.Key.Equals(sequence.Key))
                continue;
            var length = MediaSpan.WholeUpTo(other.Tokens.CommonPrefixLength(sequence.Tokens[..^1]), sequence.Media);
            if (length > best.Length)
                best = (other, length);
        }
        return best;
    }

    private void Begin(Sequence sequence, int cached, PrefixOrigin origin)
    {
        sequence.Checkpoints = cache.PlanCheckpoints(sequence, cached, model.Vocabulary);
        // Once, however many chunks of it are open: media take turns.
        foreach (var medium in sequence.Media.Where(span => span.Start >= cached && span.Chunk.Embeddings is null)
            .Select(span => span.Chunk.Medium).Distinct())
        {
            encoder!.Request(medium, () => !sequence.Cancelled);
        }
        // One token counts as computed where none is: who divides by it gets a number.
        var counted = Math.Min(cached, sequence.Tokens.Length - 1);
        // One that was preempted has been counted, like its prompt.
        if (sequence.Started)
            return;
        sequence.Started = true;
        counters.CountCached(counted, origin);
        events.Started(sequence.RequestId, new GenerationStart(sequence.PromptLength, counted, sequence.Seed)
        {
            Slot = sequence.Slot!.Id,
        });
        if (sequence.Options.ReportProgress)
            events.Progress(sequence.RequestId, cached);
    }

    /// <summary>2. Sequences that waited for a prefix take it over once it is computed.</summary>
    public void Join()
    {
        foreach (var sequence in running)
        {
            if (sequence.Joins is not { } join)
                continue;
            var (source, length) = join;
            var computed = source.Slot?.CommonPrefix(sequence.Tokens, length) ?? 0;
            if (source.Slot is not null && computed < length && source.Pending > 1)
                continue;
            sequence.Joins = null;
            if (source.Slot is not null && computed == length)
            {
                Begin(sequence, sequence.Slot!, new Prefix(length, source.Slot));
                continue;
            }
            // The source left before it computed the prefix. Another sequence may compute it now: the first of those that waited.
            var held = cache.Longest(sequence, turn.SecondsPerPromptToken);
            var (computing, future) = LongestInTheMaking(sequence);
            if (computing is not null && future >= held.Length + ShortestJoin)
                sequence.Joins = (computing, future);
            else
                Begin(sequence, sequence.Slot!, held);
        }
    }
}
