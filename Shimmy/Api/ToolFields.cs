using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary><c>tools</c>, <c>tool_choice</c> and <c>parallel_tool_calls</c> as OpenAI has them.</summary>
/// <param name="Tools">The functions that the model may call, those left out that <c>tool_choice</c> leaves out.</param>
/// <param name="Choice">Whether it may or must call one.</param>
internal sealed record ToolFields(IReadOnlyList<ToolDefinition> Tools, ToolChoice Choice)
{
    /// <summary>Characters of the longest name of a tool.</summary>
    public const int LongestName = 128;

    private const int MostTools = 512;

    /// <summary>
    /// Reads the fields; throws <see cref="ApiException"/> naming what is wrong with them. Kinds of tools that there are only in the cloud
    /// are left out with a line in the log, because coding agents send them unasked.
    /// </summary>
    /// <param name="fields">The request.</param>
    /// <param name="logger">Logs what was left out.</param>
    /// <param name="flat">Whether a tool is the function itself, as in <c>/v1/responses</c>, rather than an object that holds it.</param>
    public static ToolFields Read(RequestFields fields, ILogger? logger, bool flat = false) =>
        Choose(fields, List(fields, "function", tool => Function(tool, flat), logger));

    /// <summary>
    /// Reads <c>tools</c>: those of one type. Others are left out with a line in the log; of two with one name the first counts.
    /// </summary>
    /// <param name="fields">The request.</param>
    /// <param name="type">The type that the dialect gives to a function, which may be left out.</param>
    /// <param name="read">Reads one.</param>
    /// <param name="logger">Logs what was left out.</param>
    public static List<ToolDefinition> List(
        RequestFields fields, string type, Func<RequestFields, ToolDefinition> read, ILogger? logger)
    {
        var given = fields.List("tools") ?? [];
        if (given.Count > MostTools)
            throw ApiException.BadField("tools", $"has {given.Count} entries; at most {MostTools} are allowed");
        var tools = new List<ToolDefinition>();
        for (var i = 0; i < given.Count; i++)
        {
            var fieldsOfTool = RequestFields.Of(given[i], $"tools[{i}]");
            if (fieldsOfTool.Text("type") is { } other && other != type)
            {
                if (logger is not null)
                    SkippedTools.Log(logger, other);
                continue;
            }
            var tool = read(fieldsOfTool) with { Index = i };
            if (!tools.Exists(earlier => earlier.Name == tool.Name))
                tools.Add(tool);
            else if (logger is not null)
                SkippedTools.LogTwice(logger, tool.Place);
        }
        return tools;
    }

    /// <summary>
    /// The schema of a tool's arguments; undefined where the tool has none. PHP writes an empty object as an empty array.
    /// </summary>
    public static JsonElement Schema(RequestFields tool, string name) => tool.Find(name) switch
    {
        null => default,
        { ValueKind: JsonValueKind.Array } array when array.GetArrayLength() == 0 => default,
        { ValueKind: JsonValueKind.Object } schema => schema,
        { } other => throw ApiException.BadField(tool.FullName(name), $"must be an object, not {RequestFields.Describe(other)}"),
    };

    private static ToolDefinition Function(RequestFields tool, bool flat)
    {
        var function = flat ? tool : tool.Object("function")
            ?? throw ApiException.BadField(tool.FullName("function"), "is missing; an object is required");
        var name = function.RequiredText("name");
        if (name.Length is 0 or > LongestName || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' or ':' or '/'))
        {
            throw ApiException.BadField(function.FullName("name"),
                $"must be 1 to {LongestName} letters, digits, _, -, . or :, not {RequestFields.Quote(name)}");
        }

        return new ToolDefinition(name, function.Text("description"), Schema(function, "parameters"))
        {
            Strict = function.Flag("strict") ?? false,
        };
    }

    private static ToolFields Choose(RequestFields fields, IReadOnlyList<ToolDefinition> tools)
    {
        if (fields.Find("tool_choice") is not { } choice)
            return new ToolFields(tools, ToolChoice.Auto);
        if (choice.ValueKind == JsonValueKind.String)
        {
            return fields.Choice("tool_choice", "auto", "none", "required") switch
            {
                "none" => new ToolFields([], ToolChoice.None),
                "required" => new ToolFields(AtLeastOne(tools, "tool_choice"), ToolChoice.Required),
                _ => new ToolFields(tools, ToolChoice.Auto),
            };
        }
        var named = RequestFields.Of(choice, "tool_choice");
        switch (named.RequiredText("type"))
        {
            case "function":
                // Chat completions nest the name, responses do not.
                var function = named.Object("function") ?? named;
                return new ToolFields([Find(tools, function.RequiredText("name"), function.FullName("name"))], ToolChoice.Required);
            case "allowed_tools":
                var allowed = named.Object("allowed_tools") ?? named;
                var mode = allowed.Choice("mode", "auto", "required") ?? "auto";
                var list = allowed.List("tools")
                    ?? throw ApiException.BadField(allowed.FullName("tools"), "is missing; an array is required");
                var some = list.Select((entry, i) => Allowed(tools, RequestFields.Of(entry, $"{allowed.FullName("tools")}[{i}]")))
                    .ToArray();
                return mode == "required"
                    ? new ToolFields(AtLeastOne(some, allowed.FullName("tools")), ToolChoice.Required)
                    : new ToolFields(some, ToolChoice.Auto);
            case var type:
                throw ApiException.BadField("tool_choice.type",
                    $"{RequestFields.Quote(type)} is not a supported tool choice; 'function' and 'allowed_tools' are");
        }
    }

    private static ToolDefinition Allowed(IReadOnlyList<ToolDefinition> tools, RequestFields entry)
    {
        entry.Choice("type", "function");
        var function = entry.Object("function") ?? entry;
        return Find(tools, function.RequiredText("name"), function.FullName("name"));
    }

    private static ToolDefinition Find(IReadOnlyList<ToolDefinition> tools, string name, string field) =>
        tools.FirstOrDefault(tool => tool.Name == name)
        ?? throw ApiException.BadField(field, $"{RequestFields.Quote(name)} is not one of the functions in tools");

    private static IReadOnlyList<ToolDefinition> AtLeastOne(IReadOnlyList<ToolDefinition> tools, string field) => tools.Count > 0
        ? tools
        : throw ApiException.BadField(field, "requires a tool call, but tools has no function");
}

/// <summary>The log line about a tool of a type that is not supported.</summary>
internal static partial class SkippedTools
{
    [LoggerMessage(LogLevel.Information, "skipped a tool of type {Type}: only functions are supported")]
    public static partial void Log(ILogger logger, string type);

    [LoggerMessage(LogLevel.Warning, "skipped {Tool}: a tool before it has the same name")]
    public static partial void LogTwice(ILogger logger, string tool);
}
