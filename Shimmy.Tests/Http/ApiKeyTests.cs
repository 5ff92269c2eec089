using System.Net;
using System.Security.Cryptography;
using System.Text;
using Shimmy.Chat.Output;
using Shimmy.Http;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Http;

/// <summary>Keys: how they are written down, whom they let in, and what each may use.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ApiKeyTests
{
    private const string Ask = """{"model":"talker","prompt":"?"}""";

    [TestMethod]
    public void The_file_that_the_documents_show_is_read()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["keys"], Repository.Block("operations.md", "text"));

        Assert.AreEqual("alice ci", string.Join(' ', ApiKeyFile.Read(["@" + folder["keys"]]).Select(key => key.Name)));
    }

    [TestMethod]
    public async Task A_key_its_hash_and_a_file_of_keys_let_in()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["keys"], $"""
            # who may come
            alice alices-key concurrency=2 tokens_per_minute=1000 rank=5

            bob   {Hash("bobs-key")}
            """);
        var keys = ApiKeyFile.Read(["plain", Hash("hashed"), "@" + folder["keys"]]);
        Assert.AreEqual((2, 1000, 5), (keys[2].Concurrency, keys[2].TokensPerMinute, keys[2].Rank));
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Keys = keys }, loggers: log);

        foreach (var key in (string[])["plain", "hashed", "alices-key", "bobs-key"])
            Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(server, key), key);
        // A hash is not a key, and neither is a name.
        foreach (var key in (string[])[Hash("hashed"), "bob", "alice", "plain ", "Plain", "x"])
            Assert.AreEqual(key == "plain " ? HttpStatusCode.OK : HttpStatusCode.Unauthorized, await StatusAsync(server, key), key);

        await log.WaitForAsync("key alice,");
        await log.WaitForAsync("key bob,");
        Assert.IsEmpty(
            log.Lines.Where(line => line.Contains("-key ", StringComparison.Ordinal) || line.Contains("plain", StringComparison.Ordinal)));
    }

    [TestMethod]
    [DataRow("right", "wrong", HttpStatusCode.OK)]
    [DataRow("wrong", "right", HttpStatusCode.OK)]
    [DataRow("wrong", "wrong", HttpStatusCode.Unauthorized)]
    public async Task Of_two_keys_that_are_given_one_must_be_right(string bearer, string own, HttpStatusCode status)
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Keys = ApiKeyFile.Read(["right"]) });
        using var request =
            new HttpRequestMessage(HttpMethod.Get,
                "v1/models")
            { Headers = { { "Authorization", "Bearer " + bearer }, { "x-api-key", own } } };
        using var answer = await server.Client.SendAsync(request);
        Assert.AreEqual(status, answer.StatusCode);
    }

    [TestMethod]
    [DataRow("alice", "line 1: must be NAME KEY")]
    [DataRow("\nalice s3cret konkurrency=2", "line 2: only settings may follow the key: concurrency=N")]
    [DataRow("alice s3cret more", "line 1: only settings may follow the key")]
    [DataRow("alice s3cret concurrency=-1", "concurrency must be a whole number of at least 0")]
    [DataRow("alice s3cret rank=x", "rank must be a whole number")]
    [DataRow("alice sha256:abc", "64 hexadecimal digits")]
    [DataRow("alice s3cret\nalice other", "two keys are called 'alice'")]
    [DataRow("# nobody", "the files hold no key")]
    public void What_is_wrong_with_a_file_is_said_without_the_key(string text, string message)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["keys"], text);
        var error = Assert.ThrowsExactly<FormatException>(() => ApiKeyFile.Read(["@" + folder["keys"]]));
        Assert.Contains(message, error.Message);
        Assert.DoesNotContain("s3cret", error.Message);
    }

    [TestMethod]
    public void A_file_that_is_missing_and_an_empty_key_are_refused()
    {
        Assert.Contains("cannot read /nowhere/keys",
            Assert.ThrowsExactly<FormatException>(() => ApiKeyFile.Read(["@/nowhere/keys"])).Message);
        Assert.Contains("may not be empty", Assert.ThrowsExactly<FormatException>(() => ApiKeyFile.Read([" "])).Message);
    }

    [TestMethod]
    public async Task A_key_has_no_more_running_than_it_may()
    {
        var begun = new SemaphoreSlim(0);
        var go = new TaskCompletionSource();
        var engine = new ScriptedEngine
        {
            BeforeToken = async cancellation =>
        {
            begun.Release();
            await go.Task.WaitAsync(cancellation);
        }
        };
        await using var server = await ServerFixture.StartAsync(engine, new ServerOptions
        {
            Keys = [new ApiKey("one", SHA256.HashData("1"u8)) { Concurrency = 1 }, new ApiKey("two", SHA256.HashData("2"u8))],
        });
        var first = SendAsync(server, "1");
        await begun.WaitAsync();

        using (var refused = await SendAsync(server, "1"))
        {
            Assert.AreEqual(HttpStatusCode.TooManyRequests, refused.StatusCode);
            Assert.AreEqual("1", refused.Headers.RetryAfter!.ToString());
            Assert.AreEqual("concurrency_limit", (await refused.JsonAsync()).GetProperty("error").GetProperty("code").GetString());
        }
        // Other keys are let in, and so is this one for what needs no model.
        var other = SendAsync(server, "2");
        await begun.WaitAsync();
        using (var models =
            await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "v1/models") { Headers = { { "x-api-key", "1" } } }))
        {
            Assert.AreEqual(HttpStatusCode.OK, models.StatusCode);
        }

        go.SetResult();
        Assert.AreEqual(HttpStatusCode.OK, (await first).StatusCode);
        Assert.AreEqual(HttpStatusCode.OK, (await other).StatusCode);
        Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(server, "1"));
    }

    [TestMethod]
    public void A_key_that_has_used_up_its_tokens_waits_until_they_have_grown_again()
    {
        var time = new SteppedTime();
        var key = new ApiKey("k", [], time) { TokensPerMinute = 60 };
        key.Enter().Dispose();
        key.Charge(new Usage(50, 0, 29)); // overdraws by 19
        var refused = Assert.ThrowsExactly<ApiException>(() => key.Enter());
        Assert.AreEqual((429, 20), (refused.Status, refused.RetryAfterSeconds));
        Assert.Contains("60 tokens per minute", refused.Message);
        time.Now += TimeSpan.FromSeconds(19);
        Assert.ThrowsExactly<ApiException>(() => key.Enter());
        time.Now += TimeSpan.FromSeconds(1);
        key.Enter().Dispose();
        // It never has more than a minute's.
        time.Now += TimeSpan.FromHours(1);
        key.Enter().Dispose();
        key.Charge(new Usage(61, 0, 0));
        Assert.ThrowsExactly<ApiException>(() => key.Enter());
    }

    [TestMethod]
    public async Task What_requests_use_is_charged_to_their_key()
    {
        await using var server =
            await ServerFixture.StartAsync(
                options: new ServerOptions { Keys = [new ApiKey("k", SHA256.HashData("1"u8)) { TokensPerMinute = 4 }] });
        Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(server, "1")); // one token of prompt, three of answer
        await Poll.UntilAsync(async () => await StatusAsync(server, "1") != HttpStatusCode.OK, "the tokens are charged to the key");
        using var refused = await SendAsync(server, "1");
        Assert.AreEqual(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.AreEqual("token_limit", (await refused.JsonAsync()).GetProperty("error").GetProperty("code").GetString());
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public async Task Who_leaves_before_the_end_is_charged_for_what_was_generated(bool stream)
    {
        var told = 0;
        var enough = new TaskCompletionSource();
        var engine = new ScriptedEngine
        {
            Answer = (_, _) => Enumerable.Repeat("word ", 1000),
            BeforeToken = async cancellation =>
            {
                if (++told < 50)
                    return;
                enough.TrySetResult();
                await Task.Delay(Timeout.Infinite, cancellation);
            },
        };
        var key = new ApiKey("k", SHA256.HashData("1"u8)) { TokensPerMinute = 40 };
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(engine, options: new ServerOptions { Keys = [key] }, loggers: log);
        using var leave = new CancellationTokenSource();
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/completions")
        {
            Content = new StringContent($$"""{"model":"talker","prompt":"?","stream":{{(stream ? "true" : "false")}}}""",
                Encoding.UTF8, "application/json"),
        };
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer 1");
        var asking = server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leave.Token);
        await enough.Task.WaitAsync(TimeSpan.FromSeconds(20));
        if (stream)
            (await asking).Dispose();
        else
            await leave.CancelAsync();

        Assert.Contains(" 499: 1 prompt tokens (0 cached), 49 generated", await log.WaitForAsync(" 499: "));
        Assert.AreEqual("token_limit", Assert.ThrowsExactly<ApiException>(key.Enter).Code);
        await asking.ContinueWith(static _ => { }, TaskScheduler.Default);
    }

    private static string Hash(string key) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)));

    private static async Task<HttpStatusCode> StatusAsync(ServerFixture server, string key)
    {
        using var answer = await SendAsync(server, key);
        return answer.StatusCode;
    }

    private static Task<HttpResponseMessage> SendAsync(ServerFixture server, string key)
    {
        var request =
            new HttpRequestMessage(HttpMethod.Post,
                "v1/completions")
            { Content = new StringContent(Ask, Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + key);
        return server.Client.SendAsync(request);
    }

    private sealed class SteppedTime : TimeProvider
    {
        public TimeSpan Now { get; set; } = TimeSpan.FromDays(1);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
