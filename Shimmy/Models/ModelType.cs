namespace Shimmy.Models;

/// <summary>What a model is for.</summary>
internal enum ModelType
{
    /// <summary>Continues text; no chat template, no hint of one in its name.</summary>
    Completion,

    /// <summary>Converses.</summary>
    Chat,

    /// <summary>Gives vectors for texts.</summary>
    Embedding,

    /// <summary>Scores how well a text answers a query.</summary>
    Reranker,

    /// <summary>The encoder of something else, for example of an image model.</summary>
    Encoder,

    /// <summary>Connects images with text.</summary>
    Clip,

    /// <summary>Makes images, or text by diffusion.</summary>
    Diffusion,

    /// <summary>Hears or speaks.</summary>
    Speech,

    /// <summary>Decodes the latent images of a diffusion model.</summary>
    Vae,
}

/// <summary>Facts about <see cref="ModelType"/>.</summary>
internal static class ModelTypes
{
    /// <summary>Whether <c>--llm-only</c> keeps it.</summary>
    public static bool IsLanguageModel(this ModelType type) => type is ModelType.Chat or ModelType.Completion;

    /// <summary>Its name in answers and tables.</summary>
    public static string Label(this ModelType type) => type switch
    {
        ModelType.Completion => "completion",
        ModelType.Chat => "chat",
        ModelType.Embedding => "embedding",
        ModelType.Reranker => "reranker",
        ModelType.Encoder => "encoder",
        ModelType.Clip => "clip",
        ModelType.Diffusion => "diffusion",
        ModelType.Speech => "speech",
        _ => "vae",
    };
}
