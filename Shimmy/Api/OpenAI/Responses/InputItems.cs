using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary><c>input</c> of <c>/v1/responses</c>: a text, or items of a conversation.</summary>
internal static class InputItems
{
    private const string Known = "'message', 'reasoning', 'function_call', 'function_call_output' and 'item_reference' are";

    /// <summary>
    /// Reads the field; null where it is absent. Each item of the request is one of the result. Throws <see cref="ApiException"/> naming
    /// what is wrong with it.
    /// </summary>
    public static IReadOnlyList<ResponseItem>? Read(RequestFields fields, ResponseStore store) => fields.Find("input") switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text =>
            [new MessageItem(Answer.NewId("msg_"), "user", [new ItemPart("input_text", RequestFields.TextOf(text, "input"))])],
        // Only the last item can be refused for what it shows: a client that was refused sends the same once more with the next.
        { ValueKind: JsonValueKind.Array } items =>
            [.. items.EnumerateArray()
                .Select((item, i) => Item(RequestFields.Of(item, $"input[{i}]"), store, isHistory: i < items.GetArrayLength() - 1))],
        { } other => throw ApiException.BadField("input", $"must be a string or an array of items, not {RequestFields.Describe(other)}"),
    };

    // OpenAI lets the type be left out of messages and of references. A type that is not known here is one of the history: what tools of
    // other servers did, or Codex's own.
    private static ResponseItem Item(RequestFields item, ResponseStore store, bool isHistory) =>
        (item.Text("type") ?? (item.Has("role") ? "message" : item.Has("id") ? "item_reference" : null)) switch
        {
            "message" => Message(item, isHistory),
            "reasoning" => Reasoning(item),
            "function_call" => Call(item),
            "function_call_output" => Output(item),
            "item_reference" => store.FindItem(item.RequiredText("id")) ?? throw new ApiException(404,
                $"{item.FullName("id")}: no item with id {RequestFields.Quote(item.RequiredText("id"))} is stored here",
                    "item_not_found", item.FullName("id")),
            null => throw ApiException.BadField(item.FullName("type"), $"is missing; {Known} supported", "missing_required_parameter"),
            "image_generation_call" => Generated(item),
            "input_text" or "input_image" or "input_audio" or "input_file" => throw ApiException.BadField(item.FullName("type"),
                $"{RequestFields.Quote(item.Text("type")!)} is the type of a part; parts stand in the content of an item of the type 'message'"),
            var type => Foreign(item, type),
        };

    // A picture that another server's tool drew; its Base64 is nothing to read.
    private static ForeignItem Generated(RequestFields item) => new(IdOf(item, "ig_"), item.Value.Clone(), new MessageItem("", "assistant",
    [
        item.Text("result") is { Length: > 0 } picture
            ? OfMedium("input_image", "output_text",
                MediaFields.OfTurn(isLenient: true, () => MediaFields.OfUrl(picture, item.FullName("result")), item.FullName("result")))
            : new ItemPart("output_text", "[image_generation_call]"),
    ]));

    private static ForeignItem Foreign(RequestFields item, string type)
    {
        var callId = item.Text("call_id") ?? item.Text("id") ?? "";
        ResponseItem meaning = type switch
        {
            "custom_tool_call" => CallOf(ChatMessages.Written(callId, item.Text("name") ?? "custom", item.Find("input"))),
            _ when type.EndsWith("_output", StringComparison.Ordinal) && callId.Length > 0 =>
                new FunctionOutputItem("", callId, OutputOf(item)),
            // A call with what came of it in the same item, or one that another server ran.
            _ when type.EndsWith("_call", StringComparison.Ordinal) && item.Text("call_id") is not null =>
                CallOf(new ToolCall(callId, item.Text("name") ?? type[..^5],
                    (item.Find("action") ?? item.Find("operation")) is { } action ? action.GetRawText() : ChatMessages.ArgumentsOf(item))),
            _ => new MessageItem("", "assistant", [new ItemPart("output_text", PlaceholderText.Of(item.Value, type))]),
        };
        return new ForeignItem(IdOf(item, "item_"), item.Value.Clone(), meaning);

        static FunctionCallItem CallOf(ToolCall call) => new("", call.Id, call.Name, call.Arguments);
    }

    // Parts as a function's output has them, a screenshot, or whatever else.
    private static IReadOnlyList<ItemPart> OutputOf(RequestFields item)
    {
        const string own = "input_text";
        return item.Find("output") switch
        {
            { ValueKind: JsonValueKind.Array } parts when parts.EnumerateArray().All(part => part.ValueKind == JsonValueKind.Object
                && part.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String) =>
                Content(item, "output", own, isHistory: true)!,
            { ValueKind: JsonValueKind.Object } output when output.TryGetProperty("image_url", out _) =>
                [Image(item.Object("output")!, own, isHistory: true)],
            { } output => [new ItemPart(own, PlaceholderText.TextOf(output))],
            null => [new ItemPart(own, PlaceholderText.TextOf(item.Value))],
        };
    }

    private static MessageItem Message(RequestFields item, bool isHistory)
    {
        var role = item.Choice("role", "system", "developer", "user", "assistant")
            ?? throw ApiException.BadField(item.FullName("role"), "is missing; 'system', 'developer', 'user' or 'assistant' is required");
        var own = role == "assistant" ? "output_text" : "input_text";
        var parts = Content(item, "content", own, isHistory) ?? (isHistory ? (IReadOnlyList<ItemPart>)[] : null)
            ?? throw ApiException.BadField(item.FullName("content"), "is missing; a string or an array of text parts is required");
        if (parts.Count == 0 && !isHistory && role != "assistant")
            throw ApiException.BadField(item.FullName("content"), "is empty; at least one part is required");
        return new MessageItem(IdOf(item, "msg_"), role, parts, item.Choice("status", "in_progress", "completed", "incomplete")
            ?? "completed");
    }

    private static FunctionCallItem Call(RequestFields item) =>
        new(IdOf(item, "fc_"), item.Text("call_id") ?? item.Text("id") ?? item.RequiredText("call_id"), item.RequiredText("name"),
        ChatMessages.ArgumentsOf(item), item.Choice("status", "in_progress", "completed", "incomplete") ?? "completed");

    private static FunctionOutputItem Output(RequestFields item) => new(IdOf(item, "fco_"), item.Text("call_id") ?? "",
        Content(item, "output", "input_text", isHistory: true) ?? [new ItemPart("input_text", "")])
    {
        InParts = item.Find("output") is { ValueKind: JsonValueKind.Array },
    };

    // What nobody here can read (another server's encrypted thoughts) says nothing, and is no reason to refuse what was said since.
    private static ReasoningItem Reasoning(RequestFields item)
    {
        var content = ReasoningTexts(item, "content", "reasoning_text");
        var encrypted = item.Text("encrypted_content");
        if (content.Count == 0 && encrypted is not null && ReasoningItem.Unseal(encrypted) is { } text)
            content = [text];
        return new ReasoningItem(IdOf(item, "rs_"), content, ReasoningTexts(item, "summary", "summary_text"));
    }

    private static IReadOnlyList<string> ReasoningTexts(RequestFields item, string name, string type) =>
        [.. (item.List(name) ?? []).Select((value, i) =>
        {
            var part = RequestFields.Of(value, $"{item.FullName(name)}[{i}]");
            part.Choice("type", type, "text");
            return part.RequiredText("text");
        })];

    private static IReadOnlyList<ItemPart>? Content(RequestFields item, string name, string own, bool isHistory) => item.Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => [new ItemPart(own, RequestFields.TextOf(text, item.FullName(name)))],
        { ValueKind: JsonValueKind.Array } parts =>
            [.. parts.EnumerateArray()
                .Select((part, i) => Part(RequestFields.Of(part, $"{item.FullName(name)}[{i}]"), own, isHistory))],
        { } other =>
            throw ApiException.BadField(item.FullName(name), $"must be a string or an array of parts, not {RequestFields.Describe(other)}"),
    };

    private static ItemPart Part(RequestFields part, string own, bool isHistory) => part.RequiredText("type") switch
    {
        "input_text" or "output_text" or "text" => new ItemPart(own, part.RequiredText("text")),
        "refusal" => new ItemPart("refusal", part.RequiredText("refusal")),
        "input_image" => Image(part, own, isHistory),
        "input_audio" => Audio(part, own, isHistory),
        "input_file" => new ItemPart(own, PlaceholderText.OfFile(part)),
        "summary_text" or "reasoning_text" => new ItemPart(own, part.Text("text") ?? ""),
        // What the assistant once said in a kind of part of its own, and what an earlier turn had: no reason to refuse the next one.
        var type when isHistory || own == "output_text" => new ItemPart(own, PlaceholderText.Of(part.Value, type)),
        var type => throw MediaFields.Unsupported(part, type, "'input_text', 'input_image' and 'input_audio'"),
    };

    private static ItemPart Image(RequestFields part, string own, bool isHistory) => OfMedium("input_image", own,
        MediaFields.OfTurn(isHistory, () =>
        {
            part.Refuse("file_id", "files are not stored here; send the picture as image_url");
            return MediaFields.ImageUrl(part);
        }, part.FullName("image_url")));

    private static ItemPart Audio(RequestFields part, string own, bool isHistory) => OfMedium("input_audio", own,
        MediaFields.OfTurn(isHistory, () => MediaFields.InputAudio(part), part.FullName("input_audio"), MediumKind.Sound));

    private static ItemPart OfMedium(string type, string own, ContentPart medium) =>
        medium.Source is { Unreadable: not null, Kind: var kind }
        ? new ItemPart(own, $"[{(kind == MediumKind.Picture ? "image" : "audio")} omitted: it cannot be read]") { Medium = medium }
        : new ItemPart(type, "") { Medium = medium };

    private static string IdOf(RequestFields item, string prefix) => item.Text("id") is { Length: > 0 } id ? id : Answer.NewId(prefix);
}
