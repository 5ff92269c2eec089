using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Ollama;

/// <summary>Whatever comes to Ollama's routes, the answer is right, or an error that the client made, in Ollama's form.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class OllamaMalformedTests
{
    private static readonly (string Route, string Body)[] Seeds =
    [
        ("api/chat",
            """{"model":"talker","messages":[{"role":"system","content":"é\u00e9"},{"role":"user","content":"hi 😀","images":[]}],"format":"json","think":"low","keep_alive":"5m","options":{"num_predict":3,"temperature":0.5,"stop":["x"],"num_ctx":32,"seed":7},"tools":[]}"""),
        ("api/chat",
            """{"model":"talker","stream":false,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"","thinking":"t","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","tool_name":"f","content":"b"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}}],"logprobs":false,"top_logprobs":2}"""),
        ("api/generate",
            """{"model":"talker","prompt":"hi \ud83d\ude00","system":"s","template":"{{ .System }} {{ .Prompt }}","context":[0],"raw":false,"stream":false,"options":{"num_predict":2}}"""),
        ("api/generate",
            """{"model":"talker","prompt":"hi","raw":true,"format":{"type":"object"},"images":[],"options":{"num_gpu":1,"use_mmap":true}}"""),
        ("api/embed", """{"model":"talker","input":["a","b \n c"],"truncate":true,"dimensions":1,"options":{"num_thread":1}}"""),
        ("api/embeddings", """{"model":"talker","prompt":"a","keep_alive":60}"""),
        ("api/show", """{"model":"talker","verbose":true,"options":{}}"""),
        ("api/copy", """{"source":"talker","destination":"other"}"""),
    ];

    [TestMethod]
    public async Task Thousands_of_damaged_requests_get_an_answer_or_an_error_of_their_own()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Ollama = ("--ollama", "0") }, loggers: log);
        using var client = new HttpClient { BaseAddress = server.Server.OllamaAddress };
        var (right, wrong) = (0, 0);
        await Parallel.ForEachAsync(Enumerable.Range(0, 3000), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (round, _) =>
        {
            var random = new Random(round);
            var (route, seed) = Seeds[round % Seeds.Length];
            var body = Damage.Request(Encoding.UTF8.GetBytes(seed), random);
            using var answer = await client.PostAsync(route, new ByteArrayContent(body), CancellationToken.None);
            var text = await answer.Content.ReadAsStringAsync(CancellationToken.None);
            var what = $"{route} {Encoding.UTF8.GetString(body)}\n→ {(int)answer.StatusCode} {text}";
            if (answer.StatusCode == HttpStatusCode.OK)
            {
                Interlocked.Increment(ref right);
                Assert.IsTrue(route == "api/copy" ? text.Length == 0 : text.TrimEnd().EndsWith('}'), what);
                Assert.DoesNotContain("{\"error\"", text, what);
                return;
            }
            Interlocked.Increment(ref wrong);
            Assert.IsInRange(400, 499, (int)answer.StatusCode, what);
            var error = JsonElement.Parse(text);
            Assert.HasCount(1, error.EnumerateObject().ToList(), what);
            Assert.AreNotEqual("", error.GetProperty("error").GetString(), what);
        });

        Assert.IsGreaterThan(200, right, "some damage should be harmless");
        Assert.IsGreaterThan(1000, wrong, "some damage should do harm");
        Assert.IsFalse(log.Lines.Any(line => line.StartsWith("Error", StringComparison.Ordinal)),
            log.Lines.FirstOrDefault(line => line.StartsWith("Error", StringComparison.Ordinal)));
        Assert.IsTrue(server.Residency.Resident.All(model => model.Requests == 0));
    }

    [TestMethod]
    public async Task A_field_or_option_that_is_wrong_is_named_and_loads_no_model()
    {
        await using var server = await ServerFixture.StartAsync();
        var count = 0;
        foreach (var (route, rest) in new[] { ("api/chat", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"),
            ("api/generate", "\"prompt\":\"a\",\"context\":[]") })
        {
            foreach (var (field, value) in Fields().Concat(route == "api/generate" ? OfGenerate() : OfChat()))
            {
                var kept = field is "messages" or "prompt" or "context" ? "\"raw\":false" : rest;
                await RefusedAsync(server, route, $"{{\"model\":\"talker\",{kept},\"{field}\":{value}}}", field);
                count++;
            }
            foreach (var (option, value) in Options())
            {
                await RefusedAsync(server, route, $"{{\"model\":\"talker\",{rest},\"options\":{{\"{option}\":{value}}}}}",
                    $"options.{option}");
                count++;
            }
        }
        Assert.IsGreaterThan(200, count);
        Assert.HasCount(0, server.Residency.Resident);
    }

    private static async Task RefusedAsync(ServerFixture server, string route, string body, string field)
    {
        using var answer = await server.PostAsync(route, body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, $"{route} {body}\n{text}");
        StringAssert.StartsWith(JsonElement.Parse(text).GetProperty("error").GetString(), field, $"{route} {body}\n{text}");
    }

    private static IEnumerable<(string, string)> Fields() =>
    [
        .. Each("stream", "1", "\"no\"", "[]"), .. Each("keep_alive", "true", "\"soon\"", "[]"), .. Each("options", "1", "[]", "\"a\""),
        .. Each("think", "1", "\"much\"", "{}"), .. Each("format", "1", "\"xml\"", "[]"), .. Each("logprobs", "1", "\"yes\""),
        .. Each("top_logprobs", "21", "-1", "1.5", "\"2\""), .. Each("truncate", "1", "{}"), .. Each("shift", "\"a\""),
    ];

    private static IEnumerable<(string, string)> OfChat() =>
    [
        .. Each("messages", "1", "{}", "[1]", "[{}]", "[{\"role\":\"king\",\"content\":\"a\"}]", "[{\"role\":\"user\",\"content\":7}]",
            "[{\"role\":\"user\",\"content\":\"a\",\"images\":7}]", "[{\"role\":\"user\",\"content\":\"a\",\"images\":[\"_\"]}]"),
        .. Each("tools", "{}", "[1]", "[{\"type\":\"function\"}]"), .. Each("tool_choice", "\"always\"", "1"),
    ];

    private static IEnumerable<(string, string)> OfGenerate() =>
    [
        .. Each("prompt", "1", "[]"), .. Each("system", "1"), .. Each("template", "{}"), .. Each("suffix", "[]"), .. Each("raw", "1"),
        .. Each("images", "{}", "[1]", "[\"_\"]"), .. Each("context", "{}", "[-1]", "[1.5]"),
    ];

    private static IEnumerable<(string, string)> Options() =>
    [
        .. SamplingField.All.Where(field => field.Kind is SamplingKind.Number or SamplingKind.Whole)
            .SelectMany(field => Each(field.Name, "true", "\"1\"", "[]", "1e999")),
        .. Each("seed", "1.5", "{}"), .. Each("stop", "1", "[1]"), .. Each("num_ctx", "-1", "\"a\"", "1.5"),
            .. Each("num_predict", "-3", "\"a\""),
        .. Each("num_gpu", "-2", "true"), .. Each("main_gpu", "-1"), .. Each("use_mmap", "1"),
            .. Each("num_thread", "-1", "1000"), .. Each("num_batch", "-1"),
    ];

    private static IEnumerable<(string, string)> Each(string name, params string[] values) => values.Select(value => (name, value));
}
