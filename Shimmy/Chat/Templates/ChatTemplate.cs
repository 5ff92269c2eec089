using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Engine;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Chat.Templates;

/// <summary>
/// A model's chat template with its detected properties: renders conversations to prompts. Thread-safe.
/// <code>
///   ChatRequest ─► TemplateVariables (by TemplateCapabilities) ─► CompiledTemplate ─► parts ─► Prefill ─► Prompt
/// </code>
/// </summary>
internal sealed class ChatTemplate
{
    // FireFunction's template reads two variables of its own.
    private const string FireFunctionTag = " functools[";

    private readonly TemplateSource _source;
    private readonly Dictionary<string, Value> _constants;
    private readonly TimeProvider _clock;
    private readonly string? _bos;

    /// <param name="source">The template.</param>
    /// <param name="facts">The model's facts, for the texts of BOS and EOS.</param>
    /// <param name="clock">The clock of <c>strftime_now</c>.</param>
    public ChatTemplate(TemplateSource source, ModelFacts facts, TimeProvider clock)
    {
        this._source = source;
        this._clock = clock;
        // As in transformers, the variable of a token that the vocabulary lacks is undefined.
        _constants = new Dictionary<string, Value>(StringComparer.Ordinal);
        _bos = facts.BosText;
        if (_bos is { } bos)
            _constants["bos_token"] = TextValue.Own(bos);
        if (facts.EosText is { } eos)
            _constants["eos_token"] = TextValue.Own(eos);
        Capabilities = CapabilityProbe.Run(source, _constants, clock);
        ToolCalls = ToolCallProbe.Run(Capabilities, RenderForProbe);
        Reasoning = ReasoningProbe.Run(Capabilities, source.Text, RenderForProbe);
    }

    /// <summary>Default system message, for conversations without one; null adds none.</summary>
    public string? DefaultSystem { get; init; }

    /// <summary>Turns that every conversation begins with, behind its system message.</summary>
    public IReadOnlyList<ChatMessage> FirstTurns { get; init; } = [];

    /// <summary>Origin of the template, for logs.</summary>
    public string Origin => _source.Origin;

    /// <summary>The template's source.</summary>
    public string Text => _source.Text;

    /// <summary>Capabilities of the template.</summary>
    public TemplateCapabilities Capabilities { get; }

    /// <summary>The syntax of tool calls; null where the template has none.</summary>
    public ToolCallSyntax? ToolCalls { get; }

    /// <summary>The tags around reasoning; null where the model has none.</summary>
    public ReasoningTags? Reasoning { get; }

    /// <summary>Stop sequences of the template.</summary>
    public IReadOnlyList<string> Stop => _source.Stop;

    /// <summary>Renders a conversation to a prompt.</summary>
    /// <param name="request">The conversation.</param>
    /// <param name="addGenerationPrompt">Whether the assistant's turn is opened; never where the last message is continued.</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineFailure.InvalidRequest"/>, with the field: the template refuses the conversation or cannot render it.
    /// </exception>
    public Prompt Render(ChatRequest request, bool addGenerationPrompt = true)
    {
        if (request.Tools.Count > 0 && !Capabilities.Tools)
            request = ToolPromptFallback.Of(request);
        var continues = request.ContinueFinalMessage;
        if (continues && request.Messages is not [.., { Role: "assistant", ToolCalls.Count: 0 }])
            throw Refusal(request.ContinuationField, "the last message must be an assistant message without tool calls");
        var messages = WithSystem(request.Messages);
        if (continues && messages[^1].HasMedia)
            throw Refusal(request.ContinuationField, "a message with pictures or sounds cannot be continued");
        if (continues && messages[^1].Text.Length == 0 && string.IsNullOrEmpty(messages[^1].Reasoning))
        {
            // An empty message: to continue it is to start a new one.
            continues = false;
            messages = [.. messages.SkipLast(1)];
        }

        var (parts, media) = Render(request, messages, addGenerationPrompt && !continues);
        if (request.Earlier.Length > 0)
            parts = [new PromptPart(request.Earlier, ParseSpecial: true), .. WithoutBos(parts)];
        if (!continues)
            return new Prompt { Parts = parts, Media = media };
        return new Prompt { Parts = Prefill.Cut(parts, messages[^1], request.ContinuationField), Media = media };
    }

    // In the middle of a prompt it would begin another.
    private IReadOnlyList<PromptPart> WithoutBos(IReadOnlyList<PromptPart> parts) =>
        _bos is { Length: > 0 } && parts is [{ ParseSpecial: true } first, ..] && first.Text.StartsWith(_bos, StringComparison.Ordinal)
            ? [first with { Text = first.Text[_bos.Length..] }, .. parts.Skip(1)]
            : parts;

    private IReadOnlyList<ChatMessage> WithSystem(IReadOnlyList<ChatMessage> messages)
    {
        var all = messages;
        if (FirstTurns.Count > 0)
        {
            var system = messages.TakeWhile(IsSystem).ToList();
            all = [.. system, .. FirstTurns.Where(turn => system.Count == 0 || !IsSystem(turn)), .. messages.Skip(system.Count)];
        }

        return DefaultSystem is null || all.Any(IsSystem)
            ? all
            : [new ChatMessage { Role = "system", Content = [new ContentPart(DefaultSystem)] }, .. all];

        static bool IsSystem(ChatMessage message) => message.Role is "system" or "developer";
    }

    /// <summary>The exception for a field that the template does not support.</summary>
    internal static EngineException Refusal(string field, string message, Exception? inner = null) =>
        new(EngineFailure.InvalidRequest, inner is null ? $"{field}: {message}" : message, inner) { Option = field };

    private string? RenderForProbe(IReadOnlyList<ChatMessage> messages)
    {
        try
        {
            var request =
                new ChatRequest
                {
                    Messages = messages,
                    Tools = Capabilities.Tools
                    ? [new ToolDefinition("needle_tool", "A tool.", default)]
                    : []
                };
            return string.Concat(Render(request, messages, addGenerationPrompt: false).Parts.Select(part => part.Text));
        }
        catch (EngineException)
        {
            return null;
        }
    }

    private (IReadOnlyList<PromptPart> Parts, IReadOnlyList<Medium> Media) Render(
        ChatRequest request, IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        try
        {
            return RenderAsItIs(request, messages, addGenerationPrompt);
        }
        catch (TemplateException failure)
        {
            // Templates that insist on turns in order, or on properties of each tool, refuse what clients make of a conversation by cutting
            // and editing it, and tools without arguments.
            var inOrder = request with { Tools = [.. request.Tools.Select(WithProperties)] };
            try
            {
                return RenderAsItIs(inOrder, TurnOrder.Of(messages), addGenerationPrompt);
            }
            catch (TemplateException)
            {
                throw Refusal("messages", failure.Message, failure);
            }
        }
    }

    private static ToolDefinition WithProperties(ToolDefinition tool)
    {
        if (tool.Parameters.ValueKind != JsonValueKind.Object
            || (tool.Parameters.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object))
        {
            return tool;
        }

        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            foreach (var field in tool.Parameters.EnumerateObject().Where(field => field.Name != "properties"))
                field.WriteTo(json);
            json.WriteStartObject("properties");
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return tool with { Parameters = JsonElement.Parse(buffer.WrittenSpan) };
    }

    private (IReadOnlyList<PromptPart> Parts, IReadOnlyList<Medium> Media) RenderAsItIs(
        ChatRequest request, IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        var (parts, media) = RenderAsItIs(Capabilities, request, messages, addGenerationPrompt);
        var order = Capabilities.ImageMarker is not null && MayMovePictures(messages)
            ? PictureOrder(request, messages, addGenerationPrompt)
            : null;
        if (MediaMarkers.Place(parts, Capabilities.ImageMarker, media, order) is { } placed)
            return (placed, media);
        // The template writes pictures in another way than it did for one: it gets them as text.
        (parts, media) = RenderAsItIs(Capabilities with { ImageMarker = null }, request, messages, addGenerationPrompt);
        return (MediaMarkers.Place(parts, null, media)
            ?? throw Refusal("messages", "the chat template of this model leaves out pictures or sounds at this place"), media);
    }

    // What users and the model say stays in its order; the system's message may stand in the last turn (Mistral's), and a tool's elsewhere.
    private static bool MayMovePictures(IReadOnlyList<ChatMessage> messages)
    {
        var (count, isMoved) = (0, false);
        foreach (var message in messages)
        {
            if (!message.HasMedia)
                continue;
            count++;
            isMoved |= message.Role is not ("user" or "assistant");
        }
        return isMoved && count > 1;
    }

    // What a template writes for a picture does not say which; our markers in its place do.
    private List<int>? PictureOrder(ChatRequest request, IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        try
        {
            var (parts, media) = RenderAsItIs(Capabilities with { ImageMarker = null }, request, messages, addGenerationPrompt);
            return MediaMarkers.Place(parts, null, media) is { } placed ? MediaMarkers.PicturesOf(placed, media) : null;
        }
        catch (TemplateException)
        {
            return null;
        }
    }

    private (IReadOnlyList<PromptPart> Parts, IReadOnlyList<Medium> Media) RenderAsItIs(
        TemplateCapabilities capabilities, ChatRequest request, IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        var input = new TemplateVariables(capabilities);
        var variables = input.Variables(_constants, messages, request.Tools, addGenerationPrompt);
        if (request.EnableThinking is { } thinking)
            variables[Capabilities.ThinkingSwitch ?? "enable_thinking"] = BooleanValue.Of(thinking);
        if (_source.Text.Contains(FireFunctionTag, StringComparison.Ordinal))
            AddFunctions(variables, request);
        foreach (var (name, value) in request.TemplateArguments)
        {
            variables[name] = name is "messages" or "tools" or "add_generation_prompt"
                ? throw Refusal("chat_template_kwargs", $"'{name}' is a field of the request itself")
                : JsonValues.Of(value);
        }

        var template = request.Tools.Count > 0 ? _source.ToolUse ?? _source.Default : _source.Default;
        return (template.Render(variables, SizeOf(request), _clock), input.Media);
    }

    private void AddFunctions(Dictionary<string, Value> variables, ChatRequest request)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var tool in request.Tools)
            {
                json.WriteStartObject();
                json.WriteString("name", tool.Name);
                if (tool.Description is { } description)
                    json.WriteString("description", description);
                if (tool.Parameters.ValueKind == JsonValueKind.Object)
                {
                    json.WritePropertyName("parameters");
                    tool.Parameters.WriteTo(json);
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        variables["functions"] =
            TextValue.FromRequest(request.Tools.Count == 0 ? string.Empty : Encoding.UTF8.GetString(buffer.WrittenSpan));
        variables["datetime"] = TextValue.Own(_clock.GetUtcNow().ToString("MMM dd yyyy HH:mm:ss", CultureInfo.InvariantCulture) + " GMT");
    }

    /// <summary>Approximate size of the request's text in bytes.</summary>
    private static long SizeOf(ChatRequest request) =>
        2L * request.Messages.Sum(message => message.Content.Sum(part => (long)part.Text.Length) + (message.Reasoning?.Length ?? 0) +
            message.ToolCalls.Sum(call => (long)call.Arguments.Length + call.Name.Length)) +
        2L * request.Tools.Sum(tool => (tool.Description?.Length ?? 0) +
            (tool.Parameters.ValueKind == JsonValueKind.Undefined ? 0L : tool.Parameters.GetRawText().Length)) +
        2L * request.TemplateArguments.Sum(argument => (long)argument.Value.GetRawText().Length);
}

/// <summary>
/// A conversation in which user and assistant take turns, for templates that refuse any other: messages of one role in a row become one.
/// </summary>
internal static class TurnOrder
{
    /// <summary>The conversation with as few messages as say the same.</summary>
    public static IReadOnlyList<ChatMessage> Of(IReadOnlyList<ChatMessage> messages)
    {
        var turns = new List<ChatMessage>();
        foreach (var message in messages)
        {
            if (turns is [.., var last] && last.Role == message.Role && message.Role is "user" or "assistant" or "system")
                turns[^1] = Both(last, message);
            else
                turns.Add(message);
        }
        return turns;
    }

    private static ChatMessage Both(ChatMessage one, ChatMessage other) => one with
    {
        Content = one.Content.Count == 0 ? other.Content : other.Content.Count == 0 ? one.Content
            : [.. one.Content, new ContentPart("\n\n"), .. other.Content],
        Reasoning = one.Reasoning is null ? other.Reasoning : one.Reasoning + other.Reasoning,
        ToolCalls = [.. one.ToolCalls, .. other.ToolCalls],
    };
}
