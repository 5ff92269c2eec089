namespace Shimmy.Engine;

/// <summary>Facts of a loaded model. Every number is read back from llama.cpp; none is taken from the request.</summary>
public sealed record ModelFacts
{
    /// <summary><c>general.architecture</c>, for example <c>llama</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary><c>general.name</c>; null where the file does not say.</summary>
    public string? Name { get; init; }

    /// <summary>
    /// llama.cpp's own line, for example <c>llama 8B Q8_0</c>; where it does not know the size, the number of parameters stands for it.
    /// </summary>
    public required string Description { get; init; }

    /// <summary>Parameters of all tensors.</summary>
    public long ParameterCount { get; init; }

    /// <summary>Bytes of all tensors.</summary>
    public long SizeBytes { get; init; }

    /// <summary>Tokens in the vocabulary.</summary>
    public int VocabularySize { get; init; }

    /// <summary>llama.cpp's number of the kind of vocabulary: 1 SentencePiece, 2 byte pairs, 3 WordPiece, 4 Unigram, 5 RWKV.</summary>
    public int VocabularyType { get; init; }

    /// <summary>The tokens that end an answer.</summary>
    public IReadOnlyList<int> EndTokens { get; init; } = [];

    /// <summary>Width of the embeddings that the model gives out.</summary>
    public int EmbeddingLength { get; init; }

    /// <summary>Whether it generates text; what does not may embed or rerank.</summary>
    public bool CanGenerate { get; init; } = true;

    /// <summary>Whether it scores how well a document answers a query.</summary>
    public bool CanRerank { get; init; }

    /// <summary>Whether it embeds each token of a text for itself, and no text as a whole (<c>--pooling none</c>).</summary>
    public bool EmbedsTokens { get; init; }

    /// <summary>Whether it says that it is a reranker but has no classification head to judge with.</summary>
    public bool LacksRankingHead { get; init; }

    /// <summary>Whether it says that its embeddings may be cut to fewer dimensions.</summary>
    public bool IsMatryoshka { get; init; }

    /// <summary>Whether it takes pictures, by its projector.</summary>
    public bool CanSee { get; init; }

    /// <summary>Why the projector that was found beside the model was left out; null where it was not.</summary>
    public string? ProjectorSkipReason { get; init; }

    /// <summary>Samples a second of the sounds that it takes, by its projector; 0 where it takes none.</summary>
    public int SampleRate { get; init; }

    /// <summary>Whether it takes sounds.</summary>
    public bool CanHear => SampleRate > 0;

    /// <summary>Tokens that each begun chunk of <see cref="SoundSeconds"/> of a sound takes; 0 where it takes none.</summary>
    public int SoundTokens { get; init; }

    /// <summary>Seconds of a chunk of sound that is encoded at once; 0 where it takes none.</summary>
    public int SoundSeconds { get; init; }

    /// <summary>Why it takes no sounds although its projector has an encoder for them; null where it takes them, or has none.</summary>
    public string? AudioUnsupportedReason { get; init; }

    /// <summary>The context the model was trained with, in tokens.</summary>
    public int TrainedContextLength { get; init; }

    /// <summary>Tokens one request may use here, prompt and answer together.</summary>
    public int ContextLength { get; init; }

    /// <summary>KV cells shared by all sequences.</summary>
    public int Cells { get; init; }

    /// <summary>Sequences that are decoded at once.</summary>
    public int Slots { get; init; }

    /// <summary>Text of the begin-of-sequence token, or null where the vocabulary has none.</summary>
    public string? BosText { get; init; }

    /// <summary>Text of the end-of-sequence token, or null where the vocabulary has none.</summary>
    public string? EosText { get; init; }

    /// <summary>Fill-in-the-middle (FIM) control tokens, or null where the vocabulary has none.</summary>
    public FillInTheMiddle? FillInTheMiddle { get; init; }

    /// <summary>Whether the tokenizer puts BOS before a prompt by itself.</summary>
    public bool AddsBos { get; init; }

    /// <summary>The model's chat templates by name; <c>default</c> is <c>tokenizer.chat_template</c>.</summary>
    public IReadOnlyDictionary<string, string> ChatTemplates { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// The model's own <c>general.sampling.*</c> values by their last name, as text, under what <see cref="ModelSpec.Defaults"/> says.
    /// </summary>
    public IReadOnlyDictionary<string, string> SamplingDefaults { get; init; } = new Dictionary<string, string>();

    /// <summary>LoRA adapters that requests may choose from.</summary>
    public IReadOnlyList<AdapterFacts> Adapters { get; init; } = [];

    /// <summary>Threads that decode, chosen or measured.</summary>
    public int Threads { get; init; }

    /// <summary>Threads that prefill.</summary>
    public int BatchThreads { get; init; }

    /// <summary>Devices that the model may use, the CPU included.</summary>
    public IReadOnlyList<DeviceFacts> Devices { get; init; } = [];

    /// <summary>The backend that computes: <c>cpu</c>, <c>cuda</c>, <c>metal</c>, <c>vulkan</c> or <c>opencl</c>.</summary>
    public string Backend { get; init; } = "cpu";

    /// <summary>Layers that llama.cpp put on GPUs, the output layer counted as one.</summary>
    public int GpuLayers { get; init; }

    /// <summary>Layers that the model has, the output layer counted as one.</summary>
    public int Layers { get; init; }

    /// <summary>Why so many layers are on GPUs, where that was left to the worker; else null.</summary>
    public string? LayerReason { get; init; }

    /// <summary>Memory allocated on each device, GPUs first.</summary>
    public IReadOnlyList<DeviceMemory> Memory { get; init; } = [];

    /// <summary>Milliseconds from the load request to readiness, inside the worker.</summary>
    public double LoadMilliseconds { get; init; }

    /// <summary>Resident bytes of the worker once loaded.</summary>
    public long ResidentBytes { get; init; }

    /// <summary>The runtime that the model runs on, and why that one; filled in by the server, which chose it.</summary>
    public string Runtime { get; init; } = "";

    /// <inheritdoc cref="Runtime"/>
    public string RuntimeReason { get; init; } = "";

    /// <summary>Version of the llama.cpp library that was loaded.</summary>
    public string LibraryVersion { get; init; } = "";

    /// <summary>Process id of the worker; 0 for an engine that lives in this process.</summary>
    public int ProcessId { get; init; }
}

/// <summary>
/// Texts of the tokens for filling in the middle (Bavarian et al. 2022): the prefix, the suffix and the middle follow them.
/// </summary>
/// <param name="Prefix">Stands before the text in front of the gap.</param>
/// <param name="Suffix">Stands before the text behind it.</param>
/// <param name="Middle">Stands where the answer begins.</param>
public sealed record FillInTheMiddle(string Prefix, string Suffix, string Middle)
{
    /// <summary>Stands before the name of a project whose files follow; null where the vocabulary has no such token.</summary>
    public string? Repository { get; init; }

    /// <summary>Stands before the name of a file of the project; null where the vocabulary has no such token.</summary>
    public string? File { get; init; }

    /// <summary>The prompt whose middle is to be filled in: a text in front of the gap, and one behind it.</summary>
    public Prompt Around(Prompt front, string behind) => front with
    {
        Parts =
        [
            new PromptPart(Prefix, ParseSpecial: true),
            .. front.Parts.Select(part => part with { ParseSpecial = false }),
            new PromptPart(Suffix, ParseSpecial: true),
            new PromptPart(behind, ParseSpecial: false),
            new PromptPart(Middle, ParseSpecial: true),
        ],
    };
}

/// <summary>Memory that a model takes on one device.</summary>
public sealed record DeviceMemory
{
    /// <summary>
    /// ggml's name of the device; <c>CPU</c> for all memory of the host, that which a GPU reads included; several with a + between them
    /// where each has a part of every tensor.
    /// </summary>
    public required string Device { get; init; }

    /// <summary>
    /// Bytes of the model's tensors, exact where llama.cpp lets them be counted (not on Windows: there <see cref="BufferBytes"/>).
    /// </summary>
    public long TensorBytes { get; init; }

    /// <summary>The part of <see cref="TensorBytes"/> that holds experts.</summary>
    public long ExpertBytes { get; init; }

    /// <summary>Bytes of the buffers that the tensors lie in, as llama.cpp logs them: to a hundredth of a MiB.</summary>
    public long BufferBytes { get; init; }

    /// <summary>Bytes of keys, values and recurrent states, to a hundredth of a MiB.</summary>
    public long CacheBytes { get; init; }

    /// <summary>Bytes reserved to compute in, results included; to a hundredth of a MiB.</summary>
    public long ComputeBytes { get; init; }

    /// <summary>One line for the log.</summary>
    public string Describe()
    {
        var experts = ExpertBytes > 0 ? $" ({ByteCount.MegabyteTenths(ExpertBytes):F1} MB of them experts)" : "";
        return $"{Device}: {ByteCount.MegabyteTenths(TensorBytes):F1} MB tensors{experts}, "
            + $"{ByteCount.MegabyteTenths(CacheBytes):F1} MB cache, {ByteCount.MegabyteTenths(ComputeBytes):F1} MB to compute";
    }
}

/// <summary>A LoRA adapter that a loaded model has.</summary>
/// <param name="Id">Its number, from 0, by which requests may choose it.</param>
/// <param name="Name">Its file's name without the ending, by which requests may choose it.</param>
/// <param name="Path">Full path of its file.</param>
/// <param name="Scale">Its strength where a request does not say; 0 does nothing.</param>
public sealed record AdapterFacts(int Id, string Name, string Path, float Scale);
