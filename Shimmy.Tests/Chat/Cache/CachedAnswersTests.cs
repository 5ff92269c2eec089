using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Chat.Cache;

/// <summary>The response cache from outside: who gets an answer that is there already, and what it looks like.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class CachedAnswersTests
{
    private const string Chat = "v1/chat/completions";
    private const string Ask = """{"model":"talker","temperature":0,"max_tokens":9,"messages":[{"role":"user","content":"?"}]}""";

    private int _computed;

    [TestMethod]
    [DataRow("v1/chat/completions", Ask)]
    [DataRow("v1/chat/completions", """{"model":"talker","seed":7,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/chat/completions", """{"model":"talker","seed":7,"n":2,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/chat/completions", """{"model":"talker","seed":7,"n":2,"stream":true,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/chat/completions", """{"model":"talker","temperature":0,"logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/completions", """{"model":"talker","temperature":0,"prompt":"a b"}""")]
    [DataRow("v1/completions", """{"model":"talker","temperature":0,"prompt":["a","b"],"echo":true,"stream":true}""")]
    [DataRow("v1/completions", """{"model":"talker","temperature":0,"prompt":["a","b"],"logprobs":1,"echo":true}""")]
    [DataRow("v1/messages", """{"model":"talker","temperature":0,"max_tokens":9,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/messages", """{"model":"talker","temperature":0,"max_tokens":9,"stream":true,"stop_sequences":[" talk"],"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/responses", """{"model":"talker","temperature":0,"input":"?"}""")]
    [DataRow("v1/responses", """{"model":"talker","temperature":0,"input":"?","stream":true}""")]
    [DataRow("api/generate", """{"model":"talker","seed":1,"prompt":"?"}""")]
    [DataRow("api/generate", """{"model":"talker","seed":1,"messages":[{"role":"user","content":"?"}],"stream":true}""")]
    public async Task The_second_time_an_answer_comes_as_it_came_the_first_time(string path, string body)
    {
        await using var server = await ServerFixture.StartAsync(Engine());
        var (first, cold) = await AskAsync(server, path, body);
        var computed = _computed;
        var (second, warm) = await AskAsync(server, path, body);

        Assert.AreEqual(("miss", "hit"), (first, second));
        Assert.AreEqual(computed, _computed);
        // Events and their pieces, usage, timings, seed: all but ids and times.
        Assert.AreEqual(Normal(cold), Normal(warm));
        Assert.Contains("am", warm);
    }

    [TestMethod]
    public async Task A_question_of_one_dialect_is_answered_in_all()
    {
        await using var server = await ServerFixture.StartAsync(Engine());
        var (first, _) =
            await AskAsync(server, Chat,
                """{"model":"talker","temperature":0,"max_completion_tokens":9,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"?"}]}""");
        var (second, message) =
            await AskAsync(server, "v1/messages",
                """{"model":"talker","temperature":0,"max_tokens":9,"system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":"?"}]}]}""");
        var (third, stream) =
            await AskAsync(server, "v1/messages",
                """{"model":"talker","temperature":0,"max_tokens":9,"stream":true,"system":"Be brief.","messages":[{"role":"user","content":"?"}]}""");

        Assert.AreEqual(("miss", "hit", "hit"), (first, second, third));
        Assert.AreEqual(1, _computed);
        Assert.Contains("I am talker", message);
        Assert.Contains("\"text\":\" talker\"", stream);
    }

    [TestMethod]
    public async Task Thoughts_within_a_budget_and_calls_come_again()
    {
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                _computed++;
                return request.Prompt.Parts.Any(part => part.Text.Contains("</think>", StringComparison.Ordinal))
                    ? ["So.", "<tool_call>\n{\"name\": \"f\", \"arguments\": ", "{\"x\": 1}}\n</tool_call>"]
                    : Enumerable.Repeat(" hm", 5000).Prepend("<think>");
            },
            Facts = _ =>
                new ModelFacts
                {
                    Architecture = "s",
                    Description = "",
                    Slots = 1,
                    ContextLength = 10_000,
                    ChatTemplates = new Dictionary<string, string> { ["default"] = ToolTemplates.Thinking }
                },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        const string body =
            """{"model":"talker","temperature":0,"max_tokens":2000,"stream":true,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"?"}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"x":{"type":"integer"}}}}]}""";
        var (first, cold) = await AskAsync(server, "v1/messages", body);
        var computed = _computed;
        var (second, warm) = await AskAsync(server, "v1/messages", body);
        var (other, _) = await AskAsync(server, "v1/messages", body.Replace("1024", "1025", StringComparison.Ordinal));

        Assert.AreEqual(("miss", "hit", "miss"), (first, second, other));
        Assert.AreEqual(2, computed);
        Assert.AreEqual(Normal(cold), Normal(warm));
        Assert.Contains("tool_use", warm);
        Assert.Contains("thinking_delta", warm);
    }

    [TestMethod]
    public async Task What_is_drawn_by_chance_is_drawn_each_time()
    {
        await using var server = await ServerFixture.StartAsync(Engine());
        foreach (var options in new[] { "\"temperature\":1", "\"top_p\":0.5", "\"temperature\":0,\"xtc_probability\":0.5", "\"seed\":-1" })
        {
            for (var i = 0; i < 2; i++)
            {
                Assert.AreEqual("bypass",
                    (await AskAsync(server,
                        Chat, $$"""{"model":"talker",{{options}},"messages":[{"role":"user","content":"?"}]}""")).Cache, options);
            }
        }
        Assert.AreEqual(8, _computed);
    }

    [TestMethod]
    public async Task At_temperature_0_another_seed_has_the_same_answer_and_stays_its_requests_own()
    {
        await using var server = await ServerFixture.StartAsync(Engine());
        const string body = """{"model":"talker","temperature":0,"seed":5,"prompt":"?"}""";
        var (first, cold) = await AskAsync(server, "api/generate", body);
        var (second, warm) = await AskAsync(server, "api/generate", body.Replace("5", "6,\"top_p\":0.5", StringComparison.Ordinal));

        Assert.AreEqual(("miss", "hit"), (first, second));
        Assert.AreEqual(cold.Replace("\"seed\":5", "\"seed\":6", StringComparison.Ordinal), warm);
    }

    [TestMethod]
    public async Task The_client_decides_by_Cache_Control()
    {
        await using var server = await ServerFixture.StartAsync(Engine());

        Assert.AreEqual("bypass", (await AskAsync(server, Chat, Ask, "no-store")).Cache);
        Assert.AreEqual("miss", (await AskAsync(server, Chat, Ask)).Cache);
        Assert.AreEqual("bypass", (await AskAsync(server, Chat, Ask, "max-age=0, No-Store")).Cache);
        Assert.AreEqual("miss", (await AskAsync(server, Chat, Ask, "no-cache")).Cache);
        Assert.AreEqual("hit", (await AskAsync(server, Chat, Ask, "max-stale")).Cache);
        Assert.AreEqual(4, _computed);

        // What no-cache computed is what is kept.
        const string renewed = """{"model":"talker","temperature":0,"max_tokens":9,"messages":[{"role":"user","content":"new?"}]}""";
        Assert.AreEqual("miss", (await AskAsync(server, Chat, renewed, "no-cache")).Cache);
        Assert.AreEqual("hit", (await AskAsync(server, Chat, renewed)).Cache);
    }

    [TestMethod]
    public async Task Nothing_is_kept_where_the_cache_is_off()
    {
        await using var server = await ServerFixture.StartAsync(Engine(), new ServerOptions { ResponseCacheBytes = 0 });

        for (var i = 0; i < 2; i++)
            Assert.AreEqual("bypass", (await AskAsync(server, Chat, Ask)).Cache);
        Assert.AreEqual(2, _computed);
    }

    [TestMethod]
    public async Task An_answer_that_is_too_large_is_given_and_not_kept()
    {
        await using var server = await ServerFixture.StartAsync(Engine(), new ServerOptions { ResponseCacheBytes = 1000 });

        for (var i = 0; i < 2; i++)
        {
            var (cache, body) = await AskAsync(server, Chat, Ask);
            Assert.AreEqual("miss", cache);
            Assert.Contains("I am talker", body);
        }
    }

    [TestMethod]
    public async Task Other_models_and_options_have_other_answers()
    {
        await using var server = await ServerFixture.StartAsync(Engine(), models: ["talker", "other"]);
        foreach (var body in new[]
        {
            Ask, Ask.Replace("talker", "other", StringComparison.Ordinal), Ask.Replace("9", "2", StringComparison.Ordinal),
            Ask.Replace("?", "!", StringComparison.Ordinal), Ask.Replace("\"temperature\":0", "\"seed\":0", StringComparison.Ordinal),
        })
        {
            Assert.AreEqual("miss", (await AskAsync(server, Chat, body)).Cache, body);
        }

        Assert.AreEqual(5, _computed);
    }

    [TestMethod]
    public async Task What_failed_or_was_left_is_not_kept()
    {
        var (fails, waits, begun) = (true, false, new TaskCompletionSource());
        var tokens = 0;
        var engine = Engine();
        engine.BeforeToken = async cancellation =>
        {
            if (++tokens % 3 == 2 && fails)
                throw new EngineException(EngineFailure.GenerationFailed, "no luck");
            if (tokens % 3 != 2 || !waits)
                return;
            begun.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancellation);
        };
        await using var server = await ServerFixture.StartAsync(engine);

        using (var failed = await server.PostAsync(Chat, Ask))
        {
            Assert.AreEqual(HttpStatusCode.BadGateway, failed.StatusCode);
            Assert.IsFalse(failed.Headers.Contains("x-shimmy-cache"));
        }
        (fails, waits, tokens) = (false, true, 0);
        using var leave = new CancellationTokenSource();
        var left = server.OpenAsync(Chat, Ask.Insert(1, "\"stream\":true,"), leave.Token);
        await begun.Task;
        (await left).Dispose();
        await Poll.UntilAsync(() => server.Residency.Resident.Single().Requests == 0, "the request has left the model");
        (waits, tokens) = (false, 0);

        Assert.AreEqual("miss", (await AskAsync(server, Chat, Ask)).Cache);
        Assert.AreEqual("hit", (await AskAsync(server, Chat, Ask)).Cache);
    }

    [TestMethod]
    public async Task Of_several_answers_the_header_tells_the_worst()
    {
        await using var server = await ServerFixture.StartAsync(Engine());
        const string body = """{"model":"talker","temperature":0,"prompt":["a","b"]}""";
        await AskAsync(server, "v1/completions", body.Replace("[\"a\",\"b\"]", "\"a\"", StringComparison.Ordinal));

        Assert.AreEqual("miss", (await AskAsync(server, "v1/completions", body.Insert(1, "\"stream\":true,"))).Cache);
        Assert.AreEqual(2, _computed);
        Assert.AreEqual("hit", (await AskAsync(server, "v1/completions", body)).Cache);
    }

    [TestMethod]
    public async Task A_socket_has_its_answers_from_the_cache_too()
    {
        await using var server = await ServerFixture.StartAsync(Engine());
        const string body = """{"model":"talker","seed":1,"prompt":"?"}""";
        var (_, answer) = await AskAsync(server, "api/generate", body);
        using var socket = await server.ConnectAsync();

        await socket.SendAsync(body);
        var frames = await socket.AnswerAsync();

        Assert.AreEqual(1, _computed);
        CollectionAssert.AreEqual(new[] { "I", " am", " talker" }, frames.SkipLast(1)
            .Select(frame => JsonDocument.Parse(frame).RootElement.GetProperty("token").GetString()).ToArray());
        Assert.Contains("I am talker", answer);
    }

    [TestMethod]
    [DataRow("v1/chat/completions", Ask)]
    [DataRow("v1/completions", """{"model":"talker","temperature":0,"prompt":"a b"}""")]
    [DataRow("v1/messages", """{"model":"talker","temperature":0,"max_tokens":9,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/responses", """{"model":"talker","temperature":0,"input":"?"}""")]
    [DataRow("api/generate", """{"model":"talker","seed":1,"prompt":"?"}""")]
    public async Task No_client_gets_what_another_key_has_asked_for(string path, string body)
    {
        await using var server = await WithKeysAsync(Engine(), sharesAmongClients: false);

        Assert.AreEqual("miss", (await AskAsync(server, path, body, key: "a")).Cache);
        Assert.AreEqual("miss", (await AskAsync(server, path, body, key: "b")).Cache);
        Assert.AreEqual(2, _computed);
        Assert.AreEqual("hit", (await AskAsync(server, path, body, key: "a")).Cache);
        Assert.AreEqual("hit", (await AskAsync(server, path, body, key: "b")).Cache);
    }

    [TestMethod]
    public async Task No_client_waits_for_what_is_computed_for_another_key()
    {
        var (begun, goes) = (new SemaphoreSlim(0), new TaskCompletionSource());
        var engine = Engine();
        engine.BeforeToken = async cancellation =>
        {
            begun.Release();
            await goes.Task.WaitAsync(cancellation);
        };
        await using var server = await WithKeysAsync(engine, sharesAmongClients: false);
        var one = AskAsync(server, Chat, Ask, key: "a");
        Assert.IsTrue(await begun.WaitAsync(TimeSpan.FromSeconds(30)));

        var other = AskAsync(server, Chat, Ask, key: "b");

        Assert.IsTrue(await begun.WaitAsync(TimeSpan.FromSeconds(30)), "the second key's request is computed on its own");
        goes.SetResult();
        Assert.AreEqual(("miss", "miss"), ((await one).Cache, (await other).Cache));
        Assert.AreEqual(2, _computed);
    }

    [TestMethod]
    public async Task Clients_share_answers_where_they_share_prefixes()
    {
        await using var server = await WithKeysAsync(Engine(), sharesAmongClients: true);

        Assert.AreEqual("miss", (await AskAsync(server, Chat, Ask, key: "a")).Cache);
        Assert.AreEqual("hit", (await AskAsync(server, Chat, Ask, key: "b")).Cache);
        Assert.AreEqual(1, _computed);
    }

    private static Task<ServerFixture> WithKeysAsync(ScriptedEngine engine, bool sharesAmongClients) => ServerFixture.StartAsync(engine,
        entry => new ModelSpec { Name = entry.Name, Path = entry.Path, ContextLength = 64, ShareAmongClients = sharesAmongClients },
        new ServerOptions { Keys = ApiKeyFile.Read(["a", "b"]) }, null, ["talker"], name => $"/nowhere/{name}.gguf");

    private static async Task<(string? Cache, string Body)> AskAsync(
        ServerFixture server, string path, string body, string? control = null, string? key = null)
    {
        using var request =
            new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        if (key is not null)
            request.Headers.Add("Authorization", "Bearer " + key);
        if (control is not null)
            request.Headers.TryAddWithoutValidation("Cache-Control", control);
        using var answer = await server.Client.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.IsTrue(answer.IsSuccessStatusCode, text);
        return (answer.Headers.TryGetValues("x-shimmy-cache", out var values) ? string.Join(',', values) : null, text);
    }

    // A stream of several choices may bring them in any order.
    private static string Normal(string body) =>
        string.Join('\n', Time().Replace(Id().Replace(body, "ID"), "$1:0").Split('\n').Order(StringComparer.Ordinal));

    [GeneratedRegex("(chatcmpl-|[a-z]+_|cmpl-)[0-9a-f]{16,}")]
    private static partial Regex Id();

    [GeneratedRegex("(\"(?:created|created_at|completed_at)\"):[0-9.]+")]
    private static partial Regex Time();

    private ScriptedEngine Engine() => new()
    {
        Answer = (spec, _) =>
        {
            Interlocked.Increment(ref _computed);
            return ["I", " am", " " + spec.Name];
        },
    };
}
