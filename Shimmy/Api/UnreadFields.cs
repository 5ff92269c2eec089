using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// The fields of requests for an answer that no reader asks for, in any dialect. What would change the answer and cannot be honoured is
/// refused by name; a hint is accepted without effect (docs/fields.md lists them); what nobody knows is left out with a line in the log.
/// </summary>
internal static partial class UnreadFields
{
    private const int MostNamed = 10;

    /// <summary>Hints: fields about billing, storage, speed or the client itself, which a local answer does not depend on.</summary>
    public static IReadOnlyList<string> Hints { get; } =
    [
        // Who asks, and where it is kept.
        "user", "user_id", "metadata", "safety_identifier", "store", "session_id", "conversation_id", "chat_id", "request_id", "trace",
        "extra_headers", "extra_body", "extra_query",
        // Other servers' caches, queues and routing.
        "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "cache_control", "service_tier", "inference_geo", "speed",
        "provider", "providers", "models", "route", "transforms", "plugins", "id_slot", "slot_id", "n_cache_reuse", "t_max_predict_ms",
        "t_max_prompt_ms", "anthropic_version", "anthropic_beta", "betas", "context_management", "stream_interval",
        // How an answer is worded, sped up or shown.
        "verbosity", "prediction", "web_search_options", "moderation", "include_reasoning", "stream_reasoning", "reasoning_summary",
        "tool_stream", "samplers", "guided_decoding_backend", "spaces_between_special_tokens", "response_fields", "return_progress",
        // Read where a dialect has them; elsewhere they say nothing.
        "stream_options", "include", "max_tool_calls", "parallel_tool_calls", "drop_params", "num_retries", "timeout_ms",
    ];

    // Each with the reason, and with what value it asks for nothing.
    private static readonly (string Name, string Reason, Func<JsonElement, bool> Harmless)[] Refused =
    [
        ("min_tokens", "the least length of an answer cannot be set; ignore_eos goes on past the end", IsZero),
        ("n_keep", "nothing is ever cut from a prompt", IsZero),
        ("truncate", "a prompt is never cut; one that does not fit is refused", IsFalse),
        ("truncate_prompt_tokens", "a prompt is never cut; one that does not fit is refused", Never),
        ("truncation", "a prompt is never cut; one that does not fit is refused", value => IsText(value, "disabled")),
        ("guided_regex", "regular expressions are not supported; use guided_choice, guided_json or grammar", IsEmpty),
        ("regex", "regular expressions are not supported; use json_schema or grammar", IsEmpty),
        ("ebnf", "is not supported; llama.cpp's grammars are: use grammar", IsEmpty),
        ("guided_whitespace_pattern", "is not supported", IsEmpty),
        ("structural_tag", "is not supported; use grammar", IsEmpty),
        ("bad_words", "is not supported; ban tokens with logit_bias", IsEmpty),
        ("allowed_token_ids", "is not supported; use grammar", IsEmpty),
        ("stop_token_ids", "is not supported; use stop", IsEmpty),
        ("best_of", "only the value of n is supported", IsOne),
        ("num_beams", "only 1 is supported", IsOne),
        ("length_penalty", "beam search is not supported", IsOne),
        ("early_stopping", "beam search is not supported", IsFalse),
        ("functions", "functions are not supported; use tools", IsEmpty),
        ("function_call", "functions are not supported; use tool_choice", value => IsText(value, "none") || IsText(value, "auto")),
        ("audio", "audio is not supported", IsEmpty),
        ("modalities", "only text is supported", value => value.ValueKind == JsonValueKind.Array
            && value.EnumerateArray().All(item => IsText(item, "text"))),
        ("images", "stand in the messages, as parts of their content", IsEmpty),
        ("chat_template", "a template is given to the server (--template), not to a request", IsEmpty),
        ("documents", "are not supported; put them into a message", IsEmpty),
        ("options", "sampling fields stand in the request itself here", IsEmpty),
        ("context", "is not supported; use messages", IsEmpty),
        ("template", "a template is given to the server (--template), not to a request", IsEmpty),
        ("raw", "is not supported; a prompt without system is always raw", IsFalse),
        ("background", "answers are not given in the background here", IsFalse),
        ("mcp_servers", "MCP servers are not supported", IsEmpty),
        ("container", "containers are not supported", IsEmpty),
        ("logits_processors", "are not supported", IsEmpty),
        ("negative_prompt", "is not supported", IsEmpty),
        ("use_beam_search", "beam search is not supported", IsFalse),
        ("add_special_tokens", "the vocabulary decides it", IsTrue),
        ("skip_special_tokens", "special tokens are never part of an answer", IsTrue),
        ("include_stop_str_in_output", "a stop sequence is never part of an answer", IsFalse),
        ("reasoning_format", "reasoning is always returned in a separate field",
            value => IsText(value, "auto") || IsText(value, "deepseek")),
        ("separate_reasoning", "reasoning is always returned in a separate field", IsTrue),
        ("parse_tool_calls", "tool calls are always reported as such", IsTrue),
        ("n_probs", "is not supported; use logprobs", IsZero),
        ("post_sampling_probs", "is not supported; logprobs are those before sampling", IsFalse),
        ("min_keep", "is not supported", value => IsZero(value) || IsOne(value)),
        ("n_discard", "nothing is ever cut from a context", IsZero),
        ("smoothing_factor", "is not supported", IsZero),
        ("top_a", "is not supported; use min_p", IsZero),
        ("tfs_z", "is not supported; use top_p", IsOne),
        ("epsilon_cutoff", "is not supported; use min_p", IsZero),
        ("eta_cutoff", "is not supported; use min_p", IsZero),
        ("no_repeat_ngram_size", "is not supported; use dry_multiplier", IsZero),
        ("encoder_repetition_penalty", "is not supported; use repeat_penalty", IsOne),
        ("penalty_alpha", "is not supported", IsZero),
    ];

    // Fields of generation that some routes have and others not: there they would be lost.
    private static readonly (string Name, string Reason, Func<JsonElement, bool> Harmless)[] OfOtherRoutes =
    [
        ("n", "only 1 is supported by this route", IsOne),
        ("logprobs", "are not reported by this route", value => IsFalse(value) || IsZero(value)),
        ("top_logprobs", "are not reported by this route", IsZero),
        ("tools", "are not supported by this route", IsEmpty),
        ("tool_choice", "is not supported by this route", value => IsText(value, "none") || IsText(value, "auto")),
        ("messages", "are not what this route takes; POST /v1/chat/completions does", IsEmpty),
        ("input", "is not what this route takes; POST /v1/responses does", IsEmpty),
        ("prompt", "is not what this route takes; POST /v1/completions does", IsEmpty),
        ("system", "is not supported by this route; use a message of role system", IsEmpty),
        ("instructions", "is not supported by this route; use a message of role system", IsEmpty),
        ("suffix", "is not supported by this route", IsEmpty),
        ("echo", "is not supported by this route", IsFalse),
        ("previous_response_id", "is not supported by this route; send the whole conversation", Never),
        ("conversation", "is not supported by this route; send the whole conversation", Never),
        ("stop_sequences", "is not supported by this route; use stop", IsEmpty),
        ("return_tokens", "are not reported by this route", IsFalse),
        ("timings_per_token", "are not reported by this route", IsFalse),
        ("continue_final_message", "is not supported by this route", IsFalse),
        ("add_generation_prompt", "is not supported by this route", IsTrue),
        ("enable_thinking", "is not supported by this route", IsFalse),
        ("chat_template_kwargs", "are not supported by this route", IsEmpty),
        ("think", "is not supported by this route", value => IsEmpty(value) || IsText(value, "none")),
        ("thinking", "is not supported by this route", Disabled),
        ("reasoning", "is not supported by this route", IsEmpty),
        ("reasoning_effort", "is not supported by this route", value => IsEmpty(value) || IsText(value, "none")),
        ("text", "is not supported by this route", IsEmpty),
        ("output_config", "is not supported by this route", IsEmpty),
        ("output_format", "is not supported by this route; use response_format", IsEmpty),
    ];

    /// <summary>
    /// Checks what is left when all readers have read. Throws <see cref="ApiException"/> for a field that cannot be honoured.
    /// </summary>
    public static void Check(RequestFields fields, ILogger? logger)
    {
        var left = fields.UnreadNames.Except(ModelRequest.Names).ToList();
        // The best of n answers are all of them.
        if (fields.Find("n") is { } n && fields.Find("best_of") is { } best && JsonElement.DeepEquals(n, best))
            left.Remove("best_of");
        foreach (var (name, reason, harmless) in Refused.Concat(OfOtherRoutes))
        {
            if (left.Remove(name))
                fields.Refuse(name, reason, harmless);
        }

        left.RemoveAll(Hints.Contains);
        if (left.Count > 0 && logger is not null)
            LeftOut(logger, string.Join(", ", left.Take(MostNamed).Select(name => RequestFields.Quote(name))));
    }

    private static bool Never(JsonElement value) => false;

    private static bool IsFalse(JsonElement value) => value.ValueKind == JsonValueKind.False;

    private static bool IsTrue(JsonElement value) => value.ValueKind == JsonValueKind.True;

    private static bool IsZero(JsonElement value) => RequestFields.WholeOf(value) == 0;

    private static bool IsOne(JsonElement value) => RequestFields.WholeOf(value) == 1;

    private static bool IsText(JsonElement value, string text) => value.ValueKind == JsonValueKind.String && value.ValueEquals(text);

    private static bool IsEmpty(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => value.GetPropertyCount() == 0,
        JsonValueKind.String => value.GetString()!.Length == 0,
        var kind => kind == JsonValueKind.False,
    };

    private static bool Disabled(JsonElement value) => IsFalse(value)
        || (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("type", out var type) && IsText(type, "disabled"));

    [LoggerMessage(LogLevel.Information, "left out fields of a request that are not known here: {Names}")]
    private static partial void LeftOut(ILogger logger, string names);
}
