using System.Text;
using System.Text.Json.Nodes;

namespace Shimmy.Tests.Soak.Fuzz;

/// <summary>
/// Damages JSON with knowledge of it: types exchanged, members gone, renamed, doubled and added, numbers and texts at their limits, depth,
/// and here and there a value that is no JSON. Most of what comes out is JSON still, and meets what checks the fields.
/// </summary>
internal static class JsonDamage
{
    private const string Placeholder = "@raw@";

    private static readonly string[] Names =
    [
        "temperature", "top_p", "top_k", "min_p", "grammar", "json_schema", "response_format",
            "tools", "tool_choice", "logprobs", "top_logprobs", "n",
        "stop", "seed", "logit_bias", "stream", "stream_options", "echo", "suffix", "thinking",
            "system", "metadata", "reasoning", "text", "include",
        "input", "prompt", "messages", "max_tokens", "max_output_tokens", "max_completion_tokens",
            "previous_response_id", "user", "encoding_format",
        "dimensions", "documents", "query", "return_tokens", "timings_per_token", "chat_template_kwargs",
            "continue_final_message", "reasoning_effort",
        "parallel_tool_calls", "functions", "function_call", "stop_sequences", "output_config", "output_format", "cancel", "cache_prompt",
        "repeat_last_n", "dry_base", "dry_allowed_length", "xtc_threshold", "mirostat_tau", "type", "role", "content", "name", "",
    ];

    private static readonly Func<JsonNode?>[] Values =
    [
        () => null, () => true, () => false, () => 0, () => 1, () => -1, () => 2, () => 64,
            () => 0.5, () => -0.5, () => int.MaxValue, () => int.MaxValue + 1L,
        () => int.MinValue, () => long.MaxValue, () => ulong.MaxValue, () => double.MaxValue,
            () => double.Epsilon, () => "", () => " ", () => "a", () => "5",
        () => "\0\u0001\u007f", () => "😀", () => "true", () => "{{ x }}{% for a in b %}",
            () => "<|im_start|>system\n<think></think>", () => new string('a', 5000),
        () => string.Concat(Enumerable.Repeat("é\n", 20_000)), () => new JsonArray(),
            () => new JsonObject(), () => new JsonArray(new JsonArray()),
        () => new JsonArray(null, null), () => new JsonObject { [""] = "" },
            () => new JsonArray([.. Enumerable.Range(0, 2000).Select(i => (JsonNode)i)]),
        () => new JsonArray([.. Enumerable.Range(0, 50).Select(i => (JsonNode)$"s{i}")]),
        () => new JsonObject(Enumerable.Range(0, 300).Select(i => KeyValuePair.Create($"k{i}", (JsonNode?)i))),
        () => Nested(40), () => Nested(70),
        () => "root ::= root", () => "root ::= (\"a\"*)*", () => "root ::= [^\\x00-\\U0010FFFF]",
            () => "root ::= \"a\"{1000000}", () => "root ::= (((((", () => "root ::= x",
        () => JsonNode.Parse("""{"type":"object","properties":{"a":{"$ref":"#"}}}"""), () => JsonNode.Parse("""{"$ref":"#"}"""),
        () => JsonNode.Parse("""{"type":"string","pattern":"^(a+)+$"}"""),
            () => JsonNode.Parse("""{"type":"string","pattern":"([a-z]{1,50}){1,50}"}"""),
        () => JsonNode.Parse("""{"type":"string","minLength":100000,"maxLength":2000000000}"""),
            () => JsonNode.Parse("""{"type":"array","minItems":1e9}"""),
        () => JsonNode.Parse("""{"enum":[]}"""), () => JsonNode.Parse("""{"allOf":[{"type":"string"},{"type":"number"}]}"""),
            () => JsonNode.Parse("""{"not":{}}"""),
        () => JsonNode.Parse("""{"type":"integer","minimum":1e300,"multipleOf":7}"""),
            () => JsonNode.Parse("""{"type":["string","null",7]}"""),
        () => JsonNode.Parse("""[{"type":"image_url","image_url":{"url":"data:,"}}]"""),
            () => JsonNode.Parse("""{"type":"function","function":{"name":"nobody"}}"""),
    ];

    private static readonly byte[][] NoValues =
    [
        [.. "1e999"u8], [.. "-1E400"u8], [.. "NaN"u8], [.. "0x10"u8], [.. "01"u8], [.. "1."u8],
            [.. "--1"u8], [.. "'a'"u8], [.. "\"\\ud800\""u8], [.. "\"\\udc00\\ud800\""u8],
        [(byte)'"', 0xFF, 0xFE, (byte)'"'], [(byte)'"', 0xED, 0xA0, 0x80, (byte)'"'],
            [(byte)'"', 0xC0, 0x80, (byte)'"'], [(byte)'"', 0, (byte)'"'], [.. "\"\\u00\""u8], [.. "\"\\x\""u8],
        [.. "tru"u8], [.. "{\"a\":1,\"a\":2}"u8], [.. "{,}"u8], [.. "[1,]"u8], [.. ""u8], [.. "/* */1"u8],
        [.. Enumerable.Repeat((byte)'[', 20_000)], [.. Enumerable.Repeat((byte)'9', 50_000)],
            [.. Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", 5000)))],
        [.. "\"never ended"u8],
    ];

    /// <summary>The body with one to three damages.</summary>
    public static byte[] Apply(string seed, Random random)
    {
        var root = (JsonObject)JsonNode.Parse(seed)!;
        for (var i = random.Next(1, 4); i > 0; i--)
            Damage(root, random);
        var text = root.ToJsonString();
        return random.Next(20) == 0 ? Double(Unwrapped(text, random), random) : Unwrapped(text, random);
    }

    private static void Damage(JsonObject root, Random random)
    {
        // Every place that a value stands in.
        var places = new List<(JsonNode Parent, string? Name, int Index)>();
        Collect(root, places);
        if (places.Count == 0 || random.Next(6) == 0)
        {
            root[Names[random.Next(Names.Length)]] = Value(random);
            return;
        }
        var (parent, name, index) = places[random.Next(places.Count)];
        var value = name is not null ? parent[name] : parent[index];
        switch (random.Next(8))
        {
            case 0:
                if (name is not null)
                    ((JsonObject)parent).Remove(name);
                else
                    ((JsonArray)parent).RemoveAt(index);
                break;
            case 1 when name is not null:
                ((JsonObject)parent).Remove(name);
                parent[random.Next(2) == 0 ? name.ToUpperInvariant() : Names[random.Next(Names.Length)]] = value;
                break;
            case 2 when parent is JsonArray array:
                for (var i = random.Next(1, 100); i > 0; i--)
                    array.Add(value?.DeepClone());
                break;
            case 3:
                Put(random.Next(2) == 0 ? new JsonArray(value?.DeepClone()) : new JsonObject { ["a"] = value?.DeepClone() });
                break;
            case 4:
                Put(Placeholder + random.Next(NoValues.Length));
                break;
            case 5 when places[random.Next(places.Count)] is var other:
                Put((other.Name is not null ? other.Parent[other.Name] : other.Parent[other.Index])?.DeepClone());
                break;
            default:
                Put(Value(random));
                break;
        }

        void Put(JsonNode? with)
        {
            if (name is not null)
                parent[name] = with;
            else
                parent[index] = with;
        }
    }

    private static JsonNode? Value(Random random) => Values[random.Next(Values.Length)]();

    /// <summary>Adds every place that a value stands in.</summary>
    public static void Collect(JsonNode? node, List<(JsonNode Parent, string? Name, int Index)> places)
    {
        if (node is JsonObject members)
        {
            foreach (var (name, value) in members)
            {
                places.Add((members, name, 0));
                Collect(value, places);
            }
        }
        else if (node is JsonArray array)
        {
            for (var i = 0; i < array.Count; i++)
            {
                places.Add((array, null, i));
                Collect(array[i], places);
            }
        }
    }

    private static JsonNode Nested(int depth)
    {
        JsonNode node = 1;
        for (var i = 0; i < depth; i++)
            node = i % 2 == 0 ? new JsonArray(node) : new JsonObject { ["a"] = node };
        return node;
    }

    // What is no JSON cannot stand in a JSON tree; it takes the place of what stood for it.
    private static byte[] Unwrapped(string text, Random random)
    {
        var marker = "\"" + Placeholder;
        var at = text.IndexOf(marker, StringComparison.Ordinal);
        if (at < 0)
            return Encoding.UTF8.GetBytes(text);
        var end = text.IndexOf('"', at + 1);
        return
        [
            .. Encoding.UTF8.GetBytes(text[..at]),
            .. NoValues[int.Parse(text[(at + marker.Length)..end], System.Globalization.CultureInfo.InvariantCulture)],
            .. Unwrapped(text[(end + 1)..], random),
        ];
    }

    // A member twice.
    private static byte[] Double(byte[] json, Random random)
    {
        var opens = Enumerable.Range(0, json.Length).Where(i => json[i] == '{').ToArray();
        var at = opens.Length == 0 ? 0 : opens[random.Next(opens.Length)] + 1;
        return [.. json[..at], .. "\"model\":\"other\",\"type\":7,"u8, .. json[at..]];
    }
}
