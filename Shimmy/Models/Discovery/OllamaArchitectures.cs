using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>
/// Ollama converts some models for an engine of its own, with tensors and keys that llama.cpp does not take: it ends with
/// "wrong number of tensors" or a missing key. Better to say so before.
/// </summary>
internal static class OllamaArchitectures
{
    // Names that only Ollama uses.
    private static readonly HashSet<string> OllamaOnly = new(StringComparer.Ordinal)
    {
        "gptoss", "mllama", "qwen25vl", "deepseekocr", "glmocr",
    };

    // Names that both use, for files that differ where Ollama made them.
    private static readonly HashSet<string> Shared = new(StringComparer.Ordinal)
    {
        "gemma3", "gemma3n", "gemma4", "llama4", "mistral3", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe",
    };

    /// <summary>What in the file itself gives Ollama's variant away; null where nothing does.</summary>
    public static string? VariantOf(GgufHeader header, GgufContent content)
    {
        if (content != GgufContent.Model || header.Architecture is not { } architecture)
        {
            return null;
        }

        // llama.cpp keeps the eyes of a model in a file of their own; Ollama puts them in with the rest.
        return OllamaOnly.Contains(architecture) ? $"'{architecture}' is an architecture of Ollama's own engine"
            : header.Tensors.Any(tensor =>
                tensor.Name.StartsWith("v.", StringComparison.Ordinal) || tensor.Name.StartsWith("mm.", StringComparison.Ordinal))
                ? $"its vision tensors are in the same file as '{architecture}', as only Ollama's own engine reads them"
            : null;
    }

    /// <summary>Whether a file of this architecture, made by Ollama, is in its own variant.</summary>
    public static bool Differs(string? architecture) => architecture is not null && Shared.Contains(architecture);
}
