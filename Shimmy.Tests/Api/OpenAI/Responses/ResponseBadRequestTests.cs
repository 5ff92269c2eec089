using System.Text.Json.Nodes;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI.Responses;

/// <summary>What is wrong with a request to <c>/v1/responses</c> is said, with the field, what it was and what is allowed.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ResponseBadRequestTests
{
    private const string F = "{\"type\":\"function\",\"name\":\"f\"}";
    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync();

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    // Each is put into a request that is right without it; null stands for a field that is left out.
    [TestMethod]
    [DataRow("input", null, "input", "is missing; a string or an array of items is required")]
    [DataRow("input", "5", "input", "must be a string or an array of items, not 5")]
    [DataRow("input", "[]", "input", "is empty")]
    [DataRow("input", "[5]", "input[0]", "must be an object, not 5")]
    [DataRow("input", "[{}]", "input[0].type", "is missing")]
    [DataRow("input", "[{\"role\":\"robot\",\"content\":\"?\"}]", "input[0].role", "must be one of 'system', 'developer', 'user', 'assistant', not 'robot'")]
    [DataRow("input", "[{\"type\":\"message\",\"content\":\"?\"}]", "input[0].role", "is missing")]
    [DataRow("input", "[{\"role\":\"user\"}]", "input[0].content", "is missing")]
    [DataRow("input", "[{\"role\":\"user\",\"content\":5}]", "input[0].content", "must be a string or an array of parts, not 5")]
    [DataRow("input", "[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"x\"}]}]", "input[0].content[0].image_url", "is not Base64")]
    [DataRow("input", "[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]", "input[0].content[0].text", "is missing")]
    [DataRow("input", "[{\"role\":\"user\",\"content\":\"a\",\"status\":\"odd\"}]", "input[0].status", "must be one of")]
    [DataRow("input", "[{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}]", "input[0].call_id", "is missing")]
    [DataRow("input", "[{\"type\":\"reasoning\",\"summary\":\"x\"}]", "input[0].summary", "must be an array, not a string")]
    [DataRow("input", "[{\"type\":\"reasoning\",\"content\":[{\"type\":\"image\"}]}]", "input[0].content[0].type", "must be one of")]
    [DataRow("instructions", "[]", "instructions", "must be a string, not an array")]
    [DataRow("background", "true", "background", "not given in the background")]
    [DataRow("conversation", "\"conv_1\"", "conversation", "use previous_response_id")]
    [DataRow("prompt", "{\"id\":\"p\"}", "prompt", "use instructions and input")]
    [DataRow("previous_response_id", "\"resp_1\"", "previous_response_id", "no response with id 'resp_1' is stored here")]
    [DataRow("previous_response_id", "5", "previous_response_id", "must be a string, not 5")]
    [DataRow("truncation", "\"auto\"", "truncation", "nothing is ever left out")]
    [DataRow("truncation", "\"some\"", "truncation", "must be one of 'auto', 'disabled', not 'some'")]
    [DataRow("include", "[\"everything\"]", "include[0]", "'everything' is not a supported value of include")]
    [DataRow("include", "\"everything\"", "include", "must be an array, not a string")]
    [DataRow("max_tool_calls", "0", "max_tool_calls", "must be a whole number")]
    [DataRow("temperature", "\"hot\"", "temperature", "must be a number from 0 to 100, not a string")]
    [DataRow("top_p", "2", "top_p", "must be a number from 0 to 1, not 2")]
    [DataRow("top_logprobs", "21", "top_logprobs", "must be a whole number from 0 to 20, not 21")]
    [DataRow("parallel_tool_calls", "1", "parallel_tool_calls", "must be true or false, not 1")]
    [DataRow("store", "\"yes\"", "store", "must be true or false, not a string")]
    [DataRow("stream", "1", "stream", "must be true or false, not 1")]
    [DataRow("stream_options", "{\"include_obfuscation\":1}", "stream_options.include_obfuscation", "must be true or false, not 1")]
    [DataRow("service_tier", "\"gold\"", "service_tier", "must be one of")]
    [DataRow("reasoning", "\"high\"", "reasoning", "must be an object, not a string")]
    [DataRow("reasoning", "{\"effort\":\"most\"}", "reasoning.effort", "must be one of")]
    [DataRow("reasoning", "{\"summary\":\"long\"}", "reasoning.summary", "must be one of")]
    [DataRow("text", "{\"verbosity\":\"loud\"}", "text.verbosity", "must be one of 'low', 'medium', 'high', not 'loud'")]
    [DataRow("text", "{\"format\":{\"type\":\"xml\"}}", "text.format.type", "must be one of 'text', 'json_object', 'json_schema', not 'xml'")]
    [DataRow("text", "{\"format\":{\"type\":\"json_schema\",\"name\":\"a\",\"schema\":{\"type\":\"odd\"}}}", "text.format.schema", "")]
    [DataRow("user", "5", "user", "must be a string, not 5")]
    [DataRow("prompt_cache_key", "5", "prompt_cache_key", "must be a string, not 5")]
    [DataRow("metadata", "{\"a\":5}", "metadata.a", "must be a string, not 5")]
    [DataRow("tools", "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "tools[0].name", "is missing")]
    [DataRow("tools", "[{\"type\":\"function\",\"name\":\"a b\"}]", "tools[0].name", "letters, digits")]
    [DataRow("tools", "[{\"type\":\"function\",\"name\":\"f\",\"parameters\":5}]", "tools[0].parameters", "must be an object, not 5")]
    [DataRow("tool_choice", "\"required\"", "tool_choice", "requires a tool call, but tools has no function")]
    [DataRow("tool_choice", "{\"type\":\"web_search\"}", "tool_choice.type", "'web_search' is not a supported tool choice")]
    [DataRow("tool_choice", "{\"type\":\"custom\",\"name\":\"apply_patch\"}", "tool_choice.type", "'custom' is not a supported tool choice")]
    [DataRow("tool_choice", "{\"type\":\"function\",\"name\":\"g\"}", "tool_choice.name", "'g' is not one of the functions in tools")]
    public async Task A_field_is_named(string field, string? value, string named, string message)
    {
        var body = new JsonObject { ["model"] = "talker", ["input"] = "?" };
        body.Remove(field);
        if (value is not null)
            body[field] = JsonNode.Parse(value);
        foreach (var route in (string[])["v1/responses", "v1/responses/input_tokens"])
        {
            using var answer = await _server.PostAsync(route, body.ToJsonString());
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(400, (int)answer.StatusCode, text);
            var error = (await answer.JsonAsync()).GetProperty("error");
            Assert.AreEqual(named, error.GetProperty("param").GetString(), text);
            Assert.Contains(message, error.GetProperty("message").GetString()!);
            Assert.StartsWith(named, error.GetProperty("message").GetString()!);
        }
    }
}
