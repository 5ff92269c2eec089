using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Shimmy.Api;
using Shimmy.Engine;

namespace Shimmy.Tests.Soak.Fuzz;

/// <summary>
/// One field after another of valid requests with every value that clients' generators emit by mistake: null, empty lists and objects,
/// halves of surrogate pairs, numbers and texts where others belong. HTTP stays whole, and the body stays JSON.
/// </summary>
internal static class FieldDamage
{
    private const string Mark = "@@";

    private static readonly string[] Values =
    [
        "null", "[]", "{}", "\"\"", "\"\\ud83d\"", "\"a\\udc00b\"", "[\"\\ud83d\"]", "{\"\\ud83d\":\"\\udc00\"}",
        "true", "false", "0", "-1", "1.5", "1e308", "9223372036854775808", "[null]",
        "[[]]", "[{}]", "{\"\":null}", "{\"type\":null}", "\"\\u0000\"", "\"{{ x }}\"",
        "[1,\"a\",null,{}]",
    ];

    private static readonly string[] MoreNames =
    [
        "model", "messages", "prompt", "input", "tools", "tool_choice", "parallel_tool_calls", "n", "n_cmpl", "stream", "stream_options",
        "logprobs", "top_logprobs", "n_probs", "echo", "suffix", "best_of", "response_format", "json_schema", "grammar", "format",
        "guided_json", "guided_choice", "guided_grammar", "structured_outputs", "reasoning", "reasoning_effort", "reasoning_format",
        "reasoning_control", "reasoning_budget", "reasoning_budget_tokens", "thinking", "thinking_budget", "think", "enable_thinking",
        "chat_template_kwargs", "continue_final_message", "add_generation_prompt", "samplers", "min_keep", "id_slot", "cache_prompt",
        "return_progress", "return_tokens", "timings_per_token", "verbose", "post_sampling_probs", "response_fields", "sse_ping_interval",
        "t_max_prompt_ms", "t_max_predict_ms", "n_keep", "n_discard", "lora", "encoding_format", "dimensions", "truncate",
        "embd_normalize", "documents", "texts", "query", "top_n", "return_documents", "return_text", "raw_scores",
        "system", "stop_sequences", "output_config",
        "output_format", "text", "include", "instructions", "previous_response_id", "conversation", "truncation", "max_tool_calls",
        "background", "options", "raw", "template", "context", "images", "keep_alive", "timeout", "priority", "content", "tokens",
        "with_pieces", "add_special", "parse_special", "input_prefix", "input_suffix", "input_extra", "id", "action", "conversation_ids",
        "source", "destination", "name", "file", "language", "chunking_strategy", "timestamp_granularities[]", "audio", "modalities", "",
        "\ud83d\ude00",
    ];

    /// <summary>The names that every request gets, one at a time: those of all dialects.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        .. SamplingField.All.SelectMany(field => (string[])[field.Name, field.OtherName ?? field.Name]).Concat(TokenLimit.Names)
            .Concat(UnreadFields.Hints).Concat(MoreNames).Distinct(StringComparer.Ordinal),
    ];

    /// <summary>How many requests it takes to try every value at every place of a seed.</summary>
    public static int CountOf(FuzzSeed seed) => (PlacesIn(seed).Count + Names.Count) * Values.Length;

    /// <summary>The request of a number below <see cref="CountOf"/>; of others, three damages at random places.</summary>
    public static FuzzCase At(FuzzSeed seed, int number, Random random)
    {
        var root = (JsonObject)JsonNode.Parse(seed.Body)!;
        var singles = number < CountOf(seed);
        for (var i = singles ? 1 : 3; i > 0; i--)
        {
            var places = new List<(JsonNode Parent, string? Name, int Index)>();
            JsonDamage.Collect(root, places);
            var at = singles ? number / Values.Length : random.Next(places.Count + Names.Count);
            var which = singles ? number % Values.Length : random.Next(Values.Length);
            JsonNode value = Mark + which.ToString(CultureInfo.InvariantCulture) + Mark;
            if (at >= places.Count)
                root[Names[at - places.Count]] = value;
            else if (places[at].Name is { } name)
                places[at].Parent[name] = value;
            else
                places[at].Parent[places[at].Index] = value;
        }
        var text = root.ToJsonString();
        for (var i = 0; i < Values.Length; i++)
            text = text.Replace($"\"{Mark}{i}{Mark}\"", Values[i], StringComparison.Ordinal);
        var body = seed.Encoded(Encoding.UTF8.GetBytes(text));
        var head = $"{seed.Method} {seed.Path} HTTP/1.1\r\nHost: localhost\r\n{seed.ContentType}"
            + $"Content-Length: {body.Length}\r\n\r\n";
        return new FuzzCase(seed.Path, [.. Encoding.ASCII.GetBytes(head), .. body], Framed: true, Manner.Plain);
    }

    private static List<(JsonNode Parent, string? Name, int Index)> PlacesIn(FuzzSeed seed)
    {
        var places = new List<(JsonNode Parent, string? Name, int Index)>();
        JsonDamage.Collect(JsonNode.Parse(seed.Body), places);
        return places;
    }
}
