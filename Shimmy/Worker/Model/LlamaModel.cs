using System.Globalization;
using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Worker.Media;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>A loaded model and its context. Used by the scheduler's thread only, except for the vocabulary.</summary>
internal sealed class LlamaModel : IDisposable
{
    // llama.cpp's words for what an older build of it does not know yet.
    private static readonly string[] Unknown = ["unknown model architecture", "unknown pre-tokenizer type", "invalid ggml type"];

    private EmbeddingContext? _embedding;
    private AdapterSet? _adapters;

    private LlamaModel(
        ModelSpec spec, ModelHandle handle, ContextHandle context, LoraAdapters adapters, ModelMetadata metadata, int contextLength)
    {
        Spec = spec;
        Adapters = adapters;
        Handle = handle;
        Context = context;
        UseAdapters(adapters.Default);
        Metadata = metadata;
        ContextLength = contextLength;
        Cells = context.Cells;
        BatchSize = context.BatchSize;
        Vocabulary = new Vocabulary(handle);
        Threads = new ThreadChoice(this, spec.Threads);
    }

    /// <summary>The spec that was loaded.</summary>
    public ModelSpec Spec { get; }

    /// <summary>llama.cpp's model.</summary>
    public ModelHandle Handle { get; }

    /// <summary>The context in which sequences run, or, of a model that only embeds, texts are embedded.</summary>
    public ContextHandle Context { get; }

    /// <summary>The metadata of its file.</summary>
    public ModelMetadata Metadata { get; }

    /// <summary>Its tokens; from any thread.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>The model's adapters.</summary>
    public LoraAdapters Adapters { get; }

    /// <summary>The threads that compute.</summary>
    public ThreadChoice Threads { get; }

    /// <summary>The projector that lets it see or hear; null where it has none.</summary>
    public Projector? Projector { get; private init; }

    /// <summary>Tokens one request may use.</summary>
    public int ContextLength { get; }

    /// <summary>KV cells of all sequences together.</summary>
    public int Cells { get; }

    /// <summary>Most tokens in one decode.</summary>
    public int BatchSize { get; }

    /// <summary>
    /// Whether a lone token should be computed beside another one. ggml computes plain attention and wide weights for one token with other
    /// code than for several: slower where heads are small, and results for batch size 1 differ in the last bits, so output would depend on
    /// batch composition.
    /// </summary>
    public bool PairsLoneTokens { get; private init; }

    private string? ProjectorSkipReason { get; init; }

    private LoadPlan Plan { get; init; } = null!;

    // As llama.cpp counts, the output layer included.
    private int GpuLayers { get; init; }

    private IReadOnlyList<DeviceMemory> Memory { get; init; } = [];

    /// <summary>Whether a GPU computes layers of it.</summary>
    public bool UsesGpu => Plan.UsesGpu;

    /// <summary>The devices that compute, with the number of layers there: what changes how results are rounded.</summary>
    public string DeviceNames => $"{Plan.Choice.Backend} {string.Join(' ', Plan.Choice.Facts.Select(device => device.Name))} {GpuLayers}";

    /// <summary>Sequences decoded at once.</summary>
    public int Slots => Spec.Parallel;

    /// <summary>Whether the model gives logits to sample from, token after token.</summary>
    public bool CanGenerate => Metadata.CanGenerate;

    /// <summary>The context that embeds texts, made at the first use.</summary>
    public EmbeddingContext Embedding => _embedding ??= EmbeddingContext.Create(this);

    /// <summary>
    /// Loads a model; <paramref name="progress"/> gets 0 to 1. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.LoadFailed"/>) with llama.cpp's own reason.
    /// </summary>
    public static LlamaModel Load(ModelSpec spec, Action<float> progress)
    {
        var header = HeaderOf(spec.Path);
        RuntimeLibraries.Load();
        if (spec.Tuning.Numa is { } numa)
            RuntimeLibraries.UseNuma(numa);
        var tuned = LongRope.Keep(spec, header);
        for (var plan = LoadPlan.For(spec).WithPlainWeights(header); ;)
        {
            var log = new LoadLog();
            NativeLog.LoadObserver = log.Listen;
            try
            {
                return Load(spec, tuned, plan, log, progress);
            }
            catch (EngineException) when (log.OutOfMemory && plan.Smaller() is { } smaller)
            {
                plan = smaller;
            }
            finally
            {
                NativeLog.LoadObserver = null;
            }
        }
    }

    // Null where it cannot be read: llama.cpp says what is wrong with the file.
    private static GgufHeader? HeaderOf(string path)
    {
        try
        {
            return GgufReader.ReadFile(path, new GgufLimits { ArrayLength = 0 });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or GgufException)
        {
            return null;
        }
    }

    // What is tuned goes to llama.cpp alone: the model is known by what was asked for.
    private static LlamaModel Load(ModelSpec spec, ModelSpec tuned, LoadPlan plan, LoadLog log, Action<float> progress)
    {
        NativeLog.TakeErrors();
        var handle = ModelFile.Load(tuned, plan.Choice, plan.GpuLayers, plan.ModelLayers, plan.PlainWeights, progress);
        if (handle.IsInvalid)
            throw Failure($"cannot load {spec.Path}", plan, log);
        Projector? projector = null;
        string? skipReason = null;
        try
        {
            log.CheckOverrides(spec.Tuning.MetadataOverrides);
            var metadata = ModelMetadata.Read(handle, spec.Path, (PoolingType?)spec.Tuning.Pooling);
            var adapters = LoraAdapters.Load(handle, metadata.Architecture, spec.Loras);
            ContextParameters.Check(spec.Tuning, metadata);
            var contextLength = spec.ContextLength > 0 ? spec.ContextLength : Math.Max(1, handle.TrainedContext);
            var attention = AttentionChoice.Of(spec.Tuning, metadata.HeadSize, plan.UsesGpu);
            if (spec.Projector is not null && metadata.CanGenerate)
                (projector, skipReason) = LoadProjector(spec, handle, plan.UsesGpu, contextLength);
            // Which answers to pictures are known are those of llama.cpp's own programs, which fuse attention wherever they can.
            if (projector is not null && spec.Tuning.FlashAttention is null)
                attention = FlashAttention.Auto;
            var parameters = metadata.CanGenerate
                ? ContextParameters.ForGeneration(spec, handle, attention, contextLength, projector?.LargestNonCausal ?? 0)
                : ContextParameters.ForEmbedding(spec, metadata, contextLength);
            if (ContextHandle.Create(handle, parameters) is not { } context)
            {
                var advice = log.OutOfMemory ? " (a smaller --ctx needs less memory)" : "";
                throw Failure($"cannot make a context of {contextLength} tokens for {spec.Path}{advice}", plan, log);
            }
            if (projector is not null)
                projector.MostAtOnce = context.MicroBatchSize;
            var model = new LlamaModel(spec, handle, context, adapters, metadata, contextLength)
            {
                PairsLoneTokens = attention == FlashAttention.Off && AttentionChoice.IsPlainFaster(metadata.HeadSize, plan.UsesGpu)
                    && !handle.HasRecurrentState,
                Plan = plan,
                Projector = projector,
                ProjectorSkipReason = skipReason,
                GpuLayers = log.GpuLayers,
                Memory = new MemoryUse(log).Of(handle, [.. plan.Choice.Facts.Select(device => device.Name)]),
            };
            // A driver that is too old for its plug-in, for one, shows only when something is computed: then the load fails, not the first
            // request.
            if (plan.UsesGpu && model.CanGenerate)
                model.Threads.RunOnce(tokens: 1);
            return model;
        }
        catch
        {
            projector?.Dispose();
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Applies these adapters to all later decodes of <see cref="Context"/>.</summary>
    public void UseAdapters(AdapterSet set)
    {
        if (set.Equals(_adapters) || (_adapters is null && Adapters.Facts.Count == 0))
            return;
        Adapters.Apply(Context, set);
        _adapters = set;
    }

    /// <summary>The logits of the batch's token at this index; valid until the next decode, and free to be changed.</summary>
    public Span<float> Logits(int index)
    {
        var logits = Context.Logits(index, Vocabulary.Size);
        return logits.IsEmpty
            ? throw new EngineException(EngineFailure.GenerationFailed, "llama.cpp gave no logits for the last token")
            : logits;
    }

    /// <summary>Facts of the model for the server.</summary>
    public ModelFacts Facts(TimeSpan loadTime)
    {
        return new ModelFacts
        {
            Architecture = Metadata.Of("general.architecture") ?? "unknown",
            Name = Metadata.Of("general.name"),
            // llama.cpp knows the sizes of well-known models alone; of any other it says "?B".
            Description = Handle.Description().Replace("?B", ModelLabels.OfParameters(Handle.ParameterCount), StringComparison.Ordinal),
            ParameterCount = Handle.ParameterCount,
            SizeBytes = Handle.SizeBytes,
            VocabularySize = Vocabulary.Size,
            VocabularyType = Vocabulary.Native.Type,
            EndTokens = [.. Vocabulary.EndTokens],
            EmbeddingLength = Handle.OutputEmbeddingLength,
            CanGenerate = CanGenerate,
            CanSee = Projector is { CanSee: true },
            ProjectorSkipReason = ProjectorSkipReason,
            SampleRate = Projector?.SampleRate ?? 0,
            SoundTokens = Projector?.SoundTokens ?? 0,
            SoundSeconds = Projector is { SampleRate: > 0 } ? Projector.SoundSeconds : 0,
            AudioUnsupportedReason = Projector?.AudioUnsupportedReason,
            CanRerank = Metadata.Pooling == PoolingType.Rank,
            EmbedsTokens = Metadata.Pooling == PoolingType.None,
            LacksRankingHead = Metadata.LacksRankingHead,
            IsMatryoshka = Metadata.Traits.IsMatryoshka,
            TrainedContextLength = Handle.TrainedContext,
            ContextLength = ContextLength,
            Cells = Cells,
            Slots = Slots,
            BosText = Vocabulary.Text(Vocabulary.Bos),
            EosText = Vocabulary.Text(Vocabulary.Eos),
            FillInTheMiddle = Vocabulary.FillInTheMiddle,
            AddsBos = Vocabulary.AddsBos,
            ChatTemplates = Metadata.ChatTemplates(),
            SamplingDefaults = Metadata.SamplingDefaults(Spec.Defaults),
            Adapters = Adapters.Facts,
            Threads = Threads.Decode,
            BatchThreads = Threads.Batch,
            Devices = Devices.List(),
            Backend = RuntimeDirectory.PluginName(Plan.Choice.Backend),
            GpuLayers = GpuLayers,
            Layers = Handle.Layers + 1,
            LayerReason = Plan.Reason,
            Memory = Memory,
            LoadMilliseconds = loadTime.TotalMilliseconds,
            ResidentBytes = Environment.WorkingSet,
            LibraryVersion = RuntimeLibraries.Version,
            ProcessId = Environment.ProcessId,
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Context.Dispose();
        Projector?.Dispose();
        Threads.Dispose();
        Handle.Dispose();
    }

    // One that was found, not chosen, is left out where it cannot be used.
    private static (Projector? Projector, string? ProjectorSkipReason) LoadProjector(
        ModelSpec spec, ModelHandle handle, bool usesGpu, int contextLength)
    {
        Projector? projector = null;
        try
        {
            projector = Projector.Load(spec, handle, usesGpu);
            ContextParameters.CheckMedium(projector.LargestNonCausal, contextLength);
            return (projector, null);
        }
        catch (EngineException e)
        {
            projector?.Dispose();
            if (!spec.ProjectorIsFound)
                throw;
            return (null, e.Message);
        }
    }

    private static EngineException Failure(string what, LoadPlan plan, LoadLog log)
    {
        var reason = NativeLog.TakeErrors();
        var full = log.OutOfMemory && plan.UsesGpu;
        if (full)
            what = $"{what}: {LoadPlan.TooLittle(plan.Choice.Facts)}";
        return new EngineException(EngineFailure.LoadFailed, reason.Length > 0
            ? $"{what}: {reason}"
            : what)
        {
            Shortage = full ? plan.Shortage : null,
            Fault = Array.Exists(Unknown, words => reason.Contains(words, StringComparison.Ordinal)) ? RuntimeFault.UnknownModel : null,
        };
    }
}

/// <summary>
/// LongRoPE (arXiv 2402.13753): a model has two sets of rotary factors, one for texts up to the length that it was first trained with and
/// one for longer ones. llama.cpp chooses by the cells of the whole context, which it rounds up and which all slots share: with several
/// slots, short requests would be computed with the factors for long ones, and answer differently than with one. What one request may use
/// decides here.
/// </summary>
internal static class LongRope
{
    private const string LongFactors = "rope_factors_long.weight";
    private const string OriginalContext = "rope.scaling.original_context_length";

    /// <summary>
    /// The spec with which llama.cpp takes the factors for short texts where no request can be longer: the length at which it changes over
    /// is put out of reach. The spec as it is where the model has no such factors, where requests may be longer, or where the
    /// user has set the length.
    /// </summary>
    /// <param name="spec">What to load.</param>
    /// <param name="header">The header of its file; null where it cannot be read, which llama.cpp says better.</param>
    public static ModelSpec Keep(ModelSpec spec, GgufHeader? header)
    {
        if (spec.ContextLength <= 0 || header is null)
            return spec;
        var key = $"{header.Architecture}.{OriginalContext}";
        if (header.Integer(key) is not { } original || spec.ContextLength > original || !header.Tensors.Any(one => one.Name == LongFactors)
            || spec.Tuning.MetadataOverrides.Any(one => one.Key == key))
        {
            return spec;
        }
        var over = new MetadataOverride(key, "int", int.MaxValue.ToString(CultureInfo.InvariantCulture));
        return spec with { Tuning = spec.Tuning with { MetadataOverrides = [.. spec.Tuning.MetadataOverrides, over] } };
    }
}
