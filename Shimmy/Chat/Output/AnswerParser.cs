using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output.Tools;

namespace Shimmy.Chat.Output;

/// <summary>
/// Streaming parser that splits an answer into reasoning, text and tool calls. Text that may be the beginning of a tag or call is held back
/// until that is decided; white space between the parts is dropped.
/// </summary>
internal sealed class AnswerParser
{
    private enum Part
    {
        Beginning,
        Reasoning,
        Text,
        Calls,
    }

    private readonly AnswerFormat _format;
    private readonly string _trigger;
    private readonly StringBuilder _buffer = new();
    private readonly List<OutputEvent> _events = [];
    private ToolCallReader? _reader;
    private Part _part;
    private int _calls;
    private bool _anyText;
    private bool _anyReasoning;
    private bool _cut;
    private bool _anyConsumed;

    public AnswerParser(AnswerFormat format)
    {
        _format = format;
        _trigger = format.Calls?.Trigger ?? "";
        _part = format.BeginsReasoning ? Part.Reasoning : Part.Beginning;
    }

    /// <summary>Whether the answer has a tool call.</summary>
    public bool HasCalls => _calls > 0;

    /// <summary>Takes the next text and gives the events that it completes.</summary>
    public IReadOnlyList<OutputEvent> Push(string text)
    {
        _buffer.Append(text);
        return Run(ended: false);
    }

    /// <summary>Whether the answer ended inside the arguments of its last tool call.</summary>
    public bool EndsInCall { get; private set; }

    /// <summary>
    /// The answer has ended: gives what was still held back. Of an answer that was <paramref name="cut"/>, by a limit or a stop sequence of
    /// the client's, half a tag or half a call is dropped: it is no text of the answer.
    /// </summary>
    public IReadOnlyList<OutputEvent> End(bool cut = false)
    {
        _cut = cut;
        return Run(ended: true);
    }

    private IReadOnlyList<OutputEvent> Run(bool ended)
    {
        _events.Clear();
        while (Step(ended))
        {
        }
        return [.. _events];
    }

    // True where the rest of the buffer belongs to another part and is to be parsed as such.
    private bool Step(bool ended)
    {
        var before = _format.ReasoningStaysInText && _part is Part.Beginning or Part.Reasoning ? _buffer.ToString() : null;
        var more = _part switch
        {
            Part.Beginning => Begin(ended),
            Part.Reasoning => Reason(ended),
            Part.Text => ReadText(ended),
            _ => ReadCalls(ended),
        };
        // Both take from the front alone.
        if (before is not null)
            EmitText(before[..^_buffer.Length]);
        return more;
    }

    // What the reasoning is made of as it is, tags and white space included.
    private void EmitText(string consumed)
    {
        if (_format.BeginsReasoning && !_anyConsumed)
            consumed = _format.Reasoning!.Open + consumed;
        _anyConsumed |= consumed.Length > 0;
        if (consumed.Length > 0)
            _events.Add(OutputEvent.OfText(consumed));
    }

    private bool Begin(bool ended)
    {
        var text = _buffer.ToString();
        var start = text.AsSpan().TrimStart();
        if (start.IsEmpty && !ended)
            return false;
        if (_format.Reasoning is { } tags)
        {
            if (start.StartsWith(tags.Open))
            {
                _buffer.Remove(0, text.Length - start.Length + tags.Open.Length);
                return Enter(Part.Reasoning);
            }
            if ((!ended || _cut) && tags.Open.AsSpan().StartsWith(start))
            {
                if (ended)
                    _buffer.Clear();
                return false;
            }
        }
        // Without a trigger, an answer that begins as JSON is taken as a call.
        if (_format.Calls is not null && _trigger.Length == 0 && !start.IsEmpty && start[0] is '{' or '[')
        {
            _buffer.Remove(0, text.Length - start.Length);
            return Enter(Part.Calls);
        }
        return Enter(Part.Text);
    }

    private bool Reason(bool ended)
    {
        if (!_anyReasoning)
            TrimStart(_buffer);
        var text = _buffer.ToString();
        var close = _format.Reasoning!.Close;
        var end = text.IndexOf(close, StringComparison.Ordinal);
        if (end >= 0)
        {
            Emit(text[..end].TrimEnd(), reasoning: true);
            _buffer.Remove(0, end + close.Length);
            TrimStart(_buffer);
            return Enter(Part.Text);
        }
        var safe = ended && !_cut ? text.Length : text.Length - HeldBack(text, close);
        Release(text, text.AsSpan(0, safe).TrimEnd().Length, reasoning: true);
        return false;
    }

    private bool ReadText(bool ended)
    {
        if (!_anyText && _format is { Reasoning: not null, ReasoningStaysInText: false })
            TrimStart(_buffer);
        var text = _buffer.ToString();
        if (text.Length == 0)
            return false;
        if (_trigger.Length == 0)
        {
            Release(text, text.Length, reasoning: false);
            return false;
        }
        var start = text.IndexOf(_trigger, StringComparison.Ordinal);
        if (start >= 0)
        {
            Emit(text[..start].TrimEnd(), reasoning: false);
            _buffer.Remove(0, start);
            return Enter(Part.Calls);
        }
        // White space before a call is dropped, so it is held back too.
        var safe = text.Length - HeldBack(text, _trigger);
        safe = ended && (!_cut || safe == text.Length) ? text.Length : text.AsSpan(0, safe).TrimEnd().Length;
        Release(text, safe, reasoning: false);
        return false;
    }

    private bool ReadCalls(bool ended)
    {
        _reader ??= new ToolCallReader(_format.Calls!, _format.Tools, _calls);
        var text = _buffer.ToString();
        _buffer.Clear();
        var before = _reader.Calls;
        foreach (var delta in _reader.Push(text))
            _events.Add(OutputEvent.OfCall(delta));
        if (ended)
        {
            foreach (var delta in _reader.End(_cut))
                _events.Add(OutputEvent.OfCall(delta));
            EndsInCall = _reader.IsBroken;
        }
        _calls = Math.Max(_calls, Math.Max(before, _reader.Calls));
        if (!_reader.Done)
            return false;
        var rest = _reader.MayBeCall ? "" : _reader.Rest;
        var none = _reader.Calls == before && rest.StartsWith(_trigger, StringComparison.Ordinal);
        _reader = null;
        if (none)
        {
            // No call after all: the trigger is text, and another may follow it.
            var length = Math.Max(1, _trigger.Length);
            Emit(rest[..Math.Min(length, rest.Length)], reasoning: false);
            rest = rest[Math.Min(length, rest.Length)..];
        }
        _buffer.Append(none ? rest : rest.TrimStart());
        return Enter(Part.Text);
    }

    private bool Enter(Part part)
    {
        _part = part;
        return true;
    }

    private void Release(string text, int length, bool reasoning)
    {
        Emit(text[..length], reasoning);
        _buffer.Remove(0, length);
    }

    private void Emit(string text, bool reasoning)
    {
        if (text.Length == 0)
            return;
        _anyText |= !reasoning;
        _anyReasoning |= reasoning;
        _events.Add(reasoning ? OutputEvent.OfReasoning(text) : OutputEvent.OfText(text));
    }

    private static void TrimStart(StringBuilder text)
    {
        var spaces = 0;
        while (spaces < text.Length && char.IsWhiteSpace(text[spaces]))
            spaces++;
        text.Remove(0, spaces);
    }

    // Length of the longest suffix of the text that is a prefix of the tag.
    private static int HeldBack(string text, string tag)
    {
        for (var length = Math.Min(tag.Length - 1, text.Length); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(tag.AsSpan(0, length)))
                return length;
        }
        return 0;
    }
}

/// <summary>The parts that <see cref="AnswerParser"/> separates in an answer: how reasoning and tool calls are written.</summary>
internal sealed record AnswerFormat
{
    /// <summary>The tags around reasoning; null where the model has none.</summary>
    public ReasoningTags? Reasoning { get; init; }

    /// <summary>Whether the prompt ends with the opening tag, so that the answer begins inside the reasoning.</summary>
    public bool BeginsReasoning { get; init; }

    /// <summary>Whether the reasoning is part of the text, too, with its tags.</summary>
    public bool ReasoningStaysInText { get; init; }

    /// <summary>The syntax of tool calls; null where none are looked for.</summary>
    public ToolCallSyntax? Calls { get; init; }

    /// <summary>The functions that may be called, with the JSON schemas of their arguments.</summary>
    public IReadOnlyDictionary<string, JsonElement> Tools { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>All texts in which control tokens may stand that must stay visible in the answer.</summary>
    public IReadOnlyList<string> VisibleTexts =>
    [
        .. Reasoning is { } tags ? new[] { tags.Open, tags.Close } : [],
        .. Calls?.Texts ?? [],
    ];

    /// <summary>Whether the whole answer is text.</summary>
    public bool IsPlain => Reasoning is null && Calls is null;
}

/// <summary>The texts around a model's reasoning.</summary>
/// <param name="Open">The opening tag, such as <c>&lt;think&gt;</c>.</param>
/// <param name="Close">The closing tag.</param>
internal sealed record ReasoningTags(string Open, string Close);

/// <summary>The most tokens of reasoning before the answer (<c>thinking.budget_tokens</c>).</summary>
/// <param name="Tokens">The number of tokens.</param>
/// <param name="Tags">The tags around the reasoning.</param>
/// <param name="Begun">Whether the prompt ends with the opening tag.</param>
internal sealed record ReasoningLimit(int Tokens, ReasoningTags Tags, bool Begun);
