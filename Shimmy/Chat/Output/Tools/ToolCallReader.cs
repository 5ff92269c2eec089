using System.Text.Json;
using Shimmy.Chat.Messages;

namespace Shimmy.Chat.Output.Tools;

/// <summary>
/// Streaming parser of tool calls. It is a coroutine: each step consumes what is decided and waits for more text, so that no output is ever
/// taken back. A name is given only when it is complete and known, arguments only as a prefix of valid JSON. Text that is not a call after
/// all is left in <see cref="Rest"/>.
/// <code>
///   Read     SectionBegin │ call  CallEnd │ Separator call  CallEnd │ …  SectionEnd
///   call     Json         ReadObject       {"name": NAME, "arguments": JSON}  or  {NAME: JSON}
///            NamedJson    ReadNamed        CallBegin NAME AfterName JSON
///            Parameters   ReadParameters   CallBegin NAME, then each parameter as text: ParameterWriter makes JSON of it
///   deltas   Begin(NAME) once a call, then Add(piece of the arguments) as they come
/// </code>
/// </summary>
internal sealed class ToolCallReader
{
    private readonly ToolCallSyntax _syntax;
    private readonly IReadOnlyDictionary<string, JsonElement> _tools;
    private readonly CallText _text = new();
    private readonly List<ToolCallDelta> _found = [];
    private readonly IEnumerator<bool> _steps;
    private readonly string _callBegin;
    private readonly string _callEnd;
    private bool _cut;

    // Set where the text has what no call has.
    private bool _refuted;

    /// <param name="syntax">The model's syntax of calls.</param>
    /// <param name="tools">The functions, with the JSON schemas of their arguments.</param>
    /// <param name="firstIndex">Index of the first call.</param>
    public ToolCallReader(ToolCallSyntax syntax, IReadOnlyDictionary<string, JsonElement> tools, int firstIndex)
    {
        _syntax = syntax;
        _tools = tools;
        Calls = firstIndex;
        // In a JSON object, only the braces are fixed: keys may come in any order.
        var inObject = syntax.Style == ToolCallStyle.Json;
        _callBegin = inObject ? syntax.CallBegin[..(syntax.CallBegin.IndexOf('{', StringComparison.Ordinal) + 1)] : syntax.CallBegin;
        _callEnd = inObject ? syntax.CallEnd[Math.Max(0, syntax.CallEnd.IndexOf('}', StringComparison.Ordinal))..] : syntax.CallEnd;
        _steps = Read().GetEnumerator();
    }

    /// <summary>Index of the next call.</summary>
    public int Calls { get; private set; }

    /// <summary>Whether the answer ended inside the arguments of the last call, whose JSON is therefore none.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>
    /// Whether an answer that was cut might have gone on as a call: then what there is of it is no text of the answer either.
    /// </summary>
    public bool MayBeCall => _cut && !_refuted;

    /// <summary>Whether the calls have ended; the text behind them is <see cref="Rest"/>.</summary>
    public bool Done { get; private set; }

    /// <summary>The text that is not part of a call.</summary>
    public string Rest => _text.Ahead;

    /// <summary>Takes text, the first of which begins with the trigger, and gives the pieces that it completes.</summary>
    public IReadOnlyList<ToolCallDelta> Push(string text)
    {
        _text.Append(text);
        return Step();
    }

    /// <summary>
    /// The answer has ended: gives the last pieces. An answer that was <paramref name="cut"/> ended because something else than the model
    /// ended it: nothing is added to what the model has written.
    /// </summary>
    public IReadOnlyList<ToolCallDelta> End(bool cut = false)
    {
        _text.Ended = true;
        _cut = cut;
        return Step();
    }

    private IReadOnlyList<ToolCallDelta> Step()
    {
        _found.Clear();
        if (!Done && !_steps.MoveNext())
            Done = true;
        return [.. _found];
    }

    // Yields where more text is needed; returns at the end of the calls.
    private IEnumerable<bool> Read()
    {
        foreach (var wait in _text.Skip(_syntax.SectionBegin))
            yield return wait;
        var first = Calls;
        while (true)
        {
            var begin = _text.Position;
            var calls = Calls;
            foreach (var wait in _syntax.Style switch
            {
                ToolCallStyle.Json => ReadObject(),
                ToolCallStyle.NamedJson => ReadNamed(),
                _ => ReadParameters(),
            })
            {
                yield return wait;
            }

            if (Calls == calls)
            {
                // Without any call, the texts before it are text of the answer as well.
                _text.Position = calls == first ? 0 : begin;
                yield break;
            }
            foreach (var wait in _text.Skip(_callEnd))
                yield return wait;
            if (_syntax.Separator is { } separator)
            {
                var at = _text.Position;
                foreach (var wait in _text.Skip(separator + _callBegin, take: false))
                    yield return wait;
                if (_text.Matched)
                {
                    foreach (var wait in _text.Skip(separator))
                        yield return wait;
                    continue;
                }
                _text.Position = at;
            }
            foreach (var wait in _text.Skip(_syntax.SectionEnd))
                yield return wait;
            // Some models leave out the end of what ends a call.
            if (_text.Ended && Array.Exists([_callEnd, _callEnd + _syntax.SectionEnd, _syntax.SectionEnd], IsBeginningOf))
                _text.TakeAll();
            yield break;
        }
    }

    private bool IsBeginningOf(string literal) => LiteralMatch.At(_text.Ahead, literal, ended: false, out _) == MatchState.Open;

    private IEnumerable<bool> ReadNamed()
    {
        foreach (var wait in ReadName(_syntax.AfterName))
            yield return wait;
        if (_name is null)
            yield break;
        foreach (var wait in ReadJson(_name))
            yield return wait;
    }

    private string? _name;

    // CallBegin, then the name up to its follower.
    private IEnumerable<bool> ReadName(string follower)
    {
        _name = null;
        foreach (var wait in _text.Skip(_syntax.CallBegin))
            yield return wait;
        if (!_text.Matched)
            yield break;
        while (true)
        {
            var ahead = _text.Ahead;
            var length = NameLength(ahead);
            if (length == ahead.Length && !_text.Ended)
            {
                yield return true;
                continue;
            }
            var name = ahead[..length];
            if (!_tools.ContainsKey(name))
            {
                _refuted = length < ahead.Length;
                yield break;
            }

            var state = LiteralMatch.At(ahead.AsSpan(length), follower, _text.Ended, out var end);
            if (state == MatchState.Open)
            {
                yield return true;
                continue;
            }
            if (state == MatchState.Yes)
            {
                _text.Position += length + end;
                _name = name;
            }
            yield break;
        }
    }

    // The longest known name, so that no separator is needed behind it.
    private int NameLength(string ahead)
    {
        var length = 0;
        while (length < ahead.Length && LiteralMatch.IsOfName(ahead[length]))
            length++;
        if (length == ahead.Length && !_text.Ended)
            return length;
        for (var shorter = length; shorter > 0; shorter--)
        {
            if (_tools.ContainsKey(ahead[..shorter]))
                return shorter;
        }
        return length;
    }

    private void Begin(string name)
    {
        _found.Add(new ToolCallDelta(Calls++, name, ""));
        IsBroken = true;
    }

    // All arguments of the call are there.
    private void Complete(string arguments = "")
    {
        Add(arguments);
        IsBroken = false;
    }

    private void Add(string arguments)
    {
        if (arguments.Length > 0)
            _found.Add(new ToolCallDelta(Calls - 1, null, arguments));
    }

    // A JSON object, passed on as it comes; without one, the call has no arguments.
    private IEnumerable<bool> ReadJson(string? name)
    {
        foreach (var wait in _text.SkipSpace())
            yield return wait;
        var isThere = _text.HasMore;
        if (!isThere && _cut)
            yield break;
        if (name is not null)
            Begin(name);
        if (!_text.IsNext('{'))
        {
            Complete("{}");
            yield break;
        }
        var scanner = new JsonScanner();
        while (true)
        {
            Add(_text.Take(scanner));
            if (scanner.Done)
                IsBroken = false;
            if (scanner.Done || _text.Ended)
                yield break;
            yield return true;
        }
    }

    // {"name": …, "arguments": …} in any order, or {NAME: arguments}.
    private IEnumerable<bool> ReadObject()
    {
        foreach (var wait in _text.Skip(_callBegin))
            yield return wait;
        if (!_text.Matched)
            yield break;
        string? name = null;
        // Arguments that came before the name.
        string? held = null;
        var begun = false;
        while (true)
        {
            foreach (var wait in _text.SkipSpace())
                yield return wait;
            if (_text.IsNext(','))
            {
                _text.Position++;
                continue;
            }
            if (!_text.IsNext('"'))
                break;
            foreach (var wait in _text.ReadValue())
                yield return wait;
            var key = AsText(_text.Value);
            foreach (var wait in _text.Skip(":"))
                yield return wait;
            if (key is null || !_text.Matched)
            {
                _refuted |= !begun && !Keys.Any(known => $"\"{known}\"".StartsWith(_text.Value, StringComparison.Ordinal));
                break;
            }
            if (_syntax.NameKey is null && _tools.ContainsKey(key) && !begun)
            {
                name = key;
                foreach (var wait in ReadJson(name))
                    yield return wait;
                begun = Calls > 0;
            }
            else if (key == _syntax.ArgumentsKey && name is not null && !begun)
            {
                foreach (var wait in ReadJson(name))
                    yield return wait;
                begun = true;
            }
            else
            {
                foreach (var wait in _text.SkipSpace())
                    yield return wait;
                foreach (var wait in _text.ReadValue())
                    yield return wait;
                if (key == (_syntax.NameKey ?? ""))
                {
                    name = AsText(_text.Value) is { } given && _tools.ContainsKey(given) ? given : name;
                    _refuted |= name is null && !_tools.Keys.Any(known => $"\"{known}".StartsWith(_text.Value, StringComparison.Ordinal));
                }
                else if (key == _syntax.ArgumentsKey)
                {
                    held = _text.Value;
                }
                else
                {
                    _refuted |= name is null && !Keys.Contains(key);
                }
            }
        }
        if (name is null || begun || (_cut && held is null))
            yield break;
        Begin(name);
        Complete(held ?? "{}");
    }

    // What an object that is a call begins with.
    private IEnumerable<string> Keys =>
        _syntax.NameKey is { } name ? [name, _syntax.ArgumentsKey ?? "", "id", "type"] : _tools.Keys;

    private static string? AsText(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(SurrogateRepair.Of(json));
            return document.RootElement.ValueKind == JsonValueKind.String ? document.RootElement.GetString() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private IEnumerable<bool> ReadParameters()
    {
        foreach (var wait in ReadName(_syntax.AfterName))
            yield return wait;
        if (_name is not { } name)
            yield break;
        Begin(name);
        var arguments = new ParameterWriter(_tools[name]);
        for (var separator = ""; ; separator = _text.Until == _syntax.ParameterSeparator ? "" : _syntax.ParameterSeparator)
        {
            // Checked first: the text before an argument may be a prefix of CallEnd.
            foreach (var wait in _text.Skip(_syntax.CallEnd, take: false))
                yield return wait;
            if (_text.Matched)
                break;
            foreach (var wait in _text.Skip(separator + _syntax.ParameterBegin))
                yield return wait;
            if (!_text.Matched && _cut)
                yield break;
            if (!_text.Matched)
                break;
            foreach (var wait in _text.ReadUntil(_syntax.AfterKey, _syntax.AfterKeyOfJson))
                yield return wait;
            if (_text.Until is null)
            {
                if (_cut)
                    yield break;
                break;
            }
            var key = _text.Value.Trim();
            var asText = _text.Until == _syntax.AfterKey && (_syntax.AfterKey != _syntax.AfterKeyOfJson);
            Add(arguments.Key(key));
            var closing = asText ? _syntax.ParameterEnd : _syntax.ParameterEndOfJson.Length > 0
                ? _syntax.ParameterEndOfJson
                : _syntax.ParameterSeparator;
            foreach (var wait in _text.ReadUntil(closing, _syntax.ParameterEndOfJson.Length > 0 ? closing : _syntax.CallEnd))
                yield return wait;
            // The value may have gone on.
            if (_text.Until is null && _cut)
                yield break;
            Add(arguments.Value(key, _text.Value, asText ? true : _syntax.AfterKey == _syntax.AfterKeyOfJson ? null : false));
            if (_text.Until is null)
                break;
            if (_text.Until == _syntax.CallEnd && closing != _syntax.CallEnd)
            {
                _text.Position -= _text.UntilLength;
                break;
            }
        }
        Complete(arguments.End());
    }
}

/// <summary>A piece of a tool call: first the name, then fragments of the arguments.</summary>
/// <param name="Index">The call's index in the answer, from 0.</param>
/// <param name="Name">The function's name, on the first piece alone.</param>
/// <param name="Arguments">The next fragment of the arguments' JSON; all fragments so far are a prefix of valid JSON.</param>
internal sealed record ToolCallDelta(int Index, string? Name, string Arguments);
