using Shimmy.Gguf;
using Shimmy.SafeTensors.Architectures;
using Shimmy.SafeTensors.Files;
using Shimmy.SafeTensors.Plans;
using Shimmy.SafeTensors.Tokenizers;

namespace Shimmy.SafeTensors;

/// <summary>
/// Turns a Hugging Face folder into a GGUF that llama.cpp loads: the same weights under GGUF's names, the tokenizer, and the metadata. What
/// would come out wrong is refused before anything is written.
/// </summary>
internal sealed class FolderConversion
{
    private readonly ConversionPlan _plan;
    private readonly List<(string Key, GgufValue Value)> _tokenizer;
    private readonly GgmlType _type;
    private readonly string _name;
    private GgufHeader? _header;

    private FolderConversion(ConversionPlan plan, List<(string Key, GgufValue Value)> tokenizer, GgmlType type, string name)
    {
        _plan = plan;
        _tokenizer = tokenizer;
        _type = type;
        _name = name;
    }

    /// <summary>The types that weights can become; "auto" keeps the source's.</summary>
    public static IReadOnlyList<string> Types { get; } = ["auto", "f32", "f16", "bf16", "q8_0"];

    /// <summary>What the owner should know.</summary>
    public IReadOnlyList<string> Warnings => _plan.Warnings;

    /// <summary>Bytes of weights that are written.</summary>
    public long TargetBytes => Header.Tensors.Sum(tensor => tensor.SizeBytes);

    /// <summary>The header that the GGUF will have, for whoever judges a model by its header.</summary>
    public GgufHeader Header => _header ??= MakeHeader();

    /// <summary>The header of a model file, or the one that a Hugging Face folder will have. Throws as both readers do.</summary>
    public static GgufHeader HeaderOf(string path, GgufLimits? limits = null) =>
        Directory.Exists(path) ? Of(path).Header : GgufReader.ReadFile(path, limits);

    /// <summary>
    /// Reads a folder and checks everything. Throws <see cref="SafeTensorsException"/> where it cannot be served, and
    /// <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/> where a file cannot be read.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="type">One of <see cref="Types"/>.</param>
    public static FolderConversion Of(string folder, string type = "auto")
    {
        try
        {
            var opened = ModelFolder.Open(folder);
            var architecture = KnownArchitectures.Of(opened.Class);
            var plan = architecture.Plan(opened);
            plan.RequireNothingLeft();
            var rows = plan.Tensors.First(tensor => tensor.Name == "token_embd.weight").Shape[0];
            var vocabulary = architecture.Vocabulary(opened, (int)rows);
            plan.Metadata.AddRange(SamplingAdvice.Of(opened));
            return new FolderConversion(plan, [.. vocabulary.Metadata()], TypeOf(type, opened),
                NameOf(folder, plan.Architecture, vocabulary));
        }
        catch (OverflowException)
        {
            throw new SafeTensorsException("config.json asks for more elements than any file holds");
        }
    }

    /// <summary>
    /// Writes the GGUF, whole or not at all. Throws as <see cref="Of"/> does, and <see cref="OperationCanceledException"/>.
    /// </summary>
    /// <param name="path">The file to write.</param>
    /// <param name="progress">Is told the share that is done, 0 to 1, at each whole percent.</param>
    /// <param name="cancellation">Ends the work; nothing is left behind.</param>
    public void WriteFile(string path, IProgress<float>? progress = null, CancellationToken cancellation = default)
    {
        var all = Math.Max(1, _plan.Tensors.SelectMany(tensor => tensor.Parts).Sum(part => part.Tensor.Weights!.Value.BytesOf(part.Count)));
        var (done, told) = (0L, -1L);
        using var stream = new TensorStream(_type, Tell, cancellation);
        var writer = new GgufWriter();
        foreach (var (key, value) in Metadata())
            writer.Add(key, value);

        foreach (var tensor in _plan.Tensors)
            writer.AddTensor(tensor.Name, stream.TypeOf(tensor), Reversed(tensor.Shape), output => stream.Write(tensor, output));

        writer.WriteFile(path);

        void Tell(long count)
        {
            done += count;
            if (done * 100 / all != told)
                progress?.Report((told = done * 100 / all) / 100f);
        }
    }

    private IEnumerable<(string Key, GgufValue Value)> Metadata() =>
    [
        ("general.architecture", GgufValue.OfText(_plan.Architecture)), ("general.type", GgufValue.OfText("model")),
            ("general.name", GgufValue.OfText(_name)),
        ("general.file_type",
            GgufValue.OfInteger(GgufType.UInt32, _type switch { GgmlType.F32 => 0, GgmlType.F16 => 1, GgmlType.Q8_0 => 7, _ => 32 })),
        ("general.quantization_version", GgufValue.OfInteger(GgufType.UInt32, 2)),
        .. _plan.Metadata, .. _tokenizer,
    ];

    private GgufHeader MakeHeader()
    {
        var tensors = _plan.Tensors.Select(tensor => new GgufTensor
        {
            Name = tensor.Name,
            Type = TensorStream.TypeOf(tensor, _type),
            Dimensions = Reversed(tensor.Shape),
            Offset = 0,
            ElementCount = StoredTensor.Product(tensor.Shape),
        }).ToArray();
        return new GgufHeader
        {
            Version = 3,
            Metadata = Metadata().ToDictionary(entry => entry.Key, entry => entry.Value, StringComparer.Ordinal),
            Tensors = tensors,
            Alignment = 32,
            DataOffset = 0,
            FileLength = tensors.Sum(tensor => tensor.SizeBytes),
        };
    }

    /// <summary>
    /// The model's name: the folder's, or the repository's where the folder is a snapshot in Hugging Face's cache. llama.cpp tells by
    /// "phi3" in a name that control tokens take the blanks behind them, and then needs a token of the text &lt;/s&gt;: so the name of a
    /// Phi 3 gets it, and that of any other vocabulary loses it.
    /// </summary>
    private static string NameOf(string folder, string architecture, Vocabulary vocabulary)
    {
        var path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var parts = path.Split(Path.DirectorySeparatorChar);
        var name = parts is [.., var repository, "snapshots", _] && repository.StartsWith("models--", StringComparison.Ordinal)
            ? repository[(repository.LastIndexOf("--", StringComparison.Ordinal) + 2)..]
            : parts[^1];
        var named = name.Contains("phi-3", StringComparison.OrdinalIgnoreCase) || name.Contains("phi3", StringComparison.OrdinalIgnoreCase);
        var strips = architecture == "phi3" && vocabulary.Model == "llama";
        return strips == named ? name
            : strips ? $"{name} (phi3)"
            : name.Replace("phi-3", "phi 3", StringComparison.OrdinalIgnoreCase)
                .Replace("phi3", "phi 3", StringComparison.OrdinalIgnoreCase);
    }

    // As the reference converter chooses: by the first matrix in the order of names. F32 stays, since narrowing loses.
    private static GgmlType TypeOf(string type, ModelFolder folder) => type switch
    {
        "f32" => GgmlType.F32,
        "f16" => GgmlType.F16,
        "bf16" => GgmlType.BF16,
        "q8_0" => GgmlType.Q8_0,
        _ => folder.Files.SelectMany(
            file => folder.Tensors.Values.Where(tensor => tensor.File == file).OrderBy(tensor => tensor.Name, StringComparer.Ordinal))
            .FirstOrDefault(tensor => tensor.Shape.Length >= 2)?.Weights ?? GgmlType.F32,
    };

    private static long[] Reversed(long[] shape)
    {
        var reversed = (long[])shape.Clone();
        Array.Reverse(reversed);
        return reversed;
    }
}
