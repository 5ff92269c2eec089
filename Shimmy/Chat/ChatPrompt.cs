using Shimmy.Engine;

namespace Shimmy.Chat;

/// <summary>
/// From a conversation to a prompt. The seam of the template engine: until it stands, every model gets ChatML (OpenAI's
/// <c>&lt;|im_start|&gt;role … &lt;|im_end|&gt;</c>).
/// </summary>
internal static class ChatPrompt
{
    private const string TurnEnd = "<|im_end|>";

    /// <summary>The request that the engine runs, the template's own stop string included.</summary>
    public static GenerationRequest Render(ILoadedModel model, ChatRequest request)
    {
        _ = model;
        var parts = new List<PromptPart>();
        for (var i = 0; i < request.Messages.Count; i++)
        {
            var message = request.Messages[i];
            var last = i == request.Messages.Count - 1;
            parts.Add(new PromptPart($"<|im_start|>{(message.Role == "developer" ? "system" : message.Role)}\n", ParseSpecial: true));
            parts.Add(new PromptPart(message.Text, ParseSpecial: false));
            if (!last || !request.ContinueFinalMessage)
                parts.Add(new PromptPart(TurnEnd + "\n", ParseSpecial: true));
        }
        if (!request.ContinueFinalMessage)
            parts.Add(new PromptPart("<|im_start|>assistant\n", ParseSpecial: true));
        return new GenerationRequest
        {
            Prompt = new Prompt { Parts = parts },
            Options = request.Options with { Stop = [.. request.Options.Stop, TurnEnd] },
            Grammar = request.Grammar,
        };
    }
}
