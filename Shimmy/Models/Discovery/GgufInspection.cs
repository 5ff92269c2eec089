using System.Globalization;
using Shimmy.Gguf;
using Shimmy.SafeTensors;

namespace Shimmy.Models.Discovery;

/// <summary>
/// Reads a GGUF file's header and extracts the facts for discovery, by the metadata keys and architecture names of llama.cpp v0.4.0.
/// </summary>
internal static class GgufInspection
{
    private const int PoolingRank = 4; // LLAMA_POOLING_TYPE_RANK
    private const string TemplateKey = "tokenizer.chat_template";

    private static readonly string[] SignsOfThinking = ["<think>", "enable_thinking", "reasoning_content", "reasoning_effort"];

    // Either says that the vocabulary has the marks.
    private static readonly string[] GapKeys = ["tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"];

    // Arrays are skipped, since only their presence matters here: a vocabulary takes longer to read than all the rest.
    private static readonly GgufLimits Limits = new() { ArrayLength = 0 };

    /// <summary>
    /// The facts about a file. Never throws for a file that is malformed or cannot be read: its facts have a <see cref="GgufFacts.Fault"/>.
    /// </summary>
    public static GgufFacts Inspect(string path)
    {
        try
        {
            return FactsOf(FolderConversion.HeaderOf(path, Limits));
        }
        catch (GgufException e)
        {
            return new GgufFacts { Content = GgufContent.Model, Fault = e.Message };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            return new GgufFacts { Content = GgufContent.Model, Fault = $"cannot be read: {e.Message}", IsTransient = true };
        }
    }

    /// <summary>The facts from a header.</summary>
    public static GgufFacts FactsOf(GgufHeader header)
    {
        var content = ContentOf(header);
        var projector = content == GgufContent.Projector ? ProjectorFile.Of(header) : null;
        var sizeLabel = header.Text("general.size_label");
        return new GgufFacts
        {
            Content = content,
            Architecture = header.Architecture,
            ParameterCount = header.ParameterCount,
            SizeLabel = ModelLabels.IsSize(sizeLabel) ? sizeLabel : null,
            Quantization = ModelLabels.OfQuantization(header),
            ContextLength = Positive(header.OfArchitecture("context_length")),
            Type = TypeOf(header),
            HasRankingHead = EmbeddingTraits.HasHead(header),
            OllamaVariant = OllamaArchitectures.VariantOf(header, content),
            FromLlamaCpp = header.Text("general.type") is not null,
            ShardCount = (int)Math.Clamp(header.Integer("split.count") ?? 0, 0, 99_999),
            EmbeddingLength = content switch
            {
                GgufContent.Adapter => AdaptedWidth(header),
                GgufContent.Projector => projector!.Width,
                _ => Positive(header.OfArchitecture("embedding_length")),
            },
            Layers = content == GgufContent.Adapter ? AdaptedLayers(header) : Positive(header.OfArchitecture("block_count")),
            Sees = projector is { CanSee: true },
            Hears = projector is { CanHear: true },
            BaseModel = header.Text("general.base_model.0.name"),
            CallsTools = header.Text(TemplateKey)?.Contains("tools", StringComparison.Ordinal) == true
                || header.Text(TemplateKey + ".tool_use") is not null,
            Inserts = Array.Exists(GapKeys, header.Metadata.ContainsKey),
            Thinks = header.Text(TemplateKey) is { } template
                && Array.Exists(SignsOfThinking, sign => template.Contains(sign, StringComparison.Ordinal)),
        };
    }

    private static int Positive(GgufValue? value) => (int)Math.Clamp(value?.Integer ?? 0, 0, int.MaxValue);

    private static GgufContent ContentOf(GgufHeader header) => header.Text("general.type") switch
    {
        "adapter" => GgufContent.Adapter,
        "mmproj" => GgufContent.Projector,
        "imatrix" => GgufContent.ImportanceMatrix,
        _ when header.Architecture is "clip" => GgufContent.Projector,
        _ when header.Architecture is "eagle3" or "dflash" => GgufContent.Draft,
        _ when header.Architecture is "controlvector" || header.Text("adapter.type") is not null => GgufContent.Adapter,
        _ when header.Architecture is "imatrix" || header.Array("imatrix.datasets") is not null => GgufContent.ImportanceMatrix,
        "vocab" => GgufContent.Vocabulary,
        // The first shard of a split model may have metadata only (llama-gguf-split --no-tensor-first-split).
        _ when header.Tensors.Count == 0 && (header.Integer("split.count") ?? 0) <= 1 => GgufContent.Vocabulary,
        _ => GgufContent.Model,
    };

    private static ModelType? TypeOf(GgufHeader header)
    {
        if (header.OfArchitecture("pooling_type")?.Integer is { } pooling and not 0)
            return pooling == PoolingRank ? ModelType.Reranker : ModelType.Embedding;

        return header.Architecture switch
        {
            "bert" or "modern-bert" or "nomic-bert" or "nomic-bert-moe" or "neo-bert" or "eurobert" or "jina-bert-v2"
                or "jina-bert-v3" or "gemma-embedding" or "llama-embed" => ModelType.Embedding,
            "t5encoder" => ModelType.Encoder,
            "clip" => ModelType.Clip,
            "whisper" or "wavtokenizer-dec" => ModelType.Speech,
            "vae" => ModelType.Vae,
            // Image and video models of stable-diffusion.cpp and similar tools; then diffusion language models.
            "sd1" or "sd2" or "sd3" or "sdxl" or "flux" or "aura" or "ltxv" or "hyvid" or "hidream" or "wan" or "cosmos"
                or "lumina2" or "qwen_image" or "pixart" or "chroma" or "kolors" or "diffusion" or "dream" or "llada"
                or "llada-moe" or "rnd1"
                => ModelType.Diffusion,
            _ when header.Text("tokenizer.chat_template") is not null || header.Array("tokenizer.chat_templates") is not null =>
                ModelType.Chat,
            _ => null,
        };
    }

    // Embedding length of the base model: matrices that read the residual stream have it in lora_a, those that write to it in lora_b.
    private static int AdaptedWidth(GgufHeader header)
    {
        foreach (var tensor in header.Tensors)
        {
            var parts = tensor.Name.Split('.');
            int? side = parts is [_, _, var layer, "weight", var half]
                ? (layer, half) switch
                {
                    ("attn_q" or "attn_k" or "attn_v" or "attn_qkv" or "ffn_up" or "ffn_gate", "lora_a") => 0,
                    ("attn_output" or "ffn_down", "lora_b") => 1,
                    _ => null,
                }
                : null;
            if (side is { } dimension && dimension < tensor.Dimensions.Count)
                return (int)Math.Min(tensor.Dimensions[dimension], int.MaxValue);
        }

        return 0;
    }

    private static int AdaptedLayers(GgufHeader header)
    {
        var layers = 0;
        foreach (var tensor in header.Tensors)
        {
            var parts = tensor.Name.Split('.', 3);
            if (parts is ["blk", var number, _] && int.TryParse(number, CultureInfo.InvariantCulture, out var layer))
                layers = Math.Max(layers, layer + 1);
        }

        return layers;
    }
}
