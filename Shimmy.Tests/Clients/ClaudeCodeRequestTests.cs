using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>
/// Requests of the shape that Claude Code sends, replayed: system blocks with a billing header that changes and with cache breakpoints,
/// twenty tools, server tools, tool_use and tool_result turns, thoughts, betas that nobody knows.
/// </summary>
[TestClass]
[TestCategory("Executable")]
public sealed class ClaudeCodeRequestTests
{
    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        // A window that holds twenty tools; the demo model's is too small for them.
        RandomModel.Write(Folder["models/noise.gguf"], new RandomModelShape { Context = 60_000 });
        _server = await ServerProcess.StartAsync(Folder, "--threads", "1", "--alias", "claude-*=noise");
    }

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public async Task None_is_refused_and_the_second_turn_reuses_the_first(bool stream)
    {
        var body = Body(stream, "0d94a");
        var first = await PostAsync(body);
        Assert.IsGreaterThan(0, first.Read(stream).GetProperty("output_tokens").GetInt32());

        var messages = body["messages"]!.AsArray();
        messages.Add(JsonNode.Parse("""{"role":"assistant","content":[{"type":"text","text":"I have read it."}]}"""));
        messages.Add(
            JsonNode.Parse("""{"role":"user","content":[{"type":"text","text":"Now fix it.","cache_control":{"type":"ephemeral"}}]}"""));
        // What the client changes with every request.
        body["system"]![0]!["text"] = "x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli; cch=77aa1;";
        var second = (await PostAsync(body)).Read(stream);

        var (read, created) =
            (second.GetProperty("cache_read_input_tokens").GetInt32(), second.GetProperty("cache_creation_input_tokens").GetInt32());
        Assert.IsGreaterThan(1000, read);
        Assert.IsGreaterThan(created * 5, read, $"{read} read, {created} computed");
    }

    [TestMethod]
    public async Task Counting_takes_the_same_body()
    {
        var body = Body(stream: false, "1");
        body.Remove("max_tokens");
        body.Remove("stream");
        body.Remove("thinking");
        using var answer = await SendAsync("v1/messages/count_tokens?beta=true", body);
        using var counted = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        Assert.IsTrue(answer.IsSuccessStatusCode, counted.RootElement.GetRawText());
        Assert.IsGreaterThan(1000, counted.RootElement.GetProperty("input_tokens").GetInt32());
    }

    private static JsonObject Body(bool stream, string nonce)
    {
        var tools = new JsonArray();
        for (var i = 0; i < 20; i++)
        {
            tools.Add(JsonNode.Parse("""
                {"name":"Tool#","description":"Reads, writes or searches. Use it where it helps; say what was found. Number #.",
                 "input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,"required":["file_path"],
                  "properties":{"file_path":{"type":"string","description":"The absolute path."},"offset":{"type":"number"},"limit":{"type":"integer","exclusiveMinimum":0},
                   "mode":{"type":"string","enum":["content","files_with_matches","count"]},
                   "edits":{"type":"array","minItems":1,"items":{"type":"object","properties":{"old_string":{"type":"string"},"new_string":{"type":"string"},"replace_all":{"type":"boolean","default":false}},"required":["old_string","new_string"]}}}}}
                """.Replace("#", i.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)));
        }
        tools.Add(JsonNode.Parse("""{"type":"web_search_20250305","name":"web_search","max_uses":8}"""));
        tools.Add(JsonNode.Parse("""{"type":"bash_20250124","name":"bash"}"""));
        return new JsonObject
        {
            ["model"] = "claude-opus-4-5-20251101",
            ["max_tokens"] = 1100,
            ["stream"] = stream,
            ["temperature"] = 1,
            ["metadata"] = new JsonObject { ["user_id"] = "user_0_account__session_0" },
            ["thinking"] = new JsonObject { ["type"] = "enabled", ["budget_tokens"] = 1024 },
            ["context_management"] = new JsonObject { ["edits"] = new JsonArray() },
            ["stop_sequences"] = new JsonArray("e"),
            ["system"] = JsonNode.Parse($$"""
                [{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli; cch={{nonce}};"},
                 {"type":"text","text":"You are a coding agent.","cache_control":{"type":"ephemeral"} },
                 {"type":"text","text":"Work in small steps. Read before you write.","cache_control":{"type":"ephemeral","ttl":"1h"} }]
                """),
            ["tools"] = tools,
            ["messages"] = JsonNode.Parse("""
                [{"role":"user","content":[{"type":"text","text":"<system-reminder>Be short.</system-reminder>"},{"type":"text","text":"Read the file."}]},
                 {"role":"assistant","content":[{"type":"thinking","thinking":"I read it.","signature":"c2ln"},{"type":"text","text":"I look."},{"type":"tool_use","id":"toolu_01","name":"Tool0","input":{"file_path":"/a"}},{"type":"tool_use","id":"toolu_02","name":"Tool1","input":{"file_path":"/b"}}]},
                 {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_01","content":"1\tusing System;"},{"type":"tool_result","tool_use_id":"toolu_02","is_error":true,"content":[{"type":"text","text":"no such file"}]},{"type":"text","text":"Go on.","cache_control":{"type":"ephemeral"}}]}]
                """),
        };
    }

    private static async Task<HttpResponseMessage> SendAsync(string path, JsonObject body)
    {
        using var request =
            new HttpRequestMessage(HttpMethod.Post,
                path)
            { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
        request.Headers.Add("anthropic-version", "2023-06-01");
        request.Headers.Add("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14,no-such-beta-2099-01-01");
        request.Headers.Add("x-api-key", "sk-anything");
        return await _server.Client.SendAsync(request);
    }

    private static async Task<Told> PostAsync(JsonObject body)
    {
        using var answer = await SendAsync("v1/messages?beta=true", body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.IsTrue(answer.IsSuccessStatusCode, text);
        return new Told(text);
    }

    private sealed record Told(string Text)
    {
        /// <summary>The usage at the end, the order of a stream held against what its client checks.</summary>
        public JsonElement Read(bool stream)
        {
            if (!stream)
                return JsonDocument.Parse(Text).RootElement.GetProperty("usage");
            var events = ServerSentEvents.Json(Text).Where(one => one.GetProperty("type").GetString() != "ping").ToArray();
            var open = false;
            var next = 0;
            Assert.AreEqual("message_start", events[0].GetProperty("type").GetString());
            foreach (var one in events[1..^2])
            {
                var type = one.GetProperty("type").GetString();
                Assert.AreEqual(type == "content_block_start" ? next : next - 1, one.GetProperty("index").GetInt32());
                Assert.AreEqual(type != "content_block_start", open, one.GetRawText());
                open = type != "content_block_stop";
                next += type == "content_block_start" ? 1 : 0;
            }
            Assert.IsFalse(open);
            Assert.AreEqual(("message_delta", "message_stop"),
                (events[^2].GetProperty("type").GetString(), events[^1].GetProperty("type").GetString()));
            return events[^2].GetProperty("usage");
        }
    }
}
