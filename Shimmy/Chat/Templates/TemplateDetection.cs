using Shimmy.Engine;

namespace Shimmy.Chat.Templates;

/// <summary>
/// Which family a model without a template most likely belongs to: by control tokens that only one family's vocabulary has, then by
/// architecture, then by name. The last resort, and never silent.
/// </summary>
internal static class TemplateDetection
{
    private static readonly (string Token, TemplateFamily Family)[] ByToken =
    [
        ("<|im_start|>", TemplateFamilies.ChatMl),
        ("<|start_header_id|>", TemplateFamilies.Llama3),
        ("<start_of_turn>", TemplateFamilies.Gemma),
        ("<|end_of_turn|>", TemplateFamilies.OpenChat),
        ("<｜User｜>", TemplateFamilies.DeepSeek),
        ("<|end|>", TemplateFamilies.Phi3),
        ("[INST]", TemplateFamilies.Mistral),
    ];

    // A name counts wherever it stands in the architecture or the model's name; the first in this order wins.
    private static readonly (string Part, TemplateFamily Family)[] ByArchitecture =
    [
        ("gemma", TemplateFamilies.Gemma),
        ("phi3", TemplateFamilies.Phi3),
        ("deepseek", TemplateFamilies.DeepSeek),
        ("qwen", TemplateFamilies.ChatMl),
        ("chatglm", TemplateFamilies.ChatMl),
    ];

    private static readonly (string Part, TemplateFamily Family)[] ByName =
    [
        ("openchat", TemplateFamilies.OpenChat),
        ("zephyr", TemplateFamilies.Zephyr),
        ("vicuna", TemplateFamilies.Vicuna),
        ("alpaca", TemplateFamilies.Alpaca),
        ("qwen", TemplateFamilies.ChatMl),
        ("chatglm", TemplateFamilies.ChatMl),
        ("phi", TemplateFamilies.ChatMl),
        ("llama-3", TemplateFamilies.Llama3),
        ("llama3", TemplateFamilies.Llama3),
        ("mistral", TemplateFamilies.Mistral),
        ("mixtral", TemplateFamilies.Mistral),
        ("gemma", TemplateFamilies.Gemma),
        ("deepseek", TemplateFamilies.DeepSeek),
    ];

    /// <summary>The family, and what speaks for it.</summary>
    public static async Task<(TemplateFamily Family, string Reason)> OfAsync(ILoadedModel model, CancellationToken cancellation)
    {
        foreach (var (token, family) in ByToken)
        {
            if (await HasControlTokenAsync(model, token, cancellation).ConfigureAwait(false))
                return (family, $"its vocabulary has {token}");
        }

        var architecture = model.Facts.Architecture.ToLowerInvariant();
        foreach (var (part, family) in ByArchitecture)
        {
            if (architecture.Contains(part, StringComparison.Ordinal))
                return (family, $"its architecture is {model.Facts.Architecture}");
        }

        return OfName(model.Spec.Name);
    }

    /// <summary>The family that a name speaks for.</summary>
    public static (TemplateFamily Family, string Reason) OfName(string name)
    {
        var lower = name.ToLowerInvariant();
        foreach (var (part, family) in ByName)
        {
            if (lower.Contains(part, StringComparison.Ordinal))
                return (family, $"its name holds '{part}'");
        }

        return (TemplateFamilies.OpenChat, "nothing speaks for another");
    }

    // One token where control tokens are recognised, several where they are not.
    private static async Task<bool> HasControlTokenAsync(ILoadedModel model, string text, CancellationToken cancellation) =>
        (await TokensOfAsync(model, text, special: true, cancellation).ConfigureAwait(false)).Count == 1 &&
        (await TokensOfAsync(model, text, special: false, cancellation).ConfigureAwait(false)).Count > 1;

    private static Task<IReadOnlyList<int>> TokensOfAsync(ILoadedModel model, string text, bool special, CancellationToken cancellation) =>
        model.TokenizeAsync(new Prompt { Parts = [new PromptPart(text, special)], AddBos = false }, cancellation);
}
