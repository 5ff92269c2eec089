using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using Shimmy.Engine;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>An engine that loads nothing and answers what the test says. Every model's tokens are words.</summary>
internal sealed class ScriptedEngine : IInferenceEngine
{
    private int _loads;

    /// <summary>Runs during each load; may wait, report progress, or throw what the load is to fail with.</summary>
    public Func<ModelSpec, IProgress<float>?, CancellationToken, Task> Loading { get; set; } = (_, _, _) => Task.CompletedTask;

    /// <summary>The answer of a model to a prompt, word by word.</summary>
    public Func<ModelSpec, GenerationRequest, IEnumerable<string>> Answer { get; set; } = (spec, _) => ["I", " am", " " + spec.Name];

    /// <summary>Runs before each token.</summary>
    public Func<CancellationToken, Task> BeforeToken { get; set; } = _ => Task.CompletedTask;

    /// <summary>Which specs it takes.</summary>
    public Func<ModelSpec, bool> Takes { get; set; } = _ => true;

    /// <summary>What a loaded model says of itself.</summary>
    public Func<ModelSpec, ModelFacts> Facts { get; set; } = spec => new ModelFacts
    {
        Architecture = "scripted",
        // The template of this family has no token that the transcripts would have to escape.
        Name = "openchat",
        Description = spec.Name,
        ContextLength = spec.ContextLength,
        Slots = spec.Parallel,
    };

    /// <summary>One whose models have media, as <paramref name="facts"/> says; what they are asked goes to a list.</summary>
    public static ScriptedEngine OfMedia(List<Prompt> asked, Func<ModelFacts, ModelFacts> facts, params string[] answer) => new()
    {
        Facts = spec => facts(new ModelFacts
        {
            Architecture = "scripted",
            Description = spec.Name,
            ContextLength = spec.ContextLength,
            Slots = spec.Parallel,
            ChatTemplates = new Dictionary<string, string> { ["default"] = RandomModel.ChatMl },
        }),
        Answer = (_, request) =>
        {
            lock (asked)
                asked.Add(request.Prompt);
            return answer;
        },
    };

    /// <summary>The same, whose models hear as ultravox does; with a rate of 0 they do not.</summary>
    public static ScriptedEngine Hearing(List<Prompt> asked, int rate, int context, string? audioReason, params string[] answer) =>
        OfMedia(asked, facts => facts with
        {
            ContextLength = context,
            SampleRate = rate,
            SoundTokens = rate > 0 ? 150 : 0,
            SoundSeconds = rate > 0 ? 30 : 0,
            AudioUnsupportedReason = audioReason,
        }, answer);

    /// <summary>The text of a prompt, with a star in the place of each medium.</summary>
    public static string Shown(Prompt prompt) => string.Concat(prompt.Parts.Select(part => part.Medium is null ? part.Text : "*"));

    /// <summary>What a model's scheduler says of itself.</summary>
    public Func<ModelSpec, EngineStatistics> Statistics { get; set; } = _ => new EngineStatistics();

    /// <summary>The tokens of a prompt; null for the words that it has.</summary>
    public Func<Prompt, IReadOnlyList<int>>? Tokens { get; set; }

    /// <summary>Runs before a model's scheduler says it.</summary>
    public Func<CancellationToken, Task> BeforeStatistics { get; set; } = _ => Task.CompletedTask;

    /// <summary>The adapters that were chosen for what was asked; null where none was.</summary>
    public ConcurrentQueue<IReadOnlyList<LoraChoice>?> Loras { get; } = [];

    /// <summary>The places in the queue of what was asked.</summary>
    public ConcurrentQueue<QueuePlace> Places { get; } = [];

    /// <summary>What was embedded.</summary>
    public ConcurrentQueue<Prompt> Embedded { get; } = [];

    /// <summary>Loads begun.</summary>
    public int Loads => _loads;

    /// <summary>Models that were loaded, in order, disposed ones included.</summary>
    public ConcurrentQueue<ScriptedModel> Models { get; } = [];

    /// <summary>Models in memory now.</summary>
    public int Alive => Models.Count(model => !model.Completion.IsCompleted);

    /// <inheritdoc/>
    public bool CanLoad(ModelSpec spec) => Takes(spec);

    /// <inheritdoc/>
    public async Task<ILoadedModel> LoadAsync(ModelSpec spec, IProgress<float>? progress, CancellationToken cancellation)
    {
        Interlocked.Increment(ref _loads);
        await Loading(spec, progress, cancellation);
        cancellation.ThrowIfCancellationRequested();
        var model = new ScriptedModel(this, spec, Facts(spec));
        Models.Enqueue(model);
        return model;
    }
}

/// <summary>A model of <see cref="ScriptedEngine"/>.</summary>
internal sealed class ScriptedModel(ScriptedEngine engine, ModelSpec spec, ModelFacts facts) : ILoadedModel
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ModelSpec Spec => spec;

    public ModelFacts Facts => facts;

    public Task Completion => _completion.Task;

    /// <summary>Whether it was unloaded, not only lost.</summary>
    public bool Disposed { get; private set; }

    /// <summary>What a killed worker looks like.</summary>
    public void Die() => _completion.TrySetResult();

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation, CancellationToken finish = default)
    {
        engine.Places.Enqueue(request.Place);
        engine.Loras.Enqueue(request.Options.Loras);
        var promptTokens = (await TokenizeAsync(request.Prompt, cancellation)).Count;
        yield return GenerationEvent.OfStart(new GenerationStart(promptTokens, 0, request.Options.Seed ?? 1));
        var generated = 0;
        var reason = FinishReason.Stop;
        foreach (var word in engine.Answer(spec, request))
        {
            if (generated == request.Options.MaxTokens)
            {
                reason = FinishReason.Length;
                break;
            }

            if (finish.IsCancellationRequested)
            {
                reason = FinishReason.Cancelled;
                break;
            }

            await engine.BeforeToken(cancellation);
            cancellation.ThrowIfCancellationRequested();
            if (Completion.IsCompleted)
                throw new EngineException(EngineFailure.WorkerLost, $"the worker of '{spec.Name}' is gone");

            yield return GenerationEvent.OfToken(++generated, Encoding.UTF8.GetBytes(word));
        }

        yield return GenerationEvent.OfEnd(new GenerationEnd(reason, generated, new GenerationTimings(0, 0, 0)));
    }

    public async Task<Embedding> EmbedAsync(EmbeddingRequest request, CancellationToken cancellation)
    {
        engine.Places.Enqueue(request.Place);
        engine.Loras.Enqueue(request.Loras);
        engine.Embedded.Enqueue(request.Prompt);
        return new([3, 4], (await TokenizeAsync(request.Prompt, cancellation)).Count);
    }

    public Task<IReadOnlyList<int>> TokenizeAsync(Prompt prompt, CancellationToken cancellation) => Task.FromResult(
        engine.Tokens?.Invoke(prompt) ?? prompt.Tokens
        ?? [.. string.Concat(prompt.Parts.Select(part => part.Text)).Split(' ').Select((_, index) => index)]);

    public Task<ReadOnlyMemory<byte>> DetokenizeAsync(IReadOnlyList<int> tokens, CancellationToken cancellation) =>
        Task.FromResult<ReadOnlyMemory<byte>>(Encoding.UTF8.GetBytes(string.Join(' ', tokens)));

    public EngineStatistics? LastStatistics { get; private set; }

    public async Task<EngineStatistics> GetStatisticsAsync(CancellationToken cancellation)
    {
        await engine.BeforeStatistics(cancellation);
        return LastStatistics = engine.Statistics(spec);
    }

    public ValueTask DisposeAsync()
    {
        Disposed = true;
        _completion.TrySetResult();
        return ValueTask.CompletedTask;
    }
}
