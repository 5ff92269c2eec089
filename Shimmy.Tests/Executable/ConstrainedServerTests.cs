using System.Net;
using System.Text.Json;
using Shimmy.Tests.Chat.Grammars.Schemas;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>Forms of answers over HTTP, with a model that by itself answers noise.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class ConstrainedServerTests
{
    private const string Schema =
        """{"type":"object","properties":{"ok":{"type":"boolean"},"n":{"type":"integer","minimum":1,"maximum":9}},"required":["ok","n"],"additionalProperties":false}""";

    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context)
    {
        _ = context;
        RandomModel.Write(Folder["models/noise.gguf"]);
        _server = await ServerProcess.StartAsync(Folder, "--threads", "1");
    }

    [ClassCleanup]
    public static void End()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    [DataRow("v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"strict\":true,\"schema\":@}}")]
    [DataRow("v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"json_schema\":@")]
    [DataRow("v1/completions", "\"prompt\":\"x\",\"json_schema\":@")]
    [DataRow("api/generate", "\"prompt\":\"x\",\"json_schema\":@")]
    [DataRow("api/generate", "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"json_schema\":@")]
    public async Task Each_dialect_answers_by_a_schema(string route, string fields)
    {
        var body = await PostAsync(route, fields.Replace("@", Schema, StringComparison.Ordinal), HttpStatusCode.OK);

        var answer = JsonElement.Parse(TextOf(body));
        Assert.IsNull(new SchemaValidator(JsonElement.Parse(Schema)).Judge(answer), answer.ToString());
    }

    [TestMethod]
    [DataRow("v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"grammar\":\"root ::= \\\"a\\\"{5,3}\"", "grammar", "line 1, column 13: the repetition count is out of order")]
    [DataRow("v1/completions", "\"prompt\":\"x\",\"grammar\":\"root ::= (\"", "grammar", "line 1, column 10: the parenthesis")]
    [DataRow("v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"strict\":true,\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"b\"],\"properties\":{\"b\":{\"not\":{}}}}}}",
        "response_format.json_schema.schema", "not")]
    public async Task What_cannot_be_held_to_is_refused_by_the_fields_name(string route, string fields, string field, string problem)
    {
        var error = (await PostAsync(route, fields, HttpStatusCode.BadRequest)).GetProperty("error");

        Assert.AreEqual(field, error.GetProperty("param").GetString());
        Assert.Contains(problem, error.GetProperty("message").GetString()!);
    }

    // The model is made to begin with the space alone, as one does that has a number in mind where the grammar wants a text.
    [TestMethod]
    [DataRow("root ::= \" \\\"\" [0-9] \"\\\"\"", "\"SPACE\":100", " \"", DisplayName = "a quotation mark must follow")]
    [DataRow("root ::= \" \\\"\" [0-9] \"\\\"\"", "\"SPACE\":100,\"QUOTED\":-100", " ", DisplayName = "the longer token is unwanted")]
    [DataRow("root ::= \" \" [\\\"'] [0-9]", "\"SPACE\":100", " ", DisplayName = "another character may follow")]
    [DataRow("root ::= \" \" [\\\"é] [0-9]", "\"SPACE\":100", " ", DisplayName = "a character beyond ASCII may follow")]
    [DataRow("root ::= \" \" (\"\\\"\" [0-9])?", "\"SPACE\":100,\"END\":-100", " ", DisplayName = "the answer may end")]
    public async Task Where_a_grammar_leaves_one_mark_to_follow_the_token_that_holds_it_is_taken(string grammar, string bias, string first)
    {
        var (space, quoted, end) = (await TokenAsync(" "), await TokenAsync(" \""), await TokenAsync("<|im_end|>"));
        bias = bias.Replace("SPACE", space, StringComparison.Ordinal).Replace("QUOTED", quoted, StringComparison.Ordinal)
            .Replace("END", end, StringComparison.Ordinal);

        var body = await PostAsync("v1/completions",
            $"\"prompt\":\"x\",\"temperature\":0,\"logprobs\":1,\"logit_bias\":{{{bias}}},\"grammar\":{JsonSerializer.Serialize(grammar)}",
                HttpStatusCode.OK, "shimmy-demo");

        Assert.AreEqual(first, body.GetProperty("choices")[0].GetProperty("logprobs")
            .GetProperty("tokens")[0].GetString(), body.ToString());
        Assert.MatchesRegex("^ (.[0-9]\"?)?$", TextOf(body));
    }

    private static async Task<string> TokenAsync(string text)
    {
        using var answer = await _server.Client.PostAsync("tokenize",
            new StringContent($"{{\"model\":\"shimmy-demo\",\"content\":{JsonSerializer.Serialize(text)},\"parse_special\":true}}"));
        return JsonElement.Parse(await answer.Content.ReadAsStringAsync()).GetProperty("tokens").EnumerateArray().Single().ToString();
    }

    private static async Task<JsonElement> PostAsync(string route, string fields, HttpStatusCode status, string model = "noise")
    {
        using var answer =
            await _server.Client.PostAsync(route, new StringContent($"{{\"model\":\"{model}\",\"max_tokens\":300,{fields}}}"));
        var body = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(status, answer.StatusCode, body);
        return JsonElement.Parse(body);
    }

    private static string TextOf(JsonElement body) => !body.TryGetProperty("choices", out var choices)
        ? body.GetProperty("response").GetString()!
        : choices[0].TryGetProperty("message", out var message) ? message.GetProperty("content").GetString()!
        : choices[0].GetProperty("text").GetString()!;
}
