using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Api.OpenAI.Responses;

/// <summary>What the tests of <c>/v1/responses</c> share: a model that thinks and calls tools, and the rules of a stream.</summary>
internal static partial class ResponseEvents
{
    public const string Weather =
        """{"type":"function","name":"weather","description":"The weather.","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]},"strict":false}""";

    // Shows tools, thoughts, calls and results, in the form of the Qwen family.
    private const string Template =
        "{% if tools %}<|im_start|>tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
        + "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
        + "{% if m.content == 'bad' %}{{ raise_exception('nothing bad is said here') }}{% endif %}"
        + "{% if m.content %}{{ m.content }}{% endif %}{% if m.tool_calls %}{% for c in m.tool_calls %}{{ '\\n<tool_call>\\n' }}"
        + "{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{% if tail %}{{ tail | tojson }}{% endif %}";

    /// <summary>
    /// A model that answers each request with the next of these texts, cut into pieces; <paramref name="seen"/> gets the requests.
    /// </summary>
    public static ScriptedEngine Thinker(List<GenerationRequest> seen, params string[] answers) => new()
    {
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = spec.Name,
            ContextLength = 4096,
            Slots = 4,
            ChatTemplates = new Dictionary<string, string> { ["default"] = Template },
        },
        Answer = (_, request) =>
        {
            seen.Add(request);
            return answers[Math.Min(seen.Count, answers.Length) - 1].Chunk(7).Select(piece => new string(piece));
        },
    };

    /// <summary>The prompt as text.</summary>
    public static string Text(this GenerationRequest request) => string.Concat(request.Prompt.Parts.Select(part => part.Text));

    /// <summary>Ids by the order in which they come, and no time.</summary>
    public static string Normal(string answer)
    {
        var ids = new Dictionary<string, string>();
        answer = Id().Replace(answer, match =>
        {
            if (!ids.TryGetValue(match.Value, out var name))
            {
                ids[match.Value] = name = match.Groups[1].Value
                    + (ids.Keys.Count(id => id.StartsWith(match.Groups[1].Value, StringComparison.Ordinal)) + 1);
            }

            return name;
        });
        return Created().Replace(answer, "\"created_at\":0");
    }

    /// <summary>The events of a stream, which must keep OpenAI's order and agree with themselves.</summary>
    public static List<JsonElement> Read(string stream)
    {
        Assert.EndsWith("\n\n", stream);
        var events = new List<JsonElement>();
        foreach (var block in stream[..^2].Split("\n\n"))
        {
            var lines = block.Split('\n');
            Assert.HasCount(2, lines, block);
            using var document = JsonDocument.Parse(lines[1]["data: ".Length..]);
            var occurred = document.RootElement.Clone();
            Assert.AreEqual("event: " + occurred.Type(), lines[0]);
            Assert.AreEqual(events.Count, occurred.GetProperty("sequence_number").GetInt32());
            events.Add(occurred);
        }
        Check(events);
        return events;
    }

    public static string Type(this JsonElement occurred) => occurred.GetProperty("type").GetString()!;

    private static void Check(List<JsonElement> events)
    {
        Assert.AreEqual(("response.created", "response.in_progress"), (events[0].Type(), events[1].Type()));
        Assert.AreEqual("in_progress", events[0].GetProperty("response").GetProperty("status").GetString());
        string? open = null;
        var text = new StringBuilder();
        var done = new List<string>();
        foreach (var occurred in events.Skip(2).SkipLast(1))
        {
            if (occurred.Type() == "error")
                continue;
            Assert.AreEqual(done.Count, occurred.GetProperty("output_index").GetInt32());
            if (occurred.TryGetProperty("content_index", out var content))
                Assert.AreEqual(0, content.GetInt32());
            switch (occurred.Type())
            {
                case "response.output_item.added":
                    Assert.IsNull(open);
                    open = occurred.GetProperty("item").GetProperty("id").GetString();
                    text.Clear();
                    continue;
                case "response.output_item.done":
                    Assert.AreEqual(open, occurred.GetProperty("item").GetProperty("id").GetString());
                    done.Add(occurred.GetProperty("item").GetRawText());
                    open = null;
                    continue;
            }
            Assert.AreEqual(open, occurred.GetProperty("item_id").GetString());
            if (occurred.Type().EndsWith(".delta", StringComparison.Ordinal))
                text.Append(occurred.GetProperty("delta").GetString());
            else if (occurred.TryGetProperty("text", out var whole) || occurred.TryGetProperty("arguments", out whole))
                Assert.AreEqual(text.ToString(), whole.GetString());
        }
        Assert.IsNull(open);
        var last = events[^1].GetProperty("response");
        Assert.AreEqual(events[0].GetProperty("response").GetProperty("id").GetString(), last.GetProperty("id").GetString());
        CollectionAssert.AreEqual(done, last.GetProperty("output").EnumerateArray().Select(item => item.GetRawText()).ToArray());
    }

    [GeneratedRegex("(resp_|msg_|rs_|fc_|call_|fco_)[0-9a-f]{24}")]
    private static partial Regex Id();

    [GeneratedRegex("\"created_at\":[0-9]+")]
    private static partial Regex Created();
}
