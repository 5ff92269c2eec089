using System.Text.Json;
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
        { ValueKind: JsonValueKind.Array } items =>
            [.. items.EnumerateArray().Select((item, i) => Item(RequestFields.Of(item, $"input[{i}]"), store))],
        { } other => throw ApiException.BadField("input", $"must be a string or an array of items, not {RequestFields.Describe(other)}"),
    };

    // OpenAI lets the type be left out of messages and of references.
    private static ResponseItem Item(RequestFields item, ResponseStore store) =>
        (item.Text("type") ?? (item.Has("role") ? "message" : item.Has("id") ? "item_reference" : null)) switch
        {
            "message" => Message(item),
            "reasoning" => Reasoning(item),
            "function_call" => Call(item),
            "function_call_output" => Output(item),
            "item_reference" => store.FindItem(item.RequiredText("id")) ?? throw new ApiException(404,
                $"{item.FullName("id")}: no item with id {RequestFields.Quote(item.RequiredText("id"))} is stored here",
                    "item_not_found", item.FullName("id")),
            null => throw ApiException.BadField(item.FullName("type"), $"is missing; {Known} supported", "missing_required_parameter"),
            var type =>
                throw ApiException.BadField(item.FullName("type"), $"{RequestFields.Quote(type)} is not a supported item type; {Known}"),
        };

    private static MessageItem Message(RequestFields item)
    {
        var role = item.Choice("role", "system", "developer", "user", "assistant")
            ?? throw ApiException.BadField(item.FullName("role"), "is missing; 'system', 'developer', 'user' or 'assistant' is required");
        var own = role == "assistant" ? "output_text" : "input_text";
        var parts = Content(item, "content", own)
            ?? throw ApiException.BadField(item.FullName("content"), "is missing; a string or an array of text parts is required");
        return new MessageItem(IdOf(item, "msg_"), role, parts, item.Choice("status", "in_progress", "completed", "incomplete")
            ?? "completed");
    }

    private static FunctionCallItem Call(RequestFields item) =>
        new(IdOf(item, "fc_"), item.RequiredText("call_id"), item.RequiredText("name"),
        item.RequiredText("arguments"), item.Choice("status", "in_progress", "completed", "incomplete") ?? "completed");

    private static FunctionOutputItem Output(RequestFields item) => new(IdOf(item, "fco_"), item.RequiredText("call_id"),
        Content(item, "output", "input_text")
            ?? throw ApiException.BadField(item.FullName("output"), "is missing; a string or an array of text parts is required"))
    {
        InParts = item.Find("output") is { ValueKind: JsonValueKind.Array },
    };

    // What nobody here can read (another server's encrypted thoughts) says nothing, and is no reason to refuse what was said since.
    private static ReasoningItem Reasoning(RequestFields item)
    {
        var content = Thoughts(item, "content", "reasoning_text");
        var encrypted = item.Text("encrypted_content");
        if (content.Count == 0 && encrypted is not null && ReasoningItem.Unseal(encrypted) is { } text)
            content = [text];
        return new ReasoningItem(IdOf(item, "rs_"), content, Thoughts(item, "summary", "summary_text"));
    }

    private static IReadOnlyList<string> Thoughts(RequestFields item, string name, string type) =>
        [.. (item.List(name) ?? []).Select((value, i) =>
        {
            var part = RequestFields.Of(value, $"{item.FullName(name)}[{i}]");
            part.Choice("type", type, "text");
            return part.RequiredText("text");
        })];

    private static IReadOnlyList<ItemPart>? Content(RequestFields item, string name, string own) => item.Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => [new ItemPart(own, RequestFields.TextOf(text, item.FullName(name)))],
        { ValueKind: JsonValueKind.Array } parts =>
            [.. parts.EnumerateArray().Select((part, i) => Part(RequestFields.Of(part, $"{item.FullName(name)}[{i}]"), own))],
        { } other =>
            throw ApiException.BadField(item.FullName(name), $"must be a string or an array of parts, not {RequestFields.Describe(other)}"),
    };

    private static ItemPart Part(RequestFields part, string own) => part.RequiredText("type") switch
    {
        "input_text" or "output_text" or "text" => new ItemPart(own, part.RequiredText("text")),
        "refusal" => new ItemPart("refusal", part.RequiredText("refusal")),
        "input_image" => Image(part),
        var type => throw MediaFields.Unsupported(part, type),
    };

    private static ItemPart Image(RequestFields part)
    {
        part.Refuse("file_id", "files are not stored here; send the picture as image_url");
        return new ItemPart("input_image", "") { Medium = MediaFields.ImageUrl(part) };
    }

    private static string IdOf(RequestFields item, string prefix) => item.Text("id") is { Length: > 0 } id ? id : Answer.NewId(prefix);
}
