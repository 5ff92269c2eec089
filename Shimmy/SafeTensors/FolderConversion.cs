using Shimmy.Gguf;
using Shimmy.SafeTensors.Architectures;
using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors;

/// <summary>
/// Turns a Hugging Face folder into a GGUF that llama.cpp loads: the same weights under GGUF's names, the tokenizer, and the metadata; or
/// a folder of PEFT into an adapter. What would come out wrong is refused before anything is written.
/// </summary>
internal sealed class FolderConversion
{
    private const int MostTokens = 1 << 20, MostTokensOfFew = 1 << 16, FewElements = 64;

    // The tokens whose blanks llama.cpp decides by "phi3" in a model's name; it fails where one is missing.
    private static readonly string[] StrippedTokens = ["<unk>", "<s>", "</s>", "<|endoftext|>"];

    private readonly ConversionPlan _plan;
    private readonly List<(string Key, GgufValue Value)> _metadata;
    private readonly Func<PlannedTensor, GgmlType> _typeOf;
    private GgufHeader? _header;

    private FolderConversion(
        ConversionPlan plan, IEnumerable<(string Key, GgufValue Value)> metadata, Func<PlannedTensor, GgmlType> typeOf)
    {
        _plan = plan;
        _metadata = [.. metadata];
        if (plan.Architecture.Length > 0)
            _metadata.Insert(0, ("general.architecture", GgufValue.OfText(plan.Architecture)));

        _typeOf = typeOf;
    }

    /// <summary>The types that weights can become; "auto" keeps the source's.</summary>
    public static IReadOnlyList<string> Types { get; } = [WeightType.Auto, .. WeightType.All.Select(type => type.Name)];

    /// <summary>Warnings for the user.</summary>
    public IReadOnlyList<string> Warnings => _plan.Warnings;

    /// <summary>Bytes of weights that are written.</summary>
    public long TargetBytes => Header.Tensors.Sum(tensor => tensor.SizeBytes);

    /// <summary>The header that the GGUF will have, for whoever judges a model by its header.</summary>
    public GgufHeader Header => _header ??= MakeHeader();

    /// <summary>
    /// The header of a model file, or the one that a Hugging Face folder will have; that of an adapter's folder has the architecture of
    /// no model. Throws as the readers do.
    /// </summary>
    public static GgufHeader HeaderOf(string path, GgufLimits? limits = null) =>
        !Directory.Exists(path) ? GgufReader.ReadFile(path, limits)
        : LoraFolder.Looks(path) ? OfAdapter(path, null).Header
        : Of(path).Header;

    /// <summary>
    /// Reads a folder and checks everything. Throws <see cref="SafeTensorsException"/> where it cannot be served, and
    /// <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/> where a file cannot be read.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="type">One of <see cref="Types"/>.</param>
    public static FolderConversion Of(string folder, string type = WeightType.Auto) => Checked(() =>
    {
        var opened = ModelFolder.Open(folder);
        var architecture = KnownArchitectures.Of(opened.Class);
        var plan = architecture.Plan(opened);
        plan.RequireNothingLeft();
        var (rows, width) = plan.Tensors.First(tensor => tensor.Name == "token_embd.weight").Shape is [var first, var second]
            ? (first, second)
            : throw new SafeTensorsException("the token embedding must have two dimensions, tokens and width");
        // Each token takes memory of its own, however short its row is.
        if (rows > MostTokens || (rows > MostTokensOfFew && width < FewElements))
            throw new SafeTensorsException($"the embedding has {rows} rows of {width}: more tokens than any model has");

        var vocabulary = architecture.Vocabulary(opened, (int)rows);
        plan.Metadata.AddRange(SamplingAdvice.Of(opened));
        var weights = type == WeightType.Auto ? WeightType.Of(TypeOf(opened)) : WeightType.Of(type);
        return new FolderConversion(plan,
        [
            ("general.type", GgufValue.OfText("model")),
            ("general.name", GgufValue.OfText(NameOf(opened.Name, plan.Architecture, vocabulary))),
            ("general.file_type", GgufValue.OfInteger(GgufType.UInt32, weights.FileType)),
            ("general.quantization_version", GgufValue.OfInteger(GgufType.UInt32, 2)),
            .. plan.Metadata, .. vocabulary.Metadata(),
        ], weights.For(plan));
    });

    /// <summary>Reads an adapter in PEFT's form for a model. Throws as <see cref="Of"/> does.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="model">The header of the model's GGUF; null only to see what the adapter is.</param>
    public static FolderConversion OfAdapter(string folder, GgufHeader? model) => Checked(() =>
    {
        var plan = LoraFolder.Plan(folder, model);
        return new FolderConversion(plan, plan.Metadata, _ => GgmlType.F32);
    });

    /// <summary>
    /// Writes the GGUF, whole or not at all. Throws as <see cref="Of"/> does, and <see cref="OperationCanceledException"/>.
    /// </summary>
    /// <param name="path">The file to write.</param>
    /// <param name="progress">Receives the share that is done, 0 to 1, at each whole percent.</param>
    /// <param name="quantizer">Makes what quantizes, where a type needs it.</param>
    /// <param name="cancellation">Ends the work; nothing is left behind.</param>
    public void WriteFile(
        string path, IProgress<float>? progress = null, Func<Quantizer>? quantizer = null, CancellationToken cancellation = default)
    {
        var all = Math.Max(1, _plan.Tensors.SelectMany(tensor => tensor.Parts).Sum(part => part.Tensor.Weights!.Value.BytesOf(part.Count)));
        var (done, reported) = (0L, -1L);
        using var stream = new TensorStream(quantizer, Tell, cancellation);
        var writer = new GgufWriter();
        foreach (var (key, value) in _metadata)
            writer.Add(key, value);

        foreach (var tensor in _plan.Tensors)
        {
            var type = _typeOf(tensor);
            writer.AddTensor(tensor.Name, type, Reversed(tensor.Shape), output => stream.Write(tensor, type, output));
        }

        writer.WriteFile(path);

        void Tell(long count)
        {
            done += count;
            if (done * 100 / all != reported)
                progress?.Report((reported = done * 100 / all) / 100f);
        }
    }

    private static FolderConversion Checked(Func<FolderConversion> make)
    {
        try
        {
            return make();
        }
        catch (OverflowException)
        {
            throw new SafeTensorsException("config.json asks for more elements than any file holds");
        }
    }

    private GgufHeader MakeHeader()
    {
        var tensors = _plan.Tensors.Select(tensor => new GgufTensor
        {
            Name = tensor.Name,
            Type = _typeOf(tensor),
            Dimensions = Reversed(tensor.Shape),
            Offset = 0,
            ElementCount = StoredTensor.Product(tensor.Shape),
        }).ToArray();
        return new GgufHeader
        {
            Version = 3,
            Metadata = _metadata.ToDictionary(entry => entry.Key, entry => entry.Value, StringComparer.Ordinal),
            Tensors = tensors,
            Alignment = 32,
            DataOffset = 0,
            FileLength = tensors.Sum(tensor => tensor.SizeBytes),
        };
    }

    /// <summary>
    /// The model's name: the folder's. llama.cpp sees by "phi3" in a name that control tokens take the blanks behind them, and then needs
    /// some tokens: so the name of a Phi 3 that has them gets it, and that of any other vocabulary loses it.
    /// </summary>
    private static string NameOf(string name, string architecture, Vocabulary vocabulary)
    {
        var named = name.Contains("phi-3", StringComparison.OrdinalIgnoreCase) || name.Contains("phi3", StringComparison.OrdinalIgnoreCase);
        var strips = architecture == "phi3" && vocabulary.Model == "llama" && StrippedTokens.All(vocabulary.Tokens.Contains);
        return strips == named ? name
            : strips ? $"{name} (phi3)"
            : name.Replace("phi-3", "phi 3", StringComparison.OrdinalIgnoreCase)
                .Replace("phi3", "phi 3", StringComparison.OrdinalIgnoreCase);
    }

    // As the reference converter chooses: by the first matrix in the order of names. F32 stays, since narrowing loses.
    private static GgmlType TypeOf(ModelFolder folder) => folder.Files.SelectMany(
        file => folder.Tensors.Values.Where(tensor => tensor.File == file).OrderBy(tensor => tensor.Name, StringComparer.Ordinal))
        .FirstOrDefault(tensor => tensor.Shape.Length >= 2)?.Weights ?? GgmlType.F32;

    private static long[] Reversed(long[] shape)
    {
        var reversed = (long[])shape.Clone();
        Array.Reverse(reversed);
        return reversed;
    }
}

/// <summary>How the authors of a model sample from it: generation_config.json, kept as the model's defaults (general.sampling.*).</summary>
internal static class SamplingAdvice
{
    private const int Largest = 1 << 20;

    private static readonly (string Name, string Key)[] Numbers =
    [
        ("top_p", "top_p"), ("min_p", "min_p"), ("temperature", "temp"), ("repetition_penalty", "penalty_repeat"),
    ];

    /// <summary>The advice of the folder; nothing where it has no such file.</summary>
    public static IEnumerable<(string Key, GgufValue Value)> Of(ModelFolder folder)
    {
        if (PlainJson.Read(folder.Path, "generation_config.json", Largest) is not { } config)
            yield break;

        if (config.Integer("top_k", least: 0) is { } topK)
            yield return ("general.sampling.top_k", GgufValue.OfInteger(GgufType.Int32, topK));

        foreach (var (name, key) in Numbers)
        {
            if (config.Number(name) is { } number)
                yield return ($"general.sampling.{key}", GgufValue.OfNumber(GgufType.Float32, number));
        }
    }
}
