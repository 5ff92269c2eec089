using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary><c>POST /v1/messages</c> and its <c>count_tokens</c>, read and checked (Anthropic's API reference).</summary>
/// <param name="Request">The conversation.</param>
/// <param name="Stream">Whether the answer is streamed.</param>
/// <param name="Caches">Whether the client asked for prompt caching anywhere: its usage is then told by what the prefix cache did.</param>
internal sealed record MessagesRequestBody(ChatRequest Request, bool Stream, bool Caches)
{
    // Anthropic's own least budget.
    private const int LeastBudget = 1024;

    private static readonly string[] Cacheable = ["system", "messages", "tools"];

    private SamplingPatch Sampling { get; init; } = SamplingPatch.None;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    /// <param name="fields">The body.</param>
    /// <param name="logger">Learns what was left out.</param>
    /// <param name="counts">Whether the tokens are only counted: nothing is generated, and no limit is needed.</param>
    public static MessagesRequestBody Read(RequestFields fields, ILogger? logger, bool counts)
    {
        var messages = AnthropicMessages.Read(fields, logger);
        var tools = AnthropicTools.Read(fields, logger);
        int? most = counts ? null : fields.Whole("max_tokens", 1, int.MaxValue)
            ?? throw ApiException.BadField("max_tokens", "is missing; a whole number of at least 1 is required",
                "missing_required_parameter");
        fields.Number("temperature", 0, 1);
        fields.Object("metadata")?.Text("user_id");
        fields.Choice("service_tier", "auto", "standard_only");
        fields.Refuse("mcp_servers", "MCP servers are not supported",
            value => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0);
        fields.Refuse("container", "containers are not supported");
        var (thinks, budget) = Thinking(fields, most);
        var effort = Effort(fields);
        var arguments = new Dictionary<string, JsonElement>();
        if (effort is not null)
            arguments["reasoning_effort"] = JsonElement.Parse($"\"{effort}\"");
        var request = new ChatRequest
        {
            Messages = messages,
            Tools = tools.Tools,
            ToolChoice = tools.Choice,
            ParallelToolCalls = tools.Parallel,
            EnableThinking = thinks,
            ThinkingBudget = budget,
            TemplateArguments = arguments,
            Grammar = Format(fields),
            // Anthropic: an assistant's message at the end is the beginning of the answer.
            ContinueFinalMessage = messages is [.., { Role: "assistant", ToolCalls.Count: 0 }],
        };
        return new MessagesRequestBody(request, fields.Flag("stream") ?? false, Caching(fields))
        {
            Sampling = SamplingFields.Read(fields) with { MaxTokens = most, Stop = Stops(fields) ?? [] },
        };
    }

    /// <summary>The request with its sampling fields laid over the model's defaults.</summary>
    public MessagesRequestBody WithDefaultsOf(ModelFacts facts) => this with
    {
        Request = Request with { Options = Sampling.Over(SamplingPatch.DefaultsOf(facts)) },
    };

    private static List<string>? Stops(RequestFields fields) => fields.List("stop_sequences")?.Select((one, i) =>
    {
        var text = RequestFields.TextOf(one, $"stop_sequences[{i}]");
        return string.IsNullOrWhiteSpace(text)
            ? throw ApiException.BadField($"stop_sequences[{i}]", "must be more than white space")
            : text;
    }).ToList();

    private static (bool? Thinks, int? Budget) Thinking(RequestFields fields, int? most)
    {
        if (fields.Object("thinking") is not { } thinking)
            return (null, null);
        switch (thinking.Choice("type", "enabled", "disabled", "adaptive"))
        {
            case "disabled":
                return (false, null);
            case "adaptive":
                return (true, null);
            case "enabled":
                var budget = thinking.Whole("budget_tokens", LeastBudget, int.MaxValue)
                    ?? throw ApiException.BadField("thinking.budget_tokens",
                        $"is missing; a whole number of at least {LeastBudget} is required");
                return most <= budget
                    ? throw ApiException.BadField("thinking.budget_tokens", $"must be less than max_tokens ({most}), not {budget}")
                    : (true, budget);
            default:
                throw ApiException.BadField("thinking.type", "is missing; 'enabled', 'disabled' or 'adaptive' is required");
        }
    }

    private static string? Effort(RequestFields fields) =>
        fields.Object("output_config")?.Choice("effort", "low", "medium", "high", "xhigh", "max") switch
        {
            "xhigh" or "max" =>
            "high",
            var effort => effort
        };

    private static Grammar? Format(RequestFields fields)
    {
        var format = fields.Object("output_config")?.Object("format") ?? fields.Object("output_format");
        if (format is null)
            return null;
        format.Choice("type", "json_schema");
        var schema = format.Find("schema") ?? throw ApiException.BadField(format.FullName("schema"), "is missing; an object is required");
        return ConstraintFields.Compile(schema, format.FullName("schema"), strict: false);
    }

    private static bool Caching(RequestFields fields) => fields.Has("cache_control")
        || Cacheable.Any(name => fields.Find(name) is { } value && Holds(value));

    // Wherever a block or a tool may stand, a breakpoint may.
    private static bool Holds(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => value.EnumerateArray().Any(Holds),
        JsonValueKind.Object => (value.TryGetProperty("cache_control", out var control) && control.ValueKind == JsonValueKind.Object)
            || (value.TryGetProperty("content", out var content) && Holds(content)),
        _ => false,
    };
}
