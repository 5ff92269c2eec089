using System.Text;
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
    private readonly StringBuilder _buffer = new();
    private readonly List<ToolCallDelta> _found = [];
    private readonly IEnumerator<bool> _steps;
    private readonly string _callBegin;
    private readonly string _callEnd;
    private int _position;
    private bool _ended;
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
    public string Rest => _buffer.ToString(_position, _buffer.Length - _position);

    /// <summary>Takes text, the first of which begins with the trigger, and gives the pieces that it completes.</summary>
    public IReadOnlyList<ToolCallDelta> Push(string text)
    {
        _buffer.Append(text);
        return Step();
    }

    /// <summary>
    /// The answer has ended: gives the last pieces. An answer that was <paramref name="cut"/> ended because something else than the model
    /// ended it: nothing is added to what the model has written.
    /// </summary>
    public IReadOnlyList<ToolCallDelta> End(bool cut = false)
    {
        _ended = true;
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
        foreach (var wait in Skip(_syntax.SectionBegin))
            yield return wait;
        var first = Calls;
        while (true)
        {
            var begin = _position;
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
                _position = calls == first ? 0 : begin;
                yield break;
            }
            foreach (var wait in Skip(_callEnd))
                yield return wait;
            if (_syntax.Separator is { } separator)
            {
                var at = _position;
                foreach (var wait in Skip(separator + _callBegin, take: false))
                    yield return wait;
                if (_matched)
                {
                    foreach (var wait in Skip(separator))
                        yield return wait;
                    continue;
                }
                _position = at;
            }
            foreach (var wait in Skip(_syntax.SectionEnd))
                yield return wait;
            // Some models leave out the end of what ends a call.
            if (_ended && Array.Exists([_callEnd, _callEnd + _syntax.SectionEnd, _syntax.SectionEnd], IsBeginningOf))
                _position = _buffer.Length;
            yield break;
        }
    }

    private bool IsBeginningOf(string literal) => LiteralMatch.At(Ahead(), literal, ended: false, out _) == MatchState.Open;

    private bool _matched;

    // Skips a text of the syntax if it is next.
    private IEnumerable<bool> Skip(string literal, bool take = true)
    {
        _matched = false;
        if (literal.Length == 0)
        {
            _matched = true;
            yield break;
        }
        while (true)
        {
            var state = LiteralMatch.At(Ahead(), literal, _ended, out var end);
            if (state == MatchState.Open)
            {
                yield return true;
                continue;
            }
            _matched = state == MatchState.Yes;
            if (_matched && take)
                _position += end;
            yield break;
        }
    }

    private ReadOnlySpan<char> Ahead() => _buffer.ToString(_position, _buffer.Length - _position);

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
        foreach (var wait in Skip(_syntax.CallBegin))
            yield return wait;
        if (!_matched)
            yield break;
        while (true)
        {
            var ahead = Ahead().ToString();
            var length = NameLength(ahead);
            if (length == ahead.Length && !_ended)
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

            var state = LiteralMatch.At(ahead.AsSpan(length), follower, _ended, out var end);
            if (state == MatchState.Open)
            {
                yield return true;
                continue;
            }
            if (state == MatchState.Yes)
            {
                _position += length + end;
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
        if (length == ahead.Length && !_ended)
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
        foreach (var wait in SkipSpace())
            yield return wait;
        var isThere = _position < _buffer.Length;
        if (!isThere && _cut)
            yield break;
        if (name is not null)
            Begin(name);
        if (!isThere || _buffer[_position] != '{')
        {
            Complete("{}");
            yield break;
        }
        var scanner = new JsonScanner();
        while (true)
        {
            var from = _position;
            while (_position < _buffer.Length && !scanner.Done && scanner.Take(_buffer[_position]))
                _position++;
            Add(_buffer.ToString(from, _position - from));
            if (scanner.Done)
                IsBroken = false;
            if (scanner.Done || _ended)
                yield break;
            yield return true;
        }
    }

    private IEnumerable<bool> SkipSpace()
    {
        while (true)
        {
            while (_position < _buffer.Length && char.IsWhiteSpace(_buffer[_position]))
                _position++;
            if (_position < _buffer.Length || _ended)
                yield break;
            yield return true;
        }
    }

    // {"name": …, "arguments": …} in any order, or {NAME: arguments}.
    private IEnumerable<bool> ReadObject()
    {
        foreach (var wait in Skip(_callBegin))
            yield return wait;
        if (!_matched)
            yield break;
        string? name = null;
        // Arguments that came before the name.
        string? held = null;
        var begun = false;
        while (true)
        {
            foreach (var wait in SkipSpace())
                yield return wait;
            if (_position < _buffer.Length && _buffer[_position] == ',')
            {
                _position++;
                continue;
            }
            if (_position >= _buffer.Length || _buffer[_position] != '"')
                break;
            foreach (var wait in ReadValue())
                yield return wait;
            var key = AsText(_value);
            foreach (var wait in Skip(":"))
                yield return wait;
            if (key is null || !_matched)
            {
                _refuted |= !begun && !Keys.Any(known => $"\"{known}\"".StartsWith(_value, StringComparison.Ordinal));
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
                foreach (var wait in SkipSpace())
                    yield return wait;
                foreach (var wait in ReadValue())
                    yield return wait;
                if (key == (_syntax.NameKey ?? ""))
                {
                    name = AsText(_value) is { } given && _tools.ContainsKey(given) ? given : name;
                    _refuted |= name is null && !_tools.Keys.Any(known => $"\"{known}".StartsWith(_value, StringComparison.Ordinal));
                }
                else if (key == _syntax.ArgumentsKey)
                {
                    held = _value;
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

    private string _value = "";

    // Any JSON value, as a whole.
    private IEnumerable<bool> ReadValue()
    {
        var scanner = new JsonScanner();
        var from = _position;
        while (true)
        {
            while (_position < _buffer.Length && !scanner.Done && scanner.Take(_buffer[_position]))
                _position++;
            if (scanner.Done || _ended)
                break;
            yield return true;
        }
        _value = _buffer.ToString(from, _position - from);
    }

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
        for (var separator = ""; ; separator = _until == _syntax.ParameterSeparator ? "" : _syntax.ParameterSeparator)
        {
            // Checked first: the text before an argument may be a prefix of CallEnd.
            foreach (var wait in Skip(_syntax.CallEnd, take: false))
                yield return wait;
            if (_matched)
                break;
            foreach (var wait in Skip(separator + _syntax.ParameterBegin))
                yield return wait;
            if (!_matched && _cut)
                yield break;
            if (!_matched)
                break;
            foreach (var wait in ReadUntil(_syntax.AfterKey, _syntax.AfterKeyOfJson))
                yield return wait;
            if (_until is null)
            {
                if (_cut)
                    yield break;
                break;
            }
            var key = _value.Trim();
            var asText = _until == _syntax.AfterKey && (_syntax.AfterKey != _syntax.AfterKeyOfJson);
            Add(arguments.Key(key));
            var closing = asText ? _syntax.ParameterEnd : _syntax.ParameterEndOfJson.Length > 0
                ? _syntax.ParameterEndOfJson
                : _syntax.ParameterSeparator;
            foreach (var wait in ReadUntil(closing, _syntax.ParameterEndOfJson.Length > 0 ? closing : _syntax.CallEnd))
                yield return wait;
            // The value may have gone on.
            if (_until is null && _cut)
                yield break;
            Add(arguments.Value(key, _value, asText ? true : _syntax.AfterKey == _syntax.AfterKeyOfJson ? null : false));
            if (_until is null)
                break;
            if (_until == _syntax.CallEnd && closing != _syntax.CallEnd)
            {
                _position -= _untilLength;
                break;
            }
        }
        Complete(arguments.End());
    }

    private string? _until;
    private int _untilLength;

    // Text up to the first of two texts of the syntax, which is skipped.
    private IEnumerable<bool> ReadUntil(string first, string second)
    {
        var from = _position;
        var at = from;
        _until = null;
        while (true)
        {
            var ahead = _buffer.ToString(from, _buffer.Length - from);
            var open = false;
            for (; at - from < ahead.Length; at++)
            {
                var here = ahead.AsSpan(at - from);
                var state = LiteralMatch.At(here, first, _ended, out var end);
                var mark = first;
                if (state == MatchState.No && second != first)
                {
                    state = LiteralMatch.At(here, second, _ended, out end);
                    mark = second;
                }
                if (state == MatchState.Yes)
                {
                    _value = ahead[..(at - from)];
                    _position = at + end;
                    (_until, _untilLength) = (mark, end);
                    yield break;
                }
                if (state == MatchState.Open)
                {
                    open = true;
                    break;
                }
            }
            if (_ended)
            {
                _value = ahead;
                _position = _buffer.Length;
                yield break;
            }
            yield return open;
        }
    }
}

/// <summary>A piece of a tool call: first the name, then fragments of the arguments.</summary>
/// <param name="Index">The call's index in the answer, from 0.</param>
/// <param name="Name">The function's name, on the first piece alone.</param>
/// <param name="Arguments">The next fragment of the arguments' JSON; all fragments so far are a prefix of valid JSON.</param>
internal sealed record ToolCallDelta(int Index, string? Name, string Arguments);
