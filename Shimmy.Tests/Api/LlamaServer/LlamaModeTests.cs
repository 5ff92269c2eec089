using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;

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
    [DataRow("auto", "Hi", "hm")]
    [DataRow("none", Thought, "")]
    [DataRow("deepseek-legacy", Thought, "hm")]
    public async Task Thoughts_are_told_where_the_request_says(string format, string content, string reasoning)
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
}
