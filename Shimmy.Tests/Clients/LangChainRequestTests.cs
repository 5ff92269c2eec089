using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>
/// Requests of the shape that LangChain's OpenAI classes send: an agent's turns, structured output, embeddings of tokens.
/// </summary>
[TestClass]
[TestCategory("Executable")]
public sealed class LangChainRequestTests
{
    private const string Tools =
        """
        "tools":[{"type":"function","function":{"name":"get_weather","description":"Get the weather in a city.","parameters":{"properties":{"city":{"description":"The city.","type":"string"}},"required":["city"],"type":"object"}}},
         {"type":"function","function":{"name":"multiply","description":"Multiply two numbers.","parameters":{"properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"],"type":"object"}}}]
        """;

    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _) => _server = await ServerProcess.StartAsync(Folder, "--threads", "1");

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    public async Task An_agent_calls_a_tool_and_tells_its_result()
    {
        const string first = """{"content":"What is the weather in Rome?","role":"user"}""";
        var chunks = ServerSentEvents.Data(await PostAsync("v1/chat/completions",
            $$"""{"messages":[{{first}}],"model":"shimmy-demo","stream":true,"stream_options":{"include_usage":true},"temperature":0.0,{{Tools}},"tool_choice":"required","parallel_tool_calls":false}"""));
        Assert.AreEqual("[DONE]", chunks[^1]);
        var parsed = chunks[..^1].Select(chunk => JsonDocument.Parse(chunk).RootElement).ToArray();
        Assert.IsGreaterThan(0, parsed[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        var calls = parsed.Where(chunk => chunk.GetProperty("choices").GetArrayLength() > 0)
            .Select(chunk => chunk.GetProperty("choices")[0].GetProperty("delta"))
            .Where(delta => delta.TryGetProperty("tool_calls", out _)).Select(delta => delta.GetProperty("tool_calls")[0]).ToArray();
        Assert.AreEqual("get_weather", calls[0].GetProperty("function").GetProperty("name").GetString());
        var arguments = string.Concat(calls.Select(call => call.GetProperty("function").GetProperty("arguments").GetString()));
        Assert.AreEqual("Rome", JsonDocument.Parse(arguments).RootElement.GetProperty("city").GetString());

        var call = $$$"""{"content":null,"role":"assistant","tool_calls":[{"type":"function","id":{{{calls[0].GetProperty("id").GetRawText()}}},"function":{"name":"get_weather","arguments":{{{JsonValue.Create(arguments).ToJsonString()}}}}}]}""";
        var result =
            $$"""{"content":"{\"temperature\": 25, \"weather\": \"sunny\"}","role":"tool","tool_call_id":{{calls[0].GetProperty("id").GetRawText()}}}""";
        using var told = JsonDocument.Parse(await PostAsync("v1/chat/completions",
            $$"""{"messages":[{{first}},{{call}},{{result}}],"model":"shimmy-demo","stream":false,"temperature":0.0,{{Tools}}}"""));
        Assert.Contains("sunny", told.RootElement.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!);
        // What both turns have in common is not read twice.
        Assert.IsGreaterThan(40, told.RootElement.GetProperty("usage").GetProperty("prompt_tokens_details")
            .GetProperty("cached_tokens").GetInt32());
    }

    [TestMethod]
    public async Task Structured_output_follows_its_strict_schema()
    {
        using var answer = JsonDocument.Parse(await PostAsync("v1/chat/completions",
            """
            {"messages":[{"content":"Extract what you can.","role":"system"},{"content":"Mia is 7 years old.","role":"user"}],"model":"shimmy-demo","temperature":0.0,"stream":false,
             "response_format":{"type":"json_schema","json_schema":{"name":"Person","description":"A person.","strict":true,"schema":{"title":"Person","description":"A person.","type":"object",
              "properties":{"name":{"title":"Name","type":"string"},"age":{"title":"Age","anyOf":[{"type":"integer"},{"type":"null"}]}},"required":["name","age"],"additionalProperties":false}}}}
            """));

        using var person =
            JsonDocument.Parse(answer.RootElement.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!);
        Assert.AreEqual("name age", string.Join(' ', person.RootElement.EnumerateObject().Select(property => property.Name)));
        Assert.AreEqual(JsonValueKind.String, person.RootElement.GetProperty("name").ValueKind);
    }

    [TestMethod]
    public async Task Texts_that_the_client_has_tokenized_are_embedded()
    {
        using var answer =
            JsonDocument.Parse(
                await PostAsync("v1/embeddings",
                    """{"input":[[72,101,108],[300,301]],"model":"shimmy-demo","encoding_format":"base64"}"""));

        var data = answer.RootElement.GetProperty("data").EnumerateArray().ToArray();
        Assert.HasCount(2, data);
        Assert.AreEqual(256 * sizeof(float), data[1].GetProperty("embedding").GetBytesFromBase64().Length);
        Assert.AreEqual(5, answer.RootElement.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }

    private static async Task<string> PostAsync(string path, string body)
    {
        using var answer = await _server.Client.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));
        var text = await answer.Content.ReadAsStringAsync();
        Assert.IsTrue(answer.IsSuccessStatusCode, text);
        return text;
    }
}
