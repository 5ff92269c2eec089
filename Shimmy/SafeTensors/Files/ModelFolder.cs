using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Shimmy.SafeTensors.Files;

/// <summary>
/// A Hugging Face model folder as it lies on the disk: config.json, the tensors of its model*.safetensors files, and what the tokenizer
/// is read from. Opening reads headers, no weights. What is no folder of plain weights is refused with its reason.
/// </summary>
internal sealed class ModelFolder
{
    private const int LargestConfig = 4 << 20;
    private const int LargestTokenizer = 64 << 20;
    private const string Index = "model.safetensors.index.json";

    private const string Templates = "additional_chat_templates";

    /// <summary>The file that distinguishes an adapter's folder, and the one of its weights.</summary>
    public const string AdapterConfig = "adapter_config.json", AdapterWeights = "adapter_model.safetensors";

    private ModelFolder(string path, PlainJson root, Dictionary<string, StoredTensor> tensors, IReadOnlyList<string> files)
    {
        Path = path;
        Root = root;
        Config = root["text_config"] is { IsObject: true } text ? text : root;
        Tensors = tensors;
        Files = files;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>config.json.</summary>
    public PlainJson Root { get; }

    /// <summary>The configuration of the language model: text_config of a model that also sees, else config.json itself.</summary>
    public PlainJson Config { get; }

    /// <summary>The tensors of all weight files, by name as stored.</summary>
    public IReadOnlyDictionary<string, StoredTensor> Tensors { get; }

    /// <summary>The weight files, in the order of their names.</summary>
    public IReadOnlyList<string> Files { get; }

    /// <summary>The class that the folder was saved from, as "LlamaForCausalLM".</summary>
    public string Class => Root["architectures"].Items.FirstOrDefault().AsText
        ?? throw new SafeTensorsException("config.json: architectures is missing; it names the model's class");

    /// <summary>Whether a folder looks like one: config.json and at least one weight file.</summary>
    public static bool Looks(string path) =>
        File.Exists(System.IO.Path.Combine(path, "config.json"))
            && Directory.EnumerateFiles(path, "model*.safetensors").Any();

    /// <summary>
    /// Opens a folder. Throws <see cref="SafeTensorsException"/> where it is none or is refused, <see cref="IOException"/> or
    /// <see cref="UnauthorizedAccessException"/> where a file cannot be read.
    /// </summary>
    public static ModelFolder Open(string path)
    {
        if (!Directory.Exists(path))
            throw new SafeTensorsException($"{path} does not exist or is not a directory");

        if (PlainJson.Read(path, "config.json", LargestConfig) is not { } config)
        {
            throw new SafeTensorsException(File.Exists(System.IO.Path.Combine(path, AdapterConfig))
                ? "the folder holds a LoRA adapter (adapter_config.json), not a model"
                : "config.json is missing");
        }

        if (!config.IsObject)
            throw new SafeTensorsException("config.json is not a JSON object");

        RefuseQuantized(path, config);
        var files = WeightFiles(path);
        var tensors = new Dictionary<string, StoredTensor>(StringComparer.Ordinal);
        foreach (var file in files)
        {
            foreach (var tensor in SafeTensorsFile.Read(file))
            {
                RefuseQuantized(tensor);
                if (!tensors.TryAdd(tensor.Name, tensor))
                {
                    throw new SafeTensorsException(
                        $"tensor '{tensor.Name}' is in two files: {System.IO.Path.GetFileName(tensors[tensor.Name].File)} "
                        + $"and {System.IO.Path.GetFileName(file)}");
                }
            }
        }

        RequireIndexed(path, tensors);
        return new ModelFolder(path, config, tensors, files);
    }

    /// <summary>
    /// Opens a folder with an adapter in PEFT's form: its configuration and its tensors. Throws as <see cref="Open"/> does.
    /// </summary>
    public static ModelFolder OpenAdapter(string path)
    {
        if (PlainJson.Read(path, AdapterConfig, LargestConfig) is not { IsObject: true } config)
            throw new SafeTensorsException($"{AdapterConfig} is missing, or no JSON object");

        var file = System.IO.Path.Combine(path, AdapterWeights);
        if (!File.Exists(file))
        {
            throw new SafeTensorsException(Directory.EnumerateFiles(path).Select(System.IO.Path.GetFileName)
                .FirstOrDefault(Unread) is { } other
                ? WhyUnread(other, AdapterWeights)
                : $"there is no {AdapterWeights}");
        }

        return new ModelFolder(path, config, SafeTensorsFile.Read(file).ToDictionary(tensor => tensor.Name), [file]);
    }

    /// <summary>A JSON file of the folder for the tokenizer; null where there is none.</summary>
    public PlainJson? TokenizerFile(string name) => PlainJson.Read(Path, name, LargestTokenizer);

    /// <summary>A file of the folder as bytes; null where there is none.</summary>
    public byte[]? Bytes(string name)
    {
        var info = new FileInfo(System.IO.Path.Combine(Path, name));
        if (!info.Exists)
            return null;

        return info.Length <= LargestTokenizer
            ? File.ReadAllBytes(info.FullName)
            : throw new SafeTensorsException($"{name} has {info.Length} bytes; at most {LargestTokenizer} are read");
    }

    /// <summary>The folder's name, or the repository's where the folder is a snapshot in Hugging Face's cache.</summary>
    public string Name =>
        System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(Path))
            .Split(System.IO.Path.DirectorySeparatorChar) is var parts
        && parts is [.., var repository, "snapshots", _] && repository.StartsWith("models--", StringComparison.Ordinal)
            ? repository[(repository.LastIndexOf("--", StringComparison.Ordinal) + 2)..]
            : parts[^1];

    /// <summary>
    /// A name for what the folder holds now: it changes when a file that matters is replaced. Names, lengths, times of change, and the
    /// content of what is small; weights of gigabytes are not read for it.
    /// </summary>
    public static string Fingerprint(string path)
    {
        var hash = new XxHash128();
        Span<byte> numbers = stackalloc byte[16];
        foreach (var file in new DirectoryInfo(path).EnumerateFiles("*", SearchOption.TopDirectoryOnly)
            .Concat(SideFiles(path)).OrderBy(file => file.FullName, StringComparer.Ordinal))
        {
            if (file.Extension is not (".json" or ".safetensors" or ".model" or ".jinja" or ".txt"))
                continue;

            hash.Append(Encoding.UTF8.GetBytes(System.IO.Path.GetRelativePath(path, file.FullName)));
            // A link's own length is not that of its target: caches keep blobs behind links.
            var target = file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? file;
            BinaryPrimitives.WriteInt64LittleEndian(numbers, target.Length);
            BinaryPrimitives.WriteInt64LittleEndian(numbers[8..], target.LastWriteTimeUtc.Ticks);
            hash.Append(numbers);
            if (target.Length <= 1 << 20)
                hash.Append(File.ReadAllBytes(file.FullName));
        }

        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    /// <summary>Chat templates in files of their own beside the first, by name.</summary>
    public IEnumerable<(string Name, byte[] Text)> AdditionalTemplates()
    {
        var more = new DirectoryInfo(System.IO.Path.Combine(Path, Templates));
        return more.Exists
            ? more.EnumerateFiles("*.jinja").Where(file => file.Length <= LargestConfig).OrderBy(file => file.Name, StringComparer.Ordinal)
                .Select(file => (System.IO.Path.GetFileNameWithoutExtension(file.Name), File.ReadAllBytes(file.FullName)))
            : [];
    }

    // How a model pools stands in a folder of its own, as do further templates.
    private static IEnumerable<FileInfo> SideFiles(string path) => new DirectoryInfo(path).EnumerateDirectories()
        .Where(folder => folder.Name is Templates || folder.Name.Contains("pooling", StringComparison.OrdinalIgnoreCase))
        .SelectMany(folder => folder.EnumerateFiles());

    private static List<string> WeightFiles(string path)
    {
        var files = Directory.EnumerateFiles(path, "model*.safetensors").Order(StringComparer.Ordinal).ToList();
        if (PlainJson.Read(path, Index, LargestTokenizer) is { } index)
        {
            var named = index["weight_map"].Members.Select(member => member.Value.AsText
                ?? throw new SafeTensorsException($"{Index}: weight_map must name a file for '{member.Name}'")).Distinct().ToList();
            foreach (var name in named)
            {
                if (name != System.IO.Path.GetFileName(name) || name is "" or "." or "..")
                    throw new SafeTensorsException($"{Index} names '{name}': only names of files in the same folder are allowed, without a path");

                if (!File.Exists(System.IO.Path.Combine(path, name)))
                    throw new SafeTensorsException($"{name} is missing; {Index} names it");
            }

            files = [.. named.Order(StringComparer.Ordinal).Select(name => System.IO.Path.Combine(path, name))];
        }

        if (files.Count > 0)
            return files;

        var other = Directory.EnumerateFiles(path).Select(System.IO.Path.GetFileName).FirstOrDefault(Unread);
        throw new SafeTensorsException(other is null ? "there is no model.safetensors" : WhyUnread(other, "model.safetensors"));
    }

    private static string WhyUnread(string other, string wanted) =>
        other.StartsWith("consolidated", StringComparison.Ordinal)
            ? $"{other} is in Mistral's own layout; the layout of transformers (model.safetensors, config.json) is needed"
        : System.IO.Path.GetExtension(other) is ".npz" or ".onnx"
            ? $"{other} is not read; weights must be in {wanted}"
        : $"{other} is a pickle, which can run any program when it is opened, so it never is; weights must be in {wanted}";

    private static bool Unread(string? name) => name is not null
        && (name.StartsWith("consolidated", StringComparison.Ordinal)
            || System.IO.Path.GetExtension(name) is ".bin" or ".pt" or ".pth" or ".npz" or ".onnx");

    private static void RequireIndexed(string path, Dictionary<string, StoredTensor> tensors)
    {
        if (PlainJson.Read(path, Index, LargestTokenizer) is not { } index)
            return;

        var named = index["weight_map"].Members.Select(member => member.Name).ToHashSet(StringComparer.Ordinal);
        var missing = named.Where(name => !tensors.ContainsKey(name)).Order(StringComparer.Ordinal).FirstOrDefault();
        if (missing is not null)
            throw new SafeTensorsException($"tensor '{missing}' is missing; {Index} says that it is there");

        var extra = tensors.Keys.Where(name => !named.Contains(name)).Order(StringComparer.Ordinal).FirstOrDefault();
        if (extra is not null)
            throw new SafeTensorsException($"tensor '{extra}' is not in {Index}: the files are of different models");
    }

    private static void RefuseQuantized(string path, PlainJson config)
    {
        foreach (var place in new[] { config, config["text_config"] })
        {
            foreach (var key in new[] { "quantization_config", "quantization", "compression_config" })
            {
                if (!place.Has(key))
                    continue;

                var method = place[key]["quant_method"].AsText ?? (key == "quantization" ? "MLX" : "unnamed");
                throw new SafeTensorsException(
                    $"the weights are quantized ({method}, by {key} in config.json); only F32, F16 and BF16 are read: "
                    + "take the original model, or a GGUF of it");
            }
        }

        if (File.Exists(System.IO.Path.Combine(path, "hf_quant_config.json")))
            throw new SafeTensorsException("the weights are quantized (hf_quant_config.json); only F32, F16 and BF16 are read");
    }

    private static void RefuseQuantized(StoredTensor tensor)
    {
        foreach (var end in new[] { ".qweight", ".qzeros", ".scales", ".g_idx", ".weight_scale",
            ".weight_scale_inv", ".weight_packed", ".weight_scale_2",
            ".input_scale", ".absmax", ".quant_map", ".weight_shape", "_blocks", "_scales" })
        {
            if (tensor.Name.EndsWith(end, StringComparison.Ordinal))
            {
                throw new SafeTensorsException(
                    $"the weights are quantized (tensor '{tensor.Name}'); only F32, F16 and BF16 are read: take the original model, or a GGUF of it");
            }
        }
    }
}
