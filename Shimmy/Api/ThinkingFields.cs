using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// How much a model is to think. Every API has its own words for it, and each is taken in each dialect: OpenAI's <c>reasoning_effort</c>,
/// <c>enable_thinking</c> and <c>chat_template_kwargs</c> of local servers, <c>thinking</c> as Anthropic and DeepSeek have it,
/// <c>reasoning</c> as OpenRouter has it, Ollama's <c>think</c>. And where the thoughts are reported: llama-server's
/// <c>reasoning_format</c>.
/// </summary>
/// <param name="Enabled">Whether the model should think; null leaves it to the template.</param>
/// <param name="Budget">Most tokens of thinking; null is unlimited.</param>
/// <param name="TemplateArguments">The variables that the request gives to the chat template.</param>
internal sealed record ThinkingFields(bool? Enabled, int? Budget, Dictionary<string, JsonElement> TemplateArguments)
{
    /// <summary>llama-server's words for where the reasoning is reported, for an error.</summary>
    public const string AllowedPlaces = "auto, none, deepseek or deepseek-legacy";

    private const string PlaceField = "reasoning_format";

    private static readonly JsonElement Null = JsonElement.Parse("null");

    /// <summary>Reads the fields; throws <see cref="ApiException"/> naming the one that is wrong.</summary>
    /// <param name="fields">The request.</param>
    /// <param name="most">The most tokens of the answer, of which a budget leaves some; null is unlimited.</param>
    /// <param name="budgeted">Whether thinking that is enabled needs a budget, as Anthropic has it.</param>
    /// <param name="infers">Whether who names an effort or a budget wants thoughts; to llama-server only a switch is one.</param>
    public static ThinkingFields Read(RequestFields fields, int? most, bool budgeted = false, bool infers = true)
    {
        var reasoning = fields.Object("reasoning");
        var (thinks, budget) = OfThinking(fields, most, budgeted);
        var (think, level) = OfThink(fields);
        var wanted = Effort(fields, "reasoning_effort") ?? (reasoning is null ? null : Effort(reasoning, "effort"));
        // Anthropic's effort is of the whole answer, and Claude Code always sends it.
        var effort = wanted ?? (fields.Object("output_config") is { } config ? Effort(config, "effort") : null) ?? level;
        if (reasoning?.Flag("exclude") == true)
            throw ApiException.BadField("reasoning.exclude", "reasoning is always returned in a separate field", "unsupported_value");
        budget ??= (reasoning is null ? null : Tokens(reasoning, "max_tokens")) ?? Tokens(fields, "thinking_budget")
            ?? Tokens(fields, "thinking_budget_tokens") ?? Tokens(fields, "reasoning_budget")
            ?? Tokens(fields, "reasoning_budget_tokens");
        var enabled = fields.Flag("enable_thinking") ?? thinks ?? think ?? reasoning?.Flag("enabled")
            ?? (effort == "none" || budget == 0 ? false
                : infers && (wanted is not null || budget is > 0 and < int.MaxValue) ? true : null);
        return new ThinkingFields(enabled, budget is 0 or int.MaxValue ? null : budget, Arguments(fields, effort));
    }

    /// <summary>The place of the reasoning that one of llama-server's words means; null where it is none of them.</summary>
    public static ReasoningPlace? PlaceOf(string word) => word switch
    {
        "auto" or "deepseek" => ReasoningPlace.Apart,
        "none" => ReasoningPlace.InText,
        "deepseek-legacy" => ReasoningPlace.Both,
        _ => null,
    };

    /// <summary>The field <c>reasoning_format</c>; null where it is absent.</summary>
    public static ReasoningPlace? Place(RequestFields fields) => fields.Text(PlaceField) is { } word
        ? PlaceOf(word)
            ?? throw ApiException.BadField(fields.FullName(PlaceField), $"must be {AllowedPlaces}, not {RequestFields.Quote(word)}")
        : null;

    // The effort that a field names; null where it leaves that to the model. Forms that were not filled in send an empty one.
    private static string? Effort(RequestFields fields, string name) => fields.Text(name) is null or "" ? null
        : fields.Choice(name, "none", "minimal", "low", "medium", "high", "xhigh", "max", "auto", "default") switch
        {
            "auto" or "default" => null,
            // Templates know no more than high.
            "xhigh" or "max" => "high",
            var effort => effort,
        };

    /// <summary>The variables that the request gives to the chat template; those that it gives itself come before the effort.</summary>
    public static Dictionary<string, JsonElement> Arguments(RequestFields fields, string? effort)
    {
        var given = fields.Object("chat_template_kwargs");
        var arguments = given?.Names.ToDictionary(name => name, name => given.Find(name) ?? Null) ?? [];
        if (effort is not null and not "none")
            arguments.TryAdd("reasoning_effort", JsonElement.Parse($"\"{effort}\""));
        return arguments;
    }

    private static (bool? Thinks, int? Budget) OfThinking(RequestFields fields, int? most, bool budgeted)
    {
        if (fields.Find("thinking") is { ValueKind: JsonValueKind.True or JsonValueKind.False } flag)
            return (flag.ValueKind == JsonValueKind.True, null);
        if (fields.Object("thinking") is not { } thinking)
            return (null, null);
        switch (thinking.Choice("type", "enabled", "disabled", "adaptive", "auto"))
        {
            case "disabled":
                return (false, null);
            case "adaptive":
                return (true, null);
            case "auto":
                return (null, null);
            case "enabled":
                var budget = Tokens(thinking, "budget_tokens");
                if (budget is null && budgeted)
                    throw ApiException.BadField("thinking.budget_tokens", "is missing; a whole number is required");
                return most <= budget && budget != int.MaxValue
                    ? throw ApiException.BadField("thinking.budget_tokens", $"must be less than max_tokens ({most}), not {budget}")
                    : (budget == 0 ? false : true, budget);
            default:
                throw ApiException.BadField("thinking.type", "is missing; 'enabled', 'disabled' or 'adaptive' is required");
        }
    }

    private static (bool? Thinks, string? Level) OfThink(RequestFields fields)
    {
        if (fields.Find("think") is not { ValueKind: JsonValueKind.String })
            return (fields.Flag("think"), null);
        var level = Effort(fields, "think");
        return (level is null ? null : level != "none", level);
    }

    // -1 is no limit, as llama-server has it.
    private static int? Tokens(RequestFields fields, string name) =>
        fields.Whole(name, -1, int.MaxValue) is { } tokens ? tokens < 0 ? int.MaxValue : tokens : null;
}
