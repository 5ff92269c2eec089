using System.ClientModel;
using System.ClientModel.Primitives;
using OpenAI.Responses;
using Shimmy.Engine;
using Shimmy.Tests.Api.OpenAI.Responses;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>
/// OpenAI's own .NET client on <c>/v1/responses</c>: against a real worker, and against a model that thinks and calls tools.
/// </summary>
[TestClass]
[TestCategory("Worker")]
public sealed class OpenAIResponsesClientTests
{
    [TestMethod]
    public async Task A_real_model_answers_streams_and_goes_on()
    {
        await using var server = await WorkerServer.StartAsync();
        var client = Client(server.Http);
        ResponseResult first =
            await client.CreateResponseAsync(new CreateResponseOptions("talker", [ResponseItem.CreateUserMessageItem("who?")])
            {
                Instructions = "be short",
                Temperature = 0,
                MaxOutputTokenCount = 20,
                Metadata = { ["a"] = "b" },
            });

        Assert.AreEqual((" hello", ResponseStatus.Completed, "talker", "b"),
            (first.GetOutputText(), first.Status, first.Model, first.Metadata["a"]));
        Assert.IsInRange(DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow.AddSeconds(1), first.CreatedAt);
        Assert.AreEqual((1, first.Usage.InputTokenCount + 1), (first.Usage.OutputTokenCount, first.Usage.TotalTokenCount));
        Assert.IsNull(first.Error);

        var updates = new List<StreamingResponseUpdate>();
        var options =
            new CreateResponseOptions("talker", [ResponseItem.CreateUserMessageItem("and now?")])
            {
                Temperature = 0,
                PreviousResponseId = first.Id,
                StreamingEnabled = true,
                TopLogProbabilityCount = 2
            };
        await foreach (var update in await client.CreateResponseStreamingAsync(options))
            updates.Add(update);
        Assert.IsInstanceOfType<StreamingResponseCreatedUpdate>(updates[0]);
        Assert.AreEqual(" hello", string.Concat(updates.OfType<StreamingResponseOutputTextDeltaUpdate>().Select(update => update.Delta)));
        var token = updates.OfType<StreamingResponseOutputTextDeltaUpdate>().SelectMany(update => update.TokenLogProbabilities).Single();
        Assert.AreEqual((" hello", 2, " hello"), (token.Token, token.TopLogProbabilities.Count, token.TopLogProbabilities[0].Token));
        CollectionAssert.AreEqual(Enumerable.Range(0, updates.Count).ToArray(), updates.Select(update => update.SequenceNumber).ToArray());
        var second = ((StreamingResponseCompletedUpdate)updates[^1]).Response;
        Assert.AreEqual((" hello", first.Id), (second.GetOutputText(), second.PreviousResponseId));
        Assert.IsGreaterThan(first.Usage.InputTokenCount, second.Usage.InputTokenCount);

        ResponseResult again = await client.GetResponseAsync(second.Id);
        Assert.AreEqual(second.GetOutputText(), again.GetOutputText());
        var items = new List<ResponseItem>();
        await foreach (var item in client.GetResponseInputItemsAsync(second.Id))
            items.Add(item);
        CollectionAssert.AreEqual(new[] { "and now?", " hello", "who?" }, items.Cast<MessageResponseItem>()
            .Select(item => item.Content[0].Text).ToArray());
        ResponseDeletionResult deleted = await client.DeleteResponseAsync(second.Id);
        Assert.IsTrue(deleted.Deleted);
        var error = await Assert.ThrowsExactlyAsync<ClientResultException>(() => client.GetResponseAsync(second.Id));
        Assert.AreEqual(404, error.Status);
    }

    [TestMethod]
    public async Task An_answer_that_is_cut_says_so()
    {
        await using var server = await ServerFixture.StartAsync();
        ResponseResult answer = await Client(server).CreateResponseAsync(
            new CreateResponseOptions("talker", [ResponseItem.CreateUserMessageItem("?")]) { MaxOutputTokenCount = 1 });
        Assert.AreEqual((ResponseStatus.Incomplete, ResponseIncompleteStatusReason.MaxOutputTokens),
            (answer.Status, answer.IncompleteStatusDetails.Reason));
    }

    [TestMethod]
    public async Task Tools_and_thoughts_make_the_round()
    {
        var seen = new List<GenerationRequest>();
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(
            seen, "<think>\nlook it up\n</think>\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>", "It rains."));
        var client = Client(server);
        var options = new CreateResponseOptions("talker", [ResponseItem.CreateUserMessageItem("Oslo?")])
        {
            Tools = { ResponseTool.CreateFunctionTool("weather",
                BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"""),
                    false, "The weather.") },
            ToolChoice = ResponseToolChoice.CreateFunctionChoice("weather"),
            StoredOutputEnabled = false,
            StreamingEnabled = true,
            ReasoningOptions = new ResponseReasoningOptions { ReasoningEffortLevel = ResponseReasoningEffortLevel.Low },
        };
        var updates = new List<StreamingResponseUpdate>();
        await foreach (var update in await client.CreateResponseStreamingAsync(options))
            updates.Add(update);

        var answer = ((StreamingResponseCompletedUpdate)updates[^1]).Response;
        var thoughts = answer.OutputItems.OfType<ReasoningResponseItem>().Single();
        var call = answer.OutputItems.OfType<FunctionCallResponseItem>().Single();
        Assert.AreEqual(("weather", "{\"city\": \"Oslo\"}"), (call.FunctionName, call.FunctionArguments.ToString()));
        Assert.AreEqual("{\"city\": \"Oslo\"}",
            string.Concat(updates.OfType<StreamingResponseFunctionCallArgumentsDeltaUpdate>().Select(update => update.Delta)));
        Assert.AreEqual("weather", ((FunctionTool)answer.Tools.Single()).FunctionName);
        Assert.AreEqual("weather", answer.ToolChoice.FunctionName);

        ResponseResult last = await client.CreateResponseAsync("talker",
            [ResponseItem.CreateUserMessageItem("Oslo?"), thoughts, call, ResponseItem.CreateFunctionCallOutputItem(call.CallId, "rain")]);
        Assert.AreEqual("It rains.", last.GetOutputText());
        Assert.Contains("<think>\nlook it up\n</think>", seen[1].Text());
        Assert.Contains("<|im_start|>tool\nrain<|im_end|>", seen[1].Text());
    }

    [TestMethod]
    public async Task Errors_arrive_with_status_code_field_and_words()
    {
        await using var server = await ServerFixture.StartAsync();
        foreach (var (options, status, words) in new (CreateResponseOptions, int, string)[]
        {
            (new("tolker", [ResponseItem.CreateUserMessageItem("?")]), 404, "model_not_found"),
            (new("talker", [ResponseItem.CreateUserMessageItem("?")]) { PreviousResponseId = "resp_1" },
                400, "previous_response_not_found"),
            (new("talker", [ResponseItem.CreateUserMessageItem("?")]) { BackgroundModeEnabled = true }, 400, "background"),
            (new("talker", [ResponseItem.CreateUserMessageItem("?")]) { Tools = { ResponseTool.CreateWebSearchTool() },
                ToolChoice = ResponseToolChoice.CreateWebSearchChoice() }, 400, "tool_choice.type"),
        })
        {
            var error = await Assert.ThrowsExactlyAsync<ClientResultException>(() => Client(server).CreateResponseAsync(options));
            Assert.AreEqual(status, error.Status);
            Assert.Contains(words, error.Message);
        }
    }

    private static ResponsesClient Client(ServerFixture server) => new(new ApiKeyCredential("any"),
        new ResponsesClientOptions { Endpoint = new Uri(server.Server.Address, "v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) });
}
