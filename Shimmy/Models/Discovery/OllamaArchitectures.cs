using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>
/// Recognizes models that Ollama converted for its own engine, with tensors and keys that llama.cpp rejects ("wrong number of tensors", a
/// missing key). Discovery reports them, so that the user gets a reason instead of such an error.
/// </summary>
internal static class OllamaArchitectures
{
    // Architecture names that only Ollama uses.
    private static readonly HashSet<string> OllamaOnly = new(StringComparer.Ordinal)
    {
        "gptoss", "mllama", "qwen25vl", "deepseekocr", "glmocr",
    };

    // Architecture names that both use, but for different files.
    private static readonly HashSet<string> Shared = new(StringComparer.Ordinal)
    {
        "gemma3", "gemma3n", "gemma4", "llama4", "mistral3", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe",
    };

    /// <summary>The sign of Ollama's variant in the file itself, as the beginning of an error text; null where there is none.</summary>
    public static string? VariantOf(GgufHeader header, GgufContent content)
    {
        if (content != GgufContent.Model || header.Architecture is not { } architecture)
            return null;

        // llama.cpp has vision tensors in a separate projector file; Ollama has them in the model's file.
        return OllamaOnly.Contains(architecture) ? $"'{architecture}' is an architecture of Ollama's own engine"
            : header.Tensors.Any(tensor =>
                tensor.Name.StartsWith("v.", StringComparison.Ordinal) || tensor.Name.StartsWith("mm.", StringComparison.Ordinal))
                ? $"its vision tensors are in the same file as '{architecture}', as only Ollama's own engine reads them"
            : null;
    }

    /// <summary>Whether Ollama converts this architecture to a variant of its own.</summary>
    public static bool Differs(string? architecture) => architecture is not null && Shared.Contains(architecture);
}
