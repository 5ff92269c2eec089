using System.Buffers;

namespace Shimmy.Chat.Output.Tools;

/// <summary>
/// How a model writes tool calls, as its chat template shows them: the texts around names and arguments. Read off the template by rendering
/// calls (<c>Templates.ToolCallProbe</c>), not known by name.
/// <code>
///   SectionBegin (CallBegin NAME AfterName ARGUMENTS CallEnd) Separator (CallBegin … CallEnd) SectionEnd
///
///   Json        SectionBegin "", CallBegin &lt;tool_call&gt;\n{"name": "   AfterName ", "arguments":    CallEnd }\n&lt;/tool_call&gt;
///   NamedJson   CallBegin &lt;function=      AfterName &gt;     ARGUMENTS {"a": 1}     CallEnd &lt;/function&gt;
///   Parameters  ARGUMENTS is ParameterBegin KEY AfterKey VALUE ParameterEnd, again and again
/// </code>
/// White space in these texts stands for any white space or none. Characters of the private use area stand for what changes from call to
/// call: <see cref="IdHole"/>, <see cref="IndexHole"/>, <see cref="NameHole"/>, <see cref="KeyHole"/>.
/// </summary>
internal sealed record ToolCallSyntax
{
    /// <summary>Where the id of the call stands.</summary>
    public const char IdHole = '\uE000';

    /// <summary>Where the number of the call stands.</summary>
    public const char IndexHole = '\uE001';

    /// <summary>Where the name of the function stands once more.</summary>
    public const char NameHole = '\uE002';

    /// <summary>Where the name of the argument stands once more.</summary>
    public const char KeyHole = '\uE003';

    /// <summary>What is looked for in the answers of models whose templates show no calls: bare JSON.</summary>
    public static ToolCallSyntax Generic { get; } = new()
    {
        Style = ToolCallStyle.Json,
        CallBegin = "{\"name\": \"",
        AfterName = "\", \"arguments\": ",
        CallEnd = "}",
        Separator = null,
        NameKey = "name",
        ArgumentsKey = "arguments",
    };

    /// <summary>All texts around names and arguments.</summary>
    public IReadOnlyList<string> Texts =>
        [SectionBegin, CallBegin, AfterName, CallEnd, Separator ?? "", SectionEnd, ParameterBegin, AfterKey, AfterKeyOfJson, ParameterEnd,
            ParameterEndOfJson, ParameterSeparator];

    /// <summary>In which way arguments are written.</summary>
    public required ToolCallStyle Style { get; init; }

    /// <summary>What stands once before all calls of an answer; may be empty.</summary>
    public string SectionBegin { get; init; } = "";

    /// <summary>What stands before the name of each call.</summary>
    public required string CallBegin { get; init; }

    /// <summary>What stands between name and arguments.</summary>
    public required string AfterName { get; init; }

    /// <summary>What stands after the arguments of each call.</summary>
    public required string CallEnd { get; init; }

    /// <summary>What stands between two calls; null where the template shows one call only.</summary>
    public string? Separator { get; init; } = "";

    /// <summary>What stands once after all calls; may be empty.</summary>
    public string SectionEnd { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Json"/>: the key under which the name stands; null where the name itself is the key.</summary>
    public string? NameKey { get; init; }

    /// <summary>For <see cref="ToolCallStyle.Json"/>: the key under which the arguments stand; null where the name itself is the key.</summary>
    public string? ArgumentsKey { get; init; }

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: what stands before the name of an argument.</summary>
    public string ParameterBegin { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: what stands between an argument's name and a value that is a text.</summary>
    public string AfterKey { get; init; } = "";

    /// <summary>The same before a value that is no text and is written as JSON.</summary>
    public string AfterKeyOfJson { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: what stands after a value that is a text.</summary>
    public string ParameterEnd { get; init; } = "";

    /// <summary>The same after a value that is written as JSON.</summary>
    public string ParameterEndOfJson { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: what stands between two arguments.</summary>
    public string ParameterSeparator { get; init; } = "";

    /// <summary>
    /// The text by which the beginning of calls is recognised: the first mark before the first call; empty where calls are bare JSON.
    /// </summary>
    public string Trigger => TriggerOf(SectionBegin + CallBegin);

    private static readonly SearchValues<char> Variable = SearchValues.Create(" \n\t{[\uE000\uE001\uE002\uE003");

    private static readonly SearchValues<char> VariableOfText = SearchValues.Create(" \n\t{\uE000\uE001\uE002\uE003");

    private static string TriggerOf(string begin)
    {
        if (begin.Length == 0 || begin[0] is '{')
            return "";
        // A mark in brackets of its own, or else the text up to white space, JSON or what changes.
        var close = begin[0] switch { '<' => begin.IndexOf('>', StringComparison.Ordinal), '[' => begin.IndexOf(']', StringComparison.Ordinal), _ => -1 };
        var end = begin.AsSpan(1).IndexOfAny(begin[0] is '<' or '[' ? Variable : VariableOfText) + 1;
        if (close > 0 && (end == 0 || close < end))
            return begin[..(close + 1)];
        return begin[0] == '[' ? "" : end == 0 ? begin : begin[..end];
    }
}

/// <summary>Ways in which templates write the arguments of a call.</summary>
internal enum ToolCallStyle
{
    /// <summary>Name and arguments in one JSON object.</summary>
    Json,

    /// <summary>The name outside, the arguments as a JSON object.</summary>
    NamedJson,

    /// <summary>Each argument between marks of its own.</summary>
    Parameters,
}
