using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// The field <c>messages</c> in OpenAI's form, which other dialects take too, with <c>reasoning_content</c> as local servers add it. What
/// the client says now is read strictly; what stands before it, up to the last message of the assistant, is history, and is taken as it is.
/// </summary>
internal static class ChatMessages
{
    private const string Continuation = "continue_final_message";
    private const string Missing = "is missing; a string or an array of text parts is required";

    /// <summary>Reads the field, which must be there; throws <see cref="ApiException"/> naming what is wrong with it.</summary>
    public static IReadOnlyList<ChatMessage> Read(RequestFields fields)
    {
        var given = fields.List("messages")
            ?? throw ApiException.BadField("messages", "is missing; an array of messages is required", "missing_required_parameter");
        if (given.Count == 0)
            throw ApiException.BadField("messages", "is empty; at least one message is required");
        var messages = given.Select((message, i) => RequestFields.Of(message, $"messages[{i}]")).ToArray();
        var history = Array.FindLastIndex(messages, message => RoleOf(message) == "assistant");
        var turn = NewestTurn(messages, message => RoleOf(message) == "assistant");
        return WithCallIds([.. messages.Select((message, i) => Message(message, i, isHistory: i < history, isOld: i < turn))]);
    }

    /// <summary>
    /// Whether the last message is continued rather than answered: <c>continue_final_message</c>, or <c>prefix</c> in an assistant's
    /// message at the end, as Mistral and DeepSeek have it (<c>partial</c>, as Moonshot has it).
    /// </summary>
    public static bool Continues(RequestFields fields)
    {
        if (!AsksToContinue(fields))
            return false;
        if (fields.Flag("add_generation_prompt") == true)
        {
            throw ApiException.BadField("add_generation_prompt",
                "was given beside continue_final_message, or prefix in the last message; give one of them");
        }
        return true;
    }

    /// <summary>The field that <see cref="Continues"/> goes by, as <see cref="ChatRequest.ContinuationField"/> has it.</summary>
    public static string ContinuationField(RequestFields fields) => fields.Has(Continuation) ? Continuation : "messages";

    private static bool AsksToContinue(RequestFields fields)
    {
        if (fields.Flag(Continuation) is { } said)
            return said;
        if (fields.List("messages") is not [.., { ValueKind: JsonValueKind.Object } last] messages)
            return false;
        var message = RequestFields.Of(last, $"messages[{messages.Count - 1}]");
        return RoleOf(message) == "assistant" && (message.Flag("prefix") ?? message.Flag("partial")) == true;
    }

    /// <summary>
    /// Where the newest turn begins: behind the last message of the assistant. One at the very end is to be continued, and belongs to it.
    /// </summary>
    public static int NewestTurn(RequestFields[] messages, Func<RequestFields, bool> isAssistants)
    {
        var last = messages.Length - 1;
        while (--last >= 0 && !isAssistants(messages[last]))
        {
        }
        return last + 1;
    }

    // The older word for tool is taken, and not offered.
    private static string RoleOf(RequestFields message) =>
        message.Find("role") is { ValueKind: JsonValueKind.String } role && role.ValueEquals("function")
            ? "function"
            : message.Choice("role", "system", "developer", "user", "assistant", "tool") ?? throw ApiException.BadField(
                message.FullName("role"), "is missing; 'system', 'developer', 'user', 'assistant' or 'tool' is required");

    private static ChatMessage Message(RequestFields message, int index, bool isHistory, bool isOld)
    {
        var role = RoleOf(message);
        var isAssistant = role == "assistant";
        var isResult = role is "tool" or "function";
        var thoughts = new List<string>();
        // Ollama's place for pictures is beside the content; there they come first.
        IReadOnlyList<ContentPart> content =
        [
            .. MediaFields.Images(message, isOld || isResult),
            .. Content(message, isHistory || isAssistant || isResult, isOld || isResult, thoughts),
        ];
        if (content.Count == 0 && role is not "assistant")
        {
            content = isHistory || isResult
                ? [new ContentPart("")]
                : throw ApiException.BadField(message.FullName("content"), Missing);
        }

        return new ChatMessage
        {
            Role = isResult ? "tool" : role,
            Content = content,
            Reasoning = ReasoningOf(message) ?? (thoughts.Count > 0 ? string.Concat(thoughts) : null),
            // Only the assistant calls tools; what another message has of it is an annotation.
            ToolCalls = isAssistant ? Calls(message, index) : [],
            ToolCallId = isResult ? message.Text("tool_call_id") ?? "" : message.Text("tool_call_id"),
            Name = message.Text("name") ?? (isResult ? message.Text("tool_name") : null),
        };
    }

    // Some servers write an object of details here, which nobody but themselves can read.
    private static string? ReasoningOf(RequestFields message)
    {
        foreach (var name in (string[])["reasoning_content", "reasoning", "thinking"])
        {
            if (message.Find(name) is { ValueKind: JsonValueKind.String } text)
                return text.GetString();
        }
        return null;
    }

    private static IReadOnlyList<ContentPart> Content(
        RequestFields message, bool isLenient, bool isOld, List<string> thoughts)
    {
        var full = message.FullName("content");
        return message.Find("content") switch
        {
            null when message.Text("refusal") is { } refusal => [new ContentPart(refusal)],
            null => message.Find("audio") is { } audio ? [new ContentPart(PlaceholderText.Of(audio, "audio"))] : [],
            { ValueKind: JsonValueKind.Array } parts =>
                [.. parts.EnumerateArray()
                    .Select((part, i) => Part(part, $"{full}[{i}]", isLenient, isOld, thoughts)).OfType<ContentPart>()],
            { ValueKind: JsonValueKind.String } text => [new ContentPart(RequestFields.TextOf(text, full))],
            { ValueKind: JsonValueKind.Object } other when isLenient => [new ContentPart(PlaceholderText.AsText(other))],
            { } other => throw ApiException.BadField(full, $"must be a string or an array of parts, not {RequestFields.Describe(other)}"),
        };
    }

    // Null where the part is a thought.
    private static ContentPart? Part(JsonElement value, string name, bool isLenient, bool isOld, List<string> thoughts)
    {
        if (value.ValueKind == JsonValueKind.String)
            return new ContentPart(value.GetString()!);
        var part = RequestFields.Of(value, name);
        switch (part.RequiredText("type"))
        {
            case "text" or "input_text" or "output_text":
                return new ContentPart(isLenient ? part.Text("text") ?? "" : part.RequiredText("text"));
            case "refusal":
                return new ContentPart(part.RequiredText("refusal"));
            case "thinking" or "reasoning" or "redacted_thinking":
                // Mistral's models think in parts.
                thoughts.Add((part.Find("thinking") ?? part.Find("text")) is { } thought ? PlaceholderText.TextOf(thought) : "");
                return null;
            case "file" or "input_file":
                return new ContentPart(PlaceholderText.OfFile(part));
            case "image_url" or "input_image":
                return MediaFields.OfTurn(isOld, () => MediaFields.ImageUrl(part), name);
            case "input_audio":
                return MediaFields.OfTurn(isOld, () => MediaFields.InputAudio(part), name, MediumKind.Sound);
            case "audio_url":
                return MediaFields.OfTurn(isOld, () => MediaFields.AudioUrl(part), name, MediumKind.Sound);
            case var type when isLenient:
                return new ContentPart(PlaceholderText.Of(value, type));
            case var type:
                throw MediaFields.Unsupported(part, type, MediaFields.ChatParts);
        }
    }

    // tool_calls, and the older function_call, of which there is one.
    private static List<ToolCall> Calls(RequestFields message, int index)
    {
        var calls = (message.List("tool_calls") ?? [])
            .Select((call, i) => Call(RequestFields.Of(call, $"{message.FullName("tool_calls")}[{i}]"), $"call_{index}_{i}")).ToList();
        if (message.Find("function_call") is { ValueKind: JsonValueKind.Object } older)
            calls.Add(Function(RequestFields.Of(older, message.FullName("function_call")), $"call_{index}"));
        return calls;
    }

    private static ToolCall Call(RequestFields call, string spareId)
    {
        var id = call.Text("id") is { Length: > 0 } given ? given : spareId;
        if (call.Object("function") is { } function)
            return Function(function, id);
        // A tool whose input is a text.
        if (call.Object("custom") is { } custom)
            return Written(id, custom.Text("name") ?? "custom", custom.Find("input"));
        return call.Has("name")
            ? Function(call, id)
            : throw ApiException.BadField(call.FullName("function"), "is missing; an object is required");
    }

    private static ToolCall Function(RequestFields function, string id) => new(id, function.RequiredText("name"), ArgumentsOf(function));

    /// <summary>
    /// The arguments of a call in the history, as JSON text. Some clients send the object that the text stands for.
    /// </summary>
    public static string ArgumentsOf(RequestFields call) => call.Find("arguments") is { } arguments ? PlaceholderText.AsText(arguments) : "{}";

    /// <summary>A call of a tool that takes a text instead of arguments.</summary>
    public static ToolCall Written(string id, string name, JsonElement? input) =>
        new(id, name, $$"""{"input":{{(input is { } value ? value.GetRawText() : "\"\"")}}}""");

    /// <summary>
    /// The messages, in which a result without an id answers the first call that has no answer yet, by its name where it has one.
    /// </summary>
    public static List<ChatMessage> WithCallIds(List<ChatMessage> messages)
    {
        var open = new List<ToolCall>();
        for (var i = 0; i < messages.Count; i++)
        {
            var message = messages[i];
            if (message.Role != "tool")
            {
                open.AddRange(message.ToolCalls);
                continue;
            }
            if (message.ToolCallId is { Length: 0 })
            {
                var call = open.Find(call => message.Name is null || call.Name == message.Name) ?? open.FirstOrDefault();
                messages[i] = message = message with { ToolCallId = call?.Id };
            }
            open.RemoveAll(call => call.Id == message.ToolCallId);
        }
        return messages;
    }
}
