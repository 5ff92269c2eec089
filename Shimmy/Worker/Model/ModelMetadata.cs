using System.Globalization;
using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>
/// The metadata of a loaded model, and what follows from it and from llama.cpp's facts: what the model is for, and how it wants to be used.
/// </summary>
internal sealed class ModelMetadata
{
    private readonly Dictionary<string, string> _values;

    private ModelMetadata(Dictionary<string, string> values, ModelHandle model, PoolingType? pooling, Func<EmbeddingTraits> traits)
    {
        _values = values;
        Architecture = Of("general.architecture") ?? "";
        var given = pooling ?? (int.TryParse(OfArchitecture("pooling_type"), CultureInfo.InvariantCulture, out var type)
            && type is >= (int)PoolingType.Mean and <= (int)PoolingType.Rank
            ? (PoolingType?)type
            : null);
        Traits = given is null && GeneratesText(model, ranks: false) ? new EmbeddingTraits(false, false) : traits();
        LacksRankingHead = given == PoolingType.Rank && !Traits.HasRankingHead;
        CanGenerate = GeneratesText(model, ranks: given == PoolingType.Rank && !LacksRankingHead);
        Pooling = LacksRankingHead ? CanGenerate ? PoolingType.Last : PoolingType.Cls
            : given ?? (CanGenerate ? PoolingType.Last : PoolingType.Mean);
        HeadSize = long.TryParse(OfArchitecture("attention.key_length"), CultureInfo.InvariantCulture, out var length)
            ? length
            : model.EmbeddingLength / Math.Max(1, model.Heads);
    }

    /// <summary><c>general.architecture</c>; empty where the file does not say.</summary>
    public string Architecture { get; }

    /// <summary>Whether the model gives logits to sample from, token after token.</summary>
    public bool CanGenerate { get; }

    /// <summary>How texts are embedded; of models that do not say it, by their last token if they generate, else by the mean.</summary>
    public PoolingType Pooling { get; }

    /// <summary>
    /// Whether the model pools as a reranker but has no head to rank with: llama.cpp would give each document the same score, or end the
    /// process.
    /// </summary>
    public bool LacksRankingHead { get; }

    /// <summary>The file's facts on embedding and ranking; read only of models that say how they pool, or that do not generate.</summary>
    public EmbeddingTraits Traits { get; }

    /// <summary>Elements of one head's key.</summary>
    public long HeadSize { get; }

    /// <summary>The text into which a reranker wants query and document put; null where it names none.</summary>
    public string? RerankTemplate => Of("tokenizer.chat_template.rerank");

    /// <summary>Reads the metadata of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">Its file, or the first of its shards.</param>
    /// <param name="pooling">How texts are to be embedded whatever the file says; null to believe it.</param>
    public static ModelMetadata Read(ModelHandle model, string path, PoolingType? pooling) =>
        new(model.ReadMetadata(), model, pooling, () => TraitsOf(path));

    // Where our reader is stricter than llama.cpp, what the model says of itself is believed.
    private static EmbeddingTraits TraitsOf(string path)
    {
        try
        {
            return EmbeddingTraits.Read(path);
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            return new EmbeddingTraits(HasRankingHead: true, IsMatryoshka: false);
        }
    }

    /// <summary>The value of a key as text; null where there is none.</summary>
    public string? Of(string key) => _values.GetValueOrDefault(key);

    /// <summary>The value of a key that begins with the architecture's name, as text; null where there is none.</summary>
    public string? OfArchitecture(string key) => Of($"{Architecture}.{key}");

    /// <summary>The model's chat templates by name; <c>default</c> is <c>tokenizer.chat_template</c>.</summary>
    public Dictionary<string, string> ChatTemplates()
    {
        const string key = "tokenizer.chat_template";
        var templates = new Dictionary<string, string>();
        foreach (var (name, value) in _values)
        {
            if (name == key)
                templates["default"] = value;
            else if (name.StartsWith(key + ".", StringComparison.Ordinal))
                templates[name[(key.Length + 1)..]] = value;
        }
        return templates;
    }

    /// <summary>The <c>general.sampling.*</c> values by their last name, under what the spec says.</summary>
    public Dictionary<string, string> SamplingDefaults(RequestDefaults given)
    {
        const string prefix = "general.sampling.";
        var defaults = _values.Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(pair => pair.Key[prefix.Length..], pair => pair.Value);
        foreach (var (name, value) in given.Sampling)
            defaults[name] = value;
        return defaults;
    }

    // llama.cpp counts BERT and its like as decoders; what they lack is that a token looks backwards alone.
    private bool GeneratesText(ModelHandle model, bool ranks) => model.HasDecoder && !model.HasEncoder && !model.IsDiffusion
        && OfArchitecture("attention.causal") != "false"
        && !Architecture.Contains("bert", StringComparison.Ordinal) && !Architecture.EndsWith("-embedding", StringComparison.Ordinal)
        && !ranks;
}

/// <summary><c>enum llama_pooling_type</c>: how the states of a text's tokens become one embedding.</summary>
internal enum PoolingType
{
    /// <summary>A state for each token; no embedding of the text.</summary>
    None = 0,

    /// <summary>The mean of all tokens.</summary>
    Mean = 1,

    /// <summary>The state of the first token (<c>[CLS]</c>).</summary>
    Cls = 2,

    /// <summary>The state of the last token.</summary>
    Last = 3,

    /// <summary>The scores of a classifier: a reranker.</summary>
    Rank = 4,
}
