using System.Numerics;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;
using Shimmy.Worker.Speculation;

namespace Shimmy.Worker.Scheduling;

/// <summary>
/// Step 3 of a turn: the batch to decode. A token for every generating sequence of one adapter set first, with what is drafted to follow
/// it, then prompt chunks up to a limit, so that a long prompt never stalls running streams.
/// </summary>
internal sealed class BatchBuilder(LlamaModel model, DecodeBatch batch, Speculator? speculator)
{
    // Time of one prompt chunk: short while other sequences stream, longer when only new requests and cancels wait for it.
    private static readonly TimeSpan ChunkTimeAmongStreams = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ChunkTimeAlone = TimeSpan.FromMilliseconds(500);

    /// <summary>Tokens of the smallest chunk; shorter ones tell nothing of the time that a token takes.</summary>
    public const int SmallestChunk = 32;

    // Fewer at once take longer a token, and what takes longer would be cut smaller still.
    private const int SmallestChunkAlone = 64;

    // A reported prompt needs the logits of each token: a row as wide as the vocabulary.
    private const int LargestReportedChunk = 64;

    private readonly List<Sequence> _generating = [];
    private readonly List<(Sequence Sequence, int Tokens)> _parts = [];
    private bool _spare;

    /// <summary>The sequences of this turn and how many of their tokens are computed, drafted ones not counted.</summary>
    public IReadOnlyList<(Sequence Sequence, int Tokens)> Parts => _parts;

    /// <summary>Time to compute a token of a prompt; 0 where it is not known yet.</summary>
    public double SecondsPerPromptToken { get; private set; }

    /// <summary>Whether this turn computes tokens that may turn out useless: drafts or padding.</summary>
    public bool HasExtras => PaddingSlot is not null || _generating.Exists(sequence => sequence.Draft.Count > 0);

    /// <summary>
    /// The slot in which a second token is computed beside a lone one (<see cref="LlamaModel.PairsLoneTokens"/>); null where none is.
    /// </summary>
    public Slot? PaddingSlot { get; private set; }

    /// <summary>Leaves drafts and padding out of the next turn, because cells are short.</summary>
    public void Spare() => _spare = true;

    /// <summary>Fills the batch with what the sequences of this adapter set have to compute.</summary>
    public void Build(List<Sequence> running, AdapterSet adapters)
    {
        batch.Clear();
        _parts.Clear();
        _generating.Clear();
        var streams = false;
        foreach (var sequence in running)
        {
            sequence.Draft.Clear();
            sequence.DraftIsProposed = false;
            if (!sequence.Generates)
                continue;
            streams = true;
            if (!sequence.Adapters.Equals(adapters))
                continue;
            // llama.cpp computes recurrent sequences together only where their ids follow one another.
            var place = _generating.Count;
            while (place > 0 && _generating[place - 1].Slot!.Id > sequence.Slot!.Id)
                place--;
            _generating.Insert(place, sequence);
        }
        // Drafts take at most half of the remaining batch; the rest is for prompts.
        if (_generating.Count > 0 && !_spare)
            speculator?.Draft(_generating, (batch.Free - _generating.Count) / 2);
        foreach (var sequence in _generating)
            Put(sequence, 1);
        var chunk = ChunkLimit(streams);
        foreach (var sequence in running)
        {
            // Sequences that generate are in the batch already; media are computed apart.
            if (sequence.Joins is not null || sequence.Generates || sequence.PendingText == 0 || !sequence.Adapters.Equals(adapters))
                continue;
            var count = Math.Min(Math.Min(sequence.PendingText, chunk), batch.Free);
            count = Math.Min(count, UpToNextJoin(running, sequence));
            count = Math.Min(count, sequence.NextCheckpoint(sequence.Slot!.Tokens.Count) - sequence.Slot.Tokens.Count);
            if (sequence.Options.ReportPrompt)
                count = Math.Min(count, LargestReportedChunk);
            if (count <= 0)
                break;
            Put(sequence, count);
            chunk -= count;
        }
        PaddingSlot = batch.Count == 1 && model.PairsLoneTokens && !_spare ? _parts[0].Sequence.Slot : null;
        if (PaddingSlot is { } slot)
        {
            batch.Add(
                _parts[0].Sequence.Tokens[slot.Tokens.Count], slot.PositionAt(slot.Tokens.Count) + 1, slot.Id, logits: false);
        }
        _spare = false;
    }

    /// <summary>Records the time that the batch took.</summary>
    public void Observe(TimeSpan elapsed)
    {
        if (_parts.Count == _generating.Count)
        {
            speculator?.Observe(batch.Count - (PaddingSlot is null ? 0 : 1), elapsed);
            return;
        }
        // The time of a prompt token is taken from batches that are mostly prompt.
        var prompt = _parts.Where(part => part.Tokens > 1).Sum(part => part.Tokens);
        if (prompt < SmallestChunk / 2 || prompt * 2 < batch.Count)
            return;
        ObservePrompt(batch.Count, elapsed);
    }

    /// <summary>Records the time that a chunk of a prompt alone took.</summary>
    public void ObservePrompt(int tokens, TimeSpan elapsed)
    {
        var seconds = elapsed.TotalSeconds / tokens;
        SecondsPerPromptToken = SecondsPerPromptToken <= 0 ? seconds : 0.5 * (SecondsPerPromptToken + seconds);
    }

    /// <summary>Most tokens of a prompt that a turn computes.</summary>
    /// <param name="others">Whether other sequences generate meanwhile.</param>
    public int ChunkLimit(bool others) => ChunkLimit(others, SecondsPerPromptToken, model.BatchSize);

    /// <inheritdoc cref="ChunkLimit(bool)"/>
    public static int ChunkLimit(bool others, double secondsPerToken, int batchSize)
    {
        if (secondsPerToken <= 0)
            return others ? Math.Min(SmallestChunk, batchSize) : batchSize;
        var (time, least) = others ? (ChunkTimeAmongStreams, SmallestChunk) : (ChunkTimeAlone, SmallestChunkAlone);
        var most = Math.Clamp(time.TotalSeconds / secondsPerToken, Math.Min(least, batchSize), batchSize);
        // Powers of two: the measured time differs from run to run, and the size of a chunk changes the last bits of the KV cells.
        return most >= batchSize ? batchSize : 1 << BitOperations.Log2((uint)most);
    }

    // A chunk ends where another sequence joins, so that the prefix can be taken over at exactly that length.
    private static int UpToNextJoin(List<Sequence> running, Sequence sequence)
    {
        var computed = sequence.Slot!.Tokens.Count;
        var nearest = int.MaxValue;
        foreach (var other in running)
        {
            if (other.Joins is { } join && join.Source == sequence && join.Length > computed)
                nearest = Math.Min(nearest, join.Length - computed);
        }
        return nearest;
    }

    private void Put(Sequence sequence, int count)
    {
        var slot = sequence.Slot!;
        var computed = slot.Tokens.Count;
        var position = slot.PositionAt(computed);
        var tokens = sequence.Tokens.Slice(computed, count);
        sequence.LogitsIndex = -1;
        for (var i = 0; i < count; i++)
        {
            var last = computed + i == sequence.Tokens.Length - 1;
            var index = batch.Add(tokens[i], position + i, slot.Id, last || sequence.Options.ReportPrompt);
            if (i == 0)
                sequence.Chunk = (computed, index);
            if (last)
                sequence.LogitsIndex = index;
        }
        for (var i = 0; i < sequence.Draft.Count; i++)
            batch.Add(sequence.Draft[i], position + count + i, slot.Id, logits: true);
        _parts.Add((sequence, count));
    }
}
