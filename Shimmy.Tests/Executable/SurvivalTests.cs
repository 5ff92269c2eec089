using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>What happens to a server from outside: processes killed, clients gone, broken files, nonsense in requests.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class SurvivalTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassInitialize]
    public static void WriteModels(TestContext _)
    {
        RandomModel.Write(Folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        // Slow enough, and long enough, that nothing ends before it is disturbed.
        RandomModel.Write(Folder["models/long.gguf"],
            new RandomModelShape { Layers = 4, Embedding = 256, FeedForward = 768, Context = 16_384 });
        var file = File.ReadAllBytes(Folder["models/talker.gguf"]);
        File.WriteAllText(Folder["models/text.gguf"], "no model at all, only its name says so");
        File.WriteAllBytes(Folder["models/truncated.gguf"], file[..(file.Length / 2)]);
        BitConverter.TryWriteBytes(file.AsSpan(8), long.MaxValue);
        File.WriteAllBytes(Folder["models/forged.gguf"], file);
    }

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    private static Task<ServerProcess> StartAsync(params string[] arguments) =>
        ServerProcess.StartAsync(Folder, ["--threads", "1", .. arguments]);

    [TestMethod]
    public async Task A_killed_worker_ends_its_stream_with_an_error_and_the_next_request_gets_a_new_one()
    {
        OnLinux();
        using var server = await StartAsync();
        using var stream = await LongStream.OpenAsync(server);
        await stream.ReadEventsAsync(3);

        server.Workers.Single().Kill();

        var rest = await stream.ReadToEndAsync();
        Assert.Contains("\"error\"", rest[^1]);
        Assert.Contains("killed", rest[^1]);
        Assert.AreEqual("hello", await AnswerAsync(server));
        using var again = await LongStream.OpenAsync(server);
        await again.ReadEventsAsync(3);
    }

    [TestMethod]
    public async Task No_worker_outlives_a_server_that_was_killed()
    {
        OnLinux();
        using var server = await StartAsync();
        using var stream = await LongStream.OpenAsync(server);
        await stream.ReadEventsAsync(3);
        Assert.AreEqual("hello", await AnswerAsync(server));
        var workers = server.Workers;
        Assert.HasCount(2, workers);

        server.Kill();

        await Poll.UntilAsync(() => !workers.Any(Runs), "no worker is left over");
    }

    [TestMethod]
    public async Task SIGTERM_lets_a_running_stream_end_and_then_the_server_with_0()
    {
        OnLinux();
        using var server = await StartAsync();
        using var stream = await LongStream.OpenAsync(server, maxTokens: 600);
        await stream.ReadEventsAsync(3);

        var ended = server.TerminateAsync();

        var rest = await stream.ReadToEndAsync();
        Assert.AreEqual("data: [DONE]", rest[^1]);
        Assert.Contains("\"finish_reason\":\"length\"", rest[^2]);
        Assert.AreEqual(0, (await ended).ExitCode);
    }

    [TestMethod]
    public async Task A_client_that_is_gone_gives_its_slot_back()
    {
        using var server = await StartAsync("--parallel", "1");
        using (var stream = await LongStream.OpenAsync(server))
            await stream.ReadEventsAsync(3);

        // The only slot: were it still busy, this would wait for 16,000 tokens and run into the client's limit of 30 s.
        using var next = await LongStream.OpenAsync(server, maxTokens: 2);

        Assert.AreEqual("data: [DONE]", (await next.ReadToEndAsync())[^1]);
    }

    [TestMethod]
    [DataRow("text", "does not begin with \\u0022GGUF\\u0022|does not begin with \\\"GGUF\\\"")]
    [DataRow("truncated", "file is truncated")]
    [DataRow("forged", "forged")]
    public async Task A_broken_file_is_reported_and_harms_nothing(string model, string reasons)
    {
        using var server = await StartAsync();

        var (status, error) = await PostAsync(server, "v1/completions", $$"""{"model":"{{model}}","prompt":"a"}""");

        Assert.AreEqual(HttpStatusCode.NotFound, status);
        Assert.IsTrue(reasons.Split('|').Any(reason => error.Contains(reason, StringComparison.Ordinal)), error);
        Assert.AreEqual("hello", await AnswerAsync(server));
        var given = await ShimmyProcess.RunAsync(["serve", "--bind", "0", "--model-path", Folder[$"models/{model}.gguf"]]);
        Assert.AreEqual(2, given.ExitCode);
        Assert.Contains($"models/{model}.gguf: ", given.Errors);
    }

    [TestMethod]
    [DataRow("""{"model":"talkr","prompt":"a"}""", 404, "closest names are talker")]
    [DataRow("""{"prompt":"a"}""", 400, "model")]
    [DataRow("""{"model":"talker","prompt":"a","max_tokens":"many"}""", 400, "max_tokens")]
    [DataRow("""{"model":"talker","prompt":"a","temperature":[1]}""", 400, "temperature")]
    [DataRow("""{"model":"talker","prompt":"a",""", 400, "JSON")]
    [DataRow("""[1,2]""", 400, "object")]
    public async Task What_is_wrong_with_a_request_is_named(string body, int status, string named)
    {
        using var server = await StartAsync();

        var (given, error) = await PostAsync(server, "v1/completions", body);

        Assert.AreEqual(status, (int)given, error);
        Assert.Contains(named, error);
    }

    [TestMethod]
    public async Task A_prompt_that_does_not_fit_is_refused_with_both_numbers()
    {
        using var server = await StartAsync();

        var (status, error) = await PostAsync(server, "v1/completions", $$"""{"model":"talker","prompt":"{{new string('!', 700)}}"}""");

        Assert.AreEqual(HttpStatusCode.BadRequest, status);
        Assert.MatchesRegex("maximum context length is 512 tokens.* 70[0-9] tokens", error);
    }

    // Not WaitForExit: a process whose parent is gone remains as a zombie until init reaps it, which some containers' init does late.
    private static bool Runs(Process process) => ServerProcess.StatOf($"{process.Id}") is [not ("Z" or "X"), ..];

    private static void OnLinux()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Only Linux tells the children of a process.");
    }

    private static async Task<(HttpStatusCode Status, string Body)> PostAsync(ServerProcess server, string path, string body)
    {
        using var answer = await server.Client.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    private static async Task<string> AnswerAsync(ServerProcess server)
    {
        var (status, body) =
            await PostAsync(server, "v1/chat/completions", """{"model":"talker","messages":[{"role":"user","content":"who?"}]}""");
        Assert.AreEqual(HttpStatusCode.OK, status, body);
        using var json = JsonDocument.Parse(body);
        return json.RootElement.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!.Trim();
    }

    /// <summary>A stream of the slow model.</summary>
    private sealed class LongStream(HttpResponseMessage answer, StreamReader reader) : IDisposable
    {
        public static async Task<LongStream> OpenAsync(ServerProcess server, int maxTokens = 16_000)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "v1/completions")
            {
                Content = new StringContent(
                    $$"""{"model":"long","prompt":"on and on","max_tokens":{{maxTokens}},"ignore_eos":true,"stream":true}""",
                        Encoding.UTF8, "application/json"),
            };
            var answer = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
            return new LongStream(answer, new StreamReader(await answer.Content.ReadAsStreamAsync()));
        }

        public async Task ReadEventsAsync(int count)
        {
            for (var events = 0; events < count;)
                events += (await reader.ReadLineAsync())!.StartsWith("data: {", StringComparison.Ordinal) ? 1 : 0;
        }

        public async Task<IReadOnlyList<string>> ReadToEndAsync()
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            var lines = new List<string>();
            try
            {
                while (await reader.ReadLineAsync(limit.Token) is { } line)
                {
                    if (line.Length > 0)
                        lines.Add(line);
                }
            }
            catch (HttpIOException)
            {
                // A stream that breaks off has no end that could be taken for a normal one.
            }
            return lines;
        }

        public void Dispose()
        {
            reader.Dispose();
            answer.Dispose();
        }
    }
}
