using System.ClientModel;
using System.Text;
using System.Text.Json;
using OpenAI;
using OpenAI.Chat;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>OpenAI's own client for .NET drives the program, on a model that answers one word and on one that answers nonsense.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class OpenAIClientTests
{
    private const string Template =
        "{%- if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{%- endif %}"
        + "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content or '' }}"
        + "{%- for call in message.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ call.function.name }}\", \"arguments\": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}"
        + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    private static readonly TemporaryFolder Folder = new();
    private static readonly ChatTool Weather = ChatTool.CreateFunctionTool("get_weather", "Tells the weather.", BinaryData.FromString(
        """{"type":"object","properties":{"city":{"type":"string","maxLength":12},"days":{"type":"integer","minimum":1,"maximum":9},"unit":{"enum":["C","F"]}},"required":["city","days"],"additionalProperties":false}"""));
    private static readonly ChatTool Add = ChatTool.CreateFunctionTool("add", "Adds.", BinaryData.FromString(
        """{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"]}"""));
    private static ServerProcess _server = null!;
    private static OpenAIClient _client = null!;

    /// <summary>The client that asks; another where the suite runs against another server.</summary>
    internal OpenAIClient Client { get; init; } = _client;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        WriteModels(Folder);
        _server = await ServerProcess.StartAsync(Folder, "--threads", "1");
        _client = ClientOf(_server, "any");
    }

    /// <summary>Puts the models that the suite asks for into a folder.</summary>
    internal static void WriteModels(TemporaryFolder folder)
    {
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        RandomModel.Write(folder["models/noise.gguf"], new RandomModelShape { ChatTemplate = Template, Context = 2048 });
    }

    /// <summary>OpenAI's client for a server.</summary>
    internal static OpenAIClient ClientOf(ServerProcess server, string key) =>
        new(new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri(server.Client.BaseAddress!, "v1") });

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    public async Task Chat_answers_whole_and_streamed_alike()
    {
        var client = Client.GetChatClient("talker");

        var whole = (await client.CompleteChatAsync("Who are you?")).Value;
        var streamed = new StringBuilder();
        ChatFinishReason? reason = null;
        ChatTokenUsage? usage = null;
        await foreach (var update in client.CompleteChatStreamingAsync("Who are you?"))
        {
            foreach (var part in update.ContentUpdate)
                streamed.Append(part.Text);
            reason = update.FinishReason ?? reason;
            usage = update.Usage ?? usage;
        }

        Assert.AreEqual(" hello", whole.Content[0].Text);
        Assert.AreEqual(ChatFinishReason.Stop, whole.FinishReason);
        Assert.AreEqual(1, whole.Usage.OutputTokenCount);
        Assert.AreEqual(whole.Content[0].Text, streamed.ToString());
        Assert.AreEqual(ChatFinishReason.Stop, reason);
        Assert.AreEqual(whole.Usage.InputTokenCount, usage!.InputTokenCount);
    }

    [TestMethod]
    public async Task A_picture_is_seen()
    {
        var picture = BinaryData.FromBytes(await File.ReadAllBytesAsync(Path.Combine(Repository.Root, "docs", "shapes.png")));

        var answer = (await Client.GetChatClient("shimmy-demo").CompleteChatAsync(
            [new UserChatMessage(ChatMessageContentPart.CreateTextPart("What is in the picture?"),
                ChatMessageContentPart.CreateImagePart(picture, "image/png"))],
            new ChatCompletionOptions { Temperature = 0 })).Value;

        Assert.AreEqual("A red circle and a blue square.", answer.Content[0].Text);
    }

    [TestMethod]
    public async Task Several_answers_and_probabilities_come_where_they_are_asked_for()
    {
        var client = Client.GetChatClient("talker");

        var answer = (await client.CompleteChatAsync([new UserChatMessage("Who?")], new ChatCompletionOptions
        {
            IncludeLogProbabilities = true,
            TopLogProbabilityCount = 3,
            Temperature = 0,
        })).Value;

        Assert.HasCount(1, answer.ContentTokenLogProbabilities);
        Assert.HasCount(3, answer.ContentTokenLogProbabilities[0].TopLogProbabilities);
        Assert.IsLessThanOrEqualTo(0f, answer.ContentTokenLogProbabilities[0].LogProbability);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(3)]
    public async Task A_model_that_answers_nonsense_still_calls_as_it_must(int seed)
    {
        var client = Client.GetChatClient("noise");
        var options =
            new ChatCompletionOptions
            {
                ToolChoice = ChatToolChoice.CreateRequiredChoice(),
                Tools = { Weather, Add },
                Temperature = 1,
                Seed = seed,
                AllowParallelToolCalls = false
            };

        var answer = (await client.CompleteChatAsync([new UserChatMessage("Go.")], options)).Value;

        Assert.AreEqual(ChatFinishReason.ToolCalls, answer.FinishReason);
        Assert.HasCount(1, answer.ToolCalls);
        HoldCall(answer.ToolCalls[0].FunctionName, answer.ToolCalls[0].FunctionArguments.ToString());
        Assert.StartsWith("call_", answer.ToolCalls[0].Id);
    }

    [TestMethod]
    public async Task A_named_function_is_the_one_that_is_called_streamed_as_well()
    {
        var client = Client.GetChatClient("noise");
        var options =
            new ChatCompletionOptions
            {
                ToolChoice = ChatToolChoice.CreateFunctionChoice("get_weather"),
                Tools = { Add, Weather },
                Temperature = 1,
                Seed = 5,
                AllowParallelToolCalls = false
            };
        var name = "";
        var arguments = new StringBuilder();
        ChatFinishReason? reason = null;

        await foreach (var update in client.CompleteChatStreamingAsync([new UserChatMessage("Go.")], options))
        {
            foreach (var call in update.ToolCallUpdates)
            {
                Assert.AreEqual(0, call.Index);
                name += call.FunctionName;
                arguments.Append(call.FunctionArgumentsUpdate);
            }
            reason = update.FinishReason ?? reason;
        }

        Assert.AreEqual("get_weather", name);
        Assert.AreEqual(ChatFinishReason.ToolCalls, reason);
        HoldCall(name, arguments.ToString());
    }

    [TestMethod]
    public async Task A_calls_result_goes_back_into_the_conversation()
    {
        var client = Client.GetChatClient("noise");
        var call = ChatToolCall.CreateFunctionToolCall("call_1", "get_weather", BinaryData.FromString("""{"city":"Ulm","days":2}"""));

        var answer = (await client.CompleteChatAsync(
            [new UserChatMessage("Go."), new AssistantChatMessage([call]), new ToolChatMessage("call_1", "sunny")],
            new ChatCompletionOptions
            {
                Tools = { Weather },
                ToolChoice = ChatToolChoice.CreateNoneChoice(),
                MaxOutputTokenCount = 5
            })).Value;

        Assert.AreEqual(ChatFinishReason.Length, answer.FinishReason);
        Assert.AreEqual(5, answer.Usage.OutputTokenCount);
    }

    [TestMethod]
    public async Task A_schema_holds_the_answer()
    {
        var client = Client.GetChatClient("noise");
        var format = ChatResponseFormat.CreateJsonSchemaFormat("point", BinaryData.FromString(
            """{"type":"object","properties":{"x":{"type":"integer","minimum":0,"maximum":99},"on":{"type":"boolean"}},"required":["x","on"],"additionalProperties":false}"""), jsonSchemaIsStrict: true);

        var answer =
            (await client.CompleteChatAsync([new UserChatMessage("Go.")],
                new ChatCompletionOptions { ResponseFormat = format, Temperature = 1, Seed = 3 })).Value;

        using var json = JsonDocument.Parse(answer.Content[0].Text);
        Assert.IsInRange(0, 99, json.RootElement.GetProperty("x").GetInt32());
        Assert.IsTrue(json.RootElement.GetProperty("on").ValueKind is JsonValueKind.True or JsonValueKind.False);
    }

    [TestMethod]
    public async Task Models_are_listed_and_texts_are_embedded()
    {
        var models = (await Client.GetOpenAIModelClient().GetModelsAsync()).Value.Select(model => model.Id)
            .Order(StringComparer.Ordinal).ToArray();
        CollectionAssert.AreEqual(new[] { "noise", "shimmy-demo", "talker" }, models);

        var embeddings = (await Client.GetEmbeddingClient("noise").GenerateEmbeddingsAsync(["one text", "another"])).Value;

        Assert.HasCount(2, embeddings);
        Assert.AreEqual(64, embeddings[0].ToFloats().Length);
    }

    [TestMethod]
    public async Task What_is_wrong_is_reported_with_its_status_and_field()
    {
        var unknown = await Assert.ThrowsExactlyAsync<ClientResultException>(() => Client.GetChatClient("talkr").CompleteChatAsync("Hi"));
        var tooMany = await Assert.ThrowsExactlyAsync<ClientResultException>(() => Client.GetChatClient("talker").CompleteChatAsync(
            [new UserChatMessage("Hi")],
                new ChatCompletionOptions { ToolChoice = ChatToolChoice.CreateFunctionChoice("nobody"), Tools = { Add } }));

        Assert.AreEqual(404, unknown.Status);
        Assert.Contains("closest names are talker", unknown.Message);
        Assert.AreEqual(400, tooMany.Status);
        Assert.Contains("tool_choice", tooMany.Message);
    }

    private static void HoldCall(string name, string arguments)
    {
        using var json = JsonDocument.Parse(arguments);
        var root = json.RootElement;
        if (name == "add")
        {
            Assert.IsTrue(root.GetProperty("a").ValueKind is JsonValueKind.True or JsonValueKind.False, arguments);
            return;
        }
        Assert.AreEqual("get_weather", name);
        Assert.IsLessThanOrEqualTo(12, root.GetProperty("city").GetString()!.EnumerateRunes().Count());
        Assert.IsInRange(1, 9, root.GetProperty("days").GetInt32());
        Assert.IsEmpty(root.EnumerateObject().Select(property => property.Name).Except(["city", "days", "unit"]).ToArray());
    }
}
