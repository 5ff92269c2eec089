using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// The field <c>messages</c> in OpenAI's form, which other dialects take too, with <c>reasoning_content</c> as local servers add it.
/// </summary>
internal static class ChatMessages
{
    /// <summary>Reads the field, which must be there; throws <see cref="ApiException"/> naming what is wrong with it.</summary>
    public static IReadOnlyList<ChatMessage> Read(RequestFields fields)
    {
        var messages = fields.List("messages")
            ?? throw ApiException.BadField("messages", "is missing; an array of messages is required", "missing_required_parameter");
        if (messages.Count == 0)
            throw ApiException.BadField("messages", "is empty; at least one message is required");
        return [.. messages.Select((message, i) => Message(RequestFields.Of(message, $"messages[{i}]")))];
    }

    private static ChatMessage Message(RequestFields message)
    {
        var role = message.Choice("role", "system", "developer", "user", "assistant", "tool") ?? throw ApiException.BadField(
            message.FullName("role"), "is missing; 'system', 'developer', 'user', 'assistant' or 'tool' is required");
        message.Refuse("function_call", "the older form of calls is not supported; use tool_calls");
        message.Refuse("audio", "audio is not supported");
        var calls = message.List("tool_calls") ?? [];
        if (calls.Count > 0 && role != "assistant")
            throw ApiException.BadField(message.FullName("tool_calls"), "only messages of the assistant call tools");
        var content = Content(message);
        if (content.Count == 0 && role != "assistant")
            throw ApiException.BadField(message.FullName("content"), "is missing; a string or an array of text parts is required");
        return new ChatMessage
        {
            Role = role,
            Content = content,
            Reasoning = message.Text("reasoning_content") ?? message.Text("reasoning"),
            ToolCalls = [.. calls.Select((call, i) => Call(RequestFields.Of(call, $"{message.FullName("tool_calls")}[{i}]")))],
            ToolCallId = role == "tool"
                ? message.Text("tool_call_id")
                    ?? throw ApiException.BadField(message.FullName("tool_call_id"),
                        "is missing; the id of the call that this answers is required")
                : message.Text("tool_call_id"),
            Name = message.Text("name"),
        };
    }

    private static IReadOnlyList<ContentPart> Content(RequestFields message)
    {
        var full = message.FullName("content");
        return message.Find("content") switch
        {
            null => message.Text("refusal") is { } refusal ? [new ContentPart(refusal)] : [],
            { ValueKind: JsonValueKind.Array } parts =>
                [.. parts.EnumerateArray().Select((part, i) => Part(RequestFields.Of(part, $"{full}[{i}]")))],
            { ValueKind: JsonValueKind.String } text => [new ContentPart(RequestFields.TextOf(text, full))],
            { } other => throw ApiException.BadField(full, $"must be a string or an array of parts, not {RequestFields.Describe(other)}"),
        };
    }

    private static ContentPart Part(RequestFields part) => part.RequiredText("type") switch
    {
        "text" => new ContentPart(part.RequiredText("text")),
        "refusal" => new ContentPart(part.RequiredText("refusal")),
        "image_url" => MediaFields.ImageUrl(part),
        var type => throw MediaFields.Unsupported(part, type),
    };

    private static ToolCall Call(RequestFields call)
    {
        call.Choice("type", "function");
        var function = call.Object("function")
            ?? throw ApiException.BadField(call.FullName("function"), "is missing; an object is required");
        var arguments = function.Find("arguments") switch
        {
            null => "{}",
            // Some clients send the arguments as the object that the text stands for.
            { ValueKind: JsonValueKind.Object } value => value.GetRawText(),
            { } value => RequestFields.TextOf(value, function.FullName("arguments")),
        };
        return new ToolCall(call.Text("id") ?? "", function.RequiredText("name"), arguments);
    }
}
