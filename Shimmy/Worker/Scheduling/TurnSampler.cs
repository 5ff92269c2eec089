using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Prefixes;
using Shimmy.Worker.Sampling;
using Shimmy.Worker.Sequences;
using Shimmy.Worker.Speculation;

namespace Shimmy.Worker.Scheduling;

/// <summary>
/// Sampling of a turn: from a sequence's logits to its next tokens and their events, each sequence with its own chain of samplers. Called
/// by the
/// <see cref="Scheduler"/>, on its thread.
/// </summary>
internal sealed class TurnSampler(LlamaModel model, PrefixCache cache, SchedulerCounters counters, IEventSink events)
{
    private readonly LlamaTokenData[] _candidates = new LlamaTokenData[Sampler.CandidatesCapacity(model.Vocabulary.Size)];
    private float[]? _kept;

    /// <summary>
    /// Samples what the sequence's logits allow: one token, and one more for each drafted token that the sampler chooses too, so that the
    /// text is the same as without drafts. Gives the reason where the sequence ends with it.
    /// </summary>
    /// <exception cref="EngineException">No token is left to sample from.</exception>
    public FinishReason? Sample(Sequence sequence)
    {
        var (slot, draft) = (sequence.Slot!, sequence.Draft);
        if (draft.Count == 0)
            return SampleOne(sequence, 0, out _);
        var accepted = 0;
        sequence.Drafted += draft.Count;
        try
        {
            while (true)
            {
                if (SampleOne(sequence, accepted, out var token) is { } reason)
                    return reason;
                if (accepted == draft.Count || draft[accepted] != token)
                    return null;
                cache.Computed(slot, token);
                accepted++;
                sequence.Accepted++;
            }
        }
        finally
        {
            cache.CutToTokens(slot);
            Speculator.Judge(sequence, accepted);
            counters.Drafts++;
            counters.DraftedTokens += draft.Count;
            counters.AcceptedTokens += accepted;
        }
    }

    /// <summary>
    /// Reports the prompt's tokens that a chunk computed. The log probability of a token comes from the logits of the token before it.
    /// </summary>
    public void ReportPrompt(Sequence sequence, int count)
    {
        var (position, index) = sequence.Chunk;
        if (sequence.PromptReported == 0)
        {
            sequence.PromptReported = 1;
            Report(sequence.Tokens[0], null);
        }
        for (var i = 0; i < count; i++)
        {
            var next = position + i + 1;
            if (next < sequence.PromptReported || next >= sequence.PromptLength)
                continue;
            sequence.PromptReported = next + 1;
            var token = sequence.Tokens[next];
            Report(token,
                new LogProbabilities(model.Logits(index + i), sequence.Options.TopLogProbabilities ?? 0).Of(token, model.Vocabulary));
        }

        void Report(int token, TokenLogProbability? likely) =>
            events.PromptToken(sequence.RequestId, token, model.Vocabulary.Shown(token), likely);
    }

    // A copy: sampling changes them.
    private Span<float> Kept(Sequence sequence)
    {
        var kept = cache.Ends.Of(sequence.Tokens, sequence.Key)
            ?? throw new EngineException(EngineFailure.GenerationFailed, "the logits of the prompt's last token were not kept");
        _kept ??= new float[kept.Length];
        kept.CopyTo(_kept, 0);
        return _kept;
    }

    // The token behind so many accepted tokens of the draft.
    private FinishReason? SampleOne(Sequence sequence, int accepted, out int token)
    {
        token = 0;
        if (sequence.MaxTokens == 0)
            return FinishReason.Length;
        var logits = sequence.LogitsIndex >= 0 ? model.Logits(sequence.LogitsIndex + accepted) : Kept(sequence);
        if (sequence is { Generated: 0, LogitsIndex: >= 0, PromptLength: >= CheckpointPlan.ShortestStep, Options.CachePrompt: true }
            && model.Spec.SharePrefixes && TopCandidates.IndexOfMax(logits) >= 0)
        {
            cache.Ends.Keep(sequence.Tokens, sequence.Key, logits);
        }
        var after = sequence.Options.AfterSampling;
        var report = !after && sequence.Options.TopLogProbabilities is { } top ? new LogProbabilities(logits, top) : null;
        token = sequence.Sampler.Sample(logits, _candidates);
        var likely = after ? sequence.Sampler.Left(token, sequence.Options.TopLogProbabilities ?? 0, _candidates) : null;
        if (sequence.FirstTokenAt == 0)
            sequence.FirstTokenAt = Stopwatch.GetTimestamp();
        if (model.Vocabulary.IsEnd(token))
            return FinishReason.Stop;
        sequence.Append(token);
        counters.GeneratedTokens++;
        var piece = sequence.Shown.Contains(token) ? model.Vocabulary.Spelled(token) : model.Vocabulary.Piece(token);
        var draft = sequence.Draft;
        events.Token(sequence.RequestId, token, piece, likely ?? report?.Of(token, model.Vocabulary), new TokenDraft(
            accepted == 0 ? (byte)draft.Count : (byte)0, accepted < draft.Count && draft[accepted] == token));
        return sequence.Generated < sequence.MaxTokens ? null : FinishReason.Length;
    }
}
