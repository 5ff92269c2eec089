using System.Collections.Concurrent;
using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Worker.Media;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Prefixes;
using Shimmy.Worker.Sequences;
using Shimmy.Worker.Speculation;

namespace Shimmy.Worker.Scheduling;

/// <summary>
/// Runs all requests of one model on one context, on one thread: the one that calls <see cref="Run"/>.
///
/// <code>
///   Submit ──► inbox ──► waiting ──► slot ──► prefill ──► generate ──► retired; its cells stay as a prefix
///   Cancel ──►   │          ▲          │ joins: waits for a prefix      │
///                │          └──────────┴── preempted: out of cells ◄────┘
///
///   a turn:  1. Admit      waiting requests get slots and take over the longest prefix there is, or will be
///            2. Join       those that waited for a prefix take it over once it is computed
///            3. Build      of one adapter set: a token for every generating sequence, then prompt chunks up to the limit
///            4. Decode     out of cells: draft nothing, drop an idle prefix, then preempt the youngest, only then end
///            5. Sample     each sequence with its own chain, on through its draft; the turn's events leave in one frame
///            6. Media      the tokens of one picture or sound whose embeddings are there; MediaEncoder computes those beside the loop
/// </code>
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Lives as long as its process.")]
internal sealed class Scheduler
{
    private readonly LlamaModel _model;
    private readonly PrefixCache _cache;
    private readonly DecodeBatch _batch;
    private readonly BatchBuilder _batchBuilder;
    private readonly AdapterRotation _adapters = new();
    private readonly IEventSink _events;
    private readonly ConcurrentQueue<Action> _inbox = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly RequestQueue<Sequence> _waiting = new();
    private readonly SchedulerCounters _counters = new();
    private readonly List<Sequence> _running = [];
    private readonly EmbeddingQueue _embeddings;
    private readonly Admission _admission;
    private readonly TurnSampler _sampler;
    private readonly MediaEncoder? _encoder;
    private readonly KvBlockTracker? _kvBlocks;
    private readonly List<(Slot Slot, Action Action)> _postponed = [];
    private long _lastWork = Stopwatch.GetTimestamp();
    private long _mediumTurns;
    private bool _anyCancelled;

    public Scheduler(LlamaModel model, DraftModel? draft, IEventSink events)
    {
        _model = model;
        _events = events;
        _cache = new PrefixCache(model.Context, model.Handle, model.Slots, model.Spec.PrefixMemoryBytes ?? ModelSpec.DefaultPrefixMemory,
            clearsWay: !model.UsesGpu && draft is null && model.Spec.SharePrefixes, Warn, model.Spec.PrefixStore is { } folder
                ? (needsCheckpoints, mostWaiting) => new StateFolder(folder, model.Spec.PrefixStoreBytes, StateIdentity.Of(model),
                    needsCheckpoints, mostWaiting, Warn)
                : null);
        _kvBlocks = model.Spec.ReportsCells ? new KvBlockTracker(_cache, model.Spec.Name, model.Adapters) : null;
        _batch = new DecodeBatch(model.BatchSize);
        _batchBuilder = new BatchBuilder(
            model, _batch, model.Spec.Speculate && _cache.CanCut ? new Speculator(model.Vocabulary, draft) : null);
        if (model.Projector is { } projector)
            _encoder = new MediaEncoder(projector.EncodeNext, projector.Threads, () => _wake.Release());
        _embeddings = new EmbeddingQueue(_encoder, Post);
        _admission = new Admission(model, _cache, _batchBuilder, _encoder, _counters, events, _waiting, _running);
        _sampler = new TurnSampler(model, _cache, _counters, events);

        static void Warn(string line) => NativeLog.Listener?.Invoke(NativeLogLevel.Ours, line);
    }

    /// <summary>Hands in a request; from any thread but the scheduler's. The sequence is disposed by the scheduler.</summary>
    public void Submit(Sequence sequence)
    {
        // Reading takes time: before the scheduler sees the request.
        var states = _cache.Writing is { } writing && _admission.Shares(sequence)
            ? writing.Folder.Read(sequence.Tokens, sequence.Key, _cache.Store.LargestState)
            : [];
        Post(() =>
        {
            foreach (var state in states)
                _cache.Store.Add(state, replacesShorter: false);
            Take(sequence);
        });
    }

    private void Take(Sequence sequence)
    {
        if (_waiting.Count < _model.Spec.Queue + _model.Slots - _running.Count)
        {
            _waiting.Add(sequence);
            return;
        }
        _events.Failed(sequence.RequestId, _admission.Refusal(_embeddings.Count));
        sequence.Dispose();
    }

    /// <summary>Hands in an embedding; from any thread. One is computed a turn, so that streams go on between them.</summary>
    public void Submit(EmbeddingJob embeddingJob) => Post(() =>
    {
        if (_embeddings.Count <= _model.Spec.Queue)
            _embeddings.Add(embeddingJob);
        else
            embeddingJob.Refuse(_admission.Refusal(_embeddings.Count));
    });

    /// <summary>
    /// Ends a request at the next turn, a generation with its end event; from any thread. An id that is not known (any more) is fine.
    /// </summary>
    public void Cancel(uint requestId) => Post(() =>
    {
        foreach (var request in _waiting.Concat(_running).Concat<IQueued>(_embeddings).Where(request => request.RequestId == requestId))
            _anyCancelled = request.Cancelled = true;
    });

    /// <summary>Reports the counters of this moment; the callback runs on the scheduler's thread.</summary>
    /// <param name="nothingComes">Whether no request is on its way to the scheduler; asked on its thread.</param>
    /// <param name="callback">Gets the counters.</param>
    public void Report(Func<bool> nothingComes, Action<EngineStatistics> callback) => Post(() =>
    {
        // In this order, and before the counters: what was on its way is in the inbox by now, and what was being written is counted.
        var settled = nothingComes() && !HasWork && _embeddings.Count == 0 && _inbox.IsEmpty && _cache.IsWrittenDown;
        callback(_cache.Describe(_counters.ToStatistics()) with
        {
            IsSettled = settled,
            // An embedding has no slot, but while there are any, one is computed.
            SlotsBusy = _running.Count + Math.Min(_embeddings.Count, 1),
            Waiting = _waiting.Count + Math.Max(_embeddings.Count - 1, 0),
            RunningAdapters = _model.Adapters.ActingIn(_running.Select(sequence => sequence.Adapters)),
            WaitingAdapters = _model.Adapters.ActingIn(_waiting.Select(sequence => sequence.Adapters)),
            Cells = _model.Cells,
        });
    });

    /// <summary>Saves, restores or erases the cells of a slot once it is idle; the callbacks run on the scheduler's thread.</summary>
    public void Do(SlotAction action, Action<SlotResult> done, Action<EngineException> failed) => Post(() =>
    {
        var slot = _cache.Slots[action.Slot % _cache.Slots.Count];
        if (slot.Owner is not null)
        {
            _postponed.Add((slot, () => Do(action, done, failed)));
            return;
        }
        _lastWork = Stopwatch.GetTimestamp();
        try
        {
            done(SlotFiles.Do(action, slot, _cache, _model));
        }
        catch (EngineException e)
        {
            failed(e);
        }
    });

    /// <summary>Writes all states down as soon as nothing runs; the callback runs on the scheduler's thread once they are.</summary>
    public void Flush(Action done) => Post(() =>
    {
        if (_cache.Writing is { } writing)
            writing.Flush(done);
        else
            done();
    });

    /// <summary>The loop. It never returns: a worker ends as a process.</summary>
    public void Run()
    {
        while (true)
        {
            if (_cache.IsBroken && _running.Count == 0)
                _cache.ClearAll();
            if (!HasWork && _embeddings.Ready == 0 && _inbox.IsEmpty)
                Rest();
            while (_inbox.TryDequeue(out var action))
                action();
            RetireCancelled();
            if (_embeddings.Ready > 0)
                Embed(_embeddings.TakeNext());
            if (!_cache.IsBroken)
                _admission.Admit();
            _admission.Join();
            var computed = false;
            while (_running.Find(sequence => sequence.IsComputed) is { } known)
            {
                Sample(known);
                // At once: others' decode may take a while.
                _events.Flush();
                computed = true;
            }
            _model.Threads.Spare(_encoder?.BusyThreads ?? 0);
            if (_adapters.Choose(_running) is { } adapters)
            {
                _batchBuilder.Build(_running, adapters);
                computed |= _batch.Count > 0;
                if (_batch.Count > 0)
                    DecodeAndSample(adapters);
            }
            computed |= _encoder is not null && DecodeMedium();
            _lastWork = computed ? Stopwatch.GetTimestamp() : _lastWork;
            _cache.Writing?.WriteDownBeside();
            TellCells();
            _events.Flush();
            // All that runs waits for a picture.
            if (!computed && _encoder is { BusyThreads: > 0 } && _running.Count > 0 && _embeddings.Ready == 0 && _inbox.IsEmpty)
                _wake.Wait();
        }
    }

    private bool HasWork => _running.Count > 0 || _waiting.Count > 0;

    // Until something is posted. States are written down once no request came for a while, however often the counters are asked for. A
    // signal may be older than this rest: what it stood for was done without waiting for it.
    private void Rest()
    {
        for (TimeSpan? left = TimeSpan.Zero; left is not null && _inbox.IsEmpty && _cache.Writing is { } writing;)
        {
            if (_wake.Wait(writing.PatienceFor(left.Value, Stopwatch.GetElapsedTime(_lastWork))))
                continue;
            left = writing.WriteDown();
            TellCells();
        }
        if (_inbox.IsEmpty)
            _wake.Wait();
        _cache.Writing?.EndRest();
    }

    private void TellCells()
    {
        if (_kvBlocks?.Changes() is { Length: > 0 } changes)
            _events.Holds(changes);
    }

    private void Post(Action action)
    {
        _inbox.Enqueue(action);
        _wake.Release();
    }

    private void RetireCancelled()
    {
        if (!_anyCancelled)
            return;
        _anyCancelled = false;
        _embeddings.TakeCancelled();
        foreach (var sequence in _waiting.TakeCancelled())
        {
            ReportEnd(sequence, FinishReason.Cancelled);
            sequence.Dispose();
        }
        foreach (var sequence in _running.Where(sequence => sequence.Cancelled).ToArray())
        {
            ReportEnd(sequence, FinishReason.Cancelled);
            Retire(sequence);
        }
        // At once: the turn's decode may take a while.
        _events.Flush();
    }

    // 4. Decode

    private void DecodeAndSample(AdapterSet adapters)
    {
        _model.UseAdapters(adapters);
        _model.Threads.Prepare(_batch.Count);
        var before = Stopwatch.GetTimestamp();
        var code = _batch.Decode(_model.Context);
        _counters.CountDecode(_running.Count);
        if (code == 0)
        {
            _model.Context.Synchronize();
            var elapsed = Stopwatch.GetElapsedTime(before);
            _batchBuilder.Observe(elapsed);
            if (_encoder is not { BusyThreads: > 0 })
                _model.Threads.Observe(_batch.Count, elapsed);
            _counters.CountBatch(_batch.Count - (_batchBuilder.PaddingSlot is null ? 0 : 1));
            foreach (var (sequence, tokens) in _batchBuilder.Parts)
                NoteComputed(sequence, tokens);
            if (_batchBuilder.PaddingSlot is { } slot)
                _cache.CutToTokens(slot);
            foreach (var (sequence, tokens) in _batchBuilder.Parts)
            {
                if (sequence.Options.ReportPrompt)
                    _sampler.ReportPrompt(sequence, tokens);
                if (sequence.LogitsIndex >= 0)
                    Sample(sequence);
            }
            return;
        }
        if (code == 1)
        {
            FreeCells();
            return;
        }
        FailAll(code);
    }

    // After such a code the state of the KV cells is unknown, and every running sequence has some.
    private void FailAll(int code)
    {
        var reason = NativeLog.TakeErrors();
        var message = $"llama.cpp could not decode (code {code})" + (reason.Length > 0 ? $": {reason}" : "");
        foreach (var sequence in _running.ToArray())
            Fail(sequence, new EngineException(EngineFailure.GenerationFailed, message));
        _cache.ClearAll();
    }

    private void NoteComputed(Sequence sequence, int count)
    {
        var slot = sequence.Slot!;
        var computed = slot.Tokens.Count;
        if (sequence.NextMedium is { } medium && medium.Start == computed)
            slot.Media.Add(medium.Computed());
        foreach (var token in sequence.Tokens.Slice(computed, count))
            _cache.Computed(slot, token);
        _counters.PrefilledTokens += Math.Clamp(sequence.PromptLength - computed, 0, count);
        // Cells of drafts are behind it.
        if (sequence.Draft.Count == 0 && sequence.NextCheckpoint(computed) == computed + count)
            _cache.TakeCheckpoint(slot);
        if (sequence.Options.ReportProgress && computed < sequence.PromptLength)
            _events.Progress(sequence.RequestId, Math.Min(computed + count, sequence.PromptLength));
    }

    // Out of cells: nothing was computed. The next turn builds its batch again, with more free cells or fewer tokens.
    private void FreeCells()
    {
        if (_batchBuilder.HasExtras)
        {
            _batchBuilder.Spare();
            return;
        }
        if (_cache.DropIdle())
            return;
        var youngest = _running.Where(sequence => sequence.Slot!.Tokens.Count > 0).MaxBy(sequence => sequence.AdmittedAt);
        if (youngest is not null && _running.Count > 1)
        {
            Preempt(youngest);
            return;
        }
        // A single sequence that finds no cells: the context is full.
        foreach (var sequence in _running.ToArray())
        {
            if (sequence.Generated > 0)
            {
                End(sequence, FinishReason.Length);
            }
            else
            {
                Fail(sequence, new EngineException(EngineFailure.GenerationFailed,
                    $"the prompt of {sequence.PromptLength} tokens does not fit into the KV cache ({_model.Cells} cells); raise --ctx"));
            }
        }
        _cache.ClearAll();
    }

    // The sequence goes to the head of the queue with its generated tokens; its cells are computed again when it gets a slot.
    private void Preempt(Sequence sequence)
    {
        var slot = sequence.Slot!;
        _cache.SaveState(slot);
        _cache.Clear(slot);
        Leave(sequence);
        sequence.Joins = null;
        _waiting.Return(sequence);
        _admission.CellsRanOut = true;
        _counters.Preemptions++;
    }

    // 5. Sample

    private void Sample(Sequence sequence)
    {
        try
        {
            if (_sampler.Sample(sequence) is { } reason)
                End(sequence, reason);
        }
        catch (EngineException e)
        {
            _cache.IsBroken |= e.HasBrokenMemory;
            Fail(sequence, e);
        }
    }

    // 6. Media: computes tokens of one; false where none is ready. Sequences take turns, the one that did not for the longest time first.
    private bool DecodeMedium()
    {
        var next = _running.Where(sequence => sequence.Joins is null && sequence.NextMedium is { } span
            && (span.Chunk.Embeddings is not null || span.Chunk.Medium.Failure is not null)).MinBy(sequence => sequence.MediumTurn);
        if (next?.NextMedium is not { } medium)
            return false;
        next.MediumTurn = ++_mediumTurns;
        if (medium.Chunk.Embeddings is not { } embeddings)
        {
            Fail(next, new EngineException(EngineFailure.GenerationFailed, medium.Chunk.Medium.Failure!));
            return true;
        }
        var (slot, native) = (next.Slot!, medium.Chunk.Native);
        var done = slot.Tokens.Count - medium.Start;
        var count = native.NonCausal
            ? native.Tokens
            : Math.Min(native.Tokens - done, _batchBuilder.ChunkLimit(_running.Exists(sequence => sequence.Generates)));
        var isLast = slot.Tokens.Count + count == next.Tokens.Length;
        var width = embeddings.Length / native.Tokens;
        var positions = medium.Chunk.PositionsOf(slot.PositionAt(medium.Start), done, count);
        _model.UseAdapters(next.Adapters);
        _model.Threads.Prepare(count);
        if (native.NonCausal)
            _model.Context.UseCausalAttention(false);
        var before = Stopwatch.GetTimestamp();
        var code = EmbeddingBatch.Decode(
            _model.Context, embeddings.AsSpan(done * width, count * width), count, positions, slot.Id, outputs: isLast ? 1 : 0);
        if (code == 0)
            _model.Context.Synchronize();
        if (native.NonCausal)
            _model.Context.UseCausalAttention(true);
        _counters.CountDecode(1);
        if (code == 1)
        {
            FreeCells();
            return true;
        }
        if (code != 0)
        {
            FailAll(code);
            return true;
        }
        if (count >= BatchBuilder.SmallestChunk)
            _batchBuilder.ObservePrompt(count, Stopwatch.GetElapsedTime(before));
        NoteComputed(next, count);
        next.Draft.Clear();
        next.LogitsIndex = isLast ? count - 1 : -1;
        if (isLast)
            Sample(next);
        return true;
    }

    private void Embed(EmbeddingJob job)
    {
        var before = Stopwatch.GetTimestamp();
        job.Do();
        _counters.CountDecode(1);
        _counters.PrefilledTokens += job.Tokens;
        _lastWork = Stopwatch.GetTimestamp();
        _counters.PromptSeconds += Stopwatch.GetElapsedTime(before, _lastWork).TotalSeconds;
    }

    private void End(Sequence sequence, FinishReason reason)
    {
        ReportEnd(sequence, reason);
        _admission.NoteTime(Stopwatch.GetElapsedTime(sequence.AdmittedAt).TotalSeconds);
        Retire(sequence);
    }

    private void ReportEnd(Sequence sequence, FinishReason reason)
    {
        var now = Stopwatch.GetTimestamp();
        var admitted = sequence.AdmittedAt == 0 ? now : sequence.AdmittedAt;
        var first = sequence.FirstTokenAt == 0 ? now : sequence.FirstTokenAt;
        if (sequence.AdmittedAt != 0)
        {
            _counters.PromptSeconds += Stopwatch.GetElapsedTime(admitted, first).TotalSeconds;
            _counters.GeneratedSeconds += Stopwatch.GetElapsedTime(first, now).TotalSeconds;
            _counters.GeneratedSteps += Math.Max(0, sequence.Generated - 1);
            _counters.MostTokens = Math.Max(_counters.MostTokens, sequence.PromptLength + sequence.Generated);
        }
        _events.Ended(
            sequence.RequestId, new GenerationEnd(reason, sequence.Generated, sequence.TimingsOf(admitted, first, now)));
    }

    private void Fail(Sequence sequence, EngineException error)
    {
        _events.Failed(sequence.RequestId, error);
        Retire(sequence);
    }

    private void Retire(Sequence sequence)
    {
        Leave(sequence);
        sequence.Dispose();
        _admission.CellsRanOut = false;
    }

    private void Leave(Sequence sequence)
    {
        if (sequence.Slot is { } slot)
        {
            _cache.Release(slot);
            foreach (var (_, action) in _postponed.Where(one => one.Slot == slot).ToArray())
                action();
            _postponed.RemoveAll(one => one.Slot == slot);
        }
        sequence.Slot = null;
        sequence.LogitsIndex = -1;
        _running.Remove(sequence);
    }
}
