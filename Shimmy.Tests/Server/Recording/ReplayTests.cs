using System.Net;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server.Recording;

/// <summary>One server records, another answers from what it wrote.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ReplayTests
{
    private const string Key = "sk-0123456789-secret-key";

    private static readonly (string Path, string Body)[] Requests =
    [
        ("v1/chat/completions", """{"model":"talker","messages":[{"role":"user","content":"?"}]}"""),
        ("v1/chat/completions", """{"model":"talker","stream":true,"messages":[{"role":"user","content":"?"}]}"""),
        ("v1/chat/completions", """{"model":"nobody","messages":[{"role":"user","content":"?"}]}"""),
        ("v1/chat/completions", """{"model":"talker","temperature":"hot","messages":[{"role":"user","content":"?"}]}"""),
        ("v1/completions", """{"model":"talker","prompt":["a","b"],"echo":true,"stream":true}"""),
        ("v1/messages", """{"model":"talker","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"é?"}]}"""),
        ("v1/messages", """{"model":"talker","messages":[{"role":"user","content":"?"}]}"""),
        ("v1/messages/count_tokens", """{"model":"talker","messages":[{"role":"user","content":"?"}]}"""),
        ("v1/responses", """{"model":"talker","input":"?","stream":true}"""),
        ("v1/embeddings", """{"model":"talker","input":["a","b"]}"""),
        ("api/generate", """{"model":"talker","prompt":"?","stream":true}"""),
        ("tokenize", """{"model":"talker","content":"a b"}"""),
        ("v1/completions", "{"),
        ("v1/nothing", "{}"),
    ];

    [TestMethod]
    public async Task Every_dialects_answers_come_again_byte_for_byte_without_a_model()
    {
        using var folder = new TemporaryFolder();
        var answers = new List<(HttpStatusCode, string?, string)>();
        await using (var server = await ServerFixture.StartAsync(options: new ServerOptions { RecordFile = folder["r.jsonl"] }))
        {
            foreach (var (path, body) in Requests)
                answers.Add(await AskAsync(server, path, body));
        }

        var engine = new ScriptedEngine();
        await using var replay = await ServerFixture.StartAsync(engine, Replays(folder), null, "other");
        foreach (var ((path, body), answer) in Requests.Zip(answers))
            Assert.AreEqual(answer, await AskAsync(replay, path, body), path + " " + body);
        Assert.AreEqual(0, engine.Loads);
        Assert.IsTrue(answers.Count(answer => answer.Item1 == HttpStatusCode.OK) == 9
            && answers.Count(answer => answer.Item1 == HttpStatusCode.NotFound) == 2, string.Join('\n', answers));
    }

    [TestMethod]
    public async Task What_was_answered_several_times_comes_in_that_order_and_then_as_the_last_time()
    {
        using var folder = new TemporaryFolder();
        var words = new Queue<string>(["one", "two", "three"]);
        await using (var server =
            await ServerFixture.StartAsync(new ScriptedEngine { Answer = (_, _) => [words.Dequeue()] },
                new ServerOptions { RecordFile = folder["r.jsonl"] }))
        {
            for (var i = 0; i < 3; i++)
                await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"?","user":"me"}""");
        }

        await using var replay = await ServerFixture.StartAsync(options: Replays(folder));
        foreach (var word in new[] { "one", "two", "three", "three", "three" })
        {
            Assert.Contains($"\"response\":\"{word}\"",
                await replay.AnswerAsync("api/generate", """{"prompt":"?","model":"talker","user":"you"}"""));
        }
    }

    [TestMethod]
    public async Task What_was_not_recorded_is_refused_in_the_dialects_words_or_passed_on()
    {
        using var folder = new TemporaryFolder();
        await using (var server = await ServerFixture.StartAsync(options: new ServerOptions { RecordFile = folder["r.jsonl"] }))
            await server.AnswerAsync(Requests[0].Path, Requests[0].Body);
        var other = Requests[0].Body.Insert(1, "\"seed\":5,").Replace("?", "!", StringComparison.Ordinal);

        await using var fails = await ServerFixture.StartAsync(options: Replays(folder));
        using var missed = await fails.PostAsync("v1/chat/completions", other);
        Assert.AreEqual(HttpStatusCode.NotFound, missed.StatusCode);
        var error = (await missed.JsonAsync()).GetProperty("error");
        Assert.AreEqual("replay_miss", error.GetProperty("code").GetString());
        Assert.Contains("differs in messages, seed; shimmy serve --record FILE records one", error.GetProperty("message").GetString()!);
        using var message =
            await fails.PostAsync("v1/messages", """{"model":"talker","max_tokens":9,"messages":[{"role":"user","content":"?"}]}""");
        Assert.AreEqual("not_found_error", (await message.JsonAsync()).GetProperty("error").GetProperty("type").GetString());

        await using var passes = await ServerFixture.StartAsync(options: Replays(folder) with { ReplayPasses = true });
        Assert.Contains("I am talker", await passes.AnswerAsync("v1/chat/completions", other));
    }

    [TestMethod]
    public async Task What_is_missing_is_recorded_meanwhile_and_there_the_next_time()
    {
        using var folder = new TemporaryFolder();
        var options = Replays(folder) with { ReplayPasses = true, RecordFile = folder["r.jsonl"] };
        var engine = new ScriptedEngine();
        var answers = new List<string>();
        for (var i = 0; i < 3; i++)
        {
            await using var server = await ServerFixture.StartAsync(engine, options);
            answers.Add(await server.AnswerAsync(Requests[0].Path, Requests[0].Body));
        }

        Assert.AreEqual(1, engine.Loads);
        Assert.HasCount(1, answers.Distinct().ToList());
        Assert.HasCount(2, await File.ReadAllLinesAsync(folder["r.jsonl"]));
    }

    [TestMethod]
    public async Task Models_are_those_that_answered_where_no_list_was_recorded()
    {
        using var folder = new TemporaryFolder();
        await using (var server = await ServerFixture.StartAsync(options: new ServerOptions { RecordFile = folder["r.jsonl"] }))
        {
            foreach (var (path, body) in Requests)
                (await server.PostAsync(path, body)).Dispose();
        }
        await using var replay = await ServerFixture.StartAsync(options: Replays(folder), models: ["here"]);

        var list = JsonDocument.Parse(await replay.Client.GetStringAsync("v1/models")).RootElement.GetProperty("data");
        Assert.AreEqual("talker", list.EnumerateArray().Single().GetProperty("id").GetString());

        // What tells of this server is its own.
        Assert.Contains("here", await replay.Client.GetStringAsync("api/models"));
        Assert.Contains("ok", await replay.Client.GetStringAsync("health"));
    }

    [TestMethod]
    public async Task No_key_enters_the_file()
    {
        using var folder = new TemporaryFolder();
        var body = $$"""{"model":"talker","messages":[{"role":"user","content":"My key is {{Key}}."}],"api_key":"{{Key}}"}""";
        var options = new ServerOptions { RecordFile = folder["r.jsonl"], Keys = ApiKeyFile.Read([Key]) };
        var engine = new ScriptedEngine { Answer = (_, _) => ["Yours is ", Key] };
        await using (var server = await ServerFixture.StartAsync(engine, options))
        {
            Assert.AreEqual(HttpStatusCode.OK, await SendAsync(server, "Authorization", "Bearer " + Key));
            Assert.AreEqual(HttpStatusCode.OK, await SendAsync(server, "x-api-key", Key));
            Assert.AreEqual(HttpStatusCode.Unauthorized, await SendAsync(server, "x-api-key", "another-key-0123456789"));
        }

        var file = await File.ReadAllTextAsync(folder["r.jsonl"]);
        Assert.HasCount(3, file.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.DoesNotContain(Key, file);
        Assert.DoesNotContain("another-key", file);
        Assert.Contains("My key is [key].", file);
        await using var replay = await ServerFixture.StartAsync(options: Replays(folder));
        Assert.AreEqual(HttpStatusCode.OK, await SendAsync(replay, "Authorization", "Bearer " + Key));

        async Task<HttpStatusCode> SendAsync(ServerFixture server, string header, string value)
        {
            using var request =
                new HttpRequestMessage(HttpMethod.Post,
                    "v1/chat/completions?api_key=" + Key)
                { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            request.Headers.TryAddWithoutValidation(header, value);
            using var answer = await server.Client.SendAsync(request);
            return answer.StatusCode;
        }
    }

    [TestMethod]
    [DataRow("s3cret", true)]
    [DataRow("sk-0123456789\"quoted\\key", false)]
    public async Task A_key_that_was_let_in_is_blanked_however_short_or_odd_and_its_request_is_found(string key, bool configured)
    {
        using var folder = new TemporaryFolder();
        var quoted = JsonEncodedText.Encode(key).ToString();
        // Once as text, once in JSON inside the text.
        var prompt = JsonEncodedText.Encode($"Mine is {key}, or {quoted}.").ToString();
        var engine = new ScriptedEngine { Answer = (_, _) => ["content ", key] };
        var options = new ServerOptions { RecordFile = folder["r.jsonl"], Keys = configured ? ApiKeyFile.Read([key, "content"]) : [] };
        var answers = new List<string>();
        await using (var server = await ServerFixture.StartAsync(engine, options))
        {
            foreach (var stream in new[] { "false", "true" })
                answers.Add(await SendAsync(server, $$"""{"model":"talker","prompt":"{{prompt}}","stream":{{stream}}}"""));
        }

        var file = await File.ReadAllTextAsync(folder["r.jsonl"]);
        Assert.DoesNotContain(configured ? key : "quoted", file);
        Assert.Contains("Mine is [key], or [key].", file);
        // Only what a text says, and only of the key that came.
        Assert.Contains("\"response\":\"content [key]\"", file);
        await using var replay = await ServerFixture.StartAsync(options: Replays(folder), models: ["other"]);
        foreach (var (answer, stream) in answers.Zip(["", ",\"stream\":true"]))
        {
            Assert.AreEqual(
                answer.Replace(JsonEncodedText.Encode(key, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).ToString(), "[key]",
                    StringComparison.Ordinal), await SendAsync(replay, $$"""{"model":"talker","prompt":"{{prompt}}"{{stream}}}"""));
        }

        async Task<string> SendAsync(ServerFixture server, string body)
        {
            using var request =
                new HttpRequestMessage(HttpMethod.Post,
                    "api/generate?access_token=another-secret&beta=true")
                {
                    Content =
                        new StringContent(body, Encoding.UTF8, "application/json")
                };
            request.Headers.TryAddWithoutValidation("x-api-key", key);
            using var answer = await server.Client.SendAsync(request);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.IsTrue(answer.IsSuccessStatusCode, text);
            return text;
        }
    }

    [TestMethod]
    public async Task Keys_of_tools_and_parameters_that_nobody_knows_stay_out()
    {
        using var folder = new TemporaryFolder();
        const string body =
            """{"model":"talker","input":"?","tools":[{"type":"mcp","server_label":"x","server_url":"https://x/?key=sk-one","headers":{"Authorization":"Bearer sk-two"},"authorization":"sk-three"}]}""";
        await using (var server = await ServerFixture.StartAsync(options: new ServerOptions { RecordFile = folder["r.jsonl"] }))
            await server.AnswerAsync("v1/responses?access_token=sk-four&beta=true", body);

        var file = await File.ReadAllTextAsync(folder["r.jsonl"]);
        Assert.DoesNotContain("sk-", file);
        Assert.Contains("\"request\":\"POST /v1/responses?beta=true\"", file);
        await using var replay = await ServerFixture.StartAsync(options: Replays(folder), models: ["other"]);
        await replay.AnswerAsync("v1/responses?beta=true&access_token=sk-five", body.Replace("sk-two", "sk-six", StringComparison.Ordinal));
    }

    [TestMethod]
    public async Task What_is_of_the_moment_is_not_recorded()
    {
        using var folder = new TemporaryFolder();
        var engine =
            new ScriptedEngine
            {
                Answer = (_, _) =>
                throw new Shimmy.Engine.EngineException(Shimmy.Engine.EngineFailure.WorkerLost, "gone")
            };
        await using (var server = await ServerFixture.StartAsync(engine, new ServerOptions { RecordFile = folder["r.jsonl"] }))
        {
            using var lost = await server.PostAsync("api/generate", """{"model":"talker","prompt":"?"}""");
            Assert.AreEqual(HttpStatusCode.BadGateway, lost.StatusCode);
            using var broken = await server.OpenAsync("api/generate", """{"model":"talker","prompt":"?","stream":true}""");
            await Assert.ThrowsAsync<HttpRequestException>(() => broken.Content.ReadAsStringAsync());
        }

        Assert.AreEqual("", await File.ReadAllTextAsync(folder["r.jsonl"]));
    }

    [TestMethod]
    public async Task A_full_disk_loses_no_answer()
    {
        if (!File.Exists("/dev/full"))
            Assert.Inconclusive("there is no /dev/full here");
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { RecordFile = "/dev/full" }, loggers: log);

        foreach (var (path, body) in Requests.Take(2))
            Assert.Contains("talker", await server.AnswerAsync(path, body));

        Assert.HasCount(1, log.Lines.Where(line => line.StartsWith("Error", StringComparison.Ordinal)).ToList());
        await log.WaitForAsync("requests are answered");
    }

    [TestMethod]
    public async Task A_socket_is_refused_where_it_would_need_a_model_and_works_where_models_are_recorded()
    {
        using var folder = new TemporaryFolder();
        var log = new CapturedLog();
        await using (var server =
            await ServerFixture.StartAsync(options: new ServerOptions { RecordFile = folder["r.jsonl"] }, loggers: log))
        {
            using var socket = await server.ConnectAsync();
            await socket.SendAsync("""{"model":"talker","prompt":"?"}""");
            Assert.HasCount(4, await socket.AnswerAsync());
            await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"?"}""");
        }
        await log.WaitForAsync("is a WebSocket, which is not recorded");

        await using var replay = await ServerFixture.StartAsync(options: Replays(folder));
        using var refused = await replay.Client.GetAsync("ws/generate");
        Assert.AreEqual(HttpStatusCode.NotFound, refused.StatusCode);
        Assert.Contains("holds no WebSockets", await refused.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task The_pieces_of_a_stream_have_their_times()
    {
        using var folder = new TemporaryFolder();
        var engine = new ScriptedEngine { BeforeToken = async cancellation => await Task.Delay(30, cancellation) };
        await using (var server = await ServerFixture.StartAsync(engine, new ServerOptions { RecordFile = folder["r.jsonl"] }))
            await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"?","stream":true}""");

        using var line = JsonDocument.Parse((await File.ReadAllLinesAsync(folder["r.jsonl"]))[1]);
        var pieces = line.RootElement.GetProperty("stream").EnumerateArray().ToArray();
        CollectionAssert.AreEqual(new[] { "I", " am", " talker" }, pieces.SkipLast(1)
            .Select(piece => piece.GetProperty("data").GetProperty("token").GetString()).ToArray());
        var times = pieces.Select(piece => piece.GetProperty("ms").GetDouble()).ToArray();
        Assert.IsGreaterThan(20, times[0]);
        Assert.IsGreaterThan(times[0] + 40, times[2]);
    }

    private static ServerOptions Replays(TemporaryFolder folder) => new() { ReplayFile = folder["r.jsonl"] };

    private static async Task<(HttpStatusCode, string?, string)> AskAsync(ServerFixture server, string path, string body)
    {
        using var answer = await server.PostAsync(path, body);
        return (answer.StatusCode, answer.Content.Headers.ContentType?.ToString(), await answer.Content.ReadAsStringAsync());
    }
}
