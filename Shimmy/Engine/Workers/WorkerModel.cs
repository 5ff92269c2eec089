using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shimmy.Engine.Protocol;

namespace Shimmy.Engine.Workers;

/// <summary>A model that lives in a worker process.</summary>
internal sealed class WorkerModel(WorkerProcess worker, ModelSpec spec, ModelFacts facts) : ILoadedModel
{
    // Resident memory changes by itself.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(5);

    // An unload waits no longer for states to be written down.
    private static readonly TimeSpan TimeToWrite = TimeSpan.FromSeconds(5);

    private volatile Answer? _last;
    private volatile EngineStatistics? _latest;
    private volatile Task<EngineStatistics>? _late;

    public ModelSpec Spec { get; } = spec;

    public ModelFacts Facts { get; } = facts;

    public Task Completion => worker.Completion;

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation, CancellationToken finish = default)
    {
        cancellation.ThrowIfCancellationRequested();
        var (id, events) = worker.Generate(
            PromptFrames.Write(request, WorkerRecords.Generation, request.Prompt.Media));
        try
        {
            using var finishing = finish.UnsafeRegister(_ => worker.Finish(id), null);
            await foreach (var engineEvent in events.ReadAllAsync(cancellation).ConfigureAwait(false))
                yield return engineEvent;
        }
        finally
        {
            worker.Cancel(id);
        }
    }

    public async Task<Embedding> EmbedAsync(EmbeddingRequest request, CancellationToken cancellation)
    {
        var payload = PromptFrames.Write(request, WorkerRecords.Embedding, request.Prompt.Media);
        var reply = await worker.AskAsync(FrameKind.Embed, payload, cancellation).ConfigureAwait(false);
        return new Embedding(MemoryMarshal.Cast<byte, float>(reply.AsSpan(sizeof(int))).ToArray(), BitConverter.ToInt32(reply));
    }

    public async Task<IReadOnlyList<int>> TokenizeAsync(Prompt prompt, CancellationToken cancellation)
    {
        var request = PromptFrames.Write(prompt, WorkerRecords.Prompt, prompt.Media);
        var reply = await worker.AskAsync(FrameKind.Tokenize, request, cancellation).ConfigureAwait(false);
        return MemoryMarshal.Cast<byte, int>(reply).ToArray();
    }

    public async Task<ReadOnlyMemory<byte>> DetokenizeAsync(IReadOnlyList<int> tokens, CancellationToken cancellation) =>
        await worker.AskAsync(FrameKind.Detokenize, MemoryMarshal.AsBytes(tokens.ToArray().AsSpan()).ToArray(), cancellation)
            .ConfigureAwait(false);

    public async Task<SlotResult> DoAsync(SlotAction action, CancellationToken cancellation)
    {
        var payload = Wire.Write(action, WorkerRecords.Action);
        var reply = await worker.AskAsync(FrameKind.Slot, payload, cancellation).ConfigureAwait(false);
        return Wire.Read(reply, WorkerRecords.NoResult, WorkerRecords.Result);
    }

    // Routers ask twenty times a second, and each question wakes three threads: what an idle worker said stands until it gets something
    // to do.
    public EngineStatistics? StandingStatistics =>
        _last is { } last && last.Sent == worker.Sent && !worker.IsLost && Stopwatch.GetElapsedTime(last.At) < Fresh
            ? last.Statistics
            : null;

    public EngineStatistics? LastStatistics => _latest;

    // Who does not wait for the answer to the end, as of a worker in a long batch, leaves the question to those who ask after: theirs would
    // wait in line behind it, and those of a worker that hangs would pile up.
    public async Task<EngineStatistics> GetStatisticsAsync(CancellationToken cancellation)
    {
        if (StandingStatistics is { } standing)
            return standing;
        var question = _late is { IsCompleted: false } late ? late : AskStatisticsAsync();
        try
        {
            return await question.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!question.IsCompleted)
        {
            _late = question;
            throw;
        }
    }

    private async Task<EngineStatistics> AskStatisticsAsync()
    {
        var sent = worker.Sent;
        var reply = await worker.AskAsync(FrameKind.Statistics, [], CancellationToken.None).ConfigureAwait(false);
        var statistics = Wire.Read(reply, new EngineStatistics(), WorkerRecords.Statistics);
        _latest = statistics;
        if (statistics.IsSettled)
            _last = new Answer(statistics, sent, Stopwatch.GetTimestamp());
        return statistics;
    }

    // What was computed is written down first, where it is to survive the worker.
    public async ValueTask DisposeAsync()
    {
        if (Spec.PrefixStore is not null && !Completion.IsCompleted && !worker.IsLost)
        {
            using var limit = new CancellationTokenSource(TimeToWrite);
            // What is not written by then is computed again.
            await ((Task)worker.AskAsync(FrameKind.Flush, [], limit.Token)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        await worker.DisposeAsync().ConfigureAwait(false);
    }

    // What a settled worker said, how many frames had been sent before it was asked, and when it answered.
    private sealed record Answer(EngineStatistics Statistics, long Sent, long At);
}
