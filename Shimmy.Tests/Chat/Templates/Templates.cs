using Shimmy.Chat.Messages;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Tests.Jinja;

namespace Shimmy.Tests.Chat.Templates;

/// <summary>Shorthands for tests of chat templates.</summary>
internal static class Templates
{
    /// <summary>The chat template of a model that carries this text.</summary>
    public static ChatTemplate Of(string template, string? bos = "<s>", string? eos = "</s>") =>
        Of(TemplateSource.Of(new Dictionary<string, string> { ["default"] = template })!, bos, eos);

    /// <summary>The chat template of a source.</summary>
    public static ChatTemplate Of(TemplateSource source, string? bos = "<s>", string? eos = "</s>") =>
        new(source, new ModelFacts { Architecture = "test", Description = "", BosText = bos, EosText = eos },
            new FixedClock(new(2026, 1, 5, 14, 7, 9)));

    /// <summary>A message of one text.</summary>
    public static ChatMessage Says(string role, string text) => new() { Role = role, Content = [new ContentPart(text)] };

    /// <summary>A message of the assistant that only calls a tool.</summary>
    public static ChatMessage Calls(string id, string name, string arguments) =>
        new() { Role = "assistant", ToolCalls = [new ToolCall(id, name, arguments)] };

    /// <summary>A conversation.</summary>
    public static ChatRequest Turns(params ChatMessage[] messages) => new() { Messages = messages };

    /// <summary>The prompt as one text.</summary>
    public static string Text(this Prompt prompt) => string.Concat(prompt.Parts.Select(part => part.Text));

    /// <summary>The prompt with what came in with the request between ‹ and ›.</summary>
    public static string Marked(this Prompt prompt) =>
        string.Concat(prompt.Parts.Select(part => part.ParseSpecial ? part.Text : $"‹{part.Text}›"));
}
