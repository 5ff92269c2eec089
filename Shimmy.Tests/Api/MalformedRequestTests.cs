using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>
/// Damaged requests: whatever comes in, the answer is right, or an error that the client made, in its dialect, and the server lives.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class MalformedRequestTests
{
    private static readonly (string Route, string Body)[] Seeds =
    [
        ("v1/chat/completions",
            """{"model":"talker","messages":[{"role":"system","content":"é\u00e9"},{"role":"user","content":[{"type":"text","text":"hi 😀"}]}],"max_tokens":3,"temperature":0.5,"stop":["x","yz"],"logit_bias":{"5":-1},"seed":7,"n":1,"tools":[]}"""),
        ("v1/chat/completions",
            """{"model":"talker","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi","name":"me"}],"response_format":{"type":"text"},"tool_choice":"none"}"""),
        ("v1/responses",
            """{"model":"talker","store":false,"instructions":"é","input":[{"role":"user","content":[{"type":"input_text","text":"hi 😀"}]},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"t"}]},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"x"}],"tools":[{"type":"web_search"}],"text":{"format":{"type":"text"}},"reasoning":{"effort":"low"}}"""),
        ("v1/responses",
            """{"model":"talker","stream":true,"input":"hi","max_output_tokens":2,"include":["reasoning.encrypted_content"],"metadata":{"a":"b"},"tool_choice":"auto"}"""),
        ("v1/completions",
            """{"model":"talker","prompt":["a","b \n c"],"max_tokens":2,"top_k":5,"top_p":0.9,"logit_bias":[[1,false],[2,1.5]],"echo":false}"""),
        ("v1/completions",
            """{"model":"talker","prompt":[[1,2,3],[4]],"stream":true,"dry_sequence_breakers":["\n"],"mirostat":0,"grammar":"root ::= [a-z]+"}"""),
        ("api/generate",
            """{"model":"talker","prompt":"hi \ud83d\ude00","system":"s","max_tokens":2,"repeat_penalty":1.1,"stream":false}"""),
        ("api/generate",
            """{"model":"talker","messages":[{"role":"assistant","content":"hi"}],"stream":true,"min_p":0.1,"cache_prompt":true}"""),
    ];

    [TestMethod]
    public async Task Thousands_of_damaged_requests_get_an_answer_or_an_error_of_their_own()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        var (right, wrong) = (0, 0);
        await Parallel.ForEachAsync(Enumerable.Range(0, 6000), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (round, _) =>
        {
            var random = new Random(round);
            var (route, body) = Seeds[round % Seeds.Length];
            var damaged = Damage.Request(Encoding.UTF8.GetBytes(body), random);
            var status = await CheckAsync(server, route, damaged, worst: 499);
            Interlocked.Increment(ref status == 200 ? ref right : ref wrong);
        });

        Assert.IsGreaterThan(300, right, "some damage should be harmless");
        Assert.IsGreaterThan(2000, wrong, "some damage should do harm");
        Assert.IsFalse(log.Lines.Any(line => line.StartsWith("Error", StringComparison.Ordinal)),
            log.Lines.FirstOrDefault(line => line.StartsWith("Error", StringComparison.Ordinal)));
        using var health = JsonDocument.Parse(await server.Client.GetStringAsync("health"));
        Assert.AreEqual("ok", health.RootElement.GetProperty("status").GetString());
        Assert.IsTrue(server.Residency.Resident.All(model => model.Requests == 0));
    }

    /// <summary>Sends a body and holds the answer against what is documented; gives the status.</summary>
    internal static async Task<int> CheckAsync(ServerFixture server, string route, byte[] body, int worst)
    {
        using var answer = await server.Client.PostAsync(route, new ByteArrayContent(body));
        var text = await answer.Content.ReadAsStringAsync();
        var what = $"{route} {Encoding.UTF8.GetString(body)}\n→ {(int)answer.StatusCode} {text}";
        var status = (int)answer.StatusCode;
        if (status == 200)
        {
            var stream = answer.Content.Headers.ContentType!.MediaType == "text/event-stream";
            Assert.IsTrue(stream
                ? text.EndsWith(route is "api/generate" or "v1/responses" ? "}}\n\n" : "data: [DONE]\n\n", StringComparison.Ordinal)
                : text.EndsWith('}'), what);
            Assert.DoesNotContain("{\"error\"", text, what);
            return status;
        }
        Assert.IsInRange(400, worst, status, what);
        using var json = JsonDocument.Parse(text);
        var error = json.RootElement.GetProperty("error");
        Assert.IsTrue(answer.Headers.Contains("x-request-id"), what);
        if (route == "api/generate")
        {
            Assert.AreNotEqual("", error.GetString(), what);
            return status;
        }
        Assert.AreEqual("message type param code", string.Join(' ', error.EnumerateObject().Select(property => property.Name)), what);
        Assert.AreNotEqual("", error.GetProperty("message").GetString(), what);
        Assert.AreEqual(status == 404 ? "not_found_error" : "invalid_request_error", error.GetProperty("type").GetString(), what);
        return status;
    }
}

/// <summary>Damages a JSON request: its bytes, its end, or a value put in place of another.</summary>
internal static class Damage
{
    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "-0", "-1", "1", "1.5", "1e999", "-1e999", "1e-999",
            "2147483648", "123456789012345678901234567890", "\"\"", "\"text\"",
        "\"\\u0000\"", "\"\\ud800\"", "\"\uFEFF\"", "[]", "[[]]", "[null]", "[0]", "[\"a\"]",
            "{}", "{\"a\":1}", "{\"\\udfff\":1}", "{\"a\":1,\"a\":2}",
        new string('[', 70) + new string(']', 70), '"' + new string('x', 20_000) + '"',
            '[' + string.Join(',', Enumerable.Repeat("1", 2000)) + ']',
    ];

    public static byte[] Request(byte[] body, Random random)
    {
        switch (random.Next(4))
        {
            case 0:
                return JsonFuzz.Mutate(body, random);
            case 1:
                return body[..random.Next(body.Length)];
            default:
                var damaged = body;
                for (var count = random.Next(1, 3); count > 0; count--)
                    damaged = Swap(damaged, random);
                return damaged;
        }
    }

    // One value, a whole object or array included, becomes another; sometimes one of the request itself.
    private static byte[] Swap(byte[] json, Random random)
    {
        List<(int Start, int End)> values;
        try
        {
            values = ValuesOf(json);
        }
        catch (JsonException)
        {
            // An earlier swap was no JSON.
            return json;
        }
        var (start, end) = values[random.Next(values.Count)];
        var (otherStart, otherEnd) = values[random.Next(values.Count)];
        var other = random.Next(5) == 0 ? json[otherStart..otherEnd] : Encoding.UTF8.GetBytes(Values[random.Next(Values.Length)]);
        return [.. json[..start], .. other, .. json[end..]];
    }

    private static List<(int Start, int End)> ValuesOf(byte[] json)
    {
        var values = new List<(int, int)>();
        var open = new Stack<int>();
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 200 });
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.StartObject or JsonTokenType.StartArray:
                    open.Push((int)reader.TokenStartIndex);
                    break;
                case JsonTokenType.EndObject or JsonTokenType.EndArray:
                    values.Add((open.Pop(), (int)reader.BytesConsumed));
                    break;
                case JsonTokenType.PropertyName:
                    break;
                default:
                    values.Add(((int)reader.TokenStartIndex, (int)reader.BytesConsumed));
                    break;
            }
        }
        return values;
    }
}
