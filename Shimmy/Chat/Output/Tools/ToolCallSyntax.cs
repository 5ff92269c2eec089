using System.Buffers;

namespace Shimmy.Chat.Output.Tools;

/// <summary>
/// A model's syntax of tool calls: the texts around names and arguments. Found by rendering calls with the model's chat template
/// (<c>Templates.ToolCallProbe</c>), not listed by model.
/// <code>
///   SectionBegin (CallBegin NAME AfterName ARGUMENTS CallEnd) Separator (CallBegin … CallEnd) SectionEnd
///
///   Json        SectionBegin "", CallBegin &lt;tool_call&gt;\n{"name": "   AfterName ", "arguments":    CallEnd }\n&lt;/tool_call&gt;
///   NamedJson   CallBegin &lt;function=      AfterName &gt;     ARGUMENTS {"a": 1}     CallEnd &lt;/function&gt;
///   Parameters  ARGUMENTS is ParameterBegin KEY AfterKey VALUE ParameterEnd, again and again
/// </code>
/// White space in these texts matches any white space or none. Characters of the private use area are placeholders:
/// <see cref="IdHole"/>, <see cref="IndexHole"/>, <see cref="NameHole"/>, <see cref="KeyHole"/>.
/// </summary>
internal sealed record ToolCallSyntax
{
    /// <summary>Placeholder of the call's id.</summary>
    public const char IdHole = '\uE000';

    /// <summary>Placeholder of the call's number.</summary>
    public const char IndexHole = '\uE001';

    /// <summary>Placeholder of a repeated function name.</summary>
    public const char NameHole = '\uE002';

    /// <summary>Placeholder of a repeated argument name.</summary>
    public const char KeyHole = '\uE003';

    /// <summary>The syntax for models whose templates have no tool calls: bare JSON.</summary>
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

    /// <summary>How arguments are written.</summary>
    public required ToolCallStyle Style { get; init; }

    /// <summary>Text before all calls of an answer; may be empty.</summary>
    public string SectionBegin { get; init; } = "";

    /// <summary>Text before the name of each call.</summary>
    public required string CallBegin { get; init; }

    /// <summary>Text between name and arguments.</summary>
    public required string AfterName { get; init; }

    /// <summary>Text after the arguments of each call.</summary>
    public required string CallEnd { get; init; }

    /// <summary>Text between two calls; null where the template writes only one call.</summary>
    public string? Separator { get; init; } = "";

    /// <summary>Text after all calls; may be empty.</summary>
    public string SectionEnd { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Json"/>: the key of the name; null where the name itself is the key.</summary>
    public string? NameKey { get; init; }

    /// <summary>For <see cref="ToolCallStyle.Json"/>: the key of the arguments; null where the name itself is the key.</summary>
    public string? ArgumentsKey { get; init; }

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: text before the name of an argument.</summary>
    public string ParameterBegin { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: text between an argument's name and a string value.</summary>
    public string AfterKey { get; init; } = "";

    /// <summary>The same before a value of another type, which is written as JSON.</summary>
    public string AfterKeyOfJson { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: text after a string value.</summary>
    public string ParameterEnd { get; init; } = "";

    /// <summary>The same after a value that is written as JSON.</summary>
    public string ParameterEndOfJson { get; init; } = "";

    /// <summary>For <see cref="ToolCallStyle.Parameters"/>: text between two arguments.</summary>
    public string ParameterSeparator { get; init; } = "";

    /// <summary>
    /// The text that marks the beginning of calls: the first tag or word before the first call; empty where calls are bare JSON.
    /// </summary>
    public string Trigger => TriggerOf(SectionBegin + CallBegin);

    private static readonly SearchValues<char> Variable = SearchValues.Create(" \n\t{[\uE000\uE001\uE002\uE003");

    private static readonly SearchValues<char> VariableOfText = SearchValues.Create(" \n\t{\uE000\uE001\uE002\uE003");

    private static string TriggerOf(string begin)
    {
        if (begin.Length == 0 || begin[0] is '{')
            return "";
        // A tag in brackets, or else the text up to white space, JSON or a placeholder.
        var close = begin[0] switch
        {
            '<' => begin.IndexOf('>', StringComparison.Ordinal),
            '[' =>
            begin.IndexOf(']', StringComparison.Ordinal),
            _ => -1
        };
        var end = begin.AsSpan(1).IndexOfAny(begin[0] is '<' or '[' ? Variable : VariableOfText) + 1;
        if (close > 0 && (end == 0 || close < end))
            return begin[..(close + 1)];
        return begin[0] == '[' ? "" : end == 0 ? begin : begin[..end];
    }
}

/// <summary>How a syntax writes the arguments of a call.</summary>
internal enum ToolCallStyle
{
    /// <summary>Name and arguments in one JSON object.</summary>
    Json,

    /// <summary>The name outside, the arguments as a JSON object.</summary>
    NamedJson,

    /// <summary>Each argument between texts of its own.</summary>
    Parameters,
}
