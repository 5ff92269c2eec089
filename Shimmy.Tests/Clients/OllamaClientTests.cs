using System.Net;
using System.Text.Json.Serialization;
using Microsoft.Extensions.AI;
using OllamaSharp;
using OllamaSharp.Models;
using OllamaSharp.Models.Chat;
using OllamaSharp.Models.Exceptions;
using Shimmy.Tests.Api;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;
using ChatRole = OllamaSharp.Models.Chat.ChatRole;

namespace Shimmy.Tests.Clients;

/// <summary>OllamaSharp, and Microsoft.Extensions.AI on top of it, drive the program over the listener of <c>--ollama</c>.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class OllamaClientTests
{
    private const string Model = "shimmy-demo";

    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;
    private static OllamaApiClient _client = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        var port = ServerProcess.FreePort();
        // As a user of Ollama has set it up; what is Shimmy's own comes first.
        var environment = new Dictionary<string, string>
        {
            ["OLLAMA_HOST"] = $"http://127.0.0.1:{port}",
            ["OLLAMA_KEEP_ALIVE"] = "42m",
            ["OLLAMA_CONTEXT_LENGTH"] = "512",
            ["OLLAMA_NUM_PARALLEL"] = "2",
        };
        _server = await ServerProcess.StartAsync(Folder, environment, "--ollama", "--parallel", "3", "--threads", "1");
        _client = new OllamaApiClient($"http://127.0.0.1:{port}", Model);
    }

    [ClassCleanup]
    public static void Clean()
    {
        _client.Dispose();
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    public async Task The_server_is_found_with_its_models_and_what_they_can_do()
    {
        Assert.IsTrue(await _client.IsRunningAsync());
        Assert.IsNotEmpty(await _client.GetVersionAsync());
        var model = (await _client.ListLocalModelsAsync()).Single(model => model.Name == Model + ":latest");
        Assert.HasCount(64, model.Digest);
        Assert.IsGreaterThan(0, model.Size);
        Assert.IsInRange(DateTime.UtcNow.AddYears(-20), DateTime.UtcNow.AddDays(1), model.ModifiedAt);
        var shown = await _client.ShowModelAsync(Model);
        Assert.AreEqual(model.Details.Family, shown.Info.Architecture);
        Assert.Contains("tools", shown.Capabilities!);
        Assert.IsNotEmpty(shown.Template!);
        StringAssert.Contains(shown.Parameters, "num_ctx");
    }

    [TestMethod]
    public async Task Variables_of_Ollama_count_where_Shimmys_own_are_not_set()
    {
        await foreach (var _ in _client.GenerateAsync(new GenerateRequest { Model = Model, Prompt = "" }))
        {
        }
        var running = (await _client.ListRunningModelsAsync()).Single(model => model.Name == Model + ":latest");
        Assert.AreEqual(512, running.ContextLength);
        Assert.IsInRange(DateTime.UtcNow.AddMinutes(40), DateTime.UtcNow.AddMinutes(43), running.ExpiresAt.ToUniversalTime());
        Assert.AreEqual(0, running.SizeVram);
        StringAssert.Contains(await _server.Client.GetStringAsync("diag"), "\"parallel\":3");
    }

    [TestMethod]
    public async Task A_conversation_is_streamed_and_goes_on()
    {
        var chat = new OllamaSharp.Chat(_client) { Options = new RequestOptions { Temperature = 0 } };
        var first = string.Concat(await chat.SendAsync("What is Shimmy?").ToListAsync());
        Assert.IsGreaterThan(3, first.Length);
        Assert.IsNotEmpty(string.Concat(await chat.SendAsync("Hello").ToListAsync()));
        Assert.HasCount(4, chat.Messages);

        ChatDoneResponseStream? done = null;
        var request =
            new ChatRequest
            {
                Model = Model,
                Messages = [new Message(ChatRole.User, "What is Shimmy?")],
                Options = new RequestOptions { Temperature = 0 }
            };
        var text = "";
        await foreach (var piece in _client.ChatAsync(request))
        {
            text += piece!.Message.Content;
            done = piece as ChatDoneResponseStream ?? done;
        }
        Assert.AreEqual(first, text);
        Assert.AreEqual("stop", done!.DoneReason);
        Assert.IsGreaterThan(0, done.EvalDuration);
        Assert.IsGreaterThan(3, done.EvalCount);
    }

    [TestMethod]
    public async Task Texts_are_embedded_and_errors_have_their_words()
    {
        var embedded = await _client.EmbedAsync(new EmbedRequest { Model = Model, Input = ["one", "two"] });
        Assert.HasCount(2, embedded.Embeddings);
        Assert.AreEqual(1.0, Math.Sqrt(embedded.Embeddings[0].Sum(value => (double)value * value)), 1e-3);
        var unknown = await Assert.ThrowsAsync<HttpRequestException>(() => _client.ShowModelAsync("nobody"));
        Assert.AreEqual(HttpStatusCode.NotFound, unknown.StatusCode);
        var wrong = await Assert.ThrowsAsync<OllamaException>(async () => await _client.ChatAsync(new ChatRequest
        {
            Model = Model,
            Messages = [new Message(ChatRole.User, "Hi")],
            Options = new RequestOptions { Temperature = -1 },
        }).ToListAsync());
        StringAssert.Contains(wrong.Message, "options.temperature: must be a number from 0 to 100, not -1");
    }

    [TestMethod]
    public async Task Abstractions_of_Microsoft_answer_stream_call_tools_and_fill_types()
    {
        IChatClient client = _client;
        var options = new ChatOptions { ModelId = Model, Temperature = 0 };
        var whole = await client.GetResponseAsync("What is Shimmy?", options);
        Assert.AreEqual(ChatFinishReason.Stop, whole.FinishReason);
        Assert.IsGreaterThan(3L, whole.Usage!.OutputTokenCount!.Value);
        var text = "";
        await foreach (var update in client.GetStreamingResponseAsync("What is Shimmy?", options))
            text += update.Text;
        Assert.AreEqual(whole.Text, text);

        var cities = new List<string>();
        using var calling = client.AsBuilder().UseFunctionInvocation().Build();
        var tool = AIFunctionFactory.Create((string city) =>
        {
            cities.Add(city);
            return new Weather(25, "sunny");
        }, "get_weather", "Get the weather in a city.");
        var told = await calling.GetResponseAsync("What is the weather in Rome?",
            new ChatOptions { ModelId = Model, Temperature = 0, Tools = [tool] });
        // What the model makes of the result is its own, and be it another call: OllamaSharp wraps it in JSON with the call's random id.
        CollectionAssert.AreEqual(new[] { "Rome" }, cities.Distinct().ToArray());
        Assert.IsNotEmpty(told.Text);

        var person = await client.GetResponseAsync<Person>("Mia is 7 years old. Answer in JSON.", options);
        Assert.IsNotEmpty(person.Result.Name);

        IEmbeddingGenerator<string, Embedding<float>> embedder = _client;
        Assert.HasCount(2, await embedder.GenerateAsync(["one", "two"]));
    }

    [TestMethod]
    public async Task A_pull_tells_its_progress()
    {
        await using var run = await PullRouteTests.Run.StartAsync();
        run.Registry.AddOllama("library/tiny", "1b", ("model", PullRouteTests.Model), ("license", "free"u8.ToArray()));
        using var client = new OllamaApiClient(run.Http.Server.Address);

        var lines = new List<PullModelResponse>();
        await foreach (var line in client.PullModelAsync(new PullModelRequest { Model = "tiny:1b" }))
            lines.Add(line!);

        Assert.AreEqual(("pulling manifest", "success"), (lines[0].Status, lines[^1].Status));
        var layer = lines.Last(line => line.Total == PullRouteTests.Model.Length);
        Assert.AreEqual((100.0, (long)PullRouteTests.Model.Length), (layer.Percent, layer.Completed));
        Assert.IsTrue((await client.ListLocalModelsAsync()).Any(model => model.Name == "tiny:1b"));
        await client.DeleteModelAsync("tiny:1b");
        Assert.IsFalse((await client.ListLocalModelsAsync()).Any(model => model.Name == "tiny:1b"));
    }

    internal sealed record Person(string Name, int Age);

    internal sealed record Weather(int Temperature, [property: JsonPropertyName("weather")] string Sky);
}
