using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>Whether a model thinks, by every word for it, in every dialect, with templates of either default.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ThinkingFieldsTests
{
    private static readonly (string Route, string Ask)[] Routes =
    [
        ("v1/chat/completions", """ "messages":[{"role":"user","content":"?"}] """),
        ("v1/responses", """ "input":"?" """),
        ("v1/messages", """ "max_tokens":8,"messages":[{"role":"user","content":"?"}] """),
        ("api/generate", """ "messages":[{"role":"user","content":"?"}] """),
        ("api/chat", """ "messages":[{"role":"user","content":"?"}] """),
    ];

    [TestMethod]
    [DataRow("\"seed\":1", null)]
    [DataRow("\"reasoning_effort\":\"low\"", true)]
    [DataRow("\"reasoning_effort\":\"minimal\"", true)]
    [DataRow("\"reasoning_effort\":\"none\"", false)]
    [DataRow("\"reasoning_effort\":\"auto\"", null)]
    [DataRow("\"reasoning_effort\":\"default\"", null)]
    [DataRow("\"reasoning_effort\":\"\"", null)]
    [DataRow("\"reasoning_effort\":\"high\",\"enable_thinking\":false", false)]
    [DataRow("\"reasoning_effort\":\"high\",\"think\":false", false)]
    [DataRow("\"reasoning_effort\":\"high\",\"reasoning\":{\"enabled\":false}", false)]
    [DataRow("\"reasoning_effort\":\"high\",\"thinking\":{\"type\":\"disabled\"}", false)]
    [DataRow("\"reasoning\":{\"effort\":\"high\"}", true)]
    [DataRow("\"reasoning\":{\"effort\":\"\"}", null)]
    [DataRow("\"reasoning\":{\"max_tokens\":4}", true)]
    [DataRow("\"reasoning\":{\"max_tokens\":0}", false)]
    [DataRow("\"thinking_budget\":4", true)]
    [DataRow("\"thinking_budget\":-1", null)]
    [DataRow("\"output_config\":{\"effort\":\"high\"}", null)]
    [DataRow("\"think\":\"high\"", true)]
    [DataRow("\"think\":\"none\"", false)]
    [DataRow("\"think\":\"none\",\"reasoning\":{\"enabled\":true}", false)]
    [DataRow("\"think\":\"auto\"", null)]
    [DataRow("\"think\":\"\"", null)]
    public async Task A_model_thinks_where_a_request_asks_for_it_and_as_its_template_has_it_where_none_says(string field, bool? thinks)
    {
        foreach (var isOn in new[] { false, true })
        {
            string? prompt = null;
            await using var server = await ServerFixture.StartAsync(Thinking(isOn, text => prompt = text));
            foreach (var (route, ask) in Routes)
            {
                await server.AnswerAsync(route, $$"""{"model":"talker",{{field}},"stream":false,{{ask}}}""");
                Assert.EndsWith(thinks ?? isOn ? "thinks" : "answers", prompt, $"{route} {field}");
            }
        }
    }

    [TestMethod]
    public async Task To_llama_server_an_effort_is_no_switch()
    {
        string? prompt = null;
        var mode = new LlamaServerMode { IsOn = true, Thinks = false };
        mode.Loading.SetResult();
        await using var server =
            await ServerFixture.StartAsync(Thinking(false, text => prompt = text), new ServerOptions { LlamaServer = mode });
        foreach (var (route, ask) in Routes)
        {
            await server.AnswerAsync(route, $$"""{"reasoning_effort":"high","stream":false,{{ask}}}""");
            Assert.EndsWith("answers", prompt, route);
            await server.AnswerAsync(route, $$"""{"enable_thinking":true,"stream":false,{{ask}}}""");
            Assert.EndsWith("thinks", prompt, route);
        }
    }

    private static ScriptedEngine Thinking(bool isOn, Action<string> asked) => new()
    {
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = spec.Name,
            ContextLength = 64,
            VocabularySize = 1,
            ChatTemplates = new Dictionary<string, string>
            {
                ["default"] = "{% for message in messages %}{{ message.role }}:{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}"
                    + $"{{% if enable_thinking | default({(isOn ? "true" : "false")}) %}}thinks{{% else %}}answers{{% endif %}}{{% endif %}}",
            },
        },
        Answer = (_, request) =>
        {
            asked(ScriptedEngine.Shown(request.Prompt));
            return ["ok"];
        },
    };
}
