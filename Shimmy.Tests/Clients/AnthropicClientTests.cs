using System.Text.Json;
using Anthropic;
using Anthropic.Exceptions;
using Anthropic.Models.Messages;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>Anthropic's client for .NET drives the program.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class AnthropicClientTests
{
    private const string Model = "shimmy-demo";

    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;
    private static AnthropicClient _client = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        _server = await ServerProcess.StartAsync(Folder, "--threads", "1", "--api-key", "secret");
        _client = new AnthropicClient
        {
            BaseUrl = _server.Client.BaseAddress!.ToString().TrimEnd('/'),
            AuthToken = "secret",
            ApiKey = null,
            MaxRetries = 0
        };
    }

    [ClassCleanup]
    public static void Clean()
    {
        _client.Dispose();
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    public async Task A_stream_gives_the_text_of_the_whole_answer()
    {
        var whole = await _client.Messages.Create(Ask("What is Shimmy?"));
        Assert.IsTrue(whole.Content[0].TryPickText(out var text));
        Assert.IsGreaterThan(3, whole.Usage.OutputTokens);

        var streamed = "";
        await foreach (var one in _client.Messages.CreateStreaming(Ask("What is Shimmy?")))
        {
            if (one.TryPickContentBlockDelta(out var delta) && delta.Delta.TryPickText(out var piece))
                streamed += piece.Text;
        }
        Assert.AreEqual(text!.Text, streamed);
    }

    [TestMethod]
    public async Task A_tool_is_called_and_its_result_is_answered()
    {
        var tool = new Tool
        {
            Name = "get_weather",
            Description = "Get the weather in a city.",
            InputSchema =
                InputSchema.FromRawUnchecked(Raw("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}""")),
        };
        var called =
            await _client.Messages.Create(
                Ask("What is the weather in Rome?") with { Tools = [tool], ToolChoice = new ToolChoiceTool { Name = "get_weather" } });
        Assert.IsTrue(called.Content.Single().TryPickToolUse(out var use));
        Assert.AreEqual(("get_weather", "Rome"), (use!.Name, use.Input["city"].GetString()));

        var told = await _client.Messages.Create(Ask("") with
        {
            Tools = [tool],
            Messages =
            [
                new UserMessageParam("What is the weather in Rome?"),
                new AssistantMessageParam(
                    new List<ContentBlockParam> { new ToolUseBlockParam { ID = use.ID, Name = use.Name, Input = use.Input } }),
                new UserMessageParam(
                    new List<ContentBlockParam> { new ToolResultBlockParam(
                        use.ID) { Content = """{"temperature": 25, "weather": "sunny"}""" } }),
            ],
        });
        Assert.IsTrue(told.Content[0].TryPickText(out var text));
        Assert.Contains("sunny", text!.Text);
    }

    [TestMethod]
    public async Task Thoughts_are_blocks_of_their_own_and_tokens_are_counted()
    {
        var thought =
            await _client.Messages.Create(Ask("How much is 2 + 3?") with { MaxTokens = 2000, Thinking = new ThinkingConfigEnabled(1024) });
        Assert.IsTrue(thought.Content[0].TryPickThinking(out var thinking));
        Assert.AreNotEqual("", thinking!.Thinking);

        var counted =
            await _client.Messages.CountTokens(new MessageCountTokensParams { Model = Model, Messages = [new UserMessageParam("Hello")] });
        var message = await _client.Messages.Create(Ask("Hello"));
        Assert.AreEqual(message.Usage.InputTokens, counted.InputTokens);
    }

    [TestMethod]
    public async Task Errors_have_their_classes()
    {
        await Assert.ThrowsExactlyAsync<AnthropicNotFoundException>(
            () => _client.Messages.Create(Ask("Hi") with { Model = "claude-nobody" }));
        await Assert.ThrowsExactlyAsync<AnthropicBadRequestException>(() => _client.Messages.Create(Ask("Hi") with { MaxTokens = -5 }));
        using var stranger = new AnthropicClient { BaseUrl = _client.BaseUrl, AuthToken = "wrong", ApiKey = null, MaxRetries = 0 };
        await Assert.ThrowsExactlyAsync<AnthropicUnauthorizedException>(() => stranger.Messages.Create(Ask("Hi")));
    }

    // The client knows no temperature any more; its request takes what it does not know.
    private static MessageCreateParams Ask(string content) =>
        MessageCreateParams.FromRawUnchecked(new Dictionary<string, JsonElement>(), new Dictionary<string, JsonElement>(),
        Raw("{\"temperature\":0}")) with
        {
            Model = Model,
            MaxTokens = 200,
            Messages = [new UserMessageParam(content)],
        };

    private static Dictionary<string, JsonElement> Raw(string json) =>
        JsonDocument.Parse(json).RootElement.EnumerateObject().ToDictionary(property => property.Name, property => property.Value);
}
