using System.Text;
using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Chat.Templates;

/// <summary>
/// The variables of a rendering: the conversation as Jinja values, in the form that the template's capabilities need. Roles and field names
/// count as the template's own text, so that <c>&lt;|{{ role }}|&gt;</c> is one control token; all other texts count as the request's.
/// </summary>
internal sealed class TemplateVariables(TemplateCapabilities capabilities)
{
    private static readonly TextValue Role = TextValue.Own("role");
    private static readonly TextValue Content = TextValue.Own("content");
    private static readonly TextValue Type = TextValue.Own("type");
    private static readonly TextValue Text = TextValue.Own("text");
    private static readonly TextValue Name = TextValue.Own("name");
    private static readonly TextValue Id = TextValue.Own("id");
    private static readonly TextValue Function = TextValue.Own("function");
    private static readonly TextValue Arguments = TextValue.Own("arguments");
    private static readonly TextValue Description = TextValue.Own("description");
    private static readonly TextValue Parameters = TextValue.Own("parameters");
    private static readonly TextValue ToolCalls = TextValue.Own("tool_calls");
    private static readonly TextValue ToolCallId = TextValue.Own("tool_call_id");
    private static readonly DictionaryValue NoParameters = DictionaryValue.OfDistinct(
        [new(Type, TextValue.Own("object")), new(TextValue.Own("properties"), DictionaryValue.Empty)]);

    private static readonly TextValue Image = TextValue.Own("image");
    private static readonly ContentPart[] Gap = [new("\n\n")];

    // The media of the conversation in their order.
    private readonly List<Medium> _media = [];

    /// <summary>The media of the conversation, in the order in which the template was given them.</summary>
    public IReadOnlyList<Medium> Media => _media;

    private ListValue Messages(IReadOnlyList<ChatMessage> messages)
    {
        var adapted = SystemFor(messages);
        var names = adapted.SelectMany(message => message.ToolCalls).GroupBy(call => call.Id)
            .ToDictionary(calls => calls.Key, calls => calls.Last().Name);
        return new ListValue([.. adapted.Select(message => Message(message, names))]);
    }

    /// <summary>The variables of a rendering.</summary>
    /// <param name="constants">Variables that every rendering has.</param>
    /// <param name="messages">The messages.</param>
    /// <param name="tools">The tools; None, as transformers passes it, where there are none.</param>
    /// <param name="addGenerationPrompt">Whether the assistant's turn is opened at the end.</param>
    public Dictionary<string, Value> Variables(IReadOnlyDictionary<string, Value> constants, IReadOnlyList<ChatMessage> messages,
        IReadOnlyList<ToolDefinition> tools, bool addGenerationPrompt)
    {
        var variables = new Dictionary<string, Value>(constants, StringComparer.Ordinal)
        {
            ["messages"] = Messages(messages),
            ["documents"] = NoneValue.Instance,
            ["add_generation_prompt"] = BooleanValue.Of(addGenerationPrompt),
        };
        if (tools.Count > 0)
            variables["tools"] = new ListValue([.. tools.Select(Tool)]);
        else if (capabilities.ToolsMayBeNone)
            variables["tools"] = NoneValue.Instance;
        return variables;
    }

    private static DictionaryValue Tool(ToolDefinition tool)
    {
        var function = new List<KeyValuePair<Value, Value>> { new(Name, TextValue.FromRequest(tool.Name)) };
        if (tool.Description is { } description)
            function.Add(new(Description, TextValue.FromRequest(description)));
        function.Add(new(Parameters, tool.Parameters.ValueKind == JsonValueKind.Object ? JsonValues.Of(tool.Parameters) : NoParameters));
        return DictionaryValue.OfDistinct([new(Type, Function), new(Function, DictionaryValue.OfDistinct([.. function]))]);
    }

    /// <summary>
    /// Developer messages become system messages, and both at the start of a conversation become one. Where the template does not support
    /// system messages, or none in the middle of a conversation, they are prepended to the next user message.
    /// </summary>
    private List<ChatMessage> SystemFor(IReadOnlyList<ChatMessage> messages)
    {
        var adapted = new List<ChatMessage>(messages.Count);
        var folded = new List<ContentPart>();
        foreach (var original in messages)
        {
            var message = original.Role == "developer" ? original with { Role = "system" } : original;
            if (message.Role == "system" && (!capabilities.System || (!capabilities.LaterSystem && adapted.Exists(IsTurn))))
            {
                folded.AddRange([.. folded.Count > 0 ? Gap : [], .. message.Content]);
            }
            else if (message.Role == "user" && folded.Count > 0)
            {
                adapted.Add(message with { Content = ContentPart.Merge([.. folded, .. Gap, .. message.Content]) });
                folded.Clear();
            }
            else if (message.Role == "system" && adapted is [{ Role: "system" } first]
                && (!capabilities.LaterSystem || messages.Any(other => other.Role == "developer")))
            {
                adapted[0] = first with { Content = ContentPart.Merge([.. first.Content, .. Gap, .. message.Content]) };
            }
            else
            {
                adapted.Add(message);
            }
        }

        if (folded.Count > 0)
            adapted.Add(new ChatMessage { Role = "user", Content = ContentPart.Merge(folded) });
        return adapted;

        static bool IsTurn(ChatMessage message) => message.Role != "system";
    }

    private DictionaryValue Message(ChatMessage message, Dictionary<string, string> namesOfCalls)
    {
        var fields = new List<KeyValuePair<Value, Value>>
        {
            new(Role, TextValue.Own(message.Role)),
            new(Content, ContentOf(message)),
        };
        if (message.Reasoning is { } reasoning)
            fields.Add(new(TextValue.Own(capabilities.ReasoningField ?? "reasoning_content"), TextValue.FromRequest(reasoning)));
        if (message.ToolCalls.Count > 0)
            fields.Add(new(ToolCalls, new ListValue([.. message.ToolCalls.Select(Call)])));
        if (message.ToolCallId is { } id)
            fields.Add(new(ToolCallId, TextValue.FromRequest(IdOf(id))));
        var name = message.Name ?? (message.ToolCallId is { } call ? namesOfCalls.GetValueOrDefault(call) : null);
        if (name is not null)
            fields.Add(new(Name, TextValue.FromRequest(name)));
        return DictionaryValue.OfDistinct([.. fields]);
    }

    private Value ContentOf(ChatMessage message)
    {
        if (message.Content.Count == 0 && message.ToolCalls.Count > 0 && capabilities.NullContent)
            return NoneValue.Instance;
        // Templates that support lists join the parts in their own way.
        var hasMedia = message.HasMedia;
        if (capabilities.TextContent && ((message.Content.Count < 2 && !hasMedia) || !capabilities.TypedContent))
            return hasMedia ? Joined(message.Content) : TextValue.FromRequest(message.Text);
        return new ListValue([.. message.Content.Select(part => part.IsMedium
            ? MediumOf(part)
            : DictionaryValue.OfDistinct([new(Type, Text), new(Text, TextValue.FromRequest(part.Text))]))]);
    }

    // A template that knows pictures gets the part that it knows, and what it writes for it is found again; any other gets the marker as a
    // text.
    private DictionaryValue MediumOf(ContentPart part)
    {
        var marker = Marker(part);
        return part.Medium!.Kind == MediumKind.Picture && capabilities.ImageMarker is not null
            ? DictionaryValue.OfDistinct([new(Type, Image)])
            : DictionaryValue.OfDistinct([new(Type, Text), new(Text, TextValue.Own(marker))]);
    }

    private TextValue Joined(IReadOnlyList<ContentPart> parts)
    {
        var text = new StringBuilder();
        var flips = new List<int>();
        var fromRequest = false;
        foreach (var part in parts)
        {
            var piece = part.IsMedium ? Marker(part) : part.Text;
            if (piece.Length == 0)
                continue;
            if (fromRequest == part.IsMedium)
                flips.Add(text.Length);
            fromRequest = !part.IsMedium;
            text.Append(piece);
        }
        return new TextValue(text.ToString(), Provenance.Of(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(flips)));
    }

    private string Marker(ContentPart part)
    {
        _media.Add(part.Medium ?? throw new InvalidOperationException("a medium was not decoded before its message was rendered"));
        return MediaMarkers.Of(_media.Count - 1);
    }

    private DictionaryValue Call(ToolCall call) => DictionaryValue.OfDistinct(
    [
        new(Id, TextValue.FromRequest(IdOf(call.Id))),
        new(Type, Function),
        new(Function, DictionaryValue.OfDistinct([new(Name, TextValue.FromRequest(call.Name)), new(Arguments, ArgumentsOf(call))])),
    ]);

    private Value ArgumentsOf(ToolCall call)
    {
        if (!capabilities.ObjectArguments)
            return TextValue.FromRequest(string.IsNullOrWhiteSpace(call.Arguments) ? "{}" : call.Arguments);
        if (string.IsNullOrWhiteSpace(call.Arguments))
            return DictionaryValue.Empty;
        try
        {
            using var document = JsonDocument.Parse(call.Arguments);
            return JsonValues.Of(document.RootElement);
        }
        catch (JsonException)
        {
            // Arguments in the history may be invalid JSON; they are rendered as they are.
            return TextValue.FromRequest(call.Arguments);
        }
    }

    /// <summary>The id, or nine letters and digits derived from it.</summary>
    private string IdOf(string id)
    {
        if (!capabilities.ShortCallIds || (id.Length == 9 && id.All(char.IsAsciiLetterOrDigit)))
            return id;
        // FNV-1a over the text: the same id gives the same nine characters in every process, so that prompts stay cacheable.
        var hash = 14695981039346656037UL;
        foreach (var unit in id)
            hash = (hash ^ unit) * 1099511628211UL;
        return string.Create(9, hash, static (text, value) =>
        {
            for (var i = 0; i < text.Length; i++, value /= 36)
                text[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[(int)(value % 36)];
        });
    }
}
