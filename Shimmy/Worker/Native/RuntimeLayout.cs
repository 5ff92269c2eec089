using System.Runtime.InteropServices;
using System.Text;
using LLama.Native;

namespace Shimmy.Worker.Native;

/// <summary>
/// The differences between the builds of llama.cpp that Shimmy knows: the structs that are passed by value to load a model and to make a
/// context, and a sampler's parameters. All callers fill the structs of v0.4.0, which have every field; a layout gives its build what it
/// knows of them.
/// </summary>
internal abstract unsafe partial class RuntimeLayout
{
    /// <summary>Large enough for the parameters of any build: what the probe of a layout has them written into.</summary>
    private const int ProbeSize = 1024;

    private static RuntimeLayout? _loaded;

    /// <summary>Every layout that is known.</summary>
    public static IReadOnlyList<RuntimeLayout> Known { get; } = [new NodeLayout(), new LLamaSharpLayout()];

    /// <summary>The layout of the libraries that this process has loaded.</summary>
    public static RuntimeLayout Loaded
    {
        get => _loaded ?? throw new InvalidOperationException("The native libraries are not loaded.");
        set => _loaded = value;
    }

    /// <summary>The builds that have this layout, in words.</summary>
    public abstract string Builds { get; }

    /// <summary>The parameters of a model as llama.cpp has them where nothing is said.</summary>
    public abstract LlamaModelParams DefaultModelParams();

    /// <summary>The parameters of a context as llama.cpp has them where nothing is said.</summary>
    public abstract LlamaContextParams DefaultContextParams();

    /// <summary>Null when the file cannot be loaded; the reason is in the log only.</summary>
    /// <param name="paths">The file; of a model in shards whose names llama.cpp would not find by itself, all of them.</param>
    /// <param name="parameters">How to load it.</param>
    /// <param name="stream">A C stream (<c>FILE</c>) that stands at the model's first byte, and is read in place of paths; else 0.</param>
    public abstract nint LoadModel(string[] paths, LlamaModelParams parameters, nint stream = 0);

    /// <summary>Null when the context cannot be made, for want of memory most of the time.</summary>
    public abstract nint CreateContext(ModelHandle model, LlamaContextParams parameters);

    /// <summary>A sampler that punishes repetitions (DRY).</summary>
    public abstract nint CreateDry(NativeVocabulary vocabulary, float multiplier, float dryBase, int allowedLength, int lastN,
        byte** breakers, nuint breakerCount);

    /// <summary>Whether its libmtmd, where there is one, is the one that <see cref="MtmdApi"/> declares.</summary>
    public virtual bool HasMedia => false;

    /// <summary>A grammar in the words of this build.</summary>
    public virtual string Spell(string grammar) => grammar;

    /// <summary>Whether this is the layout of a build.</summary>
    /// <param name="version">What the library calls itself; null where it has no function to ask.</param>
    /// <param name="commit">The commit that ggml says it was built from; empty where the builder did not say.</param>
    /// <param name="isPackage">Whether it lies where the build puts the package's.</param>
    protected abstract bool IsOf(string? version, string commit, bool isPackage);

    /// <summary>The fields whose defaults the layout proves itself by, by the offset that it puts them at.</summary>
    protected abstract IReadOnlyList<FieldDefault> ModelDefaults { get; }

    /// <inheritdoc cref="ModelDefaults"/>
    protected abstract IReadOnlyList<FieldDefault> ContextDefaults { get; }

    /// <summary>
    /// The layout of the loaded libraries: the one that is known for their version, whose fields have the defaults of the header. Otherwise
    /// null, and why.
    /// </summary>
    public static RuntimeLayout? Find(string? version, string commit, bool isPackage, out string reason)
    {
        var named = Known.FirstOrDefault(layout => layout.IsOf(version, commit, isPackage));
        if (named is null)
        {
            reason = version is null
                ? $"has no version and was built from commit '{commit}', whose structs are not known"
                : $"is version {version}, whose structs are not known";
            return null;
        }
        var (model, context) = (ProbeApi.llama_model_default_params(), ProbeApi.llama_context_default_params());
        var mismatch = Mismatch("llama_model_params", named.ModelDefaults, &model)
            ?? Mismatch("llama_context_params", named.ContextDefaults, &context);
        reason = $"calls itself {version ?? commit}, but its default of {mismatch} is another than that of {named.Builds}, "
            + "so its structs have another layout";
        return mismatch is null ? named : null;
    }

    private static string? Mismatch(string name, IReadOnlyList<FieldDefault> defaults, Probe* probe)
    {
        foreach (var (field, offset, value, size) in defaults)
        {
            var at = (byte*)probe + offset;
            if ((size == 1 ? *at : *(int*)at) != value)
                return $"{name}.{field}";
        }
        return null;
    }

    /// <summary>llama.cpp v0.4 and v0.5.</summary>
    private sealed partial class NodeLayout : RuntimeLayout
    {
        public override string Builds => "llama.cpp v0.4 and v0.5";

        protected override IReadOnlyList<FieldDefault> ModelDefaults { get; } =
        [
            new("n_gpu_layers", 16, -1), new("split_mode", 20, 1), new("main_gpu", 32, 0), new("vocab_only", 72, 0, 1),
            new("use_extra_bufts", 74, 1, 1),
        ];

        protected override IReadOnlyList<FieldDefault> ContextDefaults { get; } =
        [
            new("n_ctx", 0, 512), new("n_batch", 4, 2048), new("n_ubatch", 8, 512), new("n_seq_max", 12, 1), new("n_threads", 28, 4),
            new("n_threads_batch", 32, 4), new("rope_scaling_type", 40, -1), new("flash_attn_type", 52, -1),
            new("yarn_ext_factor", 64, MinusOne),
            new("type_k", 104, 1), new("type_v", 108, 1), new("offload_kqv", 129, 1, 1), new("swa_full", 132, 1, 1),
        ];

        // Builds between releases report "0.4.0-dev".
        protected override bool IsOf(string? version, string commit, bool isPackage) => version is not null
            && (version.StartsWith("0.4.", StringComparison.Ordinal) || version.StartsWith("0.5.", StringComparison.Ordinal));

        public override LlamaModelParams DefaultModelParams() => llama_model_default_params();

        public override LlamaContextParams DefaultContextParams() => llama_context_default_params();

        public override nint LoadModel(string[] paths, LlamaModelParams parameters, nint stream) =>
            stream != 0 ? llama_model_load_from_file_ptr(stream, parameters)
            : paths is [var path] ? llama_model_load_from_file(path, parameters)
            : llama_model_load_from_splits(paths, (nuint)paths.Length, parameters);

        public override nint CreateContext(ModelHandle model, LlamaContextParams parameters) => llama_init_from_model(model, parameters);

        public override nint CreateDry(NativeVocabulary vocabulary, float multiplier, float dryBase, int allowedLength, int lastN,
            byte** breakers, nuint breakerCount) =>
            llama_sampler_init_dry(vocabulary.Pointer, multiplier, dryBase, allowedLength, lastN, breakers, breakerCount);

        [LibraryImport(LlamaApi.Library)] private static partial LlamaModelParams llama_model_default_params();
        [LibraryImport(LlamaApi.Library)] private static partial LlamaContextParams llama_context_default_params();

        [LibraryImport(LlamaApi.Library, StringMarshalling = StringMarshalling.Utf8)]
        private static partial nint llama_model_load_from_file(string path, LlamaModelParams parameters);

        [LibraryImport(LlamaApi.Library, StringMarshalling = StringMarshalling.Utf8)]
        private static partial nint llama_model_load_from_splits(string[] paths, nuint count, LlamaModelParams parameters);

        [LibraryImport(LlamaApi.Library)]
        private static partial nint llama_model_load_from_file_ptr(nint stream, LlamaModelParams parameters);

        [LibraryImport(LlamaApi.Library)]
        private static partial nint llama_init_from_model(ModelHandle model, LlamaContextParams parameters);

        [LibraryImport(LlamaApi.Library)]
        private static partial nint llama_sampler_init_dry(nint vocab, float multiplier, float dryBase, int allowedLength, int lastN,
            byte** breakers, nuint breakerCount);
    }

    /// <summary>
    /// The build in LLamaSharp 0.30. The package knows its structs and their defaults: they are passed as its own types. Its handles and
    /// its class NativeApi are left alone, because they would first search for libraries: that loads the Vulkan loader and, where there
    /// is none, starts the program vulkaninfo from the current folder or the path.
    /// </summary>
    private sealed partial class LLamaSharpLayout : RuntimeLayout
    {
        // What ggml says; llama.cpp's own commit is c0c7e147.
        private const string Commit = "815a2a591";

        public override string Builds => $"LLamaSharp 0.30";

        protected override IReadOnlyList<FieldDefault> ModelDefaults { get; } =
        [
            new("n_gpu_layers", 16, -1), new("split_mode", 20, 1), new("main_gpu", 28, 0), new("vocab_only", 64, 0, 1),
            new("use_extra_bufts", 66, 1, 1),
        ];

        protected override IReadOnlyList<FieldDefault> ContextDefaults { get; } =
        [
            new("n_ctx", 0, 512), new("n_batch", 4, 2048), new("n_ubatch", 8, 512), new("n_seq_max", 12, 1), new("n_threads", 24, 4),
            new("n_threads_batch", 28, 4), new("rope_scaling_type", 36, -1), new("flash_attn_type", 48, -1),
            new("yarn_ext_factor", 60, MinusOne),
            new("type_k", 104, 1), new("type_v", 108, 1), new("offload_kqv", 129, 1, 1), new("swa_full", 132, 1, 1),
        ];

        // Those for musl do not know their commit.
        protected override bool IsOf(string? version, string commit, bool isPackage) =>
            version is null && (commit == Commit || (isPackage && commit is "" or "unknown"));

        public override LlamaModelParams DefaultModelParams()
        {
            var theirs = LLamaModelParams.Default();
            return new LlamaModelParams
            {
                GpuLayers = theirs.n_gpu_layers,
                SplitMode = (int)theirs.split_mode,
                LoadMode = (int)theirs.load_mode,
                MainGpu = theirs.main_gpu,
                VocabOnly = Byte(theirs.vocab_only),
                CheckTensors = Byte(theirs.check_tensors),
                UseExtraBufts = Byte(theirs.use_extra_bufts),
                NoHost = Byte(theirs.no_host),
                NoAlloc = Byte(theirs.no_alloc),
                LoadMtp = Byte(theirs.load_mtp),
            };
        }

        public override LlamaContextParams DefaultContextParams()
        {
            var theirs = LLamaContextParams.Default();
            return new LlamaContextParams
            {
                ContextLength = theirs.n_ctx,
                BatchSize = theirs.n_batch,
                MicroBatchSize = theirs.n_ubatch,
                MaxSequences = theirs.n_seq_max,
                RecurrentSnapshots = theirs.n_rs_seq,
                MaxOutputs = theirs.n_outputs_max,
                Threads = theirs.n_threads,
                ThreadsBatch = theirs.n_threads_batch,
                ContextType = (int)theirs.context_type,
                RopeScalingType = (int)theirs.rope_scaling_type,
                PoolingType = (int)theirs.llama_pooling_type,
                AttentionType = (int)theirs.attention_type,
                FlashAttentionType = (int)theirs.llama_flash_attn_type,
                RopeFrequencyBase = theirs.rope_freq_base,
                RopeFrequencyScale = theirs.rope_freq_scale,
                YarnExtFactor = theirs.yarn_ext_factor,
                YarnAttnFactor = theirs.yarn_attn_factor,
                YarnBetaFast = theirs.yarn_beta_fast,
                YarnBetaSlow = theirs.yarn_beta_slow,
                YarnOriginalContext = theirs.yarn_orig_ctx,
                DefragThreshold = theirs.defrag_threshold,
                TypeK = (int)theirs.type_k,
                TypeV = (int)theirs.type_v,
                Embeddings = Byte(theirs.embeddings),
                OffloadKqv = Byte(theirs.offload_kqv),
                NoPerf = Byte(theirs.no_perf),
                OpOffload = Byte(theirs.op_offload),
                SwaFull = Byte(theirs.swa_full),
                KvUnified = Byte(theirs.kv_unified),
            };
        }

        public override nint LoadModel(string[] paths, LlamaModelParams parameters, nint stream)
        {
            var (callback, data) = ((nint)parameters.ProgressCallback, (nint)parameters.ProgressCallbackUserData);
            LlamaProgressCallback progress = (share, _) =>
                ((delegate* unmanaged[Cdecl]<float, void*, byte>)callback)(share, (void*)data) != 0;
            var theirs = LLamaModelParams.Default();
            theirs.devices = (nint*)parameters.Devices;
            theirs.tensor_buft_overrides = (LLamaModelTensorBufferOverride*)parameters.TensorBuftOverrides;
            theirs.n_gpu_layers = parameters.GpuLayers;
            theirs.split_mode = (GPUSplitMode)parameters.SplitMode;
            theirs.load_mode = (LLamaLoadMode)parameters.LoadMode;
            theirs.main_gpu = parameters.MainGpu;
            theirs.tensor_split = parameters.TensorSplit;
            theirs.progress_callback = callback == 0 ? null! : progress;
            theirs.kv_overrides = (LLamaModelMetadataOverride*)parameters.KvOverrides;
            theirs.vocab_only = parameters.VocabOnly != 0;
            theirs.check_tensors = parameters.CheckTensors != 0;
            theirs.use_extra_bufts = parameters.UseExtraBufts != 0;
            theirs.no_host = parameters.NoHost != 0;
            theirs.no_alloc = parameters.NoAlloc != 0;
            theirs.load_mtp = parameters.LoadMtp != 0;
            var utf8 = Array.ConvertAll(paths, Marshal.StringToCoTaskMemUTF8);
            try
            {
                fixed (nint* all = utf8)
                {
                    return stream != 0 ? llama_model_load_from_file_ptr(stream, theirs)
                        : utf8 is [var file] ? llama_model_load_from_file(file, theirs)
                        : llama_model_load_from_splits(all, (nuint)utf8.Length, theirs);
                }
            }
            finally
            {
                Array.ForEach(utf8, Marshal.FreeCoTaskMem);
                GC.KeepAlive(progress);
            }
        }

        public override nint CreateContext(ModelHandle model, LlamaContextParams parameters)
        {
            var theirs = LLamaContextParams.Default();
            theirs.n_ctx = parameters.ContextLength;
            theirs.n_batch = parameters.BatchSize;
            theirs.n_ubatch = parameters.MicroBatchSize;
            theirs.n_seq_max = parameters.MaxSequences;
            theirs.n_rs_seq = parameters.RecurrentSnapshots;
            theirs.n_outputs_max = parameters.MaxOutputs;
            theirs.n_threads = parameters.Threads;
            theirs.n_threads_batch = parameters.ThreadsBatch;
            theirs.context_type = (LLamaContextType)parameters.ContextType;
            theirs.rope_scaling_type = (RopeScalingType)parameters.RopeScalingType;
            theirs.llama_pooling_type = (LLamaPoolingType)parameters.PoolingType;
            theirs.attention_type = (LLamaAttentionType)parameters.AttentionType;
            theirs.llama_flash_attn_type = (LLamaFlashAttentionType)parameters.FlashAttentionType;
            theirs.rope_freq_base = parameters.RopeFrequencyBase;
            theirs.rope_freq_scale = parameters.RopeFrequencyScale;
            theirs.yarn_ext_factor = parameters.YarnExtFactor;
            theirs.yarn_attn_factor = parameters.YarnAttnFactor;
            theirs.yarn_beta_fast = parameters.YarnBetaFast;
            theirs.yarn_beta_slow = parameters.YarnBetaSlow;
            theirs.yarn_orig_ctx = parameters.YarnOriginalContext;
            theirs.defrag_threshold = parameters.DefragThreshold;
            theirs.type_k = (GGMLType)parameters.TypeK;
            theirs.type_v = (GGMLType)parameters.TypeV;
            theirs.embeddings = parameters.Embeddings != 0;
            theirs.offload_kqv = parameters.OffloadKqv != 0;
            theirs.no_perf = parameters.NoPerf != 0;
            theirs.op_offload = parameters.OpOffload != 0;
            theirs.swa_full = parameters.SwaFull != 0;
            theirs.kv_unified = parameters.KvUnified != 0;
            theirs.ctx_other = parameters.OtherContext;
            return llama_init_from_model(model.DangerousGetHandle(), theirs);
        }

        public override nint CreateDry(NativeVocabulary vocabulary, float multiplier, float dryBase, int allowedLength, int lastN,
            byte** breakers, nuint breakerCount) =>
            llama_sampler_init_dry(vocabulary.Pointer, vocabulary.Model.TrainedContext, multiplier, dryBase, allowedLength, lastN, breakers,
                breakerCount);

        public override bool HasMedia => true;

        // It knows no \-, which later builds do.
        public override string Spell(string grammar)
        {
            if (!grammar.Contains("\\-", StringComparison.Ordinal))
                return grammar;
            var text = new StringBuilder(grammar.Length + 16);
            for (var i = 0; i < grammar.Length; i++)
            {
                text.Append(grammar[i]);
                if (grammar[i] != '\\' || i + 1 == grammar.Length)
                    continue;
                i++;
                _ = grammar[i] == '-' ? text.Append("x2D") : text.Append(grammar[i]);
            }
            return text.ToString();
        }

        private static byte Byte(bool value) => value ? (byte)1 : (byte)0;

        // Not LibraryImport: its generator cannot marshal the delegate in LLamaSharp's struct.
#pragma warning disable SYSLIB1054
        [DllImport(LlamaApi.Library, CallingConvention = CallingConvention.Cdecl)]
        private static extern nint llama_model_load_from_file(nint path, LLamaModelParams parameters);

        [DllImport(LlamaApi.Library, CallingConvention = CallingConvention.Cdecl)]
        private static extern nint llama_model_load_from_splits(nint* paths, nuint count, LLamaModelParams parameters);

        [DllImport(LlamaApi.Library, CallingConvention = CallingConvention.Cdecl)]
        private static extern nint llama_model_load_from_file_ptr(nint stream, LLamaModelParams parameters);

        [DllImport(LlamaApi.Library, CallingConvention = CallingConvention.Cdecl)]
        private static extern nint llama_init_from_model(nint model, LLamaContextParams parameters);
#pragma warning restore SYSLIB1054

        [LibraryImport(LlamaApi.Library)]
        private static partial nint llama_sampler_init_dry(nint vocab, int trainedContext, float multiplier, float dryBase,
            int allowedLength, int lastN, byte** breakers, nuint breakerCount);
    }

    /// <summary>A field whose default the header fixes.</summary>
    /// <param name="Field">Its name.</param>
    /// <param name="Offset">Where it lies.</param>
    /// <param name="Value">Its default, as the bits of an integer.</param>
    /// <param name="Size">Its bytes.</param>
    protected sealed record FieldDefault(string Field, int Offset, int Value, int Size = sizeof(int));

    // The bits of -1.0f.
    private const int MinusOne = unchecked((int)0xBF800000);

    /// <summary>The functions that return parameters, into memory for those of any build: they are returned through a pointer.</summary>
    private static partial class ProbeApi
    {
        [LibraryImport(LlamaApi.Library)] public static partial Probe llama_model_default_params();
        [LibraryImport(LlamaApi.Library)] public static partial Probe llama_context_default_params();
    }

    [StructLayout(LayoutKind.Sequential, Size = ProbeSize)]
    private struct Probe
    {
        public long First;
    }
}
