using System.Globalization;
using System.Net;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>Every field of a request, with values of the wrong type, out of its range or not among its words.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class FieldPropertyTests
{
    private const string Chat = "v1/chat/completions";
    private const string Text = "v1/completions";
    private const string Native = "api/generate";

    private static readonly string[] NoNumbers = ["true", "\"1\"", "[]", "{}", "1e999"];
    private static readonly string[] NoFlags = ["0", "1", "\"true\"", "[]", "{}"];
    private static readonly string[] NoTexts = ["1", "true", "[]", "{}"];

    // Values that are numbers and not allowed: beside both ends of a field's range.
    private static readonly (string Field, string[] Bad)[] Numbers =
    [
        .. SamplingField.All.Where(field => field.Kind is SamplingKind.Number or SamplingKind.Whole).Select(field => (field.Name,
            (string[])[Plain(field.Least - 0.001), Plain(field.Least - 1), Plain(field.Most + 1),
                .. field.Kind == SamplingKind.Whole ? new[] { "1.5" } : []])),
        ("max_tokens", ["-3", "1.5", "3000000000"]), ("seed", ["1.5"]),
    ];

    private static readonly string[] Flags =
        [.. SamplingField.All.Where(field => field.Kind == SamplingKind.Flag).Select(field => field.Name), "stream"];

    private static string Plain(double number) => number.ToString(CultureInfo.InvariantCulture);

    [TestMethod]
    public async Task Each_is_400_and_named_and_nothing_of_it_is_our_fault()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        var count = 0;
        foreach (var route in new[] { Chat, Text, Native })
        {
            foreach (var (field, value) in Cases(route))
            {
                var body = $"{{\"model\":\"talker\",{Rest(route, field)},\"{field}\":{value}}}";
                using var answer = await server.PostAsync(route, body);
                var text = await answer.Content.ReadAsStringAsync();
                Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, $"{route} {body}\n{text}");
                using var json = JsonDocument.Parse(text);
                var error = json.RootElement.GetProperty("error");
                var named = route == Native ? error.GetString()! : error.GetProperty("param").GetString() ?? "";
                Assert.StartsWith(field, named, $"{route} {body}\n{text}");
                count++;
            }
        }

        Assert.IsGreaterThan(400, count);
        Assert.IsFalse(log.Lines.Any(line => line.StartsWith("Error", StringComparison.Ordinal)));
        Assert.AreEqual(0, server.Residency.Resident.Count, "a request that is wrong loads no model");
        await server.AnswerAsync(Chat, $"{{\"model\":\"talker\",{Rest(Chat, "")}}}");
    }

    private static IEnumerable<(string Field, string Value)> Cases(string route)
    {
        foreach (var (field, bad) in Numbers)
        {
            foreach (var value in bad.Concat(NoNumbers))
                yield return (field, value);
        }
        foreach (var field in Flags.Concat(Own(route).Flags))
        {
            foreach (var value in NoFlags)
                yield return (field, value);
        }
        foreach (var (field, values) in Own(route).Others)
        {
            foreach (var value in values)
                yield return (field, value);
        }
        foreach (var value in new[] { "1", "{}", "[1]", "[null]", $"[{string.Join(',', Enumerable.Repeat("\"a\"", 1025))}]" })
        {
            foreach (var field in SamplingField.All.Where(field => field.Kind == SamplingKind.Texts))
                yield return (field.Name, value);
        }
        foreach (var value in new[] { "1", "\"a\"", "{\"a\":1}", "{\"5\":\"x\"}", "[[1]]", "[1]", "{\"-1\":1}" })
            yield return ("logit_bias", value);
        foreach (var value in new[] { "1", "{}", "[1]", "[{}]", "[{\"id\":-1}]", "[{\"id\":\"a\"}]",
            "[{\"id\":0,\"name\":\"a\"}]", "[{\"name\":1}]", "[{\"id\":0,\"scale\":\"1\"}]", "[{\"id\":0,\"scale\":101}]" })
        {
            yield return ("lora", value);
        }

        foreach (var value in NoTexts.Append("\"root = x\"").Append("\"x\""))
            yield return ("grammar", value);
    }

    private static (string[] Flags, (string Field, string[] Values)[] Others) Own(string route) => route switch
    {
        Chat => (["parallel_tool_calls", "logprobs", "enable_thinking", "continue_final_message", "return_tokens", "timings_per_token"],
        [
            ("n", ["0", "129", "1.5", "\"2\""]), ("top_logprobs", ["21", "-1", "\"2\"", "2.5"]), ("max_completion_tokens", ["-3", "\"5\""]),
            ("reasoning_effort", ["\"huge\"", "1", "{}"]), ("tool_choice", ["\"always\"", "1", "{\"type\":\"function\"}"]),
                ("tools", ["{}", "\"x\"", "[1]", "[{\"type\":\"function\"}]"]),
            ("response_format",
                ["\"json\"", "{\"type\":\"yaml\"}", "{}", "{\"type\":\"json_schema\"}",
                    "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{\"type\":\"odd\"}}}"]),
            ("chat_template_kwargs", ["1", "[]", "\"a\""]), ("stream_options", ["1", "[]"]),
                ("modalities", ["[\"audio\"]"]), ("audio", ["{\"voice\":\"a\"}"]),
            ("messages",
                ["1", "{}", "[]", "[1]", "[{}]", "[{\"role\":\"king\",\"content\":\"a\"}]",
                    "[{\"role\":\"user\",\"content\":7}]", "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]"]),
        ]),
        Text => (["echo", "return_tokens", "timings_per_token"],
        [
            ("n", ["0", "129", "\"1\""]), ("logprobs", ["21", "-1", "true", "\"1\""]), ("suffix", ["1", "[]"]), ("best_of", ["2", "\"1\""]),
            ("prompt", ["1", "{}", "[]", "[1.5]", "[-1]", "[\"a\",1]"]),
        ]),
        _ => ([], [("prompt", ["1", "[]", "{}"]), ("system", NoTexts)]),
    };

    private static string Rest(string route, string field) => (route, field) switch
    {
        (Chat, "messages") => "\"user\":\"u\"",
        (Chat, "top_logprobs") => "\"logprobs\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]",
        (Chat, _) => "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]",
        (_, "prompt") => "\"max_tokens\":1",
        _ => "\"prompt\":\"a\"",
    };
}
