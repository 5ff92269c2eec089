using System.Text.Json;
using Microsoft.Extensions.Logging;
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
    private readonly ILogger? _logger;

    private AnthropicMessages(ILogger? logger) => _logger = logger;

    /// <summary>Reads both fields; throws <see cref="ApiException"/> naming what is wrong with them.</summary>
    public static IReadOnlyList<ChatMessage> Read(RequestFields fields, ILogger? logger)
    {
        var reader = new AnthropicMessages(logger);
        reader.ReadSystem(fields);
        var messages = fields.List("messages") ?? throw ApiException.BadField("messages", "is missing; an array is required");
        if (messages.Count == 0)
            throw ApiException.BadField("messages", "is empty; at least one message is required");
        for (var i = 0; i < messages.Count; i++)
            reader.ReadMessage(RequestFields.Of(messages[i], $"messages[{i}]"));
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

    private void ReadMessage(RequestFields message)
    {
        var role = message.Choice("role", "user", "assistant", "system")
            ?? throw ApiException.BadField(message.FullName("role"), "is missing; 'user' or 'assistant' is required");
        var name = message.FullName("content");
        var content = message.Find("content") ?? throw ApiException.BadField(name, "is missing; a string or an array is required");
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
                parts.Add(TextOf(block));
                continue;
            }
            var result = block.Find("content") is { } content ? Texts(content, block.FullName("content")) : [];
            _messages.Add(new ChatMessage
            {
                Role = "tool",
                ToolCallId = block.RequiredText("tool_use_id"),
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
                    parts.Add(new ContentPart(block.RequiredText("text")));
                    break;
                case "thinking":
                    reasoning += block.RequiredText("thinking");
                    break;
                case "redacted_thinking":
                    // Nobody but Anthropic can read it.
                    break;
                case "tool_use":
                    var input = block.Find("input")
                        ?? throw ApiException.BadField(block.FullName("input"), "is missing; an object is required");
                    if (input.ValueKind != JsonValueKind.Object)
                        throw ApiException.BadField(block.FullName("input"), $"must be an object, not {RequestFields.Describe(input)}");
                    calls.Add(new ToolCall(block.RequiredText("id"), block.RequiredText("name"), input.GetRawText()));
                    break;
                case var type when type.StartsWith("server_tool_", StringComparison.Ordinal)
                    || type.EndsWith("_tool_result", StringComparison.Ordinal):
                    if (_logger is not null)
                        SkippedTools.Log(_logger, type);
                    break;
                case var type:
                    throw ApiException.BadField(block.FullName("type"),
                        $"{RequestFields.Quote(type)} is not a supported content block of an assistant message");
            }
        }
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

    private static List<ContentPart> Texts(JsonElement content, string name) => content.ValueKind == JsonValueKind.String
        ? [new ContentPart(RequestFields.TextOf(content, name))]
        : [.. Blocks(content, name).Select(TextOf)];

    private static IEnumerable<RequestFields> Blocks(JsonElement content, string name) => content.ValueKind == JsonValueKind.Array
        ? content.EnumerateArray().Select((block, i) => RequestFields.Of(block, $"{name}[{i}]"))
        : throw ApiException.BadField(name, $"must be a string or an array, not {RequestFields.Describe(content)}");

    private static ContentPart TextOf(RequestFields block)
    {
        switch (block.RequiredText("type"))
        {
            case "text":
                return new ContentPart(block.RequiredText("text"));
            case "document":
                return new ContentPart(Titled(block, Document(block)));
            case "search_result":
                return new ContentPart(
                    Titled(block,
                        JoinedText(Texts(block.Find("content") ?? default, block.FullName("content")))));
            case "tool_reference":
                return new ContentPart(block.RequiredText("tool_name"));
            case "image":
                return Image(block);
            case var type:
                throw ApiException.BadField(block.FullName("type"),
                    $"{RequestFields.Quote(type)} is not a supported content block; 'text', 'image', 'tool_result' and 'document' are");
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

    // Documents are text; a picture inside one leaves words.
    private static string JoinedText(IEnumerable<ContentPart> parts) =>
        string.Join("\n\n", parts.Select(part => part.IsMedium ? "[image omitted: documents are read as text]" : part.Text));

    private static string Titled(RequestFields block, string text) =>
        block.Text("title") is { Length: > 0 } title ? $"{title}\n\n{text}" : text;

    private static string Document(RequestFields block)
    {
        var source = block.Object("source") ?? throw ApiException.BadField(block.FullName("source"), "is missing; an object is required");
        return source.RequiredText("type") switch
        {
            "text" => source.RequiredText("data"),
            "content" =>
                JoinedText(Texts(source.Find("content") ?? default, source.FullName("content"))),
            var type =>
                throw ApiException.BadField(source.FullName("type"),
                    $"{RequestFields.Quote(type)} is not a supported document source; 'text' and 'content' are"),
        };
    }
}
