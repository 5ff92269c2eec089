using System.ClientModel;
using System.ClientModel.Primitives;
using System.Diagnostics;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;
using Shimmy.Server;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>OpenAI's own .NET client against the real server and a real worker.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class OpenAIClientInProcessTests
{
    private static WorkerServer _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await WorkerServer.StartAsync();

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    public async Task A_conversation_is_answered()
    {
        ChatCompletion answer = await Chat("talker").CompleteChatAsync(
            [new SystemChatMessage("be short"),
                new UserChatMessage(ChatMessageContentPart.CreateTextPart("who "), ChatMessageContentPart.CreateTextPart("are you?")),
                new AssistantChatMessage("me"), new UserChatMessage("really?")],
            new ChatCompletionOptions
            {
                Temperature = 0,
                MaxOutputTokenCount = 20,
                StopSequences = { "###" },
                EndUserId = "someone",
                FrequencyPenalty = 0,
                PresencePenalty = 0
            });

        Assert.AreEqual(" hello", answer.Content.Single().Text);
        Assert.AreEqual((ChatFinishReason.Stop, ChatMessageRole.Assistant, "talker"), (answer.FinishReason, answer.Role, answer.Model));
        Assert.StartsWith("chatcmpl-", answer.Id);
        Assert.IsInRange(DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow.AddSeconds(1), answer.CreatedAt);
        Assert.IsGreaterThan(20, answer.Usage.InputTokenCount);
        Assert.AreEqual(answer.Usage.TotalTokenCount, answer.Usage.InputTokenCount + answer.Usage.OutputTokenCount);
        Assert.AreEqual(1, answer.Usage.OutputTokenCount);
        Assert.IsNull(answer.Refusal);
    }

    [TestMethod]
    public async Task A_stream_has_role_text_reason_and_usage()
    {
        var updates = new List<StreamingChatCompletionUpdate>();
        await foreach (var update in Chat("talker")
            .CompleteChatStreamingAsync([new UserChatMessage("who?")], new ChatCompletionOptions { Temperature = 0 }))
        {
            updates.Add(update);
        }

        Assert.AreEqual(ChatMessageRole.Assistant, updates[0].Role);
        Assert.AreEqual(" hello", string.Concat(updates.SelectMany(update => update.ContentUpdate).Select(part => part.Text)));
        Assert.AreEqual(ChatFinishReason.Stop, updates.Single(update => update.FinishReason is not null).FinishReason);
        Assert.AreEqual(1, updates[^1].Usage.OutputTokenCount);
        Assert.HasCount(1, updates.Select(update => update.CompletionId).Distinct().ToList());

        // With another option, so that it is computed and not what the response cache kept.
        ChatCompletion whole = await Chat("talker")
            .CompleteChatAsync([new UserChatMessage("who?")], new ChatCompletionOptions { Temperature = 0, MaxOutputTokenCount = 9 });
        Assert.AreEqual(whole.Usage.InputTokenCount, updates[^1].Usage.InputTokenCount);
        // The second time, all of the prompt but its last token was there already.
        Assert.AreEqual(whole.Usage.InputTokenCount - 1, whole.Usage.InputTokenDetails.CachedTokenCount);
    }

    [TestMethod]
    public async Task An_answer_that_is_cut_says_so()
    {
        ChatCompletion answer = await Chat("talker")
            .CompleteChatAsync([new UserChatMessage("who?")], new ChatCompletionOptions { Temperature = 0, MaxOutputTokenCount = 1 });
        Assert.AreEqual(ChatFinishReason.Length, answer.FinishReason);
        Assert.AreEqual(1, answer.Usage.OutputTokenCount);
    }

    [TestMethod]
    public async Task Eight_conversations_at_once_get_their_answers()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(i =>
            Chat("talker").CompleteChatAsync([new UserChatMessage($"number {i}")], new ChatCompletionOptions { Temperature = 0 })));
        Assert.IsTrue(answers.All(answer => answer.Value.Content.Single().Text == " hello"));
    }

    [TestMethod]
    public async Task Models_are_listed_and_found()
    {
        var client = new OpenAIModelClient(new ApiKeyCredential("any"), Options(_server.Http));
        OpenAIModelCollection models = await client.GetModelsAsync();
        CollectionAssert.AreEqual(new[] { "talker", "noise" }, models.Select(model => model.Id).ToArray());
        OpenAIModel talker = await client.GetModelAsync("talker");
        Assert.AreEqual(("talker", "shimmy"), (talker.Id, talker.OwnedBy));
        Assert.IsInRange(DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddSeconds(1), talker.CreatedAt);
        var error = await Assert.ThrowsExactlyAsync<ClientResultException>(() => client.GetModelAsync("people/unknown"));
        Assert.AreEqual(404, error.Status);
        Assert.Contains("'people/unknown'", error.Message);
    }

    [TestMethod]
    public async Task Errors_arrive_with_status_code_field_and_words()
    {
        foreach (var (model, options, status, words) in new (string, ChatCompletionOptions, int, string)[]
        {
            ("tolker", new(), 404, "model_not_found"),
            ("tolker", new(), 404, "the closest names are talker"),
            ("talker", new() { Temperature = -1 }, 400, "temperature: must be a number from 0 to 100, not -1"),
            ("talker", new() { TopLogProbabilityCount = 21, IncludeLogProbabilities = true }, 400, "top_logprobs"),
        })
        {
            var whole =
                await Assert.ThrowsExactlyAsync<ClientResultException>(
                    () => Chat(model).CompleteChatAsync([new UserChatMessage("?")], options));
            Assert.AreEqual(status, whole.Status);
            Assert.Contains(words, whole.Message);
            var streamed = await Assert.ThrowsExactlyAsync<ClientResultException>(async () =>
            {
                await foreach (var _ in Chat(model).CompleteChatStreamingAsync([new UserChatMessage("?")], options))
                    Assert.Fail("there is nothing to stream");
            });
            Assert.AreEqual((status, whole.Message), (streamed.Status, streamed.Message));
        }
    }

    [TestMethod]
    public async Task A_key_is_needed_where_one_is_set()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Keys = ApiKeyFile.Read(["secret"]) });
        ChatCompletion answer =
            await new ChatClient("talker", new ApiKeyCredential("secret"), Options(server)).CompleteChatAsync([new UserChatMessage("?")]);
        Assert.AreEqual("I am talker", answer.Content.Single().Text);
        var error = await Assert.ThrowsExactlyAsync<ClientResultException>(() =>
            new ChatClient("talker", new ApiKeyCredential("wrong"), Options(server)).CompleteChatAsync([new UserChatMessage("?")]));
        Assert.AreEqual(401, error.Status);
    }

    // This client knows no error events: it must not take the end of a broken stream for the end of the answer.
    [TestMethod]
    public async Task A_stream_that_breaks_is_no_end()
    {
        await using var server = await WorkerServer.StartAsync();
        var chat = new ChatClient("noise", new ApiKeyCredential("any"), Options(server.Http));
        var updates = 0;
        await Assert.ThrowsAsync<IOException>(async () =>
        {
            await foreach (var _ in chat.CompleteChatStreamingAsync([new UserChatMessage("on and on")],
                new ChatCompletionOptions { LogitBiases = { [2] = -100 } }))
            {
                if (++updates == 3)
                    Process.GetProcessById(server.Model("noise").Facts.ProcessId).Kill();
            }
        });
        Assert.IsGreaterThanOrEqualTo(3, updates);
    }

    private static ChatClient Chat(string model) => new(model, new ApiKeyCredential("any"), Options(_server.Http));

    private static OpenAIClientOptions Options(ServerFixture server) =>
        new() { Endpoint = new Uri(server.Server.Address, "v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) };
}
