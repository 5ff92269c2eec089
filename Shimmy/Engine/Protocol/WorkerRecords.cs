using System.IO.Hashing;
using System.Text;

namespace Shimmy.Engine.Protocol;

/// <summary>
/// The fields of the records that cross the pipe once a request or less (<see cref="Wire"/>); events have a format of their own
/// (<see cref="EventCodec"/>). A property that is not here stays behind; the tests fill every one and look for it at the other end.
/// </summary>
internal static class WorkerRecords
{
    /// <summary>Variable in which a worker finds <see cref="Form"/> as the server has it.</summary>
    public const string FormVariable = "SHIMMY_WORKER_RECORDS";

    private static readonly Prompt NoPrompt = new();
    private static readonly LoraSetting NoLora = new("");
    private static readonly DeviceFacts NoDevice = new() { Name = "", Description = "", Kind = "", Backend = "" };

    public static ModelSpec NoSpec { get; } = new() { Name = "", Path = "" };

    public static ModelFacts NoFacts { get; } = new() { Architecture = "", Description = "" };

    public static GenerationRequest NoGeneration { get; } = new() { Prompt = NoPrompt };

    public static EmbeddingRequest NoEmbedding { get; } = new() { Prompt = NoPrompt };

    public static SlotAction NoAction { get; } = new(0, null, false);

    public static SlotResult NoResult { get; } = new(0, 0, 0);

    public static WorkerError NoError { get; } = new(default, "", 0, 0, null, 0, null, null);

    public static BackendReport NoReport { get; } =
        new() { LibraryVersion = "", RuntimeDirectory = "", Backends = [], Devices = [], Auto = "" };

    /// <summary>
    /// The form of the records in this build, which others may not have. A server that runs on while its file is replaced starts workers of
    /// another build, which would take one field for another.
    /// </summary>
    public static string Form { get; } = Convert.ToHexStringLower(XxHash64.Hash([
        .. Wire.Write(NoSpec, Spec), .. Wire.Write(NoFacts, Facts), .. Wire.Write(NoGeneration, Generation),
        .. Wire.Write(NoEmbedding, Embedding),
        .. Wire.Write(new EngineStatistics(), Statistics), .. Wire.Write(NoAction, Action), .. Wire.Write(NoResult, Result),
        .. Wire.Write(NoError, Error), .. Wire.Write(NoReport, Report),
        // Of these the bytes of defaults do not tell the order.
        .. Encoding.UTF8.GetBytes(string.Join(' ', SamplingField.All.Select(field => $"{field.Name}:{field.Kind}")))]));

    public static ModelSpec Spec(Wire wire, ModelSpec spec) => spec with
    {
        Name = wire.Text(spec.Name),
        Path = wire.Text(spec.Path),
        ContextLength = wire.Int(spec.ContextLength),
        ContextReason = wire.TextOrNull(spec.ContextReason),
        Parallel = wire.Int(spec.Parallel),
        Cells = wire.Int(spec.Cells),
        Queue = wire.Int(spec.Queue),
        Threads = wire.Int(spec.Threads),
        Tuning = Tuning(wire, spec.Tuning),
        Template = wire.TextOrNull(spec.Template),
        Loras = wire.List(spec.Loras, NoLora, static (wire, lora) => new LoraSetting(
            wire.Text(lora.Path), wire.Float(lora.Scale), wire.Flag(lora.Found), wire.TextOrNull(lora.File))),
        Draft = wire.TextOrNull(spec.Draft),
        Projector = wire.TextOrNull(spec.Projector),
        ProjectorIsFound = wire.Flag(spec.ProjectorIsFound),
        MediaCacheBytes = wire.Number(spec.MediaCacheBytes),
        PrefixMemoryBytes = wire.NumberOrNull(spec.PrefixMemoryBytes),
        PrefixStore = wire.TextOrNull(spec.PrefixStore),
        PrefixStoreBytes = wire.Number(spec.PrefixStoreBytes),
        Defaults = spec.Defaults with
        {
            System = wire.TextOrNull(spec.Defaults.System),
            Template = wire.TextOrNull(spec.Defaults.Template),
            TemplateFamily = wire.TextOrNull(spec.Defaults.TemplateFamily),
            Messages = wire.List(spec.Defaults.Messages, new DefaultTurn("", ""),
                static (wire, turn) => new DefaultTurn(wire.Text(turn.Role), wire.Text(turn.Content))),
            Stop = wire.Texts(spec.Defaults.Stop),
            Sampling = wire.TextMap(spec.Defaults.Sampling),
        },
        BatchSize = wire.Int(spec.BatchSize),
        SharePrefixes = wire.Flag(spec.SharePrefixes),
        ShareAmongClients = wire.Flag(spec.ShareAmongClients),
        Speculate = wire.Flag(spec.Speculate),
        ReportsCells = wire.Flag(spec.ReportsCells),
    };

    private static LoadTuning Tuning(Wire wire, LoadTuning tuning) => new()
    {
        Runtime = wire.TextOrNull(tuning.Runtime),
        Backend = (GpuBackend?)wire.IntOrNull((int?)tuning.Backend),
        Devices = wire.Texts(tuning.Devices),
        GpuLayers = wire.OrNull(tuning.GpuLayers, LayerCount.Auto, static (wire, layers) => new LayerCount(wire.IntOrNull(layers.Number))
        {
            Halvings = wire.Int(layers.Halvings),
            RefusesFewer = wire.Flag(layers.RefusesFewer),
        }),
        SplitMode = (SplitMode?)wire.IntOrNull((int?)tuning.SplitMode),
        TensorSplit = wire.List(tuning.TensorSplit, 0, static (wire, share) => wire.Float(share)),
        MainGpu = wire.IntOrNull(tuning.MainGpu),
        CpuExpertLayers = wire.IntOrNull(tuning.CpuExpertLayers),
        FlashAttention = (FlashAttention?)wire.IntOrNull((int?)tuning.FlashAttention),
        CacheTypeK = (CacheType?)wire.IntOrNull((int?)tuning.CacheTypeK),
        CacheTypeV = (CacheType?)wire.IntOrNull((int?)tuning.CacheTypeV),
        MemoryMap = wire.FlagOrNull(tuning.MemoryMap),
        MemoryLock = wire.FlagOrNull(tuning.MemoryLock),
        Numa = (NumaStrategy?)wire.IntOrNull((int?)tuning.Numa),
        MetadataOverrides = wire.List(tuning.MetadataOverrides, new MetadataOverride("", "", ""),
            static (wire, one) => new MetadataOverride(wire.Text(one.Key), wire.Text(one.Type), wire.Text(one.Value))),
        RopeScaling = (RopeScaling?)wire.IntOrNull((int?)tuning.RopeScaling),
        RopeFrequencyBase = wire.FloatOrNull(tuning.RopeFrequencyBase),
        RopeFrequencyScale = wire.FloatOrNull(tuning.RopeFrequencyScale),
        YarnOriginalContext = wire.IntOrNull(tuning.YarnOriginalContext),
        ImageMaxTokens = wire.IntOrNull(tuning.ImageMaxTokens),
        ImageMinTokens = wire.IntOrNull(tuning.ImageMinTokens),
        YarnExtFactor = wire.FloatOrNull(tuning.YarnExtFactor),
        YarnAttnFactor = wire.FloatOrNull(tuning.YarnAttnFactor),
        YarnBetaSlow = wire.FloatOrNull(tuning.YarnBetaSlow),
        YarnBetaFast = wire.FloatOrNull(tuning.YarnBetaFast),
        Pooling = wire.IntOrNull(tuning.Pooling),
    };

    public static ModelFacts Facts(Wire wire, ModelFacts facts) => facts with
    {
        Architecture = wire.Text(facts.Architecture),
        Name = wire.TextOrNull(facts.Name),
        Description = wire.Text(facts.Description),
        ParameterCount = wire.Number(facts.ParameterCount),
        SizeBytes = wire.Number(facts.SizeBytes),
        VocabularySize = wire.Int(facts.VocabularySize),
        VocabularyType = wire.Int(facts.VocabularyType),
        EndTokens = wire.Ints(facts.EndTokens),
        EmbeddingLength = wire.Int(facts.EmbeddingLength),
        CanGenerate = wire.Flag(facts.CanGenerate),
        CanRerank = wire.Flag(facts.CanRerank),
        EmbedsTokens = wire.Flag(facts.EmbedsTokens),
        LacksRankingHead = wire.Flag(facts.LacksRankingHead),
        IsMatryoshka = wire.Flag(facts.IsMatryoshka),
        CanSee = wire.Flag(facts.CanSee),
        ProjectorSkipReason = wire.TextOrNull(facts.ProjectorSkipReason),
        SampleRate = wire.Int(facts.SampleRate),
        SoundTokens = wire.Int(facts.SoundTokens),
        SoundSeconds = wire.Int(facts.SoundSeconds),
        AudioUnsupportedReason = wire.TextOrNull(facts.AudioUnsupportedReason),
        TrainedContextLength = wire.Int(facts.TrainedContextLength),
        ContextLength = wire.Int(facts.ContextLength),
        Cells = wire.Int(facts.Cells),
        Slots = wire.Int(facts.Slots),
        BosText = wire.TextOrNull(facts.BosText),
        EosText = wire.TextOrNull(facts.EosText),
        FillInTheMiddle = wire.OrNull(facts.FillInTheMiddle, new FillInTheMiddle("", "", ""), static (wire, markers) =>
            new FillInTheMiddle(wire.Text(markers.Prefix), wire.Text(markers.Suffix), wire.Text(markers.Middle))
            {
                Repository = wire.TextOrNull(markers.Repository),
                File = wire.TextOrNull(markers.File),
            }),
        AddsBos = wire.Flag(facts.AddsBos),
        ChatTemplates = wire.TextMap(facts.ChatTemplates),
        SamplingDefaults = wire.TextMap(facts.SamplingDefaults),
        Adapters = wire.List(facts.Adapters, new AdapterFacts(0, "", "", 0), static (wire, adapter) =>
            new AdapterFacts(wire.Int(adapter.Id), wire.Text(adapter.Name), wire.Text(adapter.Path), wire.Float(adapter.Scale))),
        Threads = wire.Int(facts.Threads),
        BatchThreads = wire.Int(facts.BatchThreads),
        Devices = wire.List(facts.Devices, NoDevice, Device),
        Backend = wire.Text(facts.Backend),
        GpuLayers = wire.Int(facts.GpuLayers),
        Layers = wire.Int(facts.Layers),
        LayerReason = wire.TextOrNull(facts.LayerReason),
        Memory = wire.List(facts.Memory, new DeviceMemory { Device = "" }, static (wire, memory) => new DeviceMemory
        {
            Device = wire.Text(memory.Device),
            TensorBytes = wire.Number(memory.TensorBytes),
            ExpertBytes = wire.Number(memory.ExpertBytes),
            BufferBytes = wire.Number(memory.BufferBytes),
            CacheBytes = wire.Number(memory.CacheBytes),
            ComputeBytes = wire.Number(memory.ComputeBytes),
        }),
        LoadMilliseconds = wire.Double(facts.LoadMilliseconds),
        ResidentBytes = wire.Number(facts.ResidentBytes),
        Runtime = wire.Text(facts.Runtime),
        RuntimeReason = wire.Text(facts.RuntimeReason),
        LibraryVersion = wire.Text(facts.LibraryVersion),
        ProcessId = wire.Int(facts.ProcessId),
    };

    public static GenerationRequest Generation(Wire wire, GenerationRequest request) => request with
    {
        Prompt = Prompt(wire, request.Prompt),
        Options = Options(wire, request.Options),
        Grammar = wire.TextOrNull(request.Grammar),
        GrammarTrigger = wire.TextOrNull(request.GrammarTrigger),
        Place = Place(wire, request.Place),
        ShownControlTokens = wire.Texts(request.ShownControlTokens),
    };

    public static Prompt Prompt(Wire wire, Prompt prompt) => prompt with
    {
        Tokens = wire.OrNull(prompt.Tokens, [], static (wire, tokens) => wire.Ints(tokens)),
        Parts = wire.List(prompt.Parts, default, static (wire, part) =>
            new PromptPart(wire.Text(part.Text ?? ""), wire.Flag(part.ParseSpecial), wire.IntOrNull(part.Medium))),
        Media = wire.List(prompt.Media, new Medium(default, 0, 0, ""), static (wire, medium) => new Medium(
            (MediumKind)wire.Int((int)medium.Kind), wire.Int(medium.Width), wire.Int(medium.Height), wire.Text(medium.Hash))),
        AddBos = wire.Flag(prompt.AddBos),
        AddEos = wire.Flag(prompt.AddEos),
    };

    public static EmbeddingRequest Embedding(Wire wire, EmbeddingRequest request) => request with
    {
        Prompt = Prompt(wire, request.Prompt),
        Document = wire.OrNull(request.Document, NoPrompt, Prompt),
        Truncate = wire.Flag(request.Truncate),
        Loras = wire.OrNull(request.Loras, [], static (wire, loras) => wire.List(loras, default, Lora)),
        Place = Place(wire, request.Place),
    };

    public static GenerationOptions Options(Wire wire, GenerationOptions options) => Sampling(wire, options) with
    {
        MaxTokens = wire.IntOrNull(options.MaxTokens),
        TopLogProbabilities = wire.IntOrNull(options.TopLogProbabilities),
        ReportPrompt = wire.Flag(options.ReportPrompt),
        ReportTokens = wire.Flag(options.ReportTokens),
        ReportProgress = wire.Flag(options.ReportProgress),
        AfterSampling = wire.Flag(options.AfterSampling),
        Samplers = wire.OrNull(options.Samplers, [], static (wire, samplers) =>
            wire.List(samplers, default, static (wire, sampler) => (SamplerKind)wire.Int((int)sampler))),
        MinKeep = wire.Int(options.MinKeep),
        PromptMilliseconds = wire.IntOrNull(options.PromptMilliseconds),
        PredictMilliseconds = wire.IntOrNull(options.PredictMilliseconds),
        Slot = wire.IntOrNull(options.Slot),
    };

    // The fields that have a row in the table, by their kinds.
    private static GenerationOptions Sampling(Wire wire, GenerationOptions options)
    {
        foreach (var field in SamplingField.All)
        {
            var value = field.Get(options);
            options = field.Set(options, field.Kind switch
            {
                SamplingKind.Whole => wire.Int((int)value!),
                SamplingKind.Number => wire.Float((float)value!),
                SamplingKind.Seed => (uint?)wire.NumberOrNull((uint?)value),
                SamplingKind.Flag => wire.Flag((bool)value!),
                SamplingKind.Texts => wire.Texts((IReadOnlyList<string>)value!),
                SamplingKind.Biases => wire.List((IReadOnlyList<LogitBias>)value!, default,
                    static (wire, bias) => new LogitBias(wire.Int(bias.Token), wire.Float(bias.Bias))),
                _ => wire.OrNull((IReadOnlyList<LoraChoice>?)value, [], static (wire, loras) => wire.List(loras, default, Lora)),
            });
        }
        return options;
    }

    public static EngineStatistics Statistics(Wire wire, EngineStatistics statistics) => statistics with
    {
        SlotsBusy = wire.Int(statistics.SlotsBusy),
        Slots = wire.List(statistics.Slots, new SlotState(0, 0, 0, 0, 0, 0, false), static (wire, slot) => new SlotState(
            wire.Int(slot.Id), (uint)wire.Number(slot.Request), wire.Int(slot.Tokens), wire.Int(slot.PromptTokens),
            wire.Int(slot.Generated), wire.Int(slot.Remaining), wire.Flag(slot.Used))),
        Waiting = wire.Int(statistics.Waiting),
        RunningAdapters = wire.Texts(statistics.RunningAdapters),
        WaitingAdapters = wire.Texts(statistics.WaitingAdapters),
        CellsUsed = wire.Int(statistics.CellsUsed),
        CellsBusy = wire.Int(statistics.CellsBusy),
        Cells = wire.Int(statistics.Cells),
        Requests = wire.Number(statistics.Requests),
        PromptTokens = wire.Number(statistics.PromptTokens),
        PrefilledTokens = wire.Number(statistics.PrefilledTokens),
        CachedTokens = wire.Number(statistics.CachedTokens),
        CachedTokensFrom = wire.Map(statistics.CachedTokensFrom, 0, static (wire, count) => wire.Number(count)),
        StateBytes = wire.Number(statistics.StateBytes),
        States = wire.Int(statistics.States),
        StatesRestored = wire.Number(statistics.StatesRestored),
        StateFileBytes = wire.Number(statistics.StateFileBytes),
        StatesEvicted = wire.Number(statistics.StatesEvicted),
        RestoreMilliseconds = wire.Double(statistics.RestoreMilliseconds),
        GeneratedTokens = wire.Number(statistics.GeneratedTokens),
        BatchSizes = wire.List(statistics.BatchSizes, 0, static (wire, count) => wire.Number(count)),
        BatchTokens = wire.Number(statistics.BatchTokens),
        Refused = wire.Number(statistics.Refused),
        DraftedTokens = wire.Number(statistics.DraftedTokens),
        AcceptedTokens = wire.Number(statistics.AcceptedTokens),
        Drafts = wire.Number(statistics.Drafts),
        PromptSeconds = wire.Double(statistics.PromptSeconds),
        GeneratedSeconds = wire.Double(statistics.GeneratedSeconds),
        GeneratedSteps = wire.Number(statistics.GeneratedSteps),
        MostTokens = wire.Number(statistics.MostTokens),
        DecodeCalls = wire.Number(statistics.DecodeCalls),
        DecodedSlots = wire.Number(statistics.DecodedSlots),
        Preemptions = wire.Number(statistics.Preemptions),
        PrefixesDropped = wire.Number(statistics.PrefixesDropped),
        ResidentBytes = wire.Number(statistics.ResidentBytes),
        IsSettled = wire.Flag(statistics.IsSettled),
    };

    public static SlotAction Action(Wire wire, SlotAction action) =>
        new(wire.Int(action.Slot), wire.TextOrNull(action.Path), wire.Flag(action.Restore), wire.Text(action.Client));

    public static SlotResult Result(Wire wire, SlotResult result) =>
        new(wire.Int(result.Tokens), wire.Number(result.Bytes), wire.Double(result.Milliseconds));

    public static WorkerError Error(Wire wire, WorkerError error) => new(
        (EngineFailure)wire.Int((int)error.Failure), wire.Text(error.Message), wire.Int(error.PromptTokens), wire.Int(error.ContextLength),
        wire.TextOrNull(error.Option), wire.Int(error.RetryAfterSeconds),
        wire.OrNull(error.Shortage, new GpuShortage([], 0), static (wire, shortage) =>
            new GpuShortage(wire.Texts(shortage.Devices), wire.Number(shortage.MissingBytes))),
        (RuntimeFault?)wire.IntOrNull((int?)error.Fault));

    public static BackendReport Report(Wire wire, BackendReport report) => new()
    {
        LibraryVersion = wire.Text(report.LibraryVersion),
        RuntimeDirectory = wire.Text(report.RuntimeDirectory),
        Runtimes = wire.List(report.Runtimes, new RuntimeFacts { Name = "", Directory = "" }, static (wire, runtime) => new RuntimeFacts
        {
            Name = wire.Text(runtime.Name),
            Directory = wire.Text(runtime.Directory),
            Version = wire.TextOrNull(runtime.Version),
            Media = wire.Flag(runtime.Media),
            Gpus = wire.Texts(runtime.Gpus),
            Chosen = wire.Flag(runtime.Chosen),
            Reason = wire.TextOrNull(runtime.Reason),
        }),
        Backends = wire.List(report.Backends, new BackendFacts { Name = "" }, static (wire, backend) => new BackendFacts
        {
            Name = wire.Text(backend.Name),
            Devices = wire.Texts(backend.Devices),
            Loaded = wire.Flag(backend.Loaded),
            Version = wire.TextOrNull(backend.Version),
            Crashed = wire.Flag(backend.Crashed),
            Reason = wire.TextOrNull(backend.Reason),
        }),
        Devices = wire.List(report.Devices, NoDevice, Device),
        Auto = wire.Text(report.Auto),
    };

    private static LoraChoice Lora(Wire wire, LoraChoice lora) =>
        new(wire.IntOrNull(lora.Id), wire.TextOrNull(lora.Name), wire.Float(lora.Scale));

    private static QueuePlace Place(Wire wire, QueuePlace place) =>
        new(wire.Text(place.Client), wire.Int(place.Rank), wire.Int(place.Priority));

    private static DeviceFacts Device(Wire wire, DeviceFacts device) => new()
    {
        Name = wire.Text(device.Name),
        Description = wire.Text(device.Description),
        Kind = wire.Text(device.Kind),
        Backend = wire.Text(device.Backend),
        MemoryFreeBytes = wire.Number(device.MemoryFreeBytes),
        MemoryTotalBytes = wire.Number(device.MemoryTotalBytes),
    };
}

/// <summary>An <see cref="EngineException"/> on the pipe.</summary>
internal sealed record WorkerError(EngineFailure Failure, string Message, int PromptTokens,
    int ContextLength, string? Option, int RetryAfterSeconds, GpuShortage? Shortage, RuntimeFault? Fault)
{
    public static WorkerError Of(EngineException error) => new(
        error.Failure, error.Message, error.PromptTokens, error.ContextLength, error.Option, error.RetryAfterSeconds, error.Shortage,
        error.Fault);

    public EngineException ToException() => new(Failure, Message)
    {
        PromptTokens = PromptTokens,
        ContextLength = ContextLength,
        Option = Option,
        RetryAfterSeconds = RetryAfterSeconds,
        Shortage = Shortage,
        Fault = Fault,
    };
}
