using System.Text;
using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary><c>system</c> and <c>messages</c> as Anthropic has them, as the messages of a <see cref="ChatRequest"/>.</summary>
internal sealed class AnthropicMessages
{
    // Claude Code's first system block may be a header for billing with a value that changes with every request: no prefix would ever be
    // reused.
    private const string BillingHeader = "x-anthropic-billing-header:";

    private readonly List<ChatMessage> _messages = [];
    private readonly List<ToolCall> _open = [];
    private bool _isHistory;
    private bool _isOld;
    private bool _isResult;

    /// <summary>Reads both fields; throws <see cref="ApiException"/> naming what is wrong with them.</summary>
    /// <param name="fields">The body.</param>
    /// <param name="mayBeNone">Whether there need not be a message.</param>
    public static IReadOnlyList<ChatMessage> Read(RequestFields fields, bool mayBeNone)
    {
        var reader = new AnthropicMessages();
        reader.ReadSystem(fields);
        var messages = fields.List("messages") ?? throw ApiException.BadField("messages", "is missing; an array is required");
        if (messages.Count == 0 && !mayBeNone)
            throw ApiException.BadField("messages", "is empty; at least one message is required");
        var all = messages.Select((message, i) => RequestFields.Of(message, $"messages[{i}]")).ToArray();
        var history = Array.FindLastIndex(all, message => RoleOf(message) == "assistant");
        var turn = ChatMessages.NewestTurn(all, message => RoleOf(message) == "assistant");
        for (var i = 0; i < all.Length; i++)
        {
            reader._isOld = i < turn;
            reader.ReadMessage(all[i], isHistory: i < history);
        }
        return reader._messages;
    }

    private void ReadSystem(RequestFields fields)
    {
        if (fields.Find("system") is not { } system)
            return;
        var parts = Texts(system, "system").Where(part => !part.Text.StartsWith(BillingHeader, StringComparison.Ordinal)).ToList();
        if (parts.Count > 0)
            _messages.Add(new ChatMessage { Role = "system", Content = Joined(parts) });
    }

    private static string RoleOf(RequestFields message) => message.Choice("role", "user", "assistant", "system")
        ?? throw ApiException.BadField(message.FullName("role"), "is missing; 'user' or 'assistant' is required");

    private void ReadMessage(RequestFields message, bool isHistory)
    {
        var role = RoleOf(message);
        var name = message.FullName("content");
        if (message.Find("content") is not { } content)
        {
            if (!isHistory && role != "assistant")
                throw ApiException.BadField(name, "is missing; a string or an array is required");
            return;
        }
        if (!isHistory && role == "user" && content is { ValueKind: JsonValueKind.Array } none && none.GetArrayLength() == 0)
            throw ApiException.BadField(name, "is empty; at least one block is required");
        _isHistory = isHistory;
        if (content.ValueKind == JsonValueKind.String)
            Add(new ChatMessage { Role = role, Content = [new ContentPart(RequestFields.TextOf(content, name))] });
        else if (role == "assistant")
            ReadAssistant(Blocks(content, name));
        else
            ReadUser(role, Blocks(content, name));
    }

    private void ReadUser(string role, IEnumerable<RequestFields> blocks)
    {
        var parts = new List<ContentPart>();
        foreach (var block in blocks)
        {
            if (block.RequiredText("type") != "tool_result")
            {
                AddParts(block, parts);
                continue;
            }
            _isResult = true;
            var result = block.Find("content") is { } content ? Texts(content, block.FullName("content")) : [];
            _isResult = false;
            // One without an id answers the first call that has no answer yet.
            var id = block.Text("tool_use_id") ?? (_open.Count > 0 ? _open[0].Id : block.RequiredText("tool_use_id"));
            _open.RemoveAll(call => call.Id == id);
            _messages.Add(new ChatMessage
            {
                Role = "tool",
                ToolCallId = id,
                Content = block.Flag("is_error") == true
                    ? ContentPart.Merge([new ContentPart("Error: "), .. Joined(result)])
                    : Joined(result) is { Count: > 0 } joined ? joined : [new ContentPart("")],
            });
        }
        if (parts.Count > 0)
            Add(new ChatMessage { Role = role, Content = Joined(parts) });
    }

    private void ReadAssistant(IEnumerable<RequestFields> blocks)
    {
        var parts = new List<ContentPart>();
        var calls = new List<ToolCall>();
        string? reasoning = null;
        foreach (var block in blocks)
        {
            switch (block.RequiredText("type"))
            {
                case "text":
                    parts.Add(new ContentPart(block.Text("text") ?? ""));
                    break;
                case "thinking":
                    reasoning += block.Text("thinking");
                    break;
                case "redacted_thinking":
                    // Nobody but Anthropic can read it.
                    break;
                case "tool_use":
                    calls.Add(new ToolCall(block.RequiredText("id"), block.RequiredText("name"), block.Find("input") switch
                    {
                        null => "{}",
                        { ValueKind: JsonValueKind.Object } input => input.GetRawText(),
                        { } other => $$"""{"input":{{other.GetRawText()}}}""",
                    }));
                    break;
                case var type:
                    parts.Add(new ContentPart(PlaceholderText.Of(block.Value, type)));
                    break;
            }
        }
        _open.Clear();
        _open.AddRange(calls);
        Add(new ChatMessage { Role = "assistant", Content = parts, Reasoning = reasoning, ToolCalls = calls });
    }

    // Anthropic: messages of one role in a row are one turn.
    private void Add(ChatMessage message)
    {
        if (_messages is [.., { ToolCallId: null } last] && last.Role == message.Role && message.Role != "system")
        {
            _messages[^1] = last with
            {
                Content = last.Content.Count == 0 ? message.Content : message.Content.Count == 0
                    ? last.Content
                    : Joined([.. last.Content, .. message.Content]),
                Reasoning = last.Reasoning is null ? message.Reasoning : last.Reasoning + message.Reasoning,
                ToolCalls = [.. last.ToolCalls, .. message.ToolCalls],
            };
            return;
        }
        _messages.Add(message);
    }

    private static IReadOnlyList<ContentPart> Joined(List<ContentPart> parts) =>
        parts.Count == 1 ? parts : ContentPart.Merge(parts, "\n\n");

    private List<ContentPart> Texts(JsonElement content, string name)
    {
        if (content.ValueKind == JsonValueKind.String)
            return [new ContentPart(RequestFields.TextOf(content, name))];
        var parts = new List<ContentPart>();
        foreach (var block in Blocks(content, name))
            AddParts(block, parts);
        return parts;
    }

    private static IEnumerable<RequestFields> Blocks(JsonElement content, string name) => content.ValueKind == JsonValueKind.Array
        ? content.EnumerateArray().Select((block, i) => RequestFields.Of(block, $"{name}[{i}]"))
        : throw ApiException.BadField(name, $"must be a string or an array, not {RequestFields.Describe(content)}");

    // Adds the parts of a block; of a document, its title and the parts of its own blocks.
    private void AddParts(RequestFields block, List<ContentPart> parts)
    {
        switch (block.RequiredText("type"))
        {
            case "text":
                parts.Add(new ContentPart(_isHistory ? block.Text("text") ?? "" : block.RequiredText("text")));
                break;
            case "document":
                AddTitle(block, parts);
                parts.AddRange(Document(block));
                break;
            case "search_result":
                AddTitle(block, parts);
                parts.AddRange(ContentOf(block));
                break;
            case "tool_reference":
                parts.Add(new ContentPart(block.RequiredText("tool_name")));
                break;
            case "image":
                parts.Add(MediaFields.OfTurn(_isOld || _isResult, () => Image(block), block.FullName("source")));
                break;
            case var type:
                // Kinds of blocks that are newer than this program come in what clients read for the user.
                parts.Add(new ContentPart(PlaceholderText.Of(block.Value, type)));
                break;
        }
    }

    private static ContentPart Image(RequestFields block)
    {
        var source = block.Object("source") ?? throw ApiException.BadField(block.FullName("source"), "is missing; an object is required");
        return source.RequiredText("type") switch
        {
            "base64" => MediaFields.OfBase64(source.RequiredText("data"), source.FullName("data")),
            "url" => MediaFields.OfUrl(source.RequiredText("url"), source.FullName("url")),
            var type => throw ApiException.BadField(source.FullName("type"),
                $"{RequestFields.Quote(type)} is not a supported image source; 'base64' and 'url' are"),
        };
    }

    private static void AddTitle(RequestFields block, List<ContentPart> parts)
    {
        if (block.Text("title") is { Length: > 0 } title)
            parts.Add(new ContentPart(title));
    }

    private List<ContentPart> ContentOf(RequestFields block) =>
        Texts(block.Find("content") ?? default, block.FullName("content")) is { Count: > 0 } parts ? parts : [new ContentPart("")];

    private List<ContentPart> Document(RequestFields block)
    {
        var source = block.Object("source") ?? throw ApiException.BadField(block.FullName("source"), "is missing; an object is required");
        return source.RequiredText("type") switch
        {
            "text" => [new ContentPart(source.RequiredText("data"))],
            "content" => ContentOf(source),
            // A PDF, or a file that lies elsewhere. Text in base64 is text all the same.
            "base64" when source.Text("media_type") is "text/plain" or "text/markdown" or "text/csv" or "text/html"
                && Decoded(source.Text("data")) is { } text => [new ContentPart(text)],
            var type =>
                [new ContentPart($"[document {source.Text("media_type") ?? source.Text("url") ?? type}, which cannot be read here]")],
        };
    }

    private static string? Decoded(string? base64)
    {
        var bytes = new byte[base64?.Length ?? 0];
        return Convert.TryFromBase64String(base64 ?? "", bytes, out var length) ? Encoding.UTF8.GetString(bytes, 0, length) : null;
    }
}
