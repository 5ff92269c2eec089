namespace Shimmy.Models;

/// <summary>Types of model, by what they are for.</summary>
internal enum ModelType
{
    /// <summary>Continues text: a base model, without a chat template or a name that hints at one.</summary>
    Completion,

    /// <summary>Answers messages: has a chat template, or is named like an instruction-tuned model.</summary>
    Chat,

    /// <summary>Computes embedding vectors of texts.</summary>
    Embedding,

    /// <summary>Scores documents against a query.</summary>
    Reranker,

    /// <summary>The text encoder of another model, for example of an image model (T5).</summary>
    Encoder,

    /// <summary>CLIP: embeds images and texts in one space; also multimodal projectors.</summary>
    Clip,

    /// <summary>Generates images, video or text by diffusion.</summary>
    Diffusion,

    /// <summary>Recognizes or synthesizes speech.</summary>
    Speech,

    /// <summary>Variational autoencoder: decodes the latent images of a diffusion model.</summary>
    Vae,
}

/// <summary>Extensions of <see cref="ModelType"/>.</summary>
internal static class ModelTypes
{
    /// <summary>Whether <c>--llm-only</c> keeps models of this type.</summary>
    public static bool IsLanguageModel(this ModelType type) => type is ModelType.Chat or ModelType.Completion;

    /// <summary>The name of the type in JSON and tables.</summary>
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
