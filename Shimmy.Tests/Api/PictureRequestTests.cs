using System.Net;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>Pictures in every dialect: at their place in the prompt for a model that sees, refused or words for one that does not.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PictureRequestTests
{
    private static readonly string Data = Convert.ToBase64String(Pictures.Row);
    private static readonly string Url = Pictures.Url(Pictures.Row);

    private static readonly string Chat = $$"""
        {"model":"talker","messages":[{"role":"user","content":[{"type":"text","text":"Before "},
         {"type":"image_url","image_url":{"url":"{{Url}}","detail":"high"} },{"type":"text","text":" after"}]}]}
        """;

    private static readonly string Response = $$"""
        {"model":"talker","input":[{"role":"user","content":[{"type":"input_text","text":"Before "},
         {"type":"input_image","image_url":"{{Url}}","detail":"low"},{"type":"input_text","text":" after"}]}]}
        """;

    private static readonly string Message = $$$"""
        {"model":"talker","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"Before "},
         {"type":"image","source":{"type":"base64","media_type":"image/png","data":"{{{Data}}}"}},{"type":"text","text":" after"}]}]}
        """;

    private static readonly string Screenshot = $$$"""
        {"model":"talker","max_tokens":5,"messages":[{"role":"user","content":"Look."},
         {"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"screenshot","input":{}}]},
         {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"Before "},
          {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"{{{Data}}}"}}]}]}]}
        """;

    [TestMethod]
    public async Task A_picture_stands_at_its_place_in_every_dialect()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        await server.AnswerAsync("v1/chat/completions", Chat);
        await server.AnswerAsync("v1/responses", Response);
        await server.AnswerAsync("v1/messages", Message);
        await server.AnswerAsync("api/generate",
            $$"""{"model":"talker","messages":[{"role":"user","content":"after","images":["{{Data}}"]}]}""");
        await server.AnswerAsync("api/generate", $$"""{"model":"talker","prompt":"after","images":["{{Url}}"]}""");
        await server.AnswerAsync("v1/messages", Screenshot);

        Assert.HasCount(6, asked);
        foreach (var prompt in asked)
        {
            var medium = prompt.Media.Single();
            Assert.AreEqual((3, 1), (medium.Width, medium.Height));
            CollectionAssert.AreEqual(new byte[] { 255, 0, 0, 0, 255, 0, 0, 0, 255 }, medium.Data.ToArray());
            Assert.AreEqual(0, prompt.Parts.Single(part => part.Medium is not null).Medium);
        }
        foreach (var prompt in asked.Take(3))
            Assert.Contains("Before |* after", ScriptedEngine.Shown(prompt).Replace("\n", "", StringComparison.Ordinal).Replace("Before *", "Before |*", StringComparison.Ordinal));
        Assert.Contains("*after", ScriptedEngine.Shown(asked[3]));
        Assert.Contains("*after", ScriptedEngine.Shown(asked[4]));
        Assert.Contains("Before *", ScriptedEngine.Shown(asked[5]));
    }

    [TestMethod]
    [DataRow("system")]
    [DataRow("developer")]
    [DataRow("assistant")]
    [DataRow("tool")]
    public async Task Any_role_may_bring_a_picture(string role)
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        var call = role == "tool" ? "\"tool_call_id\":\"call_1\"," : "";
        await server.AnswerAsync("v1/chat/completions", $$"""
            {"model":"talker","messages":[{"role":"user","content":"First"},{"role":"{{role}}",{{call}}"content":[
             {"type":"image_url","image_url":{"url":"{{Url}}"} }]},{"role":"user","content":"Last"}]}
            """);
        Assert.HasCount(1, asked.Single().Media);
        Assert.Contains("*", ScriptedEngine.Shown(asked[0]));
    }

    [TestMethod]
    public async Task A_picture_that_a_tool_of_another_server_drew_is_a_picture_of_the_history()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        foreach (var result in (string[])[$"\"{Data}\"", "null", "\"bm8gcGljdHVyZQ==\""])
        {
            await server.AnswerAsync("v1/responses", $$"""
                {"model":"talker","input":[{"role":"user","content":"Draw"},{"type":"image_generation_call","id":"ig_1","status":"completed",
                 "result":{{result}}},{"role":"user","content":"What is it?"}]}
                """);
        }
        Assert.HasCount(1, asked[0].Media);
        Assert.Contains("[image_generation_call]", ScriptedEngine.Shown(asked[1]));
        Assert.Contains("[image omitted: it cannot be read]", ScriptedEngine.Shown(asked[2]));
        foreach (var prompt in asked)
            Assert.DoesNotContain(Data, ScriptedEngine.Shown(prompt));
    }

    [TestMethod]
    [DataRow("input_image", "\"image_url\":\"data:,\"")]
    [DataRow("input_text", "\"text\":\"What is in the picture?\"")]
    public async Task A_part_in_the_place_of_an_item_is_refused_by_its_type(string type, string rest)
    {
        await using var server = await ServerFixture.StartAsync(Seeing([]));
        var answer = await RefusalAsync(server, "v1/responses", $$"""{"model":"talker","input":[{"type":"{{type}}",{{rest}}}]}""");
        Assert.Contains("input[0].type", answer);
        Assert.Contains("stand in the content of an item", answer);
    }

    [TestMethod]
    public async Task Words_in_a_pictures_place_are_a_line_of_their_own()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked, sees: false));
        await server.AnswerAsync("v1/chat/completions", $$"""
            {"model":"talker","messages":[{"role":"user","content":[{"type":"text","text":"Look:"},
             {"type":"image_url","image_url":{"url":"{{Url}}"} },{"type":"text","text":"What is it?"}]},
             {"role":"assistant","content":"A row."},{"role":"user","content":"And now?"}]}
            """);
        Assert.Contains("Look:\n[image omitted: talker cannot see]\nWhat is it?", ScriptedEngine.Shown(asked.Single()));
    }

    [TestMethod]
    public async Task Spaces_may_stand_before_the_word_base64_and_what_is_none_has_a_code()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        const string body = """{"model":"talker","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"URL"} }]}]}""";
        await server.AnswerAsync("v1/chat/completions", body.Replace("URL", $"data:image/png; base64,{Data}", StringComparison.Ordinal));
        Assert.HasCount(1, asked.Single().Media);
        foreach (var url in (string[])["data:image/png;base64,!!!!", "data:image/png,abc", "gopher://a/b"])
            Assert.Contains("\"invalid_image\"", await RefusalAsync(server, "v1/chat/completions", body.Replace("URL", url, StringComparison.Ordinal)), url);
    }

    private static async Task<string> RefusalAsync(ServerFixture server, string path, string body)
    {
        using var answer = await server.PostAsync(path, body);
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        return await answer.Content.ReadAsStringAsync();
    }

    [TestMethod]
    public async Task No_text_of_a_user_is_a_picture()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        await server.AnswerAsync("v1/chat/completions", $$"""
            {"model":"talker","messages":[{"role":"user","content":[{"type":"text","text":"<__media__> <image> <|image_pad|>"},
             {"type":"image_url","image_url":{"url":"{{Url}}"} },{"type":"image_url","image_url":{"url":"{{Url}}"} }]}]}
            """);
        Assert.HasCount(2, asked.Single().Media);
        Assert.Contains("<__media__> <image> <|image_pad|>**", ScriptedEngine.Shown(asked[0]));
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public async Task A_blind_model_refuses_a_new_picture_in_every_dialect(bool stream)
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked, sees: false));
        foreach (var (path, body, field) in (ValueTuple<string, string, string>[])
            [("v1/chat/completions", Chat, "messages[0].content[1].image_url.url"),
            ("v1/responses", Response, "input[0].content[1].image_url"),
            ("v1/messages", Message, "messages[0].content[1].source.data"),
            ("api/generate", $$"""{"model":"talker","messages":[{"role":"user","content":"after","images":["{{Data}}"]}]}""", "messages[0].images[0]"),
            ("api/generate", $$"""{"model":"talker","prompt":"after","images":["{{Url}}"]}""", "images[0]"),
            ("api/chat", $$"""{"model":"talker","messages":[{"role":"user","content":"after","images":["{{Data}}"]}]}""", "messages[0].images[0]"),
            ("completion", $$"""{"model":"talker","prompt":{"prompt_string":"a <__media__>","multimodal_data":["{{Data}}"] } }""", "prompt.multimodal_data[0]")])
        {
            using var answer = await server.PostAsync(path, body.TrimStart().Insert(1, $"\"stream\":{(stream ? "true" : "false")},"));
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, $"{path}: {text}");
            Assert.Contains(field, text);
            Assert.Contains("the model 'talker' does not support image input (vision): it has no multimodal projector (mmproj)",
                text.Replace("\\u0027", "'", StringComparison.Ordinal));
        }
        Assert.IsEmpty(asked);
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public async Task A_blind_model_reads_words_for_an_old_picture_in_every_dialect(bool stream)
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked, sees: false));
        const string rest = """{"role":"assistant","content":"A row."},{"role":"user","content":"And now?"}]""";
        (string Path, string Body)[] conversations =
        [
            ("v1/chat/completions", $$"""
                {"model":"talker","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"{{Url}}"} }]},{{rest}}}
                """),
            ("v1/responses", $$"""
                {"model":"talker","input":[{"role":"user","content":[{"type":"input_image","image_url":"{{Url}}"}]},{{rest}}}
                """),
            ("v1/messages", $$$"""
                {"model":"talker","max_tokens":5,"messages":[{"role":"user","content":[
                 {"type":"image","source":{"type":"base64","media_type":"image/png","data":"{{{Data}}}"}}]},{{{rest}}}}
                """),
            ("v1/messages", Screenshot),
            ("api/generate", $$"""{"model":"talker","messages":[{"role":"user","content":"","images":["{{Data}}"]},{{rest}}}"""),
            ("api/chat", $$"""{"model":"talker","messages":[{"role":"user","content":"","images":["{{Data}}"]},{{rest}}}"""),
        ];
        foreach (var (path, body) in conversations)
            await server.AnswerAsync(path, body.TrimStart().Insert(1, $"\"stream\":{(stream ? "true" : "false")},"));
        Assert.HasCount(conversations.Length, asked);
        foreach (var prompt in asked)
        {
            Assert.IsEmpty(prompt.Media);
            Assert.Contains("[image omitted: talker cannot see]", ScriptedEngine.Shown(prompt));
        }
    }

    // In the history, and in what a tool gave in the newest turn.
    private static (string Path, string Body)[] Unreadable(string data)
    {
        var url = "data:image/webp;base64," + data;
        const string rest = """{"role":"assistant","content":"A row."},{"role":"user","content":"And now?"}]""";
        return
        [
            ("v1/chat/completions", $$"""
                {"model":"talker","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"{{url}}"} }]},{{rest}}}
                """),
            ("v1/chat/completions", $$"""
                {"model":"talker","messages":[{"role":"user","content":"Look."},
                 {"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"} }]},
                 {"role":"tool","tool_call_id":"c","content":[{"type":"image_url","image_url":{"url":"{{url}}"} }]}]}
                """),
            ("v1/responses", $$"""
                {"model":"talker","input":[{"role":"user","content":[{"type":"input_image","image_url":"{{url}}"}]},{{rest}}}
                """),
            ("v1/responses", $$"""
                {"model":"talker","input":[{"role":"user","content":"Look."},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
                 {"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"{{url}}"}]}]}
                """),
            ("v1/responses", $$"""
                {"model":"talker","input":[{"role":"user","content":"Look."},{"type":"custom_tool_call","call_id":"c","name":"f","input":"x"},
                 {"type":"custom_tool_call_output","call_id":"c","output":[{"type":"input_image","image_url":"{{url}}"}]}]}
                """),
            ("v1/messages", $$$"""
                {"model":"talker","max_tokens":5,"messages":[{"role":"user","content":[
                 {"type":"image","source":{"type":"base64","media_type":"image/webp","data":"{{{data}}}"}}]},{{{rest}}}}
                """),
            ("v1/messages", Screenshot.Replace(Data, data, StringComparison.Ordinal)),
            ("api/generate", $$"""{"model":"talker","messages":[{"role":"user","content":"","images":["{{data}}"]},{{rest}}}"""),
            ("api/chat", $$"""{"model":"talker","messages":[{"role":"user","content":"","images":["{{data}}"]},{{rest}}}"""),
            ("api/chat", $$"""
                {"model":"talker","messages":[{"role":"user","content":"Look."},
                 {"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{} } }]},
                 {"role":"tool","tool_name":"f","content":"so","images":["{{data}}"]}]}
                """),
        ];
    }

    [TestMethod]
    [DataRow(true, "[image omitted: it cannot be read]")]
    [DataRow(false, "[image omitted: talker cannot see]")]
    public async Task A_picture_of_the_history_or_of_a_tool_that_cannot_be_read_becomes_words(bool sees, string words)
    {
        var asked = new List<Prompt>();
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(Seeing(asked, sees: sees), loggers: log);
        // One whose first bytes say it, and one that only decoding finds out.
        foreach (var data in (string[])[Convert.ToBase64String("RIFF1234WEBPVP8 "u8), Convert.ToBase64String(Pictures.PngOf(9, 9, 8, 2, 0, [1]))])
        {
            foreach (var (path, body) in Unreadable(data))
            {
                asked.Clear();
                await server.AnswerAsync(path, body);
                Assert.IsEmpty(asked.Single().Media);
                Assert.Contains(words, ScriptedEngine.Shown(asked.Single()), $"{path} {body}");
            }
        }
        await log.WaitForAsync("replaced by a text placeholder");
    }

    [TestMethod]
    public async Task A_picture_of_the_newest_turn_that_cannot_be_read_is_refused_in_every_dialect()
    {
        await using var server = await ServerFixture.StartAsync(Seeing([]));
        var data = Convert.ToBase64String("RIFF1234WEBPVP8 "u8);
        const string before = """{"role":"user","content":"Hi."},{"role":"assistant","content":"Hello."},""";
        foreach (var (path, body) in (ValueTuple<string, string>[])
            [("v1/chat/completions", Chat.Replace(Data, data, StringComparison.Ordinal)),
            ("v1/responses", Response.Replace(Data, data, StringComparison.Ordinal)),
            ("v1/messages", Message.Replace(Data, data, StringComparison.Ordinal)),
            // One that the client begins itself is to be continued.
            ("v1/chat/completions", $$"""
                {"model":"talker","continue_final_message":true,"messages":[{"role":"user","content":[
                 {"type":"image_url","image_url":{"url":"{{data}}"} }]},{"role":"assistant","content":"It is"}]}
                """),
            ("api/generate", $$"""{"model":"talker","messages":[{{before}}{"role":"user","content":"a","images":["{{data}}"]}]}"""),
            ("api/chat", $$"""{"model":"talker","messages":[{{before}}{"role":"user","content":"a","images":["{{data}}"]}]}""")])
        {
            using var answer = await server.PostAsync(path, body);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, $"{path}: {text}");
            Assert.Contains("is a WebP picture", text);
        }
    }

    [TestMethod]
    public async Task Pictures_that_tools_of_the_Responses_API_give_are_seen()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        foreach (var item in (string[])
            [$$"""{"type":"custom_tool_call_output","call_id":"c","output":[{"type":"input_image","image_url":"{{Url}}"}]}""",
            $$"""{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","image_url":"{{Url}}"} }"""])
        {
            asked.Clear();
            await server.AnswerAsync("v1/responses", $$"""
                {"model":"talker","input":[{"role":"user","content":"Look."},
                 {"type":"{{(item.Contains("custom", StringComparison.Ordinal) ? "custom_tool_call" : "computer_call")}}","call_id":"c",
                  "name":"f","input":"x","action":{"type":"screenshot"} },{{item}}]}
                """);
            Assert.HasCount(1, asked.Single().Media);
        }
    }

    [TestMethod]
    public async Task Data_URIs_may_be_written_as_URLs_are()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        // With characters that Base64 for URLs writes otherwise, and padding.
        var picture = Pictures.PngOf(1, 1, 8, 2, 0, Pictures.Deflated([0, 255, 254, 250]), ("tEXt", [255, 239, 190, 251, 255]));
        var plain = Convert.ToBase64String(picture);
        Assert.IsTrue(plain.Contains('+', StringComparison.Ordinal) || plain.Contains('/', StringComparison.Ordinal), plain);
        foreach (var url in (string[])
            ["data:image/png;base64," + plain.TrimEnd('='), "data:image/png;base64," + plain.Replace('+', '-').Replace('/', '_').TrimEnd('='),
            "data:image/png;base64," + Uri.EscapeDataString(plain), plain.TrimEnd('='),
            "data:image/png," + string.Concat(picture.Select(value => $"%{value:X2}"))])
        {
            asked.Clear();
            await server.AnswerAsync("v1/chat/completions", $$"""
                {"model":"talker","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"{{url}}"} }]}]}
                """);
            CollectionAssert.AreEqual(new byte[] { 255, 254, 250 }, asked.Single().Media.Single().Data.ToArray(), url);
        }
    }

    [TestMethod]
    public async Task What_is_wrong_with_a_picture_is_said_with_its_field()
    {
        await using var server = await ServerFixture.StartAsync(Seeing([]), new ServerOptions { MediaPixels = 2 });
        await IsRefused("not base64!", "is not Base64");
        await IsRefused("data:image/png,abc", "';base64,'");
        await IsRefused("data:image/webp;base64," + Convert.ToBase64String("RIFF1234WEBPVP8 "u8), "is a WebP picture");
        await IsRefused("file:///etc/passwd", "not read by this server");
        await IsRefused("ftp://example.org/a.png", "must be a data: URI or an http(s) URL");
        await IsRefused("https://example.org/a.png", "--media-urls");
        await IsRefused(Url, "3 x 1 pixels");

        async Task IsRefused(string url, string reason)
        {
            using var answer = await server.PostAsync("v1/chat/completions", $$"""
                {"model":"talker","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"{{url}}"} }]}]}
                """);
            var error = (await answer.JsonAsync()).GetProperty("error");
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.AreEqual("messages[0].content[0].image_url.url", error.GetProperty("param").GetString());
            Assert.Contains(reason, error.GetProperty("message").GetString()!);
        }
    }

    [TestMethod]
    public async Task A_stored_picture_comes_back_with_its_item()
    {
        await using var server = await ServerFixture.StartAsync(Seeing([]));
        using var answer = JsonDocument.Parse(await server.AnswerAsync("v1/responses", Response));
        var items = await server.Client.GetStringAsync($"v1/responses/{answer.RootElement.GetProperty("id").GetString()}/input_items");
        Assert.Contains(Url, items.Replace("\\u002B", "+", StringComparison.Ordinal));
    }

    [TestMethod]
    public async Task A_picture_is_embedded_at_its_place_in_llama_servers_form()
    {
        var engine = Seeing([]);
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with { EmbeddingLength = 2 };
        await using var server = await ServerFixture.StartAsync(engine);
        await using var blind = await ServerFixture.StartAsync(Seeing([], sees: false));
        var picture = $$"""{"prompt_string":"Before <__media__> after","multimodal_data":["{{Data}}"]}""";

        await server.AnswerAsync("embedding", $$"""{"content":{{picture}}}""");
        await server.AnswerAsync("embedding", $$"""{"input":["text",{{picture}}]}""");
        using var refused = await blind.PostAsync("embedding", $$"""{"content":{{picture}}}""");
        using var unmarked = await server.PostAsync("embedding",
            $$$"""{"content":{"prompt_string":"Before","multimodal_data":["{{{Data}}}"]}}""");

        var seen = engine.Embedded.Where(prompt => prompt.Media.Count > 0).ToArray();
        Assert.HasCount(2, seen);
        foreach (var prompt in seen)
        {
            CollectionAssert.AreEqual(new[] { "Before ", "", " after" }, prompt.Parts.Select(part => part.Text).ToArray());
            Assert.AreEqual((3, 0), (prompt.Media.Single().Width, prompt.Parts[1].Medium!.Value));
        }
        foreach (var (answer, words) in ((HttpResponseMessage, string)[])[(refused, "image input (vision)"), (unmarked, "prompt_string")])
        {
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.Contains(words, await answer.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    public async Task Pictures_in_a_document_of_Anthropics_are_seen_at_their_place()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        await using var blind = await ServerFixture.StartAsync(Seeing([], sees: false));
        var body = $$$"""
            {"model":"talker","max_tokens":5,"messages":[{"role":"user","content":[{"type":"document","title":"Report",
             "source":{"type":"content","content":[{"type":"text","text":"one"},
              {"type":"image","source":{"type":"base64","media_type":"image/png","data":"{{{Data}}}"}},{"type":"text","text":"two"}]}},
             {"type":"text","text":"What is it?"}]}]}
            """;

        await server.AnswerAsync("v1/messages", body);
        using var refused = await blind.PostAsync("v1/messages", body);

        Assert.HasCount(1, asked.Single().Media);
        Assert.Contains("Report\n\none*two\n\nWhat is it?", ScriptedEngine.Shown(asked[0]));
        Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("messages[0].content[0].source.content[1].source.data", await refused.Content.ReadAsStringAsync());
    }

    // One whose first bytes say it, one that only decoding finds out, and one that cannot be fetched.
    [TestMethod]
    public async Task A_picture_that_cannot_be_read_has_one_code_wherever_that_shows()
    {
        await using var server = await ServerFixture.StartAsync(Seeing([]));
        await using var blind = await ServerFixture.StartAsync(Seeing([], sees: false));

        Assert.AreEqual("invalid_image", await CodeAsync(server, Chat.Replace(Data, "UklGRjEyMzRXRUJQVlA4IA==", StringComparison.Ordinal)));
        Assert.AreEqual("invalid_image", await CodeAsync(server, Chat.Replace(Data,
            Convert.ToBase64String(Pictures.PngOf(9, 9, 8, 2, 0, [1])), StringComparison.Ordinal)));
        Assert.AreEqual("invalid_image", await CodeAsync(server, Chat.Replace(Url, "https://example.org/a.png", StringComparison.Ordinal)));
        // Nothing is wrong with this one.
        Assert.AreEqual("invalid_value", await CodeAsync(blind, Chat));

        static async Task<string?> CodeAsync(ServerFixture server, string body)
        {
            using var answer = await server.PostAsync("v1/chat/completions", body);
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            return (await answer.JsonAsync()).GetProperty("error").GetProperty("code").GetString();
        }
    }

    [TestMethod]
    public async Task Counting_refuses_a_damaged_picture_as_the_request_itself_does()
    {
        await using var server = await ServerFixture.StartAsync(Seeing([]));
        // One that is no picture, and one that only decoding finds out.
        foreach (var data in (string[])[Convert.ToBase64String("no picture"u8), Convert.ToBase64String(Pictures.PngOf(9, 9, 8, 2, 0, [1]))])
        {
            foreach (var (path, counting, body) in (ValueTuple<string, string, string>[])
                [("v1/messages", "v1/messages/count_tokens", Message), ("v1/responses", "v1/responses/input_tokens", Response),
                ("v1/chat/completions", "v1/chat/completions/input_tokens", Chat), ("v1/chat/completions", "tokenize", Chat),
                ("v1/chat/completions", "apply-template", Chat)])
            {
                var damaged = body.Replace(Data, data, StringComparison.Ordinal);
                using var refused = await server.PostAsync(path, damaged);
                using var uncounted = await server.PostAsync(counting, damaged);
                Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
                Assert.AreEqual(HttpStatusCode.BadRequest, uncounted.StatusCode, counting);
                var (expected, got) = (await refused.JsonAsync(), await uncounted.JsonAsync());
                Assert.AreEqual(MessageOf(expected), MessageOf(got), counting);
            }
        }

        static string? MessageOf(JsonElement answer) =>
            (answer.GetProperty("error") is { ValueKind: JsonValueKind.Object } error ? error.GetProperty("message") : answer.GetProperty("error"))
            .GetString();
    }

    // What a template refuses, or the engine.
    [TestMethod]
    public async Task An_error_names_a_field_that_the_request_has()
    {
        var engine = Seeing([]);
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with
        {
            SampleRate = 16_000,
            ChatTemplates = new Dictionary<string, string> { ["default"] = "{{ messages[-1].role }}" },
        };
        await using var leaves = await ServerFixture.StartAsync(engine);
        engine = Seeing([]);
        engine.Tokens = _ => throw new EngineException(EngineFailure.InvalidRequest, "the projector takes none") { Option = "messages" };
        await using var refuses = await ServerFixture.StartAsync(engine);
        var prompt = $$"""{"model":"talker","prompt":"a","images":["{{Data}}"]}""";
        var heard = $$"""{"model":"talker","prompt":"a","audio":["{{Sounds.Url(Sounds.Tone)}}"]}""";
        var turns = $$"""{"model":"talker","messages":[{"role":"user","content":"a","images":["{{Data}}"]}]}""";

        foreach (var (path, body, field) in (ValueTuple<string, string, string>[])
            [("v1/chat/completions", Chat, "messages"), ("v1/responses", Response, "input"), ("v1/responses/input_tokens", Response, "input"),
            ("v1/messages", Message, "messages"), ("api/generate", turns, "messages"), ("api/generate", prompt, "prompt"),
            ("api/generate", heard, "prompt")])
        {
            using var answer = await leaves.PostAsync(path, body.TrimStart().Insert(1, "\"stream\":false,"));
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, $"{path}: {text}");
            Assert.Contains($"\"{field}: the chat template of this model leaves out", text, path);
        }
        foreach (var (path, body, field) in (ValueTuple<string, string, string>[])
            [("v1/chat/completions", Chat, "messages"), ("v1/responses", Response, "input"), ("v1/responses/input_tokens", Response, "input"),
            ("completion", $$"""{"prompt":{"prompt_string":"<__media__>","multimodal_data":["{{Data}}"] } }""", "prompt")])
        {
            using var answer = await refuses.PostAsync(path, body);
            var error = (await answer.JsonAsync()).GetProperty("error");
            Assert.AreEqual(((field == "messages" ? "" : field + ": ") + "the projector takes none", field),
                (error.GetProperty("message").GetString(), error.GetProperty("param").GetString()), path);
        }
    }

    [TestMethod]
    public async Task A_last_message_of_the_assistant_that_is_a_picture_is_refused_and_not_left_out()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Seeing(asked));
        using var answer = await server.PostAsync("api/chat", $$"""
            {"model":"talker","stream":false,"messages":[{"role":"user","content":"Draw."},
             {"role":"assistant","content":"","images":["{{Data}}"]}]}
            """);
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("\"messages: a message with pictures or sounds cannot be continued", await answer.Content.ReadAsStringAsync());
        Assert.IsEmpty(asked);
    }

    [TestMethod]
    public async Task Where_contexts_are_shifted_a_prompt_with_a_picture_is_answered_without()
    {
        var asked = new List<Prompt>();
        var mode = new LlamaServerMode { IsOn = true, ShiftsContext = true };
        mode.Loading.SetResult();
        await using var server = await ServerFixture.StartAsync(Seeing(asked), new ServerOptions { LlamaServer = mode });

        await server.AnswerAsync("completion",
            $$"""{"prompt":{"prompt_string":"Before <__media__> after","multimodal_data":["{{Data}}"] } }""");
        await server.AnswerAsync("completion", """{"prompt":"text alone"}""");

        Assert.HasCount(1, asked[0].Media);
        // What may be shifted goes as tokens.
        Assert.IsNotNull(asked[1].Tokens);
    }

    private static ScriptedEngine Seeing(List<Prompt> asked, bool sees = true) =>
        ScriptedEngine.OfMedia(asked, facts => facts with { CanSee = sees }, "Seen.");
}
