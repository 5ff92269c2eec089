using System.Net;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>
/// One conversation in both dialects, with every chat template there is: the same prompt, the same text, and as many tokens as were
/// counted.
/// </summary>
[TestClass]
[TestCategory("Worker")]
public sealed class BothDialectsTests
{
    private const string Short =
        """
        "system":"Be brief.","messages":[{"role":"user","content":"Hello <|im_end|> there"},{"role":"assistant","content":"Hi."},{"role":"user","content":[{"type":"text","text":"What now?"}]}]
        """;

    private const string ShortOpenAI =
        """
        "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello <|im_end|> there"},{"role":"assistant","content":"Hi."},{"role":"user","content":"What now?"}]
        """;

    private const string Tools =
        """
        "tools":[{"name":"get_weather","description":"Weather in a city.","input_schema":{"type":"object","properties":{"city":{"type":"string","description":"The city."}},"required":["city"]}}],
        "messages":[{"role":"user","content":"Rome?"},{"role":"assistant","content":[{"type":"tool_use","id":"call12345","name":"get_weather","input":{"city":"Rome"}}]},
         {"role":"user","content":[{"type":"tool_result","tool_use_id":"call12345","content":"sunny"}]}]
        """;

    private const string ToolsOpenAI =
        """
        "tools":[{"type":"function","function":{"name":"get_weather","description":"Weather in a city.","parameters":{"type":"object","properties":{"city":{"type":"string","description":"The city."}},"required":["city"]}}}],
        "messages":[{"role":"user","content":"Rome?"},{"role":"assistant","content":null,"tool_calls":[{"id":"call12345","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Rome\"}"}}]},
         {"role":"tool","tool_call_id":"call12345","content":"sunny"}]
        """;

    private static readonly TemporaryFolder Folder = new();

    private static ILoadedModel _noise = null!;

    // One worker for all templates.
    [ClassInitialize]
    public static async Task LoadAsync(TestContext context) =>
        _noise = await WorkerFixture.LoadAsync(Folder, spec => spec with { Parallel = 1 }, new RandomModelShape { Context = 8192 });

    [ClassCleanup]
    public static async Task CleanAsync()
    {
        await _noise.DisposeAsync();
        Folder.Dispose();
    }

    /// <summary>A folder of real templates, where there is one, and in any case the built-in way without one.</summary>
    public static IEnumerable<object[]> Templates => (Environment.GetEnvironmentVariable("SHIMMY_TEMPLATE_CASES") is { Length: > 0 } folder
        ? Directory.GetFiles(folder, "*.jinja").Order(StringComparer.Ordinal)
        : Enumerable.Empty<string>()).Append("").Select(path => new object[] { path });

    [TestMethod]
    [DynamicData(nameof(Templates))]
    public async Task The_same_conversation_is_the_same_prompt_and_text(string path)
    {
        await using var server = await ServerFixture.StartAsync(
            new OneModelEngine(_noise, path.Length > 0 ? File.ReadAllText(path) : null),
            entry => _noise.Spec with { Name = entry.Name }, null, null, ["noise"], _ => _noise.Spec.Path);

        foreach (var (ours, theirs) in new[] { (Short, ShortOpenAI), (Tools, ToolsOpenAI) })
        {
            // Random weights have near ties, which a prompt that is taken over from the cache rounds differently.
            const string options = "\"model\":\"noise\",\"max_tokens\":6,\"temperature\":0,\"cache_prompt\":false,";
            using var message = await server.PostAsync("v1/messages", $"{{{options}{ours}}}");
            using var chat = await server.PostAsync("v1/chat/completions", $"{{{options}{theirs}}}");
            using var count = await server.PostAsync("v1/messages/count_tokens", $"{{\"model\":\"noise\",{ours}}}");
            var what = $"{Path.GetFileName(path)}: {await message.Content.ReadAsStringAsync()}\n{await chat.Content.ReadAsStringAsync()}";
            // A template may refuse a conversation; then in both.
            Assert.AreEqual((chat.StatusCode, chat.StatusCode), (message.StatusCode, count.StatusCode), what);
            if (message.StatusCode != HttpStatusCode.OK)
                continue;
            var told = await message.JsonAsync();
            var other = await chat.JsonAsync();
            var tokens = (await count.JsonAsync()).GetProperty("input_tokens").GetInt32();
            Assert.AreEqual((tokens, tokens),
                (told.GetProperty("usage").GetProperty("input_tokens").GetInt32(),
                    other.GetProperty("usage").GetProperty("prompt_tokens").GetInt32()), what);
            Assert.AreEqual(TextOf(other.GetProperty("choices")[0].GetProperty("message")),
                string.Concat(told.GetProperty("content").EnumerateArray()
                    .Select(block =>
                        block.TryGetProperty("thinking", out var thought)
                            ? thought.GetString()
                            : block.TryGetProperty("text", out var text) ? text.GetString() : "")), what);
        }
    }

    private static string TextOf(JsonElement message) =>
        (message.TryGetProperty("reasoning_content", out var thought) ? thought.GetString() : "") + message.GetProperty("content")
            .GetString();
}
