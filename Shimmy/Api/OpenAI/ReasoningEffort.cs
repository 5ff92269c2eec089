using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// How much a model is to think: OpenAI's effort, and <c>enable_thinking</c> and <c>chat_template_kwargs</c> as local servers have them.
/// </summary>
internal static class ReasoningEffort
{
    private static readonly JsonElement Null = JsonDocument.Parse("null").RootElement;

    /// <summary>The effort that a field names; null where it is absent.</summary>
    public static string? Read(RequestFields fields, string name) =>
        fields.Choice(name, "none", "minimal", "low", "medium", "high", "xhigh");

    /// <summary>Whether the model should think; null leaves it to the template.</summary>
    public static bool? Thinking(RequestFields fields, string? effort) =>
        fields.Flag("enable_thinking") ?? (effort == "none" ? false : null);

    /// <summary>The variables that the request gives to the chat template; those that it gives itself come before the effort.</summary>
    public static Dictionary<string, JsonElement> TemplateArguments(RequestFields fields, string? effort)
    {
        var given = fields.Object("chat_template_kwargs");
        var arguments = given?.Names.ToDictionary(name => name, name => given.Find(name) ?? Null) ?? [];
        if (effort is not null and not "none")
            arguments.TryAdd("reasoning_effort", JsonDocument.Parse($"\"{effort}\"").RootElement);
        return arguments;
    }
}
