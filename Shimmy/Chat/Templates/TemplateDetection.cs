using Shimmy.Engine;

namespace Shimmy.Chat.Templates;

/// <summary>
/// Guesses the template family of a model without a chat template: by control tokens that only one family has, then by architecture, then
/// by name. The last resort, and always logged.
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

    // Substrings of the architecture and of the model's name; the first match wins.
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

    /// <summary>The family, and the reason for the guess.</summary>
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

        // A file's own name says more than that of a tag, or of a file that somebody renamed.
        return Named(model.Spec.Name) ?? (model.Facts.Name is { } own ? Named(own) : null) ?? LastResort;
    }

    /// <summary>The family whose control tokens a template writes, whatever its language; null where it writes none.</summary>
    public static TemplateFamily? OfTemplate(string template) =>
        ByToken.Where(row => template.Contains(row.Token, StringComparison.Ordinal)).Select(row => row.Family).FirstOrDefault();

    // What most models of the last years were trained with, and what those that were not read as a conversation too.
    private static (TemplateFamily Family, string Reason) LastResort => (TemplateFamilies.ChatMl, "nothing points to another");

    private static (TemplateFamily Family, string Reason)? Named(string name)
    {
        var lower = name.ToLowerInvariant();
        foreach (var (part, family) in ByName)
        {
            if (lower.Contains(part, StringComparison.Ordinal))
                return (family, $"its name contains '{part}'");
        }

        return null;
    }

    // A control token is one token where control tokens are parsed, and several where they are not.
    private static async Task<bool> HasControlTokenAsync(ILoadedModel model, string text, CancellationToken cancellation) =>
        (await TokensOfAsync(model, text, special: true, cancellation).ConfigureAwait(false)).Count == 1 &&
        (await TokensOfAsync(model, text, special: false, cancellation).ConfigureAwait(false)).Count > 1;

    private static Task<IReadOnlyList<int>> TokensOfAsync(ILoadedModel model, string text, bool special, CancellationToken cancellation) =>
        model.TokenizeAsync(new Prompt { Parts = [new PromptPart(text, special)], AddBos = false }, cancellation);
}
