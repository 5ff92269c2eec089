using System.Text.Json;
using Shimmy.Chat;

namespace Shimmy.Api.Native;

/// <summary>
/// A conversation as <c>/apply-template</c> and <c>/tokenize</c> take it, in OpenAI's form with llama.cpp's additions: <c>messages</c>,
/// <c>tools</c>, <c>add_generation_prompt</c>, <c>continue_final_message</c>, <c>enable_thinking</c>, <c>chat_template_kwargs</c>.
/// </summary>
internal sealed record ConversationBody(ChatRequest Request, bool AddGenerationPrompt)
{
    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static ConversationBody Read(RequestFields fields)
    {
        var messages = fields.List("messages")
            ?? throw ApiException.BadField("messages", "is missing; an array of messages is required", "missing_required_parameter");
        if (messages.Count == 0)
            throw ApiException.BadField("messages", "is empty; at least one message is required");
        var continues = fields.Flag("continue_final_message") ?? false;
        return new ConversationBody(
            new ChatRequest
            {
                Messages = [.. messages.Select((message, i) => Message(RequestFields.Of(message, $"messages[{i}]")))],
                Tools = [.. (fields.List("tools") ?? []).Select((tool, i) => Tool(RequestFields.Of(tool, $"tools[{i}]")))],
                EnableThinking = fields.Flag("enable_thinking"),
                ContinueFinalMessage = continues,
                TemplateArguments = fields.Find("chat_template_kwargs") is { } arguments ? Arguments(arguments) : new Dictionary<string, JsonElement>(),
            },
            fields.Flag("add_generation_prompt") is { } asked
                ? asked && continues
                    ? throw ApiException.BadField("add_generation_prompt", "was given beside continue_final_message; give one of them")
                    : asked
                : !continues);
    }

    private static Dictionary<string, JsonElement> Arguments(JsonElement value) => value.ValueKind == JsonValueKind.Object
        ? value.EnumerateObject().ToDictionary(argument => argument.Name, argument => argument.Value)
        : throw ApiException.BadField("chat_template_kwargs", $"must be an object, not {RequestFields.Describe(value)}");

    private static ChatMessage Message(RequestFields message)
    {
        var role = message.Choice("role", "system", "developer", "user", "assistant", "tool") ?? throw ApiException.BadField(
            message.FullName("role"), "is missing; 'system', 'developer', 'user', 'assistant' or 'tool' is required");
        var calls = message.List("tool_calls") ?? [];
        var content = Content(message);
        if (content.Count == 0 && role != "assistant")
            throw ApiException.BadField(message.FullName("content"), "is missing; a string or an array of text parts is required");
        return new ChatMessage
        {
            Role = role,
            Content = content,
            Reasoning = message.Text("reasoning_content"),
            ToolCalls = [.. calls.Select((call, i) => Call(RequestFields.Of(call, $"{message.FullName("tool_calls")}[{i}]")))],
            ToolCallId = message.Text("tool_call_id"),
            Name = message.Text("name"),
        };
    }

    private static IReadOnlyList<ContentPart> Content(RequestFields message)
    {
        var full = message.FullName("content");
        return message.Find("content") switch
        {
            null => [],
            { ValueKind: JsonValueKind.Array } parts => [.. parts.EnumerateArray().Select((part, i) => Part(RequestFields.Of(part, $"{full}[{i}]")))],
            { ValueKind: JsonValueKind.String } text => [new ContentPart(RequestFields.TextOf(text, full))],
            { } other => throw ApiException.BadField(full, $"must be a string or an array of parts, not {RequestFields.Describe(other)}"),
        };
    }

    private static ContentPart Part(RequestFields part) => part.RequiredText("type") == "text"
        ? new ContentPart(part.RequiredText("text"))
        : throw ApiException.BadField(part.FullName("type"), $"'{part.Text("type")}' is not supported; 'text' is");

    private static ToolCall Call(RequestFields call)
    {
        call.Choice("type", "function");
        var function = call.Object("function") ?? throw ApiException.BadField(call.FullName("function"), "is missing; an object is required");
        var arguments = function.Find("arguments") switch
        {
            null => "{}",
            // Some clients send the arguments as the object that the text stands for.
            { ValueKind: JsonValueKind.Object } value => value.GetRawText(),
            { } value => RequestFields.TextOf(value, function.FullName("arguments")),
        };
        return new ToolCall(call.Text("id") ?? "", function.RequiredText("name"), arguments);
    }

    private static ToolDefinition Tool(RequestFields tool)
    {
        tool.Choice("type", "function");
        var function = tool.Object("function") ?? throw ApiException.BadField(tool.FullName("function"), "is missing; an object is required");
        var parameters = function.Find("parameters") ?? default;
        if (parameters.ValueKind is not (JsonValueKind.Object or JsonValueKind.Undefined))
            throw ApiException.BadField(function.FullName("parameters"), $"must be an object, not {RequestFields.Describe(parameters)}");
        return new ToolDefinition(function.RequiredText("name"), function.Text("description"), parameters);
    }
}
