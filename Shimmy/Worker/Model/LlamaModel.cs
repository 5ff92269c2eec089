using System.Diagnostics;
using System.Globalization;
using System.Text;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Gguf;
using Shimmy.Worker.Native;
using static Shimmy.Worker.Native.LlamaApi;

namespace Shimmy.Worker.Model;

/// <summary>One model and its context, loaded. Used by the scheduler's thread alone, the vocabulary excepted.</summary>
internal sealed unsafe class LlamaModel : IDisposable
{
    private readonly Dictionary<string, string> _metadata;
    private EmbeddingContext? _embedding;
    private AdapterSet? _adapters;

    private LlamaModel(
        ModelSpec spec, ModelHandle handle, ContextHandle context, LoraAdapters adapters, Dictionary<string, string> metadata, int contextLength)
    {
        Spec = spec;
        Adapters = adapters;
        Handle = handle;
        Context = context;
        UseAdapters(adapters.Default);
        _metadata = metadata;
        ContextLength = contextLength;
        Cells = (int)llama_n_ctx(context);
        BatchSize = (int)llama_n_batch(context);
        Vocabulary = new Vocabulary(handle);
        Threads = new ThreadChoice(this, spec.Threads);
    }

    public ModelSpec Spec { get; }

    public ModelHandle Handle { get; }

    public ContextHandle Context { get; }

    public Vocabulary Vocabulary { get; }

    /// <summary>The model's adapters.</summary>
    public LoraAdapters Adapters { get; }

    /// <summary>The threads that compute.</summary>
    public ThreadChoice Threads { get; }

    /// <summary>Tokens one request may use.</summary>
    public int ContextLength { get; }

    /// <summary>KV cells of all sequences together.</summary>
    public int Cells { get; }

    /// <summary>Most tokens in one decode.</summary>
    public int BatchSize { get; }

    /// <summary>
    /// Whether a lone token should be computed beside another one. ggml computes plain attention and wide weights for one token with other
    /// code than for several, slower where heads are small, and with other last bits; so what a sequence says would depend on its company.
    /// </summary>
    public bool PairsLoneTokens { get; private init; }

    /// <summary>Where it went.</summary>
    private LoadPlan Plan { get; init; } = null!;

    // Counted by llama.cpp, so with the output layer.
    private int GpuLayers { get; init; }

    private IReadOnlyList<DeviceMemory> Memory { get; init; } = [];

    /// <summary>Sequences decoded at once.</summary>
    public int Slots => Spec.Parallel;

    /// <summary>Whether the model gives logits to sample from, token after token.</summary>
    public bool CanGenerate => GeneratesText(_metadata, Handle);

    /// <summary>How texts are embedded; of models that do not say it, by their last token if they generate, else by the mean.</summary>
    public PoolingType Pooling => PoolingOf(_metadata, Handle);

    /// <summary>The text into which a reranker wants query and document put; null where it names none.</summary>
    public string? RerankTemplate => _metadata.GetValueOrDefault("tokenizer.chat_template.rerank");

    /// <summary>What embeds texts, made at the first use.</summary>
    public EmbeddingContext Embedding => _embedding ??= EmbeddingContext.Create(this);

    /// <summary>
    /// Loads a model; <paramref name="progress"/> gets 0 to 1. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.LoadFailed"/>) with llama.cpp's own reason.
    /// </summary>
    public static LlamaModel Load(ModelSpec spec, Action<float> progress)
    {
        RuntimeLibraries.Load();
        if (spec.Tuning.Numa is { } numa)
            llama_numa_init((int)numa);
        for (var plan = LoadPlan.For(spec); ;)
        {
            var log = new LoadLog();
            NativeLog.LoadObserver = log.Listen;
            try
            {
                return Load(spec, plan, log, progress);
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

    private static LlamaModel Load(ModelSpec spec, LoadPlan plan, LoadLog log, Action<float> progress)
    {
        NativeLog.TakeErrors();
        var handle = ModelFile.Load(spec, plan.Choice, plan.GpuLayers, plan.ModelLayers, progress);
        if (handle.IsInvalid)
            throw Failure($"cannot load {spec.Path}", plan, log);
        try
        {
            log.CheckOverrides(spec.Tuning.MetadataOverrides);
            var metadata = ReadMetadata(handle);
            var adapters = LoraAdapters.Load(handle, metadata.GetValueOrDefault("general.architecture", ""), spec.Loras);
            ContextTuning.Check(spec.Tuning, metadata);
            var contextLength = spec.ContextLength > 0 ? spec.ContextLength : Math.Max(1, llama_model_n_ctx_train(handle));
            var pooling = PoolingOf(metadata, handle);
            var headSize = HeadSize(metadata, handle);
            var attention = AttentionChoice.Of(spec.Tuning, headSize, plan.UsesGpu);
            var context = llama_init_from_model(handle, GeneratesText(metadata, handle)
                ? ContextParams(spec, handle, attention, contextLength)
                : EmbeddingContext.Params(spec, pooling, contextLength, canGenerate: false));
            if (context == 0)
                throw Failure($"cannot make a context of {contextLength} tokens for {spec.Path}" + (log.OutOfMemory ? " (a smaller --ctx needs less memory)" : ""), plan, log);
            var model = new LlamaModel(spec, handle, new ContextHandle(context, handle), adapters, metadata, contextLength)
            {
                PairsLoneTokens = attention == FlashAttention.Off && AttentionChoice.IsPlainFaster(headSize, plan.UsesGpu)
                    && !llama_model_is_recurrent(handle) && !llama_model_is_hybrid(handle),
                Plan = plan,
                GpuLayers = log.GpuLayers,
                Memory = new MemoryUse(log).Of(handle, [.. plan.Choice.Facts.Select(device => device.Name)]),
            };
            // A driver that is too old for its plug-in, for one, shows only when something is computed: then the load fails, not the first request.
            if (plan.UsesGpu && model.CanGenerate)
                model.Threads.RunOnce(tokens: 1);
            return model;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>What <see cref="Context"/> decodes from now on is decoded with these adapters.</summary>
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
        var logits = llama_get_logits_ith(Context, index);
        return logits is null
            ? throw new EngineException(EngineFailure.GenerationFailed, "llama.cpp gave no logits for the last token")
            : new Span<float>(logits, Vocabulary.Size);
    }

    /// <summary>Everything worth telling about the model.</summary>
    public ModelFacts Facts(TimeSpan loadTime)
    {
        var parameters = (long)llama_model_n_params(Handle);
        return new ModelFacts
        {
            Architecture = _metadata.GetValueOrDefault("general.architecture", "unknown"),
            Description = Description(parameters),
            ParameterCount = parameters,
            SizeBytes = (long)llama_model_size(Handle),
            VocabularySize = Vocabulary.Size,
            EmbeddingLength = llama_model_n_embd_out(Handle),
            CanGenerate = CanGenerate,
            CanRerank = Pooling == PoolingType.Rank,
            TrainedContextLength = llama_model_n_ctx_train(Handle),
            ContextLength = ContextLength,
            Cells = Cells,
            Slots = Slots,
            BosText = Vocabulary.Text(Vocabulary.Bos),
            EosText = Vocabulary.Text(Vocabulary.Eos),
            FillInTheMiddle = Vocabulary.FillInTheMiddle,
            AddsBos = Vocabulary.AddsBos,
            ChatTemplates = ChatTemplates(),
            SamplingDefaults = SamplingDefaults(),
            Adapters = Adapters.Facts,
            Threads = Threads.Decode,
            BatchThreads = Threads.Batch,
            Devices = Devices.List(),
            Backend = RuntimeDirectory.PluginName(Plan.Choice.Backend),
            GpuLayers = GpuLayers,
            Layers = llama_model_n_layer(Handle) + 1,
            LayerReason = Plan.Reason,
            Memory = Memory,
            LoadMilliseconds = loadTime.TotalMilliseconds,
            ResidentBytes = Process.GetCurrentProcess().WorkingSet64,
            LibraryVersion = RuntimeLibraries.Version,
            ProcessId = Environment.ProcessId,
        };
    }

    // llama.cpp knows the sizes of well-known models alone; of any other it says "?B".
    private string Description(long parameters)
    {
        Span<byte> text = stackalloc byte[128];
        fixed (byte* pointer = text)
            llama_model_desc(Handle, pointer, (nuint)text.Length);
        var description = Encoding.UTF8.GetString(text[..Math.Max(0, text.IndexOf((byte)0))]);
        return description.Replace("?B", ParameterLabels.Of(parameters), StringComparison.Ordinal);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Context.Dispose();
        Threads.Dispose();
        Handle.Dispose();
    }

    // llama.cpp counts BERT and its like as decoders; what they lack is that a token looks backwards alone.
    private static bool GeneratesText(Dictionary<string, string> metadata, ModelHandle handle)
    {
        var architecture = metadata.GetValueOrDefault("general.architecture", "");
        return llama_model_has_decoder(handle) && !llama_model_has_encoder(handle) && !llama_model_is_diffusion(handle)
            && metadata.GetValueOrDefault($"{architecture}.attention.causal") != "false"
            && !architecture.Contains("bert", StringComparison.Ordinal) && !architecture.EndsWith("-embedding", StringComparison.Ordinal)
            && metadata.GetValueOrDefault($"{architecture}.pooling_type") != $"{(int)PoolingType.Rank}";
    }

    private static PoolingType PoolingOf(Dictionary<string, string> metadata, ModelHandle handle)
    {
        var architecture = metadata.GetValueOrDefault("general.architecture", "");
        return int.TryParse(metadata.GetValueOrDefault($"{architecture}.pooling_type"), CultureInfo.InvariantCulture, out var type)
            && type is >= (int)PoolingType.Mean and <= (int)PoolingType.Rank
            ? (PoolingType)type
            : GeneratesText(metadata, handle) ? PoolingType.Last : PoolingType.Mean;
    }

    private static long HeadSize(Dictionary<string, string> metadata, ModelHandle handle) =>
        long.TryParse(metadata.GetValueOrDefault($"{metadata.GetValueOrDefault("general.architecture", "")}.attention.key_length"), CultureInfo.InvariantCulture, out var given)
            ? given
            : llama_model_n_embd(handle) / Math.Max(1, llama_model_n_head(handle));

    private static LlamaContextParams ContextParams(ModelSpec spec, ModelHandle handle, FlashAttention attention, int contextLength)
    {
        var parameters = llama_context_default_params();
        parameters.ContextLength = (uint)Cells(spec, handle, contextLength);
        parameters.BatchSize = (uint)spec.BatchSize;
        parameters.MicroBatchSize = (uint)spec.BatchSize;
        parameters.MaxSequences = (uint)spec.Parallel;
        ContextTuning.Apply(spec.Tuning, ref parameters);
        parameters.KvUnified = 1;
        parameters.SwaFull = 0;
        parameters.FlashAttentionType = (int)attention;
        if (attention == FlashAttention.Off)
            parameters.MicroBatchSize = (uint)Math.Min(spec.BatchSize, AttentionChoice.PlainMicroBatch);
        parameters.NoPerf = 1;
        return parameters;

        static long Cells(ModelSpec spec, ModelHandle handle, int contextLength)
        {
            if (spec.Cells > 0)
                return Math.Max(spec.Cells, contextLength);
            var headSize = (long)llama_model_n_embd(handle) / Math.Max(1, llama_model_n_head(handle));
            return CellCount.Of(contextLength, spec.Parallel, CellCount.BytesPerCell(headSize, llama_model_n_head_kv(handle), llama_model_n_layer(handle)));
        }
    }

    private Dictionary<string, string> ChatTemplates()
    {
        const string key = "tokenizer.chat_template";
        var templates = new Dictionary<string, string>();
        foreach (var (name, value) in _metadata)
        {
            if (name == key)
                templates["default"] = value;
            else if (name.StartsWith(key + ".", StringComparison.Ordinal))
                templates[name[(key.Length + 1)..]] = value;
        }
        return templates;
    }

    private Dictionary<string, string> SamplingDefaults()
    {
        var defaults = ByLastName("general.sampling.");
        foreach (var (name, value) in Spec.Defaults.Sampling)
            defaults[name] = value;
        return defaults;
    }

    private Dictionary<string, string> ByLastName(string prefix) =>
        _metadata.Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(pair => pair.Key[prefix.Length..], pair => pair.Value);

    private static Dictionary<string, string> ReadMetadata(ModelHandle handle)
    {
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < llama_model_meta_count(handle); i++)
        {
            var index = i;
            var key = ReadText((buffer, size) => llama_model_meta_key_by_index(handle, index, buffer, size));
            var value = ReadText((buffer, size) => llama_model_meta_val_str_by_index(handle, index, buffer, size));
            if (key is not null && value is not null)
                metadata[key] = value;
        }
        return metadata;
    }

    private delegate int TextReader(byte* buffer, nuint size);

    // The functions behave like snprintf: they return the length that the whole text has.
    private static string? ReadText(TextReader read)
    {
        var buffer = new byte[256];
        for (var attempt = 0; attempt < 2; attempt++)
        {
            int length;
            fixed (byte* pointer = buffer)
                length = read(pointer, (nuint)buffer.Length);
            if (length < 0)
                return null;
            if (length < buffer.Length)
                return Encoding.UTF8.GetString(buffer, 0, length);
            buffer = new byte[length + 1];
        }
        return null;
    }

    private static EngineException Failure(string what, LoadPlan plan, LoadLog log)
    {
        var reason = NativeLog.TakeErrors();
        var full = log.OutOfMemory && plan.UsesGpu;
        if (full)
            what = $"{what}: {LoadPlan.TooLittle(plan.Choice.Facts)}";
        return new EngineException(EngineFailure.LoadFailed, reason.Length > 0 ? $"{what}: {reason}" : what) { Shortage = full ? plan.Shortage : null };
    }
}
