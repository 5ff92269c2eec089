using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.LlamaServer;

/// <summary>What a server that was started as llama-server does on routes of other dialects, and what these have from it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class LlamaModeTests
{
    private const string Thought = "<think>\nhm\n</think>\n\nHi";

    private static async Task<ServerFixture> StartAsync(ScriptedEngine engine)
    {
        var mode = new LlamaServerMode { IsOn = true };
        mode.Loading.SetResult();
        return await ServerFixture.StartAsync(engine, options: new ServerOptions { LlamaServer = mode });
    }

    private static ScriptedEngine Noting(ConcurrentQueue<GenerationOptions> asked) => new()
    {
        Answer = (_, request) =>
        {
            asked.Enqueue(request.Options);
            return ["Hi"];
        },
    };

    private static string Body(string path) => path switch
    {
        "v1/responses" => "\"input\":\"a\"",
        "v1/chat/completions" or "v1/messages" or "api/chat" => "\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]",
        _ => "\"prompt\":\"a\"",
    };

    [TestMethod]
    [DataRow("v1/chat/completions", "data: ")]
    [DataRow("v1/completions", "data: ")]
    [DataRow("v1/responses", "data: ")]
    [DataRow("v1/messages", "event: error\ndata: ")]
    [DataRow("completion", "data: ")]
    [DataRow("api/generate", "data: ")]
    [DataRow("api/chat", "")]
    public async Task What_breaks_a_stream_has_llama_servers_shape(string path, string before)
    {
        await using var server = await StartAsync(new ScriptedEngine { Answer = (_, _) => Failing() });

        using var answer = await server.OpenAsync(path, $$"""{"stream":true,{{Body(path)}}}""");
        var text = "";
        try
        {
            var piece = new byte[4096];
            using var stream = await answer.Content.ReadAsStreamAsync();
            for (int read; (read = await stream.ReadAsync(piece)) > 0;)
                text += System.Text.Encoding.UTF8.GetString(piece, 0, read);
        }
        catch (HttpIOException)
        {
            // A stream that breaks off has no end.
        }

        Assert.EndsWith("{\"error\":{\"code\":502,\"message\":\"gone\",\"type\":\"server_error\"}}", text.TrimEnd());
        Assert.Contains((before.Length == 0 ? "\n" : "\n\n" + before) + "{\"error\":{\"code\":502", text);

        static IEnumerable<string> Failing()
        {
            yield return "half";
            throw new EngineException(EngineFailure.WorkerLost, "gone");
        }
    }

    [TestMethod]
    public void Every_stage_of_the_sampler_chain_has_a_name_of_llama_servers()
    {
        foreach (var kind in Enum.GetValues<SamplerKind>())
            CollectionAssert.AreEqual(new[] { kind }, LlamaOptions.SamplersOf([LlamaOptions.NameOf(kind) ?? ""]).ToArray(), $"{kind}");
    }

    [TestMethod]
    [DataRow("v1/chat/completions")]
    [DataRow("v1/completions")]
    [DataRow("v1/responses")]
    [DataRow("v1/messages")]
    [DataRow("completion")]
    public async Task The_order_of_samplers_and_the_slot_count_on_every_route(string path)
    {
        var asked = new ConcurrentQueue<GenerationOptions>();
        await using var server = await StartAsync(Noting(asked));

        await server.AnswerAsync(path, $$"""{"samplers":["top_p","top_k"],"id_slot":1,"min_keep":2,{{Body(path)}}}""");

        var options = asked.Single();
        CollectionAssert.AreEqual(new[] { SamplerKind.TopP, SamplerKind.TopK }, options.Samplers!.ToArray());
        Assert.AreEqual((1, 2), (options.Slot, options.MinKeep));
    }

    [TestMethod]
    [DataRow("v1/chat/completions")]
    [DataRow("v1/completions")]
    [DataRow("v1/responses")]
    [DataRow("v1/messages")]
    [DataRow("completion")]
    [DataRow("api/generate")]
    [DataRow("api/chat")]
    public async Task Strengths_of_adapters_that_were_set_count_on_every_route(string path)
    {
        var asked = new ConcurrentQueue<GenerationOptions>();
        var engine = Noting(asked);
        engine.Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Name = "openchat",
            Description = spec.Name,
            ContextLength = spec.ContextLength,
            Adapters = [new AdapterFacts(0, "a", "a.gguf", 1)],
        };
        await using var server = await StartAsync(engine);

        await server.AnswerAsync("lora-adapters", """[{"id":0,"scale":0.25}]""");
        await server.AnswerAsync(path, $$"""{"stream":false,{{Body(path)}}}""");
        // Ollama's are among its options.
        const string Lora = "\"lora\":[{\"id\":0,\"scale\":0.5}]";
        var own = path == "api/chat" ? "\"options\":{" + Lora + "}" : Lora;
        await server.AnswerAsync(path, $$"""{"stream":false,{{own}},{{Body(path)}}}""");

        CollectionAssert.AreEqual(new[] { 0.25f, 0.5f }, asked.Select(options => options.Loras![0].Scale).ToArray());
    }

    [TestMethod]
    [DataRow("v1/chat/completions", "\"finish_reason\":\"length\"")]
    [DataRow("v1/completions", "\"finish_reason\":\"length\"")]
    [DataRow("v1/responses", "\"status\":\"completed\"")]
    [DataRow("v1/messages", "\"stop_reason\":\"max_tokens\"")]
    [DataRow("completion", "\"stop_type\":\"limit\"")]
    public async Task A_limit_of_time_ends_the_answer_on_every_route(string path, string end)
    {
        var engine = new ScriptedEngine
        {
            Answer = (_, _) => Enumerable.Repeat("a\n", 1000),
            BeforeToken = cancellation => Task.Delay(5, cancellation),
        };
        await using var server = await StartAsync(engine);

        // 1000 tokens would take a hundred times the limit.
        var body = await server.AnswerAsync(path,
            $$"""{"t_max_predict_ms":50,{{Body(path).Replace("\"max_tokens\":8", "\"max_tokens\":5000", StringComparison.Ordinal)}}}""");
        using var stalled = await server.PostAsync(path, $$"""{"t_max_prompt_ms":"soon",{{Body(path)}}}""");

        Assert.IsInRange(2, 500, body.Split("a\\n").Length);
        Assert.Contains(end, body);
        Assert.AreEqual(HttpStatusCode.BadRequest, stalled.StatusCode);
        Assert.Contains("t_max_prompt_ms", await stalled.Content.ReadAsStringAsync());
    }

    [TestMethod]
    [DataRow("v1/chat/completions")]
    [DataRow("v1/completions")]
    [DataRow("v1/responses")]
    [DataRow("completion")]
    public async Task A_silent_stream_shows_that_it_is_alive_on_every_route(string path)
    {
        var gate = new SemaphoreSlim(1);
        await using var server = await StartAsync(new ScriptedEngine { BeforeToken = gate.WaitAsync });
        using var request = new HttpRequestMessage(HttpMethod.Post, path)
        {
            Content = new StringContent($$"""{"stream":true,"sse_ping_interval":1,{{Body(path)}}}"""),
        };
        request.Headers.Add("X-Conversation-Id", path);

        using var answer = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var lines = new StreamReader(await answer.Content.ReadAsStreamAsync());
        string? line;
        while ((line = await lines.ReadLineAsync()) is not null and not ":")
        {
        }
        gate.Release(10);

        Assert.AreEqual(":", line);
        Assert.Contains("am", await lines.ReadToEndAsync());
    }

    // As llama.vscode asks when it starts, and for its search.
    [TestMethod]
    public async Task An_editor_finds_the_server_its_model_and_embeddings()
    {
        var engine = new ScriptedEngine();
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with { EmbeddingLength = 2 };
        await using var server = await StartAsync(engine);

        Assert.AreEqual("ok", (await server.JsonAsync("health")).GetProperty("status").GetString());
        var embedded = await Answers.JsonAsync(await server.PostAsync("v1/embeddings", """{"input":"some code","model":"","encoding_format":"float"}"""));
        var model = (await server.JsonAsync("v1/models")).GetProperty("data")[0];
        var props = await server.JsonAsync("props");

        Assert.AreEqual("talker", model.GetProperty("id").GetString());
        Assert.AreEqual(64, props.GetProperty("default_generation_settings").GetProperty("n_ctx").GetInt32());
        Assert.AreEqual("talker", props.GetProperty("model_alias").GetString());
        Assert.AreEqual(2, embedded.GetProperty("data")[0].GetProperty("embedding").GetArrayLength());
    }

    [TestMethod]
    [DataRow("auto", "Hi", "hm")]
    [DataRow("none", Thought, "")]
    [DataRow("deepseek-legacy", Thought, "hm")]
    public async Task Thoughts_are_returned_where_the_request_says(string format, string content, string reasoning)
    {
        var engine = new ScriptedEngine { Answer = (_, _) => ["<th", "ink>\nhm", "\n</think>", "\n\nHi"] };
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with
        {
            ChatTemplates = new Dictionary<string, string>
            {
                ["default"] = "{% for m in messages %}{% if m.role == 'assistant' %}<think>\n{{ m.reasoning_content }}\n</think>\n\n"
                    + "{{ m.content }}{% else %}{{ m.content }}{% endif %}{% endfor %}",
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        var body = $$"""{"reasoning_format":"{{format}}",{{Body("v1/chat/completions")}}}""";

        var message = (await Answers.JsonAsync(await server.PostAsync("v1/chat/completions", body)))
            .GetProperty("choices")[0].GetProperty("message");
        var streamed = await server.AnswerAsync("v1/chat/completions", $"{{\"stream\":true,{body[1..]}");

        Assert.AreEqual(content, message.GetProperty("content").GetString());
        Assert.AreEqual(reasoning, message.TryGetProperty("reasoning_content", out var told) ? told.GetString() : "");
        var deltas = streamed.Split("\n\n").Where(line => line.StartsWith("data: {", StringComparison.Ordinal))
            .Select(line => JsonElement.Parse(line["data: ".Length..]).GetProperty("choices")[0].GetProperty("delta")).ToArray();
        Assert.AreEqual(content, Joined("content"));
        Assert.AreEqual(reasoning, Joined("reasoning_content"));

        string Joined(string name) =>
            string.Concat(deltas.Select(delta => delta.TryGetProperty(name, out var value) ? value.GetString() : ""));
    }

    [TestMethod]
    [DataRow("completion", "\"prompt\":\"a\"")]
    [DataRow("infill", "\"input_prefix\":\"a\",\"input_suffix\":\"b\"")]
    [DataRow("embedding", "\"content\":\"a\"")]
    [DataRow("v1/chat/completions/input_tokens", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]")]
    public async Task What_would_change_the_answer_and_is_not_there_is_refused(string path, string fields)
    {
        await using var server = await ServerFixture.StartAsync();

        using var answer = await server.PostAsync(path, $$"""{"guided_regex":"a+",{{fields}}}""");

        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("guided_regex", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task Embeddings_are_taken_in_every_form_of_a_prompt()
    {
        await using var server = await StartAsync(new ScriptedEngine
        {
            Facts = spec => new ModelFacts { Architecture = "a", Description = "a", EmbeddingLength = 2, VocabularySize = 100 },
        });

        var listed = await Answers.JsonAsync(await server.PostAsync("v1/embeddings",
            """{"input":["a",{"prompt_string":"b"},{"content":[{"type":"text","text":"c"}]},[1,"d",2]]}"""));
        var own = await server.AnswerAsync("embeddings", """{"input":"a"}""");

        Assert.AreEqual(4, listed.GetProperty("data").GetArrayLength());
        Assert.AreEqual("""[{"index":0,"embedding":[[0.6,0.8]]}]""", own);
    }

    [TestMethod]
    public async Task Where_nothing_is_pooled_each_token_has_its_embedding_in_llama_servers_form_alone()
    {
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Facts = spec => new ModelFacts { Architecture = "a", Description = "a", EmbeddingLength = 1, EmbedsTokens = true },
        });

        Assert.AreEqual("""[{"index":0,"embedding":[[3],[4]]}]""", await server.AnswerAsync("embedding", """{"content":"a"}"""));
        foreach (var path in (string[])["v1/embeddings", "api/embed"])
        {
            using var refused = await server.PostAsync(path, """{"model":"talker","input":"a"}""");
            Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode, path);
            Assert.Contains("Pooling type 'none'", await refused.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    public async Task Texts_are_ranked_in_the_shape_of_TEI()
    {
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Facts = spec => new ModelFacts { Architecture = "a", Description = "a", CanRerank = true },
        });

        var body = await Answers.JsonAsync(await server.PostAsync("rerank",
            """{"query":"q","texts":["a","b"],"return_text":true,"top_n":1}"""));
        using var wrong = await server.PostAsync("rerank", """{"query":"q","texts":[1]}""");

        Assert.AreEqual(1, body.GetArrayLength());
        Assert.AreEqual("a", body[0].GetProperty("text").GetString());
        Assert.AreEqual(3, body[0].GetProperty("score").GetDouble());
        Assert.Contains("texts[0]", await wrong.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task What_is_continued_is_repeated_where_the_request_asks_for_it()
    {
        await using var server = await ServerFixture.StartAsync();
        const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"Well, \"}]";

        var body = await Answers.JsonAsync(
            await server.PostAsync("v1/chat/completions", $$"""{"continue_final_message":true,"echo":true,{{Messages}}}"""));

        Assert.AreEqual("Well, I am talker", body.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
    }

    // The template leaves the last message out, so it cannot be continued.
    [TestMethod]
    [DataRow("v1/chat/completions", "", "messages")]
    [DataRow("v1/chat/completions", "\"continue_final_message\":null,", "messages")]
    [DataRow("v1/chat/completions", "\"continue_final_message\":true,", "continue_final_message")]
    [DataRow("v1/chat/completions/input_tokens", "", "messages")]
    [DataRow("apply-template", "", "messages")]
    [DataRow("v1/messages", "", "messages")]
    [DataRow("v1/responses", "", "input")]
    public async Task An_error_about_a_continued_message_names_what_the_request_has(string path, string fields, string field)
    {
        await using var server = await StartAsync(WithTemplate("{{ messages[0].content }}"));
        var name = path == "v1/responses" ? "input" : "messages";

        using var answer = await server.PostAsync(path,
            $$"""{{{fields}}"max_tokens":8,"{{name}}":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}""");
        var text = await answer.Content.ReadAsStringAsync();

        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, text);
        Assert.Contains($"\"{field}: the chat template of this model does not show the last message as it is", text);
    }

    private static ScriptedEngine WithTemplate(string template)
    {
        var engine = new ScriptedEngine();
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with { ChatTemplates = new Dictionary<string, string> { ["default"] = template } };
        return engine;
    }

    [TestMethod]
    public async Task Templates_get_the_day_unless_the_request_has_another()
    {
        const string Template = "{{ date_string }}|{% for m in messages %}{{ m.content }}{% endfor %}";
        await using var server = await StartAsync(WithTemplate(Template));
        await using var plain = await ServerFixture.StartAsync(WithTemplate(Template));
        const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]";

        Assert.AreEqual(DateTime.Now.ToString("dd MMM yyyy", CultureInfo.InvariantCulture) + "|a", await PromptAsync(server, ""));
        Assert.AreEqual("1 May 1|a", await PromptAsync(server, "\"chat_template_kwargs\":{\"date_string\":\"1 May 1\"},"));
        Assert.AreEqual("|a", await PromptAsync(plain, ""));

        static async Task<string?> PromptAsync(ServerFixture server, string fields) =>
            (await Answers.JsonAsync(await server.PostAsync("apply-template", $"{{{fields}{Messages}}}"))).GetProperty("prompt").GetString();
    }

    [TestMethod]
    public async Task Parts_of_a_message_are_lines_and_paragraphs_where_it_is_continued()
    {
        await using var server = await StartAsync(WithTemplate("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"));

        var body = await Answers.JsonAsync(await server.PostAsync("apply-template", """
            {"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]}]}
            """));

        Assert.AreEqual("[user]a\nb[assistant]c\n\nd", body.GetProperty("prompt").GetString());
    }

    [TestMethod]
    [DataRow("v1/chat/completions")]
    [DataRow("apply-template")]
    public async Task A_message_is_continued_or_answered_and_not_both(string path)
    {
        await using var server = await ServerFixture.StartAsync();

        using var answer = await server.PostAsync(path, """
            {"add_generation_prompt":true,"continue_final_message":true,
            "messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}
            """);

        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("add_generation_prompt", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task A_picture_that_the_model_cannot_see_is_refused_in_the_result_of_a_tool_too()
    {
        const string Pixel =
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
        await using var server = await StartAsync(new ScriptedEngine());

        using var answer = await server.PostAsync("v1/messages", $$"""
            {"max_tokens":4,"messages":[{"role":"user","content":"look"},
            {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"read","input":{} }]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"{{Pixel}}"} }]}]}]}
            """);

        Assert.AreEqual(HttpStatusCode.InternalServerError, answer.StatusCode);
        Assert.Contains("image input is not supported", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task Metrics_go_on_over_an_unload_and_rates_are_those_since_they_were_asked_for()
    {
        var mode = new LlamaServerMode { IsOn = true, Metrics = true };
        mode.Loading.SetResult();
        var statistics = new EngineStatistics
        {
            GeneratedTokens = 9,
            GeneratedSteps = 8,
            GeneratedSeconds = 2,
            MostTokens = 12,
            DecodeCalls = 4,
            DecodedSlots = 6,
            SlotsBusy = 1,
        };
        await using var server = await ServerFixture.StartAsync(
            new ScriptedEngine { Statistics = _ => statistics }, new ServerOptions { LlamaServer = mode });
        await server.AnswerAsync("completion", """{"prompt":"a"}""");

        // Nobody asked before the unload.
        await server.Residency.UnloadAsync("talker");
        await Poll.UntilAsync(() => server.Residency.Resident.Count == 0, "the unload");
        var first = await MetricsAsync();
        var second = await MetricsAsync();
        await server.AnswerAsync("completion", """{"prompt":"a"}""");
        var third = await MetricsAsync();

        Assert.AreEqual((9, 12, 1.5), (first["tokens_predicted_total"], first["n_tokens_max"], first["n_busy_slots_per_decode"]));
        CollectionAssert.AreEqual(new[] { 4.0, 0, 4 }, Series("predicted_tokens_seconds"));
        CollectionAssert.AreEqual(new[] { 0.0, 0, 1 }, Series("requests_processing"));
        CollectionAssert.AreEqual(new[] { 9.0, 9, 18 }, Series("tokens_predicted_total"));

        double[] Series(string name) => [first[name], second[name], third[name]];

        async Task<Dictionary<string, double>> MetricsAsync()
        {
            using var answer = await server.Client.GetAsync("metrics");
            Assert.IsTrue(answer.Headers.Contains("Process-Start-Time-Unix"));
            return (await answer.Content.ReadAsStringAsync()).Split('\n').Where(line => line.StartsWith("llamacpp:", StringComparison.Ordinal))
                .Select(line => line["llamacpp:".Length..].Split(' '))
                .ToDictionary(pair => pair[0], pair => double.Parse(pair[1], CultureInfo.InvariantCulture));
        }
    }

    [TestMethod]
    public async Task The_first_token_takes_no_step_and_settings_have_every_sampler()
    {
        await using var server = await StartAsync(new ScriptedEngine());

        var one = await Answers.JsonAsync(await server.PostAsync("completion", """{"prompt":"a","n_predict":1}"""));
        var all = await Answers.JsonAsync(await server.PostAsync("completion",
            """{"prompt":"a","adaptive_target":0.5,"samplers":["min_p","adaptive_p"]}"""));

        Assert.AreEqual(0, one.GetProperty("timings").GetProperty("predicted_per_second").GetDouble());
        var timings = all.GetProperty("timings");
        var steps = timings.GetProperty("predicted_n").GetInt32() - 1;
        Assert.IsGreaterThan(0, steps);
        Assert.AreEqual(timings.GetProperty("predicted_ms").GetDouble() is > 0 and var time ? 1000 * steps / time : 0,
            timings.GetProperty("predicted_per_second").GetDouble(), 1e-6);
        var settings = all.GetProperty("generation_settings");
        Assert.AreEqual(0.5, settings.GetProperty("adaptive_target").GetDouble());
        Assert.AreEqual("[\"min_p\",\"adaptive_p\"]", settings.GetProperty("samplers").GetRawText());
    }
}
