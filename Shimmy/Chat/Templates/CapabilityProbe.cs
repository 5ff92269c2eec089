using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Chat.Templates;

/// <summary>
/// Detects the capabilities of a chat template: renders small conversations with marker texts ("needles") and checks which of them appear
/// in the result. A template that throws does not support what was rendered.
/// </summary>
internal sealed class CapabilityProbe
{
    private const string UserText = "needle-user";
    private const string SystemText = "needle-system";
    private const string ToolName = "needle_tool";
    private const string CallName = "needle_call";
    private const string OtherCallName = "needle_other";
    private const string Key = "needle_key";
    private const string ArgumentValue = "needle-value";
    private const string ResultText = "needle-result";
    private const string ReasoningText = "needle-reasoning";
    private const string LongId = "call_0123456789abcdef";

    private static readonly ChatMessage User = new() { Role = "user", Content = [new ContentPart(UserText)] };

    private readonly TemplateSource _source;
    private readonly IReadOnlyDictionary<string, Value> _constants;
    private readonly TimeProvider _clock;

    // Some variants of a template render only conversations with tools.
    private bool _needsTools;

    private CapabilityProbe(TemplateSource source, IReadOnlyDictionary<string, Value> constants, TimeProvider clock) =>
        (this._source, this._constants, this._clock) = (source, constants, clock);

    /// <summary>Detects the capabilities.</summary>
    /// <param name="source">The template.</param>
    /// <param name="constants">Variables that every rendering has, such as <c>bos_token</c>.</param>
    /// <param name="clock">The clock of <c>strftime_now</c>.</param>
    public static TemplateCapabilities Run(TemplateSource source, IReadOnlyDictionary<string, Value> constants, TimeProvider clock) =>
        new CapabilityProbe(source, constants, clock).Run();

    private TemplateCapabilities Run()
    {
        var basis = new TemplateCapabilities();
        var withoutTools = basis with { ToolsMayBeNone = false };
        if (Render(basis, [User]) is null && Render(withoutTools, [User]) is not null)
            basis = withoutTools;
        _needsTools = Render(basis, [User]) is null && Render(basis, [User], withTools: true) is not null;
        var found = Content(basis);
        found = found with
        {
            System = Shows(Render(found, [new ChatMessage { Role = "system", Content = [new ContentPart(SystemText)] }, User]),
                SystemText, UserText),
            LaterSystem = Shows(Render(found, [User, new ChatMessage { Role = "assistant", Content = [new ContentPart(ResultText)] },
                new ChatMessage { Role = "system", Content = [new ContentPart(SystemText)] }, User]), SystemText, UserText),
            Tools = Shows(Render(found, [User], withTools: true), ToolName),
        };
        return Thinking(Reasoning(Calls(found)));
    }

    private TemplateCapabilities Content(TemplateCapabilities basis)
    {
        var asText = Render(basis, [User]);
        var asParts = Render(basis with { TextContent = false }, [User]);
        // A template that does not know lists prints one in Python's notation.
        var typed = Shows(asParts, UserText) && !asParts!.Contains("'type'", StringComparison.Ordinal) &&
            !asParts.Contains("\"type\"", StringComparison.Ordinal);
        var found = basis with { TypedContent = typed, TextContent = Shows(asText, UserText) || !typed };
        return found with { ImageMarker = typed ? ImageMarker(found) : null };
    }

    // What stands between two texts where a picture stood between them, or, of a template that writes pictures first, in front of them.
    private string? ImageMarker(TemplateCapabilities form)
    {
        const string other = "needle-other";
        var picture = new ContentPart("") { Medium = new Medium(MediumKind.Picture, 1, 1, "") };
        var plain = Render(form, [new ChatMessage { Role = "user", Content = [new ContentPart(UserText), new ContentPart(other)] }]);
        var with = Render(form with { ImageMarker = "" },
            [new ChatMessage { Role = "user", Content = [new ContentPart(UserText), picture, new ContentPart(other)] }]);
        if (!Shows(plain, UserText, other) || !Shows(with, UserText, other) || with!.Length <= plain!.Length)
            return null;
        var before = plain.AsSpan().CommonPrefixLength(with);
        // The longest common end may reach back over the begin: characters that both have belong to the text around.
        var after = 0;
        while (after < plain.Length - before && plain[^(after + 1)] == with[^(after + 1)])
            after++;
        var mark = with[before..^after].Trim();
        return before + after == plain.Length && mark.Length > 0 && !mark.Contains("needle", StringComparison.Ordinal) ? mark : null;
    }

    /// <summary>
    /// Tries the forms in which tool calls can be passed, the most common first, until one renders name and arguments as JSON or text.
    /// </summary>
    private TemplateCapabilities Calls(TemplateCapabilities basis)
    {
        foreach (var shortIds in (bool[])[false, true])
        {
            foreach (var nullContent in (bool[])[true, false])
            {
                var form = basis with { ShortCallIds = shortIds, NullContent = nullContent };
                var asObject = RenderCall(form with { ObjectArguments = true });
                var asText = RenderCall(form with { ObjectArguments = false });
                // A printed dict has Python's quotes around its keys; a string that was encoded again has escaped quotes.
                var objects = Shows(asObject, CallName, Key, ArgumentValue) && !asObject!.Contains($"'{Key}'", StringComparison.Ordinal);
                var texts = Shows(asText, CallName, Key, ArgumentValue) && !asText!.Contains($"\\\"{Key}\\\"", StringComparison.Ordinal);
                if ((!objects && !texts) || (nullContent && PrintsNone(form with { ObjectArguments = objects })))
                    continue;
                form = form with { ToolCalls = true, ObjectArguments = objects };
                return form with
                {
                    ParallelToolCalls = Shows(RenderCall(form, both: true), CallName, OtherCallName),
                    ToolResults = Shows(RenderCall(form), ResultText),
                };
            }
        }

        // Without tool calls, a message that has nothing else becomes an empty text.
        return basis with { NullContent = false };
    }

    private bool PrintsNone(TemplateCapabilities form)
    {
        var withNull = RenderCall(form);
        var withEmpty = RenderCall(form with { NullContent = false });
        return Count(withNull, "None") > Count(withEmpty, "None") || Count(withNull, "null") > Count(withEmpty, "null");

        static int Count(string? text, string part) => text is null ? 0 : text.Split(part).Length - 1;
    }

    private TemplateCapabilities Reasoning(TemplateCapabilities basis)
    {
        foreach (var field in (string[])["reasoning_content", "reasoning", "thinking", "thought"])
        {
            var form = basis with { ReasoningField = field };
            var answer = new ChatMessage { Role = "assistant", Content = [new ContentPart("needle-answer")], Reasoning = ReasoningText };
            if (Shows(Render(form, [User, answer], prompt: false), ReasoningText)
                || Shows(RenderCall(form, reasoning: ReasoningText), ReasoningText))
            {
                return form;
            }
        }

        return basis;
    }

    private TemplateCapabilities Thinking(TemplateCapabilities basis)
    {
        foreach (var variable in (string[])["enable_thinking", "thinking"])
        {
            if (Render(basis, [User], variable: (variable, true)) is { } on
                && Render(basis, [User], variable: (variable, false)) is { } off && on != off)
            {
                return basis with { ThinkingSwitch = variable };
            }
        }

        return basis;
    }

    private string? RenderCall(TemplateCapabilities form, bool both = false, string? reasoning = null)
    {
        var calls = new List<ToolCall> { new(LongId, CallName, $$"""{"{{Key}}": "{{ArgumentValue}}"}""") };
        if (both)
            calls.Add(new ToolCall("call_fedcba9876543210", OtherCallName, "{}"));
        var messages = new List<ChatMessage> { User, new() { Role = "assistant", ToolCalls = calls, Reasoning = reasoning } };
        foreach (var call in calls)
        {
            messages.Add(
                new ChatMessage { Role = "tool", ToolCallId = call.Id, Name = call.Name, Content = [new ContentPart(ResultText)] });
        }

        return Render(form, messages, withTools: true);
    }

    private string? Render(TemplateCapabilities form, IReadOnlyList<ChatMessage> messages, bool withTools = false, bool prompt = true,
        (string Name, bool Value)? variable = null)
    {
        withTools |= _needsTools;
        IReadOnlyList<ToolDefinition> tools = withTools ? [new ToolDefinition(ToolName, "A tool.", default)] : [];
        var variables = new TemplateVariables(form).Variables(_constants, messages, tools, prompt);
        if (variable is { } extra)
            variables[extra.Name] = BooleanValue.Of(extra.Value);
        try
        {
            var template = withTools ? _source.ToolUse ?? _source.Default : _source.Default;
            return string.Concat(template.Render(variables, inputBytes: 0, _clock).Select(part => part.Text));
        }
        catch (TemplateException)
        {
            return null;
        }
    }

    private static bool Shows(string? text, params ReadOnlySpan<string> needles)
    {
        if (text is null)
            return false;
        foreach (var needle in needles)
        {
            if (!text.Contains(needle, StringComparison.Ordinal))
                return false;
        }

        return true;
    }
}

/// <summary>Capabilities of a chat template, and the form of its input. Detected by <see cref="CapabilityProbe"/>.</summary>
internal sealed record TemplateCapabilities
{
    /// <summary>Whether it renders system messages; otherwise they are prepended to the next user message.</summary>
    public bool System { get; init; } = true;

    /// <summary>Whether it renders system messages behind the first turn; otherwise they are prepended to the next user message.</summary>
    public bool LaterSystem { get; init; } = true;

    /// <summary>Whether it renders the tools of the request.</summary>
    public bool Tools { get; init; }

    /// <summary>Whether <c>tools</c> may be None; otherwise the variable is undefined in requests without tools.</summary>
    public bool ToolsMayBeNone { get; init; } = true;

    /// <summary>Whether it renders tool calls.</summary>
    public bool ToolCalls { get; init; }

    /// <summary>Whether it renders several tool calls of one message.</summary>
    public bool ParallelToolCalls { get; init; }

    /// <summary>Whether it renders the results of tools.</summary>
    public bool ToolResults { get; init; }

    /// <summary>Whether content may be a list of parts.</summary>
    public bool TypedContent { get; init; }

    /// <summary>Whether content may be a string; otherwise a string becomes a list of one part.</summary>
    public bool TextContent { get; init; } = true;

    /// <summary>The text that it writes for a part <c>{"type": "image"}</c>; null where it does not know such parts.</summary>
    public string? ImageMarker { get; init; }

    /// <summary>Whether a tool call's arguments are an object rather than JSON text.</summary>
    public bool ObjectArguments { get; init; } = true;

    /// <summary>Whether content may be None where a message only calls tools; otherwise it is an empty string.</summary>
    public bool NullContent { get; init; } = true;

    /// <summary>Whether ids of calls must be nine letters or digits, as in Mistral's templates.</summary>
    public bool ShortCallIds { get; init; }

    /// <summary>The field of a message for the assistant's reasoning; null where reasoning is not rendered.</summary>
    public string? ReasoningField { get; init; }

    /// <summary>The variable that switches reasoning on and off; null where there is none.</summary>
    public string? ThinkingSwitch { get; init; }

    /// <summary>Whether it renders the assistant's reasoning.</summary>
    public bool Reasoning => ReasoningField is not null;
}
