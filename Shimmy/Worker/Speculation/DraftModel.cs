using System.Diagnostics;
using System.Runtime.InteropServices;
using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sampling;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Speculation;

/// <summary>
/// The draft model of speculative decoding: a smaller model of the same vocabulary. It follows each sequence in KV cells of its own and
/// proposes the most likely tokens one after the other, for several sequences in one decode.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Lives as long as its process.")]
internal sealed class DraftModel
{
    // llama.cpp's own bound for vocabularies that were padded to different sizes.
    private const int LargestDifference = 128;

    // A token whose probability is lower is not worth a place in the large model's batch.
    private const double LeastConfidence = 0.4;

    // Prompt tokens of all sequences together that it reads in one turn, so that it never stalls the streams for long.
    private const int MostToReadInTurn = 256;

    private const double Weight = 0.2;

    private readonly LlamaModel _model;
    private readonly DecodeBatch _batch;
    private readonly int _usable;
    private readonly Dictionary<int, List<int>> _held = [];
    private readonly List<(Sequence Sequence, int Count, int Index)> _going = [];

    private DraftModel(LlamaModel model, int usable)
    {
        _model = model;
        _usable = usable;
        _batch = new DecodeBatch(model.BatchSize);
    }

    /// <summary>Seconds of one decode, which proposes a token for each sequence; 0 where that was not measured yet.</summary>
    public double SecondsPerToken { get; private set; }

    /// <summary>
    /// Loads the draft model that the spec names for a model. Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>)
    /// where it cannot be loaded, has another vocabulary or one of the two cannot take tokens back.
    /// </summary>
    public static DraftModel Load(LlamaModel target, ModelSpec spec, Action<float> progress)
    {
        var (path, itsSpec) = (spec.Draft!, spec.OfDraft()!);
        if (target.Handle.HasRecurrentState)
            throw Refusal(path, "the model itself keeps a state that cannot take tokens back, so nothing can be drafted for it");
        LlamaModel model;
        try
        {
            model = LlamaModel.Load(itsSpec with { ContextLength = target.ContextLength, Cells = target.Cells }, progress);
        }
        catch (EngineException e) when (e.Failure == EngineFailure.LoadFailed)
        {
            throw Refusal(path, e.Message, e.Shortage);
        }
        try
        {
            if (WhyNot(target, model) is { } reason)
                throw Refusal(path, reason);
        }
        catch
        {
            model.Dispose();
            throw;
        }
        return new DraftModel(model, Math.Min(target.Vocabulary.Size, model.Vocabulary.Size));
    }

    /// <summary>
    /// Appends up to so many tokens to each sequence's draft; fewer where their probability is low, none before it has read the sequence.
    /// </summary>
    public void Propose(List<(Sequence Sequence, int Count)> wishes)
    {
        _batch.Clear();
        _going.Clear();
        var left = Math.Min(MostToReadInTurn, _batch.Free);
        foreach (var (sequence, count) in wishes)
            left -= Read(sequence, count, left);
        if (_batch.Count == 0)
            return;
        // Reading is not part of a proposal's time: each token is read once, whatever is drafted.
        var ready = Decode();
        var (start, steps) = (Stopwatch.GetTimestamp(), 0);
        while (ready && _going.Count > 0)
        {
            _batch.Clear();
            for (var i = _going.Count - 1; i >= 0; i--)
            {
                var (sequence, count, index) = _going[i];
                var token = Likeliest(_model.Logits(index));
                if (token >= 0)
                    sequence.Draft.Add(token);
                if (token < 0 || sequence.Draft.Count >= count)
                    _going.RemoveAt(i);
                else
                    _going[i] = (sequence, count, Add(sequence.Slot!.Id, token, logits: true));
            }
            if (_batch.Count == 0)
                break;
            ready = Decode();
            steps++;
        }
        if (steps == 0)
            return;
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds / steps;
        SecondsPerToken = SecondsPerToken == 0
            ? seconds
            : SecondsPerToken + Weight * (Math.Min(seconds, 2 * SecondsPerToken) - SecondsPerToken);
    }

    // Adds the tokens of a sequence that it has not read to the batch, as far as there are free places. Returns their number.
    private int Read(Sequence sequence, int count, int free)
    {
        var slot = sequence.Slot!.Id;
        var tokens = sequence.Tokens;
        if (!_held.TryGetValue(slot, out var held))
            _held[slot] = held = [];
        // The last token is read again: its logits are needed.
        var common = CollectionsMarshal.AsSpan(held).CommonPrefixLength(tokens[..^1]);
        if (common < held.Count)
        {
            _model.Context.RemoveCells(slot, common);
            held.RemoveRange(common, held.Count - common);
        }
        var reads = Math.Min(tokens.Length - common, free);
        if (tokens[common..].ContainsAnyExceptInRange(0, _model.Vocabulary.Size - 1))
            return 0;
        for (var i = 0; i < reads; i++)
        {
            var last = common + i == tokens.Length - 1;
            var index = Add(slot, tokens[common + i], last);
            if (last)
                _going.Add((sequence, count, index));
        }
        return Math.Max(0, reads);
    }

    private int Add(int slot, int token, bool logits)
    {
        var held = _held[slot];
        held.Add(token);
        return _batch.Add(token, held.Count - 1, slot, logits);
    }

    private bool Decode()
    {
        if (_batch.Decode(_model.Context) == 0)
        {
            _model.Context.Synchronize();
            return true;
        }
        // Out of cells, or a failure: it drops all cells and reads every sequence again, which costs nothing but time.
        _model.Context.ClearCells();
        foreach (var held in _held.Values)
            held.Clear();
        _going.Clear();
        return false;
    }

    private int Likeliest(ReadOnlySpan<float> logits)
    {
        var best = TopCandidates.IndexOfMax(logits);
        if (best < 0 || best >= _usable || _model.Vocabulary.IsEnd(best))
            return -1;
        var sum = 0.0;
        foreach (var logit in logits)
            sum += Math.Exp(logit - logits[best]);
        return 1 / sum >= LeastConfidence ? best : -1;
    }

    private static string? WhyNot(LlamaModel target, LlamaModel draft)
    {
        if (!draft.CanGenerate)
            return "it does not generate text";
        if (draft.Handle.HasRecurrentState)
            return "it keeps a state that cannot take tokens back";
        var (ours, its) = (target.Vocabulary, draft.Vocabulary);
        const string Other = "it has another vocabulary than the model";
        if (ours.Native.Type != its.Native.Type)
            return $"{Other}: a tokenizer of another type";
        if (Math.Abs(ours.Size - its.Size) > LargestDifference)
            return $"{Other}: {its.Size} tokens, not {ours.Size}";
        if (ours.AddsBos != its.AddsBos || (ours.AddsBos && ours.Bos != its.Bos))
            return $"{Other}: texts begin differently";
        for (var token = 0; token < Math.Min(ours.Size, its.Size); token++)
        {
            if (ours.Text(token) != its.Text(token))
                return $"{Other}: token {token} is '{its.Text(token)}', not '{ours.Text(token)}'";
        }
        return null;
    }

    private static EngineException Refusal(string path, string reason, GpuShortage? shortage = null) =>
        new(EngineFailure.LoadFailed, $"cannot draft with {path}: {reason}") { Shortage = shortage };
}
