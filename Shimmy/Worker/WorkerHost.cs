using System.Buffers;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Shimmy.Engine;
using Shimmy.Engine.Protocol;
using Shimmy.Worker.Media;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sampling;
using Shimmy.Worker.Scheduling;
using Shimmy.Worker.Sequences;
using Shimmy.Worker.Speculation;

namespace Shimmy.Worker;

/// <summary>
/// The worker's end of the pipe, in the one process that loads llama.cpp. One thread reads frames, three others handle long ones, and one
/// owns the context and runs the scheduler. When the pipe closes, the parent is gone or has disposed the model, and the process kills
/// itself, even in the middle of a decode.
/// </summary>
internal sealed class WorkerHost(FrameReader incoming, FrameWriter outgoing) : IEventSink
{
    private readonly ArrayBufferWriter<byte> _events = new(4096);
    private readonly GrammarStateCache _grammars = new();
    private BackgroundFrames[] _background = [];
    private LlamaModel? _model;
    private Scheduler? _scheduler;

    /// <summary>Serves the pipe until it closes; never returns.</summary>
    public void Run()
    {
        NativeLog.Listener = SendLog;
        // A thread each: a text to tokenize may be of any length and must not delay prompts, whose length is limited, and to read a picture
        // or a sound takes several processors for a while.
        var (prompts, media, questions) = (new BackgroundFrames(HandleInBackground),
            new BackgroundFrames(HandleInBackground, isBehind: true), new BackgroundFrames(HandleInBackground));
        _background = [prompts, media, questions];
        while (incoming.Read() is { } frame)
        {
            Answer(frame, () =>
            {
                var done = frame.Kind switch
                {
                    FrameKind.Generate or FrameKind.Embed => (PromptFrames.HasMedia(frame.Payload) ? media : prompts).Take(frame),
                    FrameKind.Tokenize or FrameKind.Detokenize => questions.Take(frame),
                    FrameKind.Cancel => CancelPrompt(frame.Id) || questions.Cancel(frame.Id),
                    _ => false,
                };
                if (!done)
                    Handle(frame, CancellationToken.None);
            });
        }
        // Kill, not Exit: Exit waits for the decode or runs native destructors during it.
        Process.GetCurrentProcess().Kill();

        bool CancelPrompt(uint id)
        {
            if (!prompts.Cancel(id) && !media.Cancel(id))
                return false;
            EndUnstarted(id);
            return true;
        }
    }

    private void HandleInBackground(Frame frame, CancellationToken cancellation)
    {
        Answer(frame, () => Handle(frame, cancellation));
        // A cancel that came while the prompt was tokenized found no sequence yet.
        if (cancellation.IsCancellationRequested)
            _scheduler?.Cancel(frame.Id);
    }

    private void Answer(Frame frame, Action handle)
    {
        try
        {
            handle();
        }
        catch (EngineException e)
        {
            Fail(frame.Id, e);
        }
        catch (OperationCanceledException)
        {
            // While its text was tokenized. Only generations have an end; the server drops it for anything else.
            EndUnstarted(frame.Id);
        }
        catch (InvalidDataException e)
        {
            Fail(frame.Id,
                new EngineException(EngineFailure.InvalidRequest, $"the worker cannot read its {frame.Kind} frame: {e.Message}"));
        }
    }

    private void Handle(Frame frame, CancellationToken cancellation)
    {
        switch (frame.Kind)
        {
            case FrameKind.Load:
                Load(frame.Id, Wire.Read(frame.Payload, WorkerRecords.NoSpec, WorkerRecords.Spec));
                break;
            case FrameKind.Generate:
                var request = PromptFrames.Read(frame.Payload, WorkerRecords.NoGeneration, WorkerRecords.Generation);
                Generate(frame.Id, request with { Prompt = PromptFrames.WithData(request.Prompt, frame.Payload) }, cancellation);
                break;
            case FrameKind.Embed:
                var text = PromptFrames.Read(frame.Payload, WorkerRecords.NoEmbedding, WorkerRecords.Embedding);
                Embed(frame.Id, text with { Prompt = PromptFrames.WithData(text.Prompt, frame.Payload) }, cancellation);
                break;
            case FrameKind.Cancel:
                _scheduler?.Cancel(frame.Id);
                break;
            case FrameKind.Tokenize:
                var tokens = Model.Vocabulary.Tokenize(
                    PromptFrames.Read(frame.Payload, new Prompt(), WorkerRecords.Prompt), Model.Projector, out _);
                Send(FrameKind.Reply, frame.Id, MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(tokens)));
                break;
            case FrameKind.Detokenize:
                Send(FrameKind.Reply, frame.Id, Model.Vocabulary.Detokenize(MemoryMarshal.Cast<byte, int>(frame.Payload).ToArray()));
                break;
            case FrameKind.Statistics:
                var id = frame.Id;
                (_scheduler ?? throw NotLoaded()).Report(() => Array.TrueForAll(_background, frames => frames.IsIdle),
                    statistics => Reply(id, statistics with { ResidentBytes = Environment.WorkingSet }, WorkerRecords.Statistics));
                break;
            case FrameKind.Slot:
                var asked = frame.Id;
                var action = Wire.Read(frame.Payload, WorkerRecords.NoAction, WorkerRecords.Action);
                (_scheduler ?? throw NotLoaded()).Do(action,
                    result => Reply(asked, result, WorkerRecords.Result), error => Fail(asked, error));
                break;
            case FrameKind.Flush:
                var flushed = frame.Id;
                (_scheduler ?? throw NotLoaded()).Flush(() => Send(FrameKind.Reply, flushed, []));
                break;
            case FrameKind.ReportBackends:
                RuntimeLibraries.Load();
                var crashing = Wire.Read<IReadOnlyDictionary<string, string>>(frame.Payload, new Dictionary<string, string>(),
                    static (wire, map) => wire.TextMap(map));
                Reply(frame.Id, Devices.Report(crashing), WorkerRecords.Report);
                break;
            case FrameKind.Quantize:
                RuntimeLibraries.Load();
                Send(FrameKind.Reply, frame.Id, RowBlocks.Quantize(MemoryMarshal.Read<int>(frame.Payload),
                    MemoryMarshal.Read<int>(frame.Payload.AsSpan(4)), MemoryMarshal.Cast<byte, float>(frame.Payload.AsSpan(8))));
                break;
            default:
                throw new InvalidDataException($"unknown frame kind {(byte)frame.Kind}");
        }
    }

    private LlamaModel Model => _model ?? throw NotLoaded();

    private static EngineException NotLoaded() => new(EngineFailure.InvalidRequest, "no model is loaded in this worker");

    private void Load(uint id, ModelSpec spec)
    {
        if (_model is not null)
            throw new EngineException(EngineFailure.LoadFailed, "this worker has a model already");
        // On the scheduler's thread, so that the pipe is read during the load and the parent's death is noticed.
        new Thread(() => LoadAndRun(id, spec)) { Name = "scheduler" }.Start();
    }

    private void LoadAndRun(uint id, ModelSpec spec)
    {
        try
        {
            var start = Stopwatch.GetTimestamp();
            var reported = -1f;
            _model = LlamaModel.Load(spec, share =>
            {
                if (share < 1f && share - reported < 0.01f)
                    return;
                reported = share;
                outgoing.Write(FrameKind.Progress, id, MemoryMarshal.AsBytes(new ReadOnlySpan<float>(ref share)));
            });
            var draft = spec.Draft is null || !_model.CanGenerate ? null : DraftModel.Load(_model, spec, _ => { });
            _scheduler = new Scheduler(_model, draft, this);
            Reply(id, _model.Facts(Stopwatch.GetElapsedTime(start)), WorkerRecords.Facts);
        }
        catch (EngineException e)
        {
            Fail(id, e);
            return;
        }
        _scheduler.Run();
    }

    private void Generate(uint id, GenerationRequest request, CancellationToken cancellation)
    {
        var model = Model;
        if (!model.CanGenerate)
            throw new EngineException(EngineFailure.InvalidRequest, "this model does not generate text") { Option = "model" };
        if (PromptLengthCheck.TokensAtLeast(model.Vocabulary, request.Prompt, model.ContextLength, cancellation) is { } beyond)
            throw TooLong(beyond, "more than ");
        var client = model.Spec.SharingClient(request.Place.Client);
        var prompt = model.Vocabulary.Tokenize(OfClient(request.Prompt, client), model.Projector, out var media);
        // A text of nothing, to a vocabulary that puts no token in front: the beginning of a document.
        if (prompt.Count == 0 && request.Prompt is { Tokens: null, Parts.Count: > 0 } && model.Vocabulary.Beginning is >= 0 and var first)
            prompt.Add(first);
        if (prompt.Count == 0)
            throw new EngineException(EngineFailure.InvalidRequest, "the prompt is empty") { Option = "prompt" };
        if (prompt.Count >= model.ContextLength)
            throw TooLong(prompt.Count);
        // The greatest seed (LLAMA_DEFAULT_SEED) means a random one to llama.cpp.
        var seed = Math.Min(request.Options.Seed ?? (uint)Random.Shared.NextInt64(0, uint.MaxValue), uint.MaxValue - 1);
        var shown = model.Vocabulary.ControlTokensIn(request.ShownControlTokens);
        var adapters = model.Adapters.Choose(request.Options.Loras);
        if (request.Grammar is not null)
            model.Vocabulary.PrepareTrie();
        var sampler = new Sampler(model.Vocabulary, request, shown, seed, model.ContextLength, _grammars);
        sampler.AcceptPrompt(media.Count == 0 ? prompt : [.. prompt.Where(token => token >= 0)]);
        _scheduler!.Submit(new Sequence(id, prompt, request.Options, sampler, seed, model.ContextLength)
        {
            Adapters = adapters,
            Media = media,
            Shown = shown,
            Place = request.Place,
            SharingClient = client,
        });

        EngineException TooLong(int tokens, string orMore = "") => PromptTooLong(tokens, model.ContextLength,
            $"the maximum context length is {model.ContextLength} tokens, but the prompt has {orMore}{tokens} tokens: it exceeds the " +
            "available context size, of which at least one token must be left for the answer");
    }

    /// <summary>The prompt with media that are encoded for this client alone, as its prefixes are; empty: for all.</summary>
    public static Prompt OfClient(Prompt prompt, string client) => prompt.Media.Count == 0 || client.Length == 0
        ? prompt
        : prompt with { Media = [.. prompt.Media.Select(medium => medium with { Hash = $"{medium.Hash} {client}" })] };

    private void Embed(uint id, EmbeddingRequest request, CancellationToken cancellation)
    {
        var model = Model;
        if (request.Document is not null != model.Metadata.Pooling is PoolingType.Rank)
        {
            throw new EngineException(EngineFailure.InvalidRequest, model.Metadata.Pooling == PoolingType.Rank
                ? "this model is a reranker: it scores documents for a query; use /v1/rerank"
                : model.Metadata.LacksRankingHead
                    ? "this model pools as a reranker but its file has no classification head"
                    : "this model is not a reranker: it embeds texts and cannot rank documents")
            { Option = "model" };
        }

        var longest = EmbeddingContext.LongestOf(model);
        var sees = request.Prompt.Media.Count > 0;
        if (request.Truncate && !sees)
            request = PromptLengthCheck.Cut(request, longest);
        foreach (var text in request.Document is null ? [request.Prompt] : new[] { request.Prompt, request.Document })
        {
            if (PromptLengthCheck.TokensAtLeast(model.Vocabulary, text, longest, cancellation) is { } beyond)
                throw TooLong(beyond, "more than ");
        }
        List<MediaSpan> media = [];
        var tokens = request.Document is { } document ? Pair(document)
            : sees ? model.Vocabulary.Tokenize(
                OfClient(request.Prompt, model.Spec.SharingClient(request.Place.Client)) with { AddEos = true }, model.Projector, out media)
            : model.Vocabulary.TokenizeWhole(request.Prompt);
        if (request is { Truncate: true, Document: null } && !sees && tokens.Count > longest)
            PromptLengthCheck.Cut(tokens, longest, model.Vocabulary);
        if (tokens.Count == 0)
            throw new EngineException(EngineFailure.InvalidRequest, "the text is empty") { Option = "input" };
        if (tokens.Count > longest)
            throw TooLong(tokens.Count);
        EmbeddingContext.CheckSizes(model, media);
        var adapters = model.Adapters.Choose(request.Loras);
        _scheduler!.Submit(new EmbeddingJob(id, request.Place, tokens.Count, media, () =>
        {
            try
            {
                var embedding = model.Embedding.Compute(tokens, media, adapters);
                Send(FrameKind.Reply, id,
                    [.. BitConverter.GetBytes(embedding.Tokens), .. MemoryMarshal.AsBytes(embedding.Values.AsSpan())]);
            }
            catch (EngineException e)
            {
                Fail(id, e);
            }
        }, refused => Fail(id, refused)));

        List<int> Pair(Prompt document)
        {
            var pair = model.Vocabulary.TokenizePair(request.Prompt, document, model.Metadata.RerankTemplate);
            return request.Truncate
                ? PromptLengthCheck.Cut(pair, longest, document.WholeText(), shorter =>
                    model.Vocabulary.TokenizePair(request.Prompt, Prompt.FromText(shorter), model.Metadata.RerankTemplate))
                : pair;
        }

        EngineException TooLong(int tokens, string orMore = "") => PromptTooLong(tokens, longest,
            $"the maximum context length is {longest} tokens for a text that is embedded, but the text has {orMore}{tokens} tokens: it " +
            $"is too large, and exceeds the available context size{(sees ? "; one with pictures is never cut" : "")}");
    }

    private static EngineException PromptTooLong(int tokens, int contextLength, string message) =>
        new(EngineFailure.PromptTooLong, message) { PromptTokens = tokens, ContextLength = contextLength };

    void IEventSink.Started(uint requestId, GenerationStart start) => EventCodec.WriteStart(_events, requestId, start);

    void IEventSink.Token(uint requestId, int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability, TokenDraft draft) =>
        EventCodec.WriteToken(_events, requestId, token, piece.Span, logProbability, draft);

    void IEventSink.PromptToken(uint requestId, int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability) =>
        EventCodec.WriteToken(_events, requestId, token, piece.Span, logProbability, default, ofPrompt: true);

    void IEventSink.Progress(uint requestId, int computed) => EventCodec.WriteProgress(_events, requestId, computed);

    void IEventSink.Ended(uint requestId, GenerationEnd end) => EventCodec.WriteEnd(_events, requestId, end);

    void IEventSink.Failed(uint requestId, EngineException error) => EventCodec.WriteFailure(_events, requestId, error);

    void IEventSink.Holds(ReadOnlyMemory<byte> changes) => Send(FrameKind.Holds, 0, changes.Span);

    void IEventSink.Flush()
    {
        if (_events.WrittenCount == 0)
            return;
        Send(FrameKind.Events, 0, _events.WrittenSpan);
        _events.ResetWrittenCount();
    }

    // The end of a generation that was cancelled before there was a sequence; from any thread.
    private void EndUnstarted(uint id)
    {
        var end = new ArrayBufferWriter<byte>();
        EventCodec.WriteEnd(end, id, new GenerationEnd(FinishReason.Cancelled, 0, new GenerationTimings(0, 0, 0)));
        Send(FrameKind.Events, 0, end.WrittenSpan);
    }

    private void Reply<T>(uint id, T value, Func<Wire, T, T> fields) => Send(FrameKind.Reply, id, Wire.Write(value, fields));

    private void Fail(uint id, EngineException error) =>
        Send(FrameKind.Failed, id, Wire.Write(WorkerError.Of(error), WorkerRecords.Error));

    private void SendLog(NativeLogLevel level, string line) => Send(FrameKind.Log, 0, [(byte)level, .. Encoding.UTF8.GetBytes(line)]);

    // Writing fails where the parent is gone.
    private void Send(FrameKind kind, uint id, ReadOnlySpan<byte> payload)
    {
        try
        {
            outgoing.Write(kind, id, payload);
        }
        catch (IOException)
        {
            Process.GetCurrentProcess().Kill();
        }
    }
}
