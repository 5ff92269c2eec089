using System.Net;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.LlamaServer;

/// <summary>llama-server's own routes on scripted models.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class LlamaCompletionsTests
{
    [TestMethod]
    public async Task A_whole_answer_says_how_it_was_made()
    {
        await using var server = await ServerFixture.StartAsync();

        using var answer = await server.PostAsync("completion", """{"prompt":"one two","n_predict":2,"return_tokens":true,"seed":7}""");

        var body = await answer.JsonAsync();
        Assert.AreEqual("I am", body.GetProperty("content").GetString());
        Assert.AreEqual("limit", body.GetProperty("stop_type").GetString());
        Assert.AreEqual(2, body.GetProperty("tokens").GetArrayLength());
        Assert.AreEqual(2, body.GetProperty("timings").GetProperty("predicted_n").GetInt32());
        var settings = body.GetProperty("generation_settings");
        Assert.AreEqual((7, 2), (settings.GetProperty("seed").GetInt32(), settings.GetProperty("n_predict").GetInt32()));
        Assert.AreEqual("penalties", settings.GetProperty("samplers")[0].GetString());
    }

    [TestMethod]
    public async Task The_end_of_the_model_and_a_stop_text_are_distinguished()
    {
        await using var server = await ServerFixture.StartAsync();

        var ended = await Answers.JsonAsync(await server.PostAsync("completion", """{"prompt":"one"}"""));
        var stopped = await Answers.JsonAsync(await server.PostAsync("completion", """{"prompt":"one","stop":" am"}"""));

        Assert.AreEqual("eos", ended.GetProperty("stop_type").GetString());
        Assert.AreEqual(("word", " am", "I"), (stopped.GetProperty("stop_type").GetString(),
            stopped.GetProperty("stopping_word").GetString(), stopped.GetProperty("content").GetString()));
    }

    [TestMethod]
    public async Task Paths_choose_parts_of_the_answer()
    {
        await using var server = await ServerFixture.StartAsync();

        var body = await server.AnswerAsync("completion",
            """{"prompt":"one","n_predict":1,"response_fields":["content","generation_settings/n_predict","nowhere"]}""");
        var nothing = await server.AnswerAsync("completion", """{"prompt":"one","n_predict":0,"samplers":[],"response_fields":[""]}""");

        Assert.AreEqual("""{"content":"I","generation_settings/n_predict":1}""", body);
        Assert.AreEqual("{}", nothing);
    }

    [TestMethod]
    public async Task A_stream_tells_each_token_and_the_whole_at_its_end()
    {
        await using var server = await ServerFixture.StartAsync();

        var text = await server.AnswerAsync("completion", """{"prompt":"one","stream":true}""");

        var events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonElement.Parse(line["data: ".Length..])).ToArray();
        Assert.AreEqual("I am talker", string.Concat(events.Select(one => one.GetProperty("content").GetString())));
        Assert.IsTrue(events[..^1].All(one => !one.GetProperty("stop").GetBoolean() && one.GetProperty("tokens").GetArrayLength() > 0));
        Assert.IsTrue(events[^1].GetProperty("stop").GetBoolean());
        Assert.AreEqual("eos", events[^1].GetProperty("stop_type").GetString());
    }

    [TestMethod]
    public async Task A_list_of_prompts_has_a_list_of_answers()
    {
        await using var server = await ServerFixture.StartAsync();

        var body = await Answers.JsonAsync(await server.PostAsync("completion", """{"prompt":["one",{"prompt_string":"two"}]}"""));

        Assert.AreEqual(2, body.GetArrayLength());
        Assert.AreEqual(1, body[1].GetProperty("index").GetInt32());
    }

    [TestMethod]
    [DataRow("completion", """{}""", "prompt")]
    [DataRow("completion", """{"prompt":[]}""", "prompt")]
    [DataRow("completion", """{"prompt":[1,true]}""", "prompt")]
    [DataRow("completion", """{"prompt":"a","n_predict":"many"}""", "n_predict")]
    [DataRow("completion", """{"prompt":"a","samplers":5}""", "samplers")]
    [DataRow("completion", """{"prompt":"a","logit_bias":[[1]]}""", "logit_bias")]
    [DataRow("infill", """{"input_prefix":"a","input_suffix":"b","input_extra":[{"filename":"ok"}]}""", "input_extra[0].text")]
    [DataRow("embedding", """{}""", "input")]
    public async Task What_is_wrong_is_named_in_llama_servers_shape(string path, string json, string field)
    {
        await using var server = await ServerFixture.StartAsync();

        using var answer = await server.PostAsync(path, json);

        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        var error = (await answer.JsonAsync()).GetProperty("error");
        Assert.AreEqual(("invalid_request_error", 400), (error.GetProperty("type").GetString(), error.GetProperty("code").GetInt32()));
        Assert.Contains(field, error.GetProperty("message").GetString()!);
    }

    [TestMethod]
    public async Task A_vocabulary_without_marks_fills_no_gap()
    {
        await using var server = await ServerFixture.StartAsync();

        using var answer = await server.PostAsync("infill", """{"input_prefix":"a","input_suffix":"b"}""");

        Assert.AreEqual(HttpStatusCode.NotImplemented, answer.StatusCode);
    }

    [TestMethod]
    public async Task As_llama_server_one_model_answers_every_name_once_it_is_loaded()
    {
        var mode = new LlamaServerMode { IsOn = true, Aliases = ["mine"] };
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { LlamaServer = mode });
        using var early = await server.Client.GetAsync("health");
        Assert.AreEqual(HttpStatusCode.ServiceUnavailable, early.StatusCode);
        Assert.AreEqual("unavailable_error", (await early.JsonAsync()).GetProperty("error").GetProperty("type").GetString());
        mode.Loading.SetResult();

        var chat = await Answers.JsonAsync(await server.PostAsync("v1/chat/completions",
            """{"model":"gpt-4","messages":[{"role":"user","content":"hi"}]}"""));
        using var wrong = await server.PostAsync("v1/chat/completions", """{"messages":5}""");

        Assert.AreEqual("I am talker", chat.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        Assert.IsTrue(chat.GetProperty("system_fingerprint").GetString()!.StartsWith('b'));
        Assert.IsTrue(chat.TryGetProperty("timings", out _));
        Assert.AreEqual(400, (await wrong.JsonAsync()).GetProperty("error").GetProperty("code").GetInt32());
        Assert.AreEqual("""{"status":"ok"}""", await server.Client.GetStringAsync("health"));
    }

    [TestMethod]
    public async Task A_stream_outlives_its_client_and_is_read_again_from_any_byte()
    {
        var gate = new SemaphoreSlim(0);
        var engine = new ScriptedEngine
        {
            Answer = (_, _) => Enumerable.Range(0, 20).Select(i => $" word{i}"),
            BeforeToken = gate.WaitAsync,
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using (var answer = await server.Client.SendAsync(Conversation("talk::talker"), HttpCompletionOption.ResponseHeadersRead))
        {
            gate.Release(3);
            await (await answer.Content.ReadAsStreamAsync()).ReadAtLeastAsync(new byte[100], 100);
        }

        gate.Release(100);
        var whole = await server.Client.GetStringAsync("v1/stream?conv_id=talk::talker");
        var rest = await server.Client.GetStringAsync("v1/stream?conv_id=talk::talker&from=150");

        Assert.EndsWith("data: [DONE]\n\n", whole);
        for (var i = 0; i < 20; i++)
            Assert.Contains($" word{i}\"", whole);
        Assert.AreEqual(whole[150..], rest);
        var found = await Answers.JsonAsync(await server.PostAsync("v1/streams/lookup", """{"conversation_ids":["talk"]}"""));
        Assert.AreEqual(whole.Length, found[0].GetProperty("total_bytes").GetInt32());
        using var ended = await server.Client.DeleteAsync("v1/stream?conv_id=talk::talker");
        Assert.AreEqual(HttpStatusCode.NoContent, ended.StatusCode);
        using var gone = await server.Client.GetAsync("v1/stream?conv_id=talk::talker");
        Assert.AreEqual(HttpStatusCode.NotFound, gone.StatusCode);
    }

    [TestMethod]
    [DataRow("completion", "{\"prompt\":\"x\",\"samplers\":\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\"}", "samplers")]
    [DataRow("embedding", "{\"content\":{\"prompt_string\":\"<__media__>\",\"multimodal_data\":[\"AAAA\"]}}", "multimodal_data")]
    [DataRow("lora-adapters", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "")]
    public async Task What_is_made_to_exhaust_is_refused(string route, string body, string field)
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.PostAsync(route, body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, text);
        Assert.Contains(field, text);
    }

    [TestMethod]
    public async Task Props_and_slots_load_no_model()
    {
        var engine = new ScriptedEngine();
        await using var server = await ServerFixture.StartAsync(engine);

        var props = await Answers.JsonAsync(await server.Client.GetAsync("props"));
        var slots = await Answers.JsonAsync(await server.Client.GetAsync("slots"));

        Assert.AreEqual(0, engine.Loads);
        Assert.IsTrue(props.GetProperty("is_sleeping").GetBoolean());
        Assert.AreEqual(0, slots.GetArrayLength());
        using var saved = await server.PostAsync("slots/0?action=save", """{"filename":"a.bin"}""");
        Assert.AreEqual(HttpStatusCode.NotImplemented, saved.StatusCode);
    }

    [TestMethod]
    public async Task A_stream_that_is_cut_three_times_is_read_without_a_gap_or_a_double_byte()
    {
        var gate = new SemaphoreSlim(0);
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Answer = (_, _) => Enumerable.Range(0, 40).Select(i => $" wörd{i}"),
            BeforeToken = gate.WaitAsync,
        });
        var read = new MemoryStream();
        gate.Release(4);
        using (var answer = await server.Client.SendAsync(Conversation("cut"), HttpCompletionOption.ResponseHeadersRead))
            await TakeAsync(answer, 301);

        // In the middle of an event, each time; the answer goes on meanwhile.
        foreach (var count in (int[])[257, 513])
        {
            gate.Release(10);
            using var answer = await server.Client.GetAsync(
                $"v1/stream?conv_id=cut&from={read.Length}", HttpCompletionOption.ResponseHeadersRead);
            await TakeAsync(answer, count);
        }
        gate.Release(100);
        using (var answer = await server.Client.GetAsync($"v1/stream?conv_id=cut&from={read.Length}"))
            await answer.Content.CopyToAsync(read);

        var whole = await server.Client.GetByteArrayAsync("v1/stream?conv_id=cut");
        CollectionAssert.AreEqual(whole, read.ToArray());
        Assert.EndsWith("data: [DONE]\n\n", System.Text.Encoding.UTF8.GetString(whole));

        async Task TakeAsync(HttpResponseMessage answer, int count)
        {
            var piece = new byte[count];
            await (await answer.Content.ReadAsStreamAsync()).ReadExactlyAsync(piece);
            read.Write(piece);
        }
    }

    private static HttpRequestMessage Conversation(string id, string model = "talker")
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions")
        {
            Content = new StringContent($$"""{"model":"{{model}}","stream":true,"messages":[{"role":"user","content":"hi"}]}"""),
        };
        request.Headers.Add("X-Conversation-Id", id);
        return request;
    }

    [TestMethod]
    public async Task A_stream_whose_client_leaves_while_its_model_loads_is_read_later_cut_or_not()
    {
        var (loading, loads, gate) = (new TaskCompletionSource(), new TaskCompletionSource(), new SemaphoreSlim(0));
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Loading = async (_, _, cancellation) =>
            {
                loading.TrySetResult();
                await loads.Task.WaitAsync(cancellation);
            },
            Answer = (_, _) => Enumerable.Range(0, 40).Select(i => $" wörd{i}"),
            BeforeToken = gate.WaitAsync,
        });
        await LeaveAsync(server, loading.Task);
        var read = new MemoryStream();

        // Cut again while the model loads, then in the middle of an event, twice.
        (await server.Client.GetAsync("v1/stream?conv_id=late", HttpCompletionOption.ResponseHeadersRead)).Dispose();
        var found = await Answers.JsonAsync(await server.PostAsync("v1/streams/lookup", """{"conversation_ids":["late"]}"""));
        Assert.AreEqual((false, 0), (found[0].GetProperty("is_done").GetBoolean(), found[0].GetProperty("total_bytes").GetInt32()));
        loads.SetResult();
        foreach (var count in (int[])[257, 513])
        {
            gate.Release(10);
            using var answer = await server.Client.GetAsync(
                $"v1/stream?conv_id=late&from={read.Length}", HttpCompletionOption.ResponseHeadersRead);
            var piece = new byte[count];
            await (await answer.Content.ReadAsStreamAsync()).ReadExactlyAsync(piece);
            read.Write(piece);
        }
        gate.Release(100);
        using (var answer = await server.Client.GetAsync($"v1/stream?conv_id=late&from={read.Length}"))
            await answer.Content.CopyToAsync(read);

        var whole = await server.Client.GetByteArrayAsync("v1/stream?conv_id=late");
        CollectionAssert.AreEqual(whole, read.ToArray());
        var text = System.Text.Encoding.UTF8.GetString(whole);
        Assert.EndsWith("data: [DONE]\n\n", text);
        for (var i = 0; i < 40; i++)
            Assert.Contains($" wörd{i}\"", text);
    }

    [TestMethod]
    [DataRow(false, "\"type\":\"server_error\",\"param\":null,\"code\":\"model_load_failed\"")]
    [DataRow(true, "\"code\":502,\"message\":\"broken\",\"type\":\"server_error\"")]
    public async Task A_load_that_fails_is_reported_in_the_stream_in_the_shape_of_the_server(bool asLlamaServer, string error)
    {
        var (loading, loads) = (new TaskCompletionSource(), new TaskCompletionSource());
        var mode = new LlamaServerMode { IsOn = true };
        mode.Loading.SetResult();
        var engine = new ScriptedEngine
        {
            Loading = async (_, _, cancellation) =>
            {
                loading.TrySetResult();
                await loads.Task.WaitAsync(cancellation);
                throw new EngineException(EngineFailure.LoadFailed, "broken");
            },
        };
        await using var server =
            await ServerFixture.StartAsync(engine, asLlamaServer ? new ServerOptions { LlamaServer = mode } : null);
        await LeaveAsync(server, loading.Task);

        loads.SetResult();
        var told = await server.Client.GetStringAsync("v1/stream?conv_id=late");

        StringAssert.StartsWith(told, "data: {\"error\":{");
        Assert.Contains(error, told);
        Assert.EndsWith("}}\n\n", told);
        // A client that is there gets a status as well.
        using var answer = await server.Client.SendAsync(Conversation("here"));
        Assert.AreEqual(HttpStatusCode.BadGateway, answer.StatusCode);
    }

    private static async Task LeaveAsync(ServerFixture server, Task loading)
    {
        using var leaving = new CancellationTokenSource();
        var sent = server.Client.SendAsync(Conversation("late"), leaving.Token);
        await loading;
        await leaving.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => sent);
    }

    [TestMethod]
    public async Task A_request_that_is_refused_leaves_the_stream_before_it_and_one_that_answers_ends_it()
    {
        var gate = new SemaphoreSlim(0);
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine { BeforeToken = gate.WaitAsync });
        using var first = await server.Client.SendAsync(Conversation("talk"), HttpCompletionOption.ResponseHeadersRead);
        using var refused = await server.Client.SendAsync(Conversation("talk", model: "nobody"));
        Assert.AreEqual(HttpStatusCode.NotFound, refused.StatusCode);

        using var second = await server.Client.SendAsync(Conversation("talk"), HttpCompletionOption.ResponseHeadersRead);
        var ended = "";
        try
        {
            using var reader = new StreamReader(await first.Content.ReadAsStreamAsync());
            while (await reader.ReadLineAsync() is { } line)
                ended += line;
        }
        catch (HttpIOException)
        {
            // A stream that breaks off has no end.
        }
        gate.Release(10);

        Assert.Contains("stream_ended", ended);
        Assert.EndsWith("[DONE]\n\n", await server.Client.GetStringAsync("v1/stream?conv_id=talk"));
        Assert.EndsWith("[DONE]\n\n", await second.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task A_deadline_is_reported_in_the_stream_to_who_reads_it_later()
    {
        await using var server = await ServerFixture.StartAsync(
            new ScriptedEngine { BeforeToken = cancellation => Task.Delay(Timeout.InfiniteTimeSpan, cancellation) },
            new ServerOptions { RequestTimeout = TimeSpan.FromMilliseconds(100) });
        (await server.Client.SendAsync(Conversation("slow"), HttpCompletionOption.ResponseHeadersRead)).Dispose();

        // The deadline of who reads it may be over a moment earlier than the word about that of the stream is there.
        await Poll.UntilAsync(async () => (await server.Client.GetStringAsync("v1/stream?conv_id=slow")).Contains("deadline_exceeded"),
            "the stream tells of its deadline");
    }

    // As the plug-ins for Vim and VS Code ask: something that only computes the prompt beforehand, and a fill that must be quick.
    [TestMethod]
    public async Task Editors_warm_up_and_fill_gaps_within_their_time()
    {
        var asked = new System.Collections.Concurrent.ConcurrentQueue<GenerationRequest>();
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                asked.Enqueue(request);
                return Enumerable.Repeat("a\n", 1000);
            },
            BeforeToken = cancellation => Task.Delay(5, cancellation),
        };
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with
        {
            ContextLength = 4096,
            FillInTheMiddle = new FillInTheMiddle("<P>", "<S>", "<M>") { Repository = "<R>", File = "<F>" },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        const string Extra = "\"input_extra\":[{\"filename\":\"a.c\",\"text\":\"int a;\"},{\"filename\":\"b.c\",\"text\":\"int b;\"}]";

        var warm = await server.AnswerAsync("infill", $$"""
            {"id_slot":0,"input_prefix":"","input_suffix":"",{{Extra}},"prompt":"","n_predict":0,"temperature":0.0,"stream":false,
            "samplers":[],"cache_prompt":true,"t_max_prompt_ms":1,"t_max_predict_ms":1,"response_fields":[""]}
            """);
        var fill = await Answers.JsonAsync(await server.PostAsync("infill", $$"""
            {"id_slot":0,"input_prefix":"int main() {\n","input_suffix":"}\n",{{Extra}},"prompt":"  int c = ","n_predict":128,
            "top_k":40,"top_p":0.9,"samplers":["top_k","top_p","infill"],"stream":false,"cache_prompt":true,"t_max_prompt_ms":500,
            "t_max_predict_ms":50,"response_fields":["content","timings/prompt_n","timings/predicted_n","truncated","tokens_cached"]}
            """));

        Assert.AreEqual("{}", warm);
        Assert.AreEqual("content timings/prompt_n timings/predicted_n truncated tokens_cached",
            string.Join(' ', fill.EnumerateObject().Select(field => field.Name)));
        // 128 tokens would take ten times the limit.
        Assert.IsInRange(1, 100, fill.GetProperty("timings/predicted_n").GetInt32());
        var options = asked.Last().Options;
        Assert.AreEqual(0, options.Slot);
        CollectionAssert.AreEqual(new[] { SamplerKind.TopK, SamplerKind.TopP, SamplerKind.Infill }, options.Samplers!.ToArray());
    }

    [TestMethod]
    public async Task What_has_no_token_is_empty()
    {
        var asked = new List<GenerationOptions>();
        var mode = new LlamaServerMode { IsOn = true };
        mode.Loading.SetResult();
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                asked.Add(request.Options);
                return ["a"];
            },
        };
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with { VocabularySize = 100 };
        await using var server = await ServerFixture.StartAsync(engine, new ServerOptions { LlamaServer = mode });

        Assert.AreEqual("{\"tokens\":[]}", await server.AnswerAsync("tokenize", "{}"));
        Assert.AreEqual("{\"content\":\"\"}", await server.AnswerAsync("detokenize", "{}"));
        foreach (var (route, body) in new[] { ("completion", "{\"prompt\":\"\"}"), ("v1/completions", "{\"prompt\":\"\"}") })
        {
            await server.AnswerAsync(route, body);
            Assert.AreEqual(0, asked[^1].MaxTokens, route);
        }
        await server.AnswerAsync("completion", "{\"prompt\":\"a\"}");
        Assert.AreNotEqual(0, asked[^1].MaxTokens);
        using var refused = await server.PostAsync("v1/completions", "{}");
        Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
    }

    [TestMethod]
    public async Task Texts_and_tokens_are_tokenized_together()
    {
        var engine = new ScriptedEngine { Tokens = prompt => [.. prompt.AddBos ? [1] : (int[])[], 40 + prompt.Parts[0].Text.Length] };
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with { VocabularySize = 100 };
        await using var server = await ServerFixture.StartAsync(engine);

        Assert.AreEqual("{\"tokens\":[1,42,7,41]}",
            await server.AnswerAsync("tokenize", """{"model":"talker","content":["ab",7,"c"],"add_special":true}"""));
        Assert.AreEqual("{\"tokens\":[7,41]}",
            await server.AnswerAsync("tokenize", """{"model":"talker","content":[7,"c"],"add_special":true}"""));
        foreach (var (content, field) in new[] { ("[\"a\",100]", "content[1]"), ("[{}]", "content[0]"), ("[1.5]", "content[0]") })
        {
            using var refused = await server.PostAsync("tokenize", $$"""{"model":"talker","content":{{content}}}""");
            Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
            Assert.Contains(field, await refused.Content.ReadAsStringAsync());
        }
    }

    private static readonly (string Route, string Body)[] Whole =
    [
        ("completion",
            """{"prompt":["é \ud83d\ude00",[1,"b",2],{"prompt_string":"c"}],"n_predict":2,"samplers":["top_k","min_p"],"logit_bias":[[1,false],["a",2]],"n_probs":1,"post_sampling_probs":true}"""),
        ("completion",
            """{"prompt":"a","stream":true,"return_tokens":true,"timings_per_token":true,"return_progress":true,"t_max_predict_ms":1000,"json_schema":{"type":"object"},"dry_sequence_breakers":["x"],"n_keep":-1}"""),
        ("infill", """{"input_prefix":"a","input_suffix":"b","input_extra":[{"filename":"f","text":"t"}],"prompt":"c","n_predict":1}"""),
        ("embedding", """{"content":["a",[1,2]],"embd_normalize":2,"encoding_format":"float"}"""),
        ("tokenize", """{"content":"a b","add_special":true,"with_pieces":true}"""),
        ("apply-template", """{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"chat_template_kwargs":{"a":1}}"""),
        ("v1/chat/completions",
            """{"model":"any","messages":[{"role":"user","content":"a"}],"max_tokens":2,"reasoning_format":"none","id_slot":0,"n_probs":1,"seed":-1}"""),
        ("v1/streams/lookup", """{"conversation_ids":["a","b"]}"""),
        ("lora-adapters", """[{"id":0,"scale":0.5}]"""),
        ("slots/0?action=save", """{"filename":"a.bin"}"""),
        ("v1/chat/completions/control", """{"id":"chatcmpl-1","action":"reasoning_end"}"""),
    ];

    [TestMethod]
    public async Task Thousands_of_damaged_requests_get_an_answer_or_an_error_in_llama_servers_shape()
    {
        var log = new CapturedLog();
        var mode = new LlamaServerMode { IsOn = true };
        mode.Loading.SetResult();
        var engine = new ScriptedEngine();
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with
        {
            FillInTheMiddle = new FillInTheMiddle("<P>", "<S>", "<M>"),
            VocabularySize = 100,
            EmbeddingLength = 2,
        };
        await using var server = await ServerFixture.StartAsync(engine, new ServerOptions { LlamaServer = mode }, log);
        var (right, wrong) = (0, 0);
        await Parallel.ForEachAsync(Enumerable.Range(0, 3300), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (round, _) =>
        {
            var (route, whole) = Whole[round % Whole.Length];
            var body = Damage.Request(System.Text.Encoding.UTF8.GetBytes(whole), new Random(round));
            using var answer = await server.Client.PostAsync(route, new ByteArrayContent(body), CancellationToken.None);
            var text = await answer.Content.ReadAsStringAsync(CancellationToken.None);
            var what = $"{route} {System.Text.Encoding.UTF8.GetString(body)}\n→ {(int)answer.StatusCode} {text}";
            if (answer.StatusCode == HttpStatusCode.OK)
            {
                Interlocked.Increment(ref right);
                Assert.DoesNotContain("{\"error\"", text, what);
                return;
            }
            Interlocked.Increment(ref wrong);
            // Slots are not kept here, which is said before anything else.
            Assert.IsTrue((int)answer.StatusCode is >= 400 and < 500 or 501, what);
            var error = JsonElement.Parse(text).GetProperty("error");
            Assert.AreEqual((int)answer.StatusCode, error.GetProperty("code").GetInt32(), what);
            Assert.AreNotEqual("", error.GetProperty("message").GetString(), what);
            Assert.AreNotEqual("", error.GetProperty("type").GetString(), what);
        });

        Assert.IsGreaterThan(200, right, "some damage should be harmless");
        Assert.IsGreaterThan(1000, wrong, "some damage should do harm");
        Assert.IsFalse(log.Lines.Any(line => line.StartsWith("Error", StringComparison.Ordinal)),
            log.Lines.FirstOrDefault(line => line.StartsWith("Error", StringComparison.Ordinal)));
        Assert.IsTrue(server.Residency.Resident.All(model => model.Requests == 0));
    }
}
