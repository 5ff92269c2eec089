using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>One prompt, decoded greedily, gives one text by every way into the program.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class SameTextTests
{
    private const string StoriesText =
        ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.";

    private static readonly string[] Beginnings =
    [
        "Once upon a time", "One day, a dog", "Lily and her mom", "The sun was", "Tom had a big",
            "In the park", "A little bird", "There was a boat",
    ];

    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        RandomModel.Write(Folder["models/noise.gguf"]);
        // A developer's machine has a small model that tells stories; the tests pass without it.
        if (Environment.GetEnvironmentVariable("SHIMMY_STORIES_MODEL") is { Length: > 0 } stories)
            File.Copy(stories, Folder["models/stories.gguf"]);
        _server = await ServerProcess.StartAsync(Folder, "--threads", "1", "--parallel", "8");
    }

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    public async Task Every_way_gives_the_text_that_the_command_gives()
    {
        var expected = await GenerateAsync("noise", "seven ways", stream: false);

        Assert.IsGreaterThan(10, expected.Length);
        await HoldAllWaysAsync("noise", "seven ways", expected);
    }

    [TestMethod]
    [TestCategory("Shared")]
    public async Task The_stories_model_tells_its_known_story()
    {
        if (!File.Exists(Folder["models/stories.gguf"]))
            Assert.Inconclusive("SHIMMY_STORIES_MODEL names no model; .ci/run knows where one may lie.");
        var told = await GenerateAsync("stories", "Once upon a time", stream: false);
        Assert.StartsWith(StoriesText, told);
        await HoldAllWaysAsync("stories", "Once upon a time", told);

        var alone = new List<string>();
        foreach (var prompt in Beginnings)
            alone.Add(await CompletionAsync("stories", prompt, stream: false));
        Assert.HasCount(Beginnings.Length, alone.Distinct().ToArray());
        var together = await Task.WhenAll(Beginnings.Select((prompt, i) => CompletionAsync("stories", prompt, stream: i % 2 == 0)));
        CollectionAssert.AreEqual(alone, together);
        var same = await Task.WhenAll(Enumerable.Range(0, 8)
            .Select(i => CompletionAsync("stories", "Once upon a time", stream: i % 2 == 0)));
        foreach (var text in same)
            Assert.AreEqual(told, text);
    }

    private static async Task HoldAllWaysAsync(string model, string prompt, string expected)
    {
        Assert.AreEqual(expected, await GenerateAsync(model, prompt, stream: true), "generate --stream");
        foreach (var stream in new[] { false, true })
        {
            Assert.AreEqual(expected, await CompletionAsync(model, prompt, stream), $"/v1/completions, stream {stream}");
            Assert.AreEqual(expected, await NativeAsync(model, prompt, stream), $"/api/generate, stream {stream}");
        }
        Assert.AreEqual(expected, await SocketAsync(model, prompt), "/ws/generate");
    }

    private static async Task<string> GenerateAsync(string model, string prompt, bool stream)
    {
        var run = await ShimmyProcess.RunAsync(
            ["generate", model, "--raw", "--prompt", prompt, "--temperature", "0", "--repeat-penalty", "1",
            "--max-tokens", "40", "--threads", "1", stream ? "--stream" : "--no-stream"], Folder.Path);
        Assert.AreEqual(0, run.ExitCode, run.Errors);
        return run.Output;
    }

    private static string Body(string model, string prompt, bool stream) => $$"""
        {"model":"{{model}}","prompt":"{{prompt}}","temperature":0,"repeat_penalty":1,"max_tokens":40,"stream":{{(stream ? "true" : "false")}}}
        """;

    private static Task<string> CompletionAsync(string model, string prompt, bool stream) =>
        PostAsync("v1/completions", Body(model, prompt, stream), stream, answer => answer.GetProperty("choices")[0].GetProperty("text"));

    private static Task<string> NativeAsync(string model, string prompt, bool stream) =>
        PostAsync("api/generate", Body(model, prompt, stream), stream,
            answer => stream ? answer.TryGetProperty("token", out var token) ? token : default : answer.GetProperty("response"));

    private static async Task<string> PostAsync(string path, string body, bool stream, Func<JsonElement, JsonElement> text)
    {
        using var answer = await _server.Client.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));
        var content = await answer.Content.ReadAsStringAsync();
        Assert.IsTrue(answer.IsSuccessStatusCode, content);
        var parts = stream
            ? content.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(part => part["data: ".Length..])
                .Where(part => part != "[DONE]")
            : [content];
        var whole = new StringBuilder();
        foreach (var part in parts)
        {
            using var json = JsonDocument.Parse(part);
            if (text(json.RootElement) is { ValueKind: JsonValueKind.String } piece)
                whole.Append(piece.GetString());
        }
        return whole.ToString();
    }

    private static async Task<string> SocketAsync(string model, string prompt)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new UriBuilder(_server.Client.BaseAddress!) { Scheme = "ws", Path = "/ws/generate" }.Uri, limit.Token);
        await socket.SendAsync(Encoding.UTF8.GetBytes(Body(model, prompt, stream: false)), WebSocketMessageType.Text, true, limit.Token);
        var whole = new StringBuilder();
        var buffer = new byte[16 * 1024];
        while (true)
        {
            var frame = await socket.ReceiveAsync(buffer.AsMemory(), limit.Token);
            using var json = JsonDocument.Parse(buffer.AsMemory(0, frame.Count));
            if (json.RootElement.TryGetProperty("done", out _))
                return whole.ToString();
            whole.Append(json.RootElement.GetProperty("token").GetString());
        }
    }
}
