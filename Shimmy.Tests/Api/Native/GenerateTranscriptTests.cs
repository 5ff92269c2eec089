using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Native;

/// <summary><c>/api/generate</c> byte by byte.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class GenerateTranscriptTests
{
    private const string Route = "api/generate";

    private const string Tail =
        """
        "usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6,"cached_tokens":0},"finish_reason":"stop","seed":5,"timings":{"queue_ms":0,"prefill_ms":0,"decode_ms":0}}
        """;

    [TestMethod]
    public async Task full_response()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.PostAsync(Route, """{"model":"talker","prompt":"who are you","seed":5}""");

        Assert.AreEqual("application/json", answer.Content.Headers.ContentType!.ToString());
        Assert.AreEqual($$"""{"response":"I am talker","model":"talker",{{Tail}}""", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task sse_streaming()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.PostAsync(Route, """{"model":"talker","prompt":"who are you","seed":5,"stream":true}""");

        Assert.AreEqual("text/event-stream; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        Assert.AreEqual(
            $$"""
            data: {"token":"I"}

            data: {"token":" am"}

            data: {"token":" talker"}

            data: {"done":true,"model":"talker",{{Tail}}


            """, await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task on_token_stream()
    {
        // Each token is sent when it is there: the next is not generated before the client has this one.
        using var token = new SemaphoreSlim(1);
        var engine = new ScriptedEngine { BeforeToken = token.WaitAsync };
        await using var server = await ServerFixture.StartAsync(engine);
        using var answer = await server.OpenAsync(Route, """{"model":"talker","prompt":"?","stream":true}""");
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync());

        foreach (var expected in new[] { "I", " am", " talker" })
        {
            Assert.AreEqual($$"""data: {"token":"{{expected}}"}""", await reader.ReadLineAsync());
            Assert.AreEqual("", await reader.ReadLineAsync());
            token.Release();
        }
        Assert.StartsWith("data: {\"done\":true", await reader.ReadLineAsync());
    }

    [TestMethod]
    public async Task A_prompt_goes_as_it_is_and_a_system_text_makes_it_a_conversation()
    {
        GenerationRequest? seen = null;
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                seen = request;
                return ["ok"];
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);

        await server.AnswerAsync(Route, """{"model":"talker","prompt":"<s>as is"}""");
        Assert.AreEqual(new PromptPart("<s>as is", ParseSpecial: true), seen!.Prompt.Parts.Single());
        // The defaults of the native dialect.
        Assert.AreEqual((256, 0.7f, 0.9f, 40, 1.1f),
            (seen.Options.MaxTokens!.Value, seen.Options.Temperature, seen.Options.TopP, seen.Options.TopK, seen.Options.RepeatPenalty));
        Assert.IsNull(seen.Options.Seed);

        await server.AnswerAsync(Route, """{"model":"talker","system":"rules","prompt":"q"}""");
        var prompt = string.Concat(seen.Prompt.Parts.Select(part => part.Text));
        await server.AnswerAsync(Route,
            """{"model":"talker","messages":[{"role":"system","content":"rules"},{"role":"user","content":"q"}]}""");
        Assert.AreEqual("rules<|end_of_turn|>GPT4 Correct User: q<|end_of_turn|>GPT4 Correct Assistant:", prompt);
        Assert.AreEqual(prompt, string.Concat(seen.Prompt.Parts.Select(part => part.Text)));
    }

    [TestMethod]
    public async Task Health_tells_the_models_and_which_are_loaded()
    {
        await using var server = await ServerFixture.StartAsync(models: ["talker", "other"]);
        await server.AnswerAsync(Route, """{"model":"talker","prompt":"load"}""");
        using var health = JsonDocument.Parse(await server.Client.GetStringAsync("health"));

        var root = health.RootElement;
        Assert.AreEqual(("ok", "shimmy"), (root.GetProperty("status").GetString(), root.GetProperty("service").GetString()));
        Assert.AreEqual("""{"total":2,"discovered":0,"manual":2,"loaded":1}""", root.GetProperty("models").GetRawText());
        Assert.AreEqual("""{"openai":true,"anthropic":true,"ollama":true,"cors":true}""", root.GetProperty("compatibility").GetRawText());
        Assert.IsInRange(DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow, root.GetProperty("timestamp").GetDateTimeOffset());
        Assert.IsInRange(0, 60, root.GetProperty("uptime_seconds").GetDouble());
        Assert.IsNotEmpty(root.GetProperty("version").GetString()!);
    }
}
