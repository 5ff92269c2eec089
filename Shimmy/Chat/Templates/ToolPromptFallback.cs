using System.Text;
using System.Text.Json;
using Shimmy.Chat.Messages;

namespace Shimmy.Chat.Templates;

/// <summary>
/// Rewrites a conversation with tools for a template that does not support them: the system message describes the functions and how to call
/// them, calls become JSON (<c>ToolCallSyntax.Generic</c>), and results become user messages.
/// </summary>
internal static class ToolPromptFallback
{
    /// <summary>The rewritten request, without tools.</summary>
    public static ChatRequest Of(ChatRequest request)
    {
        var names = request.Messages.SelectMany(message => message.ToolCalls).GroupBy(call => call.Id)
            .ToDictionary(calls => calls.Key, calls => calls.Last().Name);
        var messages = new List<ChatMessage> { System(request) };
        foreach (var message in request.Messages.Where((message, i) => !(i == 0 && IsSystem(message))))
        {
            var said = message switch
            {
                { Role: "tool" } =>
                    Parts("user",
                        [
                            new($"Result of {message.Name ?? names.GetValueOrDefault(message.ToolCallId ?? "") ?? "the function"}: "),
                            .. message.Content,
                        ]),
                { ToolCalls.Count: > 0 } =>
                    Parts("assistant",
                        [
                            .. message.Content,
                            new((message.Text.Length > 0 ? "\n" : "") + string.Join('\n', message.ToolCalls.Select(Call))),
                        ]),
                _ => message,
            };
            // Adjacent user messages are merged: many templates require alternating roles.
            if (said.Role == "user" && messages[^1] is { Role: "user" } last)
                messages[^1] = Parts("user", [.. last.Content, new("\n\n"), .. said.Content]);
            else
                messages.Add(said);
        }
        return request with { Messages = messages, Tools = [] };
    }

    private static ChatMessage System(ChatRequest request)
    {
        var text = new StringBuilder();
        text.Append("You can call functions. To call one, answer with nothing but JSON of this form:\n");
        text.Append("{\"name\": \"name of the function\", \"arguments\": {\"name of a parameter\": \"its value\"}}\n");
        text.Append("Answer in words where no function helps, and when you have its result. The functions:\n");
        foreach (var tool in request.Tools)
        {
            text.Append("- ").Append(tool.Name);
            if (!string.IsNullOrWhiteSpace(tool.Description))
                text.Append(": ").Append(tool.Description);
            if (tool.Parameters.ValueKind == JsonValueKind.Object)
                text.Append("\n  parameters: ").Append(tool.Parameters.GetRawText());
            text.Append('\n');
        }
        var own = new ContentPart(text.ToString().TrimEnd());
        return Parts("system", request.Messages is [var first, ..] && IsSystem(first) ? [.. first.Content, new("\n\n"), own] : [own]);
    }

    private static string Call(ToolCall call) =>
        $"{{\"name\": \"{JsonEncodedText.Encode(call.Name)}\", \"arguments\": {(string.IsNullOrWhiteSpace(call.Arguments) ? "{}" : call.Arguments)}}}";

    private static bool IsSystem(ChatMessage message) => message.Role is "system" or "developer";

    private static ChatMessage Parts(string role, IEnumerable<ContentPart> parts) =>
        new() { Role = role, Content = ContentPart.Merge(parts) };
}
