using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output.Tools;

namespace Shimmy.Chat.Templates;

/// <summary>
/// Detects a model's syntax of tool calls: renders a conversation with calls of unique names, keys and values ("needles"), and takes the
/// texts around them from the result.
/// </summary>
internal sealed class ToolCallProbe
{
    private const string Answer = "needle-answer";
    private const string First = "needle_alpha";
    private const string Second = "needle_beta";
    private const string KeyOne = "needle_one";
    private const string KeyTwo = "needle_two";
    private const string TextValue = "needle-text";
    private const string OtherText = "needle-other";
    private const string NumberValue = "73519";
    private const string OtherNumber = "84627";
    private const string FirstId = "call17aB3";
    private const string SecondId = "call29cD4";

    private static readonly ChatMessage User = new() { Role = "user", Content = [new ContentPart("needle-user")] };
    private static readonly ToolCall Both = new(FirstId, First, $$"""{"{{KeyOne}}": "{{TextValue}}", "{{KeyTwo}}": {{NumberValue}}}""");
    private static readonly ToolCall Other = new(SecondId, Second, $$"""{"{{KeyOne}}": "{{OtherText}}", "{{KeyTwo}}": {{OtherNumber}}}""");

    private readonly string _tail;
    private readonly string _calls;
    private readonly bool _parallel;

    private ToolCallProbe(string tail, string calls, bool parallel) => (_tail, _calls, _parallel) = (tail, calls, parallel);

    /// <summary>
    /// The syntax; null where the template has no tool calls, or in a form that cannot be taken apart. <paramref name="render"/> renders
    /// messages without opening an answer, and gives null where the template refuses them.
    /// </summary>
    public static ToolCallSyntax? Run(TemplateCapabilities capabilities, Func<IReadOnlyList<ChatMessage>, string?> render)
    {
        if (!capabilities.ToolCalls)
            return null;
        var plain = render([User, new ChatMessage { Role = "assistant", Content = [new ContentPart(Answer)] }]);
        var two = capabilities.ParallelToolCalls ? render([User, new ChatMessage { Role = "assistant", ToolCalls = [Both, Other] }]) : null;
        var calls = two ?? render([User, new ChatMessage { Role = "assistant", ToolCalls = [Both] }]);
        if (calls is null)
            return null;
        // The common prefix with an answer in text belongs to the turn, not to the calls.
        var answer = plain?.IndexOf(Answer, StringComparison.Ordinal) ?? -1;
        var start = plain is null ? 0 : Math.Min(plain.AsSpan().CommonPrefixLength(calls), answer < 0 ? int.MaxValue : answer);
        start = Math.Max(start, calls.IndexOf("needle-user", StringComparison.Ordinal) + "needle-user".Length);
        var tail = answer < 0 ? "" : plain![(answer + Answer.Length)..];
        return new ToolCallProbe(tail, calls[start..].Replace(FirstId, $"{ToolCallSyntax.IdHole}", StringComparison.Ordinal)
            .Replace(SecondId, $"{ToolCallSyntax.IdHole}", StringComparison.Ordinal), two is not null).Read();
    }

    private ToolCallSyntax? Read()
    {
        var name = _calls.IndexOf(First, StringComparison.Ordinal);
        var key = name < 0 ? -1 : _calls.IndexOf(KeyOne, name + First.Length, StringComparison.Ordinal);
        if (key < 0)
            return null;
        // If the name occurs twice, the last one before the arguments counts.
        name = _calls.LastIndexOf(First, key, StringComparison.Ordinal);
        var isJson = _calls[key - 1] == '"' && _calls.LastIndexOf('{', key) is var open and >= 0
            && string.IsNullOrWhiteSpace(_calls[(open + 1)..(key - 1)]);
        return isJson ? ReadJson(name, key) : ReadParameters(name, key);
    }

    private ToolCallSyntax? ReadJson(int name, int key)
    {
        var open = _calls.LastIndexOf('{', key);
        if (open <= name || JsonEnd(open) is not { } end || _calls[(name + First.Length)..open] is not { } afterName)
            return null;
        var syntax = SyntaxAround(_calls[..name], end, () =>
        {
            var second = _calls.IndexOf(Second, end, StringComparison.Ordinal);
            var secondKey = _calls.IndexOf(KeyOne, second, StringComparison.Ordinal);
            second = _calls.LastIndexOf(Second, secondKey, StringComparison.Ordinal);
            return (second, JsonEnd(_calls.LastIndexOf('{', secondKey)) ?? _calls.Length);
        });
        if (syntax is null)
            return null;
        var (nameKey, argumentsKey) = Keys(syntax.CallBegin, afterName);
        var inObject = syntax.CallBegin.EndsWith('"') && syntax.CallBegin.Contains('{', StringComparison.Ordinal);
        return syntax with
        {
            Style = inObject ? ToolCallStyle.Json : ToolCallStyle.NamedJson,
            AfterName = WithIndex(afterName, end, "{"),
            NameKey = inObject ? nameKey : null,
            ArgumentsKey = inObject ? argumentsKey : null,
        };
    }

    private ToolCallSyntax? ReadParameters(int name, int key)
    {
        var value = _calls.IndexOf(TextValue, key, StringComparison.Ordinal);
        var nextKey = value < 0 ? -1 : _calls.IndexOf(KeyTwo, value, StringComparison.Ordinal);
        var number = nextKey < 0 ? -1 : _calls.IndexOf(NumberValue, nextKey, StringComparison.Ordinal);
        if (number < 0)
            return null;
        var end = number + NumberValue.Length;
        var afterName = WithIndex(WithKey(_calls[(name + First.Length)..key], KeyOne), end, KeyOne);
        var between = WithKey(_calls[(value + TextValue.Length)..nextKey], KeyOne)
            .Replace(KeyTwo, $"{ToolCallSyntax.KeyHole}", StringComparison.Ordinal);
        var begin = CommonSuffix(afterName, between);
        var syntax = SyntaxAround(_calls[..name], end, () =>
        {
            var secondKey = _calls.IndexOf(KeyOne, end, StringComparison.Ordinal);
            var last = _calls.IndexOf(OtherNumber, secondKey, StringComparison.Ordinal);
            return (_calls.LastIndexOf(Second, secondKey, StringComparison.Ordinal), last + OtherNumber.Length);
        });
        if (syntax is null)
            return null;
        var afterKey = WithKey(_calls[(key + KeyOne.Length)..value], KeyOne);
        // The end of a value comes before the next argument and, in full, before the end of the call.
        var afterText = between[..^begin.Length];
        var afterNumber = WithKey(syntax.CallEnd, KeyTwo);
        var textEnd = afterText;
        var numberEnd = afterNumber[..CommonPrefix(afterText, afterNumber)];
        var separator = "";
        if (numberEnd.Length < afterText.Length)
        {
            separator = afterText[numberEnd.Length..];
            textEnd = numberEnd;
        }
        // A string may have a terminator that a number does not have, such as a quote.
        var quote = TextQuote(afterText, afterNumber);
        if (quote.Length > 0)
            (textEnd, numberEnd, separator) = (quote, "", afterText[quote.Length..]);
        return syntax with
        {
            Style = ToolCallStyle.Parameters,
            AfterName = afterName[..^begin.Length],
            ParameterBegin = begin,
            AfterKey = afterKey,
            AfterKeyOfJson = WithType(afterKey, WithKey(_calls[(nextKey + KeyTwo.Length)..number], KeyTwo)),
            ParameterEnd = textEnd,
            ParameterEndOfJson = numberEnd,
            ParameterSeparator = separator,
            CallEnd = afterNumber[numberEnd.Length..],
        };
    }

    // The texts around whole calls, taken from the text before the first, between two, and after the last.
    private ToolCallSyntax? SyntaxAround(string before, int end, Func<(int Name, int End)> findSecond)
    {
        before = before.Replace(First, $"{ToolCallSyntax.NameHole}", StringComparison.Ordinal)
            .TrimStart(' ', '\n', ToolCallSyntax.NameHole);
        if (!_parallel)
        {
            return new ToolCallSyntax
            {
                Style = default,
                CallBegin = before,
                AfterName = "",
                CallEnd = WithoutTail(_calls[end..].Replace(First, $"{ToolCallSyntax.NameHole}", StringComparison.Ordinal)),
                Separator = null,
            };
        }
        var (second, last) = findSecond();
        if (second < 0 || last < 0)
            return null;
        var between = _calls[end..second].Replace(Second, $"{ToolCallSyntax.NameHole}", StringComparison.Ordinal)
            .Replace(First, $"{ToolCallSyntax.NameHole}", StringComparison.Ordinal);
        var after = WithoutTail(_calls[last..].Replace(Second, $"{ToolCallSyntax.NameHole}", StringComparison.Ordinal));
        (before, between) = WithIndexes(before, between);
        var begin = CommonSuffix(before, between);
        var callEnd = between[..CommonPrefix(between[..^begin.Length], after)];
        return new ToolCallSyntax
        {
            Style = default,
            SectionBegin = before[..^begin.Length],
            CallBegin = begin,
            AfterName = "",
            CallEnd = callEnd,
            Separator = between[callEnd.Length..^begin.Length],
            SectionEnd = after[callEnd.Length..].TrimEnd(),
        };
    }

    // The end of every turn does not belong to the calls.
    private string WithoutTail(string text)
    {
        var tail = _tail.TrimEnd();
        text = text.TrimEnd();
        return tail.Length > 0 && text.EndsWith(tail, StringComparison.Ordinal) ? text[..^tail.Length].TrimEnd() : text;
    }

    private int? JsonEnd(int open)
    {
        var depth = 0;
        var quoted = false;
        for (var i = open; i >= 0 && i < _calls.Length; i++)
        {
            if (quoted)
            {
                if (_calls[i] == '\\')
                    i++;
                else if (_calls[i] == '"')
                    quoted = false;
                continue;
            }
            quoted = _calls[i] == '"';
            depth += _calls[i] switch { '{' => 1, '}' => -1, _ => 0 };
            if (depth == 0)
                return IsJson(_calls[open..(i + 1)]) ? i + 1 : null;
        }
        return null;
    }

    private static bool IsJson(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    // {"name": "NAME", "arguments": … or {"NAME": …
    private static (string? Name, string? Arguments) Keys(string callBegin, string afterName)
    {
        var name = callBegin.Split('"') is [.., var key, var colon, ""] && colon.Trim() == ":" ? key : null;
        var arguments = afterName.Split('"') is [.., var argumentsKey, var argumentsColon]
            && argumentsColon.Trim() == ":" ? argumentsKey : null;
        return name is null || string.IsNullOrEmpty(arguments) ? (null, null) : (name, arguments);
    }

    private static string WithKey(string text, string key) => text.Replace(key, $"{ToolCallSyntax.KeyHole}", StringComparison.Ordinal);

    // A digit behind the name that differs between the two calls is the call's number.
    private string WithIndex(string afterName, int end, string arguments)
    {
        var second = _calls.IndexOf(Second, end, StringComparison.Ordinal);
        var open = second < 0 ? -1 : _calls.IndexOf(arguments, second, StringComparison.Ordinal);
        if (open < 0)
            return afterName;
        var other = _calls[(second + Second.Length)..open];
        var at = CommonPrefix(afterName, other);
        return other.Length == afterName.Length && at < other.Length && char.IsAsciiDigit(other[at])
            ? afterName[..at] + ToolCallSyntax.IndexHole + afterName[(at + 1)..]
            : afterName;
    }

    // A digit before the first call that is one higher before the second is the call's number.
    private static (string Before, string Between) WithIndexes(string before, string between)
    {
        for (var i = 1; i <= before.Length && i <= between.Length; i++)
        {
            var (a, b) = (before[^i], between[^i]);
            if (a == b)
                continue;
            if (char.IsAsciiDigit(a) && b == a + 1)
            {
                return (before[..^i] + ToolCallSyntax.IndexHole + before[(before.Length - i + 1)..],
                    between[..^i] + ToolCallSyntax.IndexHole + between[(between.Length - i + 1)..]);
            }

            break;
        }
        return (before, between);
    }

    // A word that differs between a number and a string is the type's name.
    private static string WithType(string afterKeyOfText, string afterKeyOfNumber)
    {
        var from = CommonPrefix(afterKeyOfText, afterKeyOfNumber);
        var to = afterKeyOfNumber.Length - CommonSuffix(afterKeyOfText[from..], afterKeyOfNumber[from..]).Length;
        while (from > 0 && char.IsLetter(afterKeyOfNumber[from - 1]))
            from--;
        while (to < afterKeyOfNumber.Length && char.IsLetter(afterKeyOfNumber[to]))
            to++;
        return to > from && afterKeyOfNumber[from..to].All(char.IsLetter)
            ? afterKeyOfNumber[..from] + ToolCallSyntax.IdHole + afterKeyOfNumber[to..]
            : afterKeyOfNumber;
    }

    private static string TextQuote(string afterText, string afterNumber)
    {
        for (var length = 1; length < afterText.Length; length++)
        {
            var rest = afterText[length..];
            // "quote,": the quote ends a string if the separator also follows numbers, and the quote does not.
            if (!afterNumber.StartsWith(afterText[..length], StringComparison.Ordinal) && rest.Trim() is "," or ";")
                return afterText[..length];
        }
        return "";
    }

    private static int CommonPrefix(string a, string b) => a.AsSpan().CommonPrefixLength(b);

    private static string CommonSuffix(string a, string b)
    {
        var length = 0;
        while (length < a.Length && length < b.Length && a[^(length + 1)] == b[^(length + 1)])
            length++;
        return a[^length..];
    }
}
