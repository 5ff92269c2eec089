using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Ollama;

/// <summary><c>/api/chat</c> and Ollama's <c>/api/generate</c>: lines, whole answers, options, loading and unloading.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class OllamaAnswerTests
{
    private const string Chat = "api/chat";
    private const string Ask = """ "model":"talker","messages":[{"role":"user","content":"?"}] """;

    private const string Tail =
        "\"done\":true,\"done_reason\":\"stop\",\"total_duration\":N,\"load_duration\":N,\"prompt_eval_count\":N,\"prompt_eval_duration\":N,\"eval_count\":3,\"eval_duration\":N";

    private const string ToolTemplate =
        "{% if tools %}{{ tools | tojson }}{% endif %}{% for message in messages %}{{ message.role }}:{{ message.content }}"
        + "{% for call in message.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ call.function.name }}\", \"arguments\": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}\n"
        + "{% endfor %}{% if add_generation_prompt %}assistant:{% if enable_thinking %}<think>{% else %}<think></think>{% endif %}{% endif %}";

    [TestMethod]
    public async Task A_conversation_is_answered_in_lines_unless_asked_otherwise()
    {
        await using var server = await ServerFixture.StartAsync();
        using var lines = await server.PostAsync(Chat, $"{{{Ask}}}");
        Assert.AreEqual("application/x-ndjson", lines.Content.Headers.ContentType!.ToString());
        Assert.AreEqual(
            $$"""
            {"model":"talker","created_at":T,"message":{"role":"assistant","content":"I"},"done":false}
            {"model":"talker","created_at":T,"message":{"role":"assistant","content":" am"},"done":false}
            {"model":"talker","created_at":T,"message":{"role":"assistant","content":" talker"},"done":false}
            {"model":"talker","created_at":T,"message":{"role":"assistant","content":""},{{Tail}}}

            """, Same(await lines.Content.ReadAsStringAsync()));

        using var whole =
            await server.PostAsync(Chat,
                $"{{{Ask.Replace("\"talker\"", "\"TALKER:latest\"", StringComparison.Ordinal)},\"stream\":false}}");
        Assert.AreEqual("application/json", whole.Content.Headers.ContentType!.ToString());
        Assert.AreEqual(
            $$"""{"model":"TALKER:latest","created_at":T,"message":{"role":"assistant","content":"I am talker"},{{Tail}}}""",
            Same(await whole.Content.ReadAsStringAsync()));
    }

    [TestMethod]
    public async Task A_prompt_is_answered_with_the_tokens_to_go_on_with()
    {
        await using var server = await ServerFixture.StartAsync();
        var lines = (await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"who?","options":{"seed":5}}""")).TrimEnd()
            .Split('\n');
        Assert.HasCount(4, lines);
        Assert.AreEqual("""{"model":"talker","created_at":T,"response":" am","done":false}""", Same(lines[1]));
        var last = JsonElement.Parse(lines[3]);
        Assert.AreEqual(("", true, "stop", 3), (last.GetProperty("response").GetString(), last.GetProperty("done").GetBoolean(),
            last.GetProperty("done_reason").GetString(), last.GetProperty("eval_count").GetInt32()));
        // The prompt's, and behind them those of the answer.
        var context = last.GetProperty("context").EnumerateArray().Select(token => token.GetInt32()).ToArray();
        Assert.HasCount(last.GetProperty("prompt_eval_count").GetInt32() + 3, context);
        CollectionAssert.AreEqual(new[] { 1, 2, 3 }, context[^3..]);
    }

    [TestMethod]
    public async Task Who_asks_or_what_is_asked_for_decides_whose_generate_it_is()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Ollama = ("--ollama", "0") });
        const string plain = """{"model":"talker","prompt":"?","stream":false}""";
        Assert.IsFalse(await IsOllamasAsync(server.Client, plain, null));
        Assert.IsTrue(await IsOllamasAsync(server.Client, plain, "ollama-js/0.6.4 (x64 linux)"));
        foreach (var field in new[] { "\"options\":{}", "\"format\":\"json\"", "\"raw\":true",
            "\"context\":[]", "\"think\":false", "\"suffix\":\"\"", "\"template\":\"{{ .Prompt }}\"", "\"images\":[]" })
        {
            Assert.IsTrue(await IsOllamasAsync(server.Client, $"{{{field},{plain[1..]}", null), field);
        }
        foreach (var field in new[] { "\"options\":null", "\"max_tokens\":9" })
            Assert.IsFalse(await IsOllamasAsync(server.Client, $"{{{field},{plain[1..]}", null), field);
        Assert.IsFalse(
            await IsOllamasAsync(server.Client,
                """{"model":"talker","messages":[{"role":"user","content":"?"}],"format":"json","stream":false}""", null));

        using var listener = new HttpClient { BaseAddress = server.Server.OllamaAddress };
        Assert.IsTrue(await IsOllamasAsync(listener, plain, null));
        Assert.AreEqual("Ollama is running", await listener.GetStringAsync("/"));
        using var root = await server.Client.GetAsync("/");
        Assert.AreEqual("text/html", root.Content.Headers.ContentType!.MediaType);
        StringAssert.Contains(await listener.GetStringAsync("/v1/models"), "talker");
    }

    [TestMethod]
    public async Task Thinking_and_tool_calls_are_fields_of_the_message()
    {
        var engine = new ScriptedEngine
        {
            Answer = (_, _) =>
                ["hm", "</think>", "Look: ", "<tool_call>\n{\"name\": \"a\", \"argu", "ments\": {\"city\": \"Rome\"}}\n</tool_call>",
                "\n<tool_call>\n{\"name\": \"b\", \"arguments\": {}}\n</tool_call>"],
            Facts = _ => Facts(ToolTemplate),
        };
        await using var server = await ServerFixture.StartAsync(engine);
        const string tools =
            """ "think":true,"tools":[{"type":"function","function":{"name":"a","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},{"type":"function","function":{"name":"b","parameters":{"type":"object","properties":{}}}}] """;

        var whole = JsonElement.Parse(await server.AnswerAsync(Chat, $"{{{Ask},\"stream\":false,{tools}}}")).GetProperty("message");
        Assert.AreEqual("hm", whole.GetProperty("thinking").GetString());
        StringAssert.StartsWith(whole.GetProperty("content").GetString(), "Look:");
        Assert.AreEqual("""0 a {"city":"Rome"}; 1 b {}""",
            string.Join("; ", whole.GetProperty("tool_calls").EnumerateArray().Select(Told)));

        var lines = (await server.AnswerAsync(Chat, $"{{{Ask},{tools}}}")).TrimEnd().Split('\n')
            .Select(line => JsonElement.Parse(line)).ToList();
        Assert.AreEqual("hm",
            string.Concat(
                lines.Select(line => line.GetProperty("message").TryGetProperty("thinking", out var text) ? text.GetString() : "")));
        var calls = lines.Where(line => line.GetProperty("message").TryGetProperty("tool_calls", out _)).ToList();
        Assert.HasCount(2, calls);
        Assert.AreEqual("""0 a {"city":"Rome"}""", Told(calls[0].GetProperty("message").GetProperty("tool_calls")[0]));
        Assert.IsTrue(lines[^1].GetProperty("done").GetBoolean());
        Assert.IsFalse(lines.SkipLast(1).Any(line => line.GetProperty("done").GetBoolean()));

        static string Told(JsonElement call)
        {
            var function = call.GetProperty("function");
            return $"{function.GetProperty("index")} {function.GetProperty("name")} {function.GetProperty("arguments").GetRawText()}";
        }
    }

    [TestMethod]
    public async Task Messages_have_images_names_of_tools_and_arguments_as_objects()
    {
        GenerationRequest? seen = null;
        var engine = Seeing(request => seen = request, ToolTemplate);
        await using var server = await ServerFixture.StartAsync(engine);
        await server.AnswerAsync(Chat, """
            {"model":"talker","stream":false,"messages":[{"role":"user","content":"weather?"},
             {"role":"assistant","content":"","thinking":"t","tool_calls":[{"function":{"name":"a","arguments":{"city":"Rome"}}}]},
             {"role":"tool","tool_name":"a","content":"sunny"}]}
            """);
        var prompt = string.Concat(seen!.Prompt.Parts.Select(part => part.Text));
        StringAssert.Contains(prompt, "<tool_call>\n{\"name\": \"a\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>");
        StringAssert.Contains(prompt, "tool:sunny");

        // An answer that has begun is gone on with.
        await server.AnswerAsync(Chat,
            """{"model":"talker","stream":false,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"It is"}]}""");
        StringAssert.EndsWith(string.Concat(seen!.Prompt.Parts.Select(part => part.Text)), "assistant:It is");

        using var blind =
            await server.PostAsync(Chat, """{"model":"talker","messages":[{"role":"user","content":"q","images":["!!!"]}]}""");
        Assert.AreEqual("""{"error":"messages[0].images[0]: is not Base64"}""", await blind.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task Options_are_Ollamas_over_the_models_over_Ollamas_defaults()
    {
        GenerationRequest? seen = null;
        var engine = Seeing(request => seen = request, "{{ messages[0].content }}", new() { ["top_k"] = "7" });
        await using var server = await ServerFixture.StartAsync(engine);
        await server.AnswerAsync(Chat, $"{{{Ask},\"stream\":false}}");
        Assert.AreEqual((0.8f, 7, 0.9f, 0f, 1f, null),
            (seen!.Options.Temperature, seen.Options.TopK, seen.Options.TopP, seen.Options.MinP,
                seen.Options.RepeatPenalty, seen.Options.MaxTokens));
        await server.AnswerAsync(Chat,
            $$$"""{{{{Ask}}},"stream":false,"options":{"temperature":0.5,"top_k":3,"num_predict":9,"repeat_penalty":1.2,"seed":-1,"stop":["x"],"num_keep":4,"unheard_of":1}}""");
        Assert.AreEqual((0.5f, 3, 9, 1.2f, "x"),
            (seen.Options.Temperature, seen.Options.TopK, seen.Options.MaxTokens!.Value, seen.Options.RepeatPenalty, seen.Options.Stop[0]));
        await server.AnswerAsync(Chat, $$$"""{{{{Ask}}},"stream":false,"options":{"num_predict":-2}}""");
        Assert.AreEqual(int.MaxValue, seen.Options.MaxTokens);
        // A form, in both of Ollama's ways.
        foreach (var format in new[] { "\"json\"", """{"type":"object","properties":{"a":{"type":"integer"}}}""" })
        {
            await server.AnswerAsync(Chat, $$"""{{{Ask}},"stream":false,"format":{{format}}}""");
            Assert.IsNotNull(seen.Grammar, format);
        }
    }

    [TestMethod]
    public async Task Raw_template_system_and_context_make_the_prompt()
    {
        GenerationRequest? seen = null;
        var engine =
            Seeing(request => seen = request, "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}");
        await using var server = await ServerFixture.StartAsync(engine);
        string Prompt() => string.Concat(seen!.Prompt.Parts.Select(part => part.Text));

        await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"<s>as is","raw":true}""");
        Assert.AreEqual("<s>as is", Prompt());
        await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"q","system":"rules","options":{}}""");
        Assert.AreEqual("[system]rules[user]q", Prompt());
        await server.AnswerAsync("api/generate",
            """{"model":"talker","prompt":"q","system":"rules","template":"S={{ .System }} P={{ .Prompt }} A="}""");
        Assert.AreEqual("S=rules P=q A=", Prompt());
        // What a scripted model calls its tokens is their numbers.
        await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"q","context":[0,0]}""");
        Assert.AreEqual("0 0[user]q", Prompt());

        foreach (var (body, error) in new[]
        {
            ("\"raw\":true,\"system\":\"s\"", "system: was given beside raw, which takes the prompt as it is; give one of them"),
            ("\"raw\":true,\"context\":[1]", "context: was given beside raw, which takes the prompt as it is; give one of them"),
            ("\"context\":[\"a\"]", "context[0]: must be a token number, 0 or more, not a string"),
            ("\"context\":[999]", "context: has a token that this model does not have; 0 to 0 are its tokens"),
            ("\"suffix\":\"s\"", "suffix: 'talker' does not support insert: its vocabulary has no tokens for filling in the middle"),
            ("\"template\":\"{{ if }}\"", "template: cannot be used: "),
        })
        {
            using var refused = await server.PostAsync("api/generate", $"{{\"model\":\"talker\",\"prompt\":\"q\",{body}}}");
            Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode, body);
            StringAssert.StartsWith((await refused.JsonAsync()).GetProperty("error").GetString(), error);
        }
    }

    [TestMethod]
    public async Task A_suffix_goes_behind_the_gap_with_the_vocabularys_marks()
    {
        GenerationRequest? seen = null;
        var engine = Seeing(request => seen = request, "{{ messages[0].content }}");
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with { FillInTheMiddle = new FillInTheMiddle("<P>", "<S>", "<M>") };
        await using var server = await ServerFixture.StartAsync(engine);
        var last = (await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"front<P>","suffix":"back"}""")).TrimEnd()
            .Split('\n')[^1];
        Assert.AreEqual("<P>|front<P>|<S>|back|<M>", string.Join('|', seen!.Prompt.Parts.Select(part => part.Text)));
        Assert.AreEqual("True False True False True", string.Join(' ', seen.Prompt.Parts.Select(part => part.ParseSpecial)));
        Assert.IsFalse(JsonElement.Parse(last).TryGetProperty("context", out _));
    }

    [TestMethod]
    public async Task Nothing_to_answer_loads_the_model_or_unloads_it()
    {
        var engine = new ScriptedEngine();
        await using var server = await ServerFixture.StartAsync(engine);
        foreach (var (route, answer) in new[] { (Chat, "\"message\":{\"role\":\"assistant\",\"content\":\"\"}"),
            ("api/generate", "\"response\":\"\"") })
        {
            var mark = route == Chat ? "" : ",\"options\":{}";
            Assert.AreEqual($$"""{"model":"talker","created_at":T,{{answer}},"done":true,"done_reason":"load"}""",
                Same(await server.AnswerAsync(route, $"{{\"model\":\"talker\",\"keep_alive\":\"1h\"{mark}}}")));
            Assert.AreEqual(1, engine.Alive);
            var ps = JsonElement.Parse(await server.Client.GetStringAsync("api/ps")).GetProperty("models")[0];
            Assert.AreEqual("talker:latest", ps.GetProperty("name").GetString());
            Assert.IsInRange(DateTimeOffset.UtcNow.AddMinutes(59), DateTimeOffset.UtcNow.AddMinutes(61),
                ps.GetProperty("expires_at").GetDateTimeOffset());
            Assert.AreEqual($$"""{"model":"talker","created_at":T,{{answer}},"done":true,"done_reason":"unload"}""",
                Same(await server.AnswerAsync(route, $"{{\"model\":\"talker\",\"keep_alive\":0{mark}}}")));
            Assert.AreEqual(0, engine.Alive);
        }
        Assert.AreEqual("""{"models":[]}""", await server.Client.GetStringAsync("api/ps"));
    }

    [TestMethod]
    public async Task A_longer_context_loads_the_model_again_and_a_shorter_one_never()
    {
        var specs = new List<ModelSpec>();
        var engine = new ScriptedEngine
        {
            Loading = (spec, _, _) =>
            {
                specs.Add(spec);
                return spec.ContextLength > 500 ? throw new EngineException(EngineFailure.LoadFailed, "too long") : Task.CompletedTask;
            },
        };
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(engine, loggers: log);
        Task Answered(string options) => server.AnswerAsync(Chat, $$"""{{{Ask}},"stream":false,"options":{{options}}}""");

        // The fixture's models have 64.
        await Answered("""{"num_ctx":32,"num_gpu":1,"num_thread":3,"num_batch":8}""");
        Assert.AreEqual((64, 1, 3, 8), (specs[0].ContextLength, specs[0].Tuning.GpuLayers!.Number, specs[0].Threads, specs[0].BatchSize));
        await Answered("""{"num_ctx":64,"num_gpu":2}""");
        Assert.HasCount(1, specs);
        await log.WaitForAsync("talker is loaded; options of a request that only a load can take have no effect: num_gpu");
        await Answered("""{"num_ctx":128}""");
        Assert.HasCount(2, specs);
        Assert.AreEqual((128, 1, 3), (specs[1].ContextLength, specs[1].Tuning.GpuLayers!.Number, specs[1].Threads));
        await Answered("""{"num_ctx":100}""");
        Assert.HasCount(2, specs);
        // Nobody is refused for an option.
        await Answered("""{"num_ctx":1000}""");
        await log.WaitForAsync("talker cannot be loaded as the options of a request ask, so it is loaded as before: too long");
        Assert.AreEqual(128, specs[^1].ContextLength);
    }

    [TestMethod]
    public async Task Options_of_a_load_are_forgotten_with_it()
    {
        var specs = new List<ModelSpec>();
        var engine = new ScriptedEngine
        {
            Loading = (spec, _, _) =>
            {
                specs.Add(spec);
                return Task.CompletedTask;
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);

        await server.AnswerAsync(Chat, $$"""{{{Ask}},"stream":false,"keep_alive":"1ms","options":{"num_ctx":128} }""");
        await Poll.UntilAsync(() => engine.Alive == 0, "the model is unloaded");
        await server.AnswerAsync(Chat, $$"""{{{Ask}},"stream":false}""");

        Assert.AreEqual((128, 64), (specs[0].ContextLength, specs[1].ContextLength));
    }

    [TestMethod]
    public async Task Errors_have_Ollamas_words_and_statuses()
    {
        var engine = new ScriptedEngine();
        await using var server = await ServerFixture.StartAsync(engine);
        foreach (var (route, body) in new[]
        {
            (Chat, """{"model":"nobody","messages":[]}"""), ("api/generate", """{"model":"nobody","prompt":"","raw":false}"""),
            ("api/show", """{"model":"nobody"}"""), ("api/embed", """{"model":"nobody","input":"a"}"""),
            ("api/embeddings", """{"model":"nobody","prompt":"a"}"""), ("api/copy", """{"source":"nobody","destination":"a"}"""),
        })
        {
            using var answer = await server.PostAsync(route, body);
            Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode, route);
            Assert.AreEqual("""{"error":"model 'nobody' not found"}""", await answer.Content.ReadAsStringAsync(), route);
        }
        foreach (var (route, body, error) in new[]
        {
            (Chat, """{"model":"talker","messages":[{"role":"user","content":"a"}],"options":{"temperature":"hot"}}""",
                "options.temperature: must be a number from 0 to 100, not a string"),
            (Chat, """{"model":"talker","messages":[{"role":"user","content":"a"}],"options":[]}""",
                "options: must be an object, not an array"),
            (Chat, """{"model":"talker","messages":[{"role":"user","content":"a"}],"keep_alive":"soon"}""",
                "keep_alive: must be a number of seconds"),
            (Chat, """{"model":"talker","messages":[{"role":"user","content":"a"}],"format":"yaml"}""",
                "format: must be one of 'json', '', not 'yaml'"),
            (Chat, """{"model":"talker","messages":[{"role":"user","content":"a"}],"top_logprobs":21}""",
                "top_logprobs: must be a whole number from 0 to 20, not 21"),
            (Chat, """{"model":""", "the body is not valid JSON"),
        })
        {
            using var answer = await server.PostAsync(route, body);
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, body);
            StringAssert.StartsWith((await answer.JsonAsync()).GetProperty("error").GetString(), error);
        }
        engine.Answer = (_, _) => throw new EngineException(EngineFailure.QueueFull, "queue full");
        using var busy = await server.PostAsync(Chat, $"{{{Ask},\"stream\":false}}");
        Assert.AreEqual(HttpStatusCode.ServiceUnavailable, busy.StatusCode);
        Assert.AreEqual("""{"error":"queue full"}""", await busy.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task A_stream_that_breaks_ends_in_a_line_with_the_error()
    {
        static IEnumerable<string> Broken()
        {
            yield return "a";
            throw new EngineException(EngineFailure.WorkerLost, "the worker is gone");
        }
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine { Answer = (_, _) => Broken() });
        using var answer = await server.OpenAsync(Chat, $"{{{Ask}}}");
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync());
        StringAssert.Contains(await reader.ReadLineAsync(), "\"content\":\"a\"");
        Assert.AreEqual("""{"error":"the worker is gone"}""", await reader.ReadLineAsync());
        await Assert.ThrowsAsync<IOException>(() => reader.ReadToEndAsync());
    }

    [TestMethod]
    public async Task Lines_are_recorded_and_replayed_byte_for_byte()
    {
        using var folder = new TemporaryFolder();
        var (body, recorded) = ($"{{{Ask},\"options\":{{\"seed\":5}}}}", "");
        await using (var server = await ServerFixture.StartAsync(options: new ServerOptions { RecordFile = folder["a.jsonl"] }))
            recorded = await server.AnswerAsync(Chat, body);
        var engine = new ScriptedEngine();
        await using var replaying = await ServerFixture.StartAsync(engine, new ServerOptions { ReplayFile = folder["a.jsonl"] });
        using var replayed = await replaying.PostAsync(Chat, body);
        Assert.AreEqual("application/x-ndjson", replayed.Content.Headers.ContentType!.ToString());
        Assert.AreEqual(recorded, await replayed.Content.ReadAsStringAsync());
        Assert.AreEqual(0, engine.Loads);
        StringAssert.Contains(await File.ReadAllTextAsync(folder["a.jsonl"]), "\"line\":{\"model\":\"talker\"");
    }

    private static async Task<bool> IsOllamasAsync(HttpClient client, string body, string? agent)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "api/generate") { Content = new StringContent(body) };
        if (agent is not null)
            request.Headers.TryAddWithoutValidation("User-Agent", agent);
        using var answer = await client.SendAsync(request);
        var json = await answer.JsonAsync();
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, json.ToString());
        return json.TryGetProperty("created_at", out _);
    }

    private static ScriptedEngine Seeing(Action<GenerationRequest> see, string template, Dictionary<string, string>? sampling = null) =>
        new()
        {
            Answer = (_, request) =>
            {
                see(request);
                return ["ok"];
            },
            Facts = _ => Facts(template) with { SamplingDefaults = sampling ?? [] },
        };

    private static ModelFacts Facts(string template) => new()
    {
        Architecture = "scripted",
        Description = "",
        ContextLength = 64,
        VocabularySize = 1,
        ChatTemplates = new Dictionary<string, string> { ["default"] = template },
    };

    // Times and counts of the moment made equal; times have nanoseconds.
    private static string Same(string text) =>
        Number().Replace(Created().Replace(text, "\"created_at\":T"), match => match.Groups[1].Value + "N");

    [GeneratedRegex("\"created_at\":\"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z\"")]
    private static partial Regex Created();

    [GeneratedRegex("(\"(?:total_duration|load_duration|prompt_eval_count|prompt_eval_duration|eval_duration)\":)[0-9]+")]
    private static partial Regex Number();
}
