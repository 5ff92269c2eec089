using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI;

/// <summary><c>/v1/audio/transcriptions</c>: its forms, and bodies that are none.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class TranscriptionsTests
{
    [TestMethod]
    public async Task A_file_is_asked_about_with_a_fixed_instruction()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Hearing(asked));
        using var answer = JsonDocument.Parse(await TextOf(server, Form(Sounds.Tone, ("language", "en"), ("prompt", "Names: Ada."))));

        Assert.AreEqual("Hello world.", answer.RootElement.GetProperty("text").GetString());
        var usage = answer.RootElement.GetProperty("usage");
        Assert.AreEqual("tokens", usage.GetProperty("type").GetString());
        Assert.AreEqual(150, usage.GetProperty("input_token_details").GetProperty("audio_tokens").GetInt32());
        var prompt = asked.Single();
        Assert.AreEqual(MediumKind.Sound, prompt.Media.Single().Kind);
        Assert.Contains("*Transcribe the audio. Its language is en.\nNames: Ada.",
            string.Concat(prompt.Parts.Select(part => part.Medium is null ? part.Text : "*")));
    }

    [TestMethod]
    public async Task What_the_template_refuses_is_said_of_the_file()
    {
        var engine = Hearing([]);
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with { ChatTemplates = new Dictionary<string, string> { ["default"] = "{{ messages[-1].role }}" } };
        await using var server = await ServerFixture.StartAsync(engine);
        using var answer = await server.Client.PostAsync("v1/audio/transcriptions", Form(Sounds.Tone));
        var error = (await answer.JsonAsync()).GetProperty("error");
        Assert.AreEqual("file", error.GetProperty("param").GetString());
        StringAssert.StartsWith(error.GetProperty("message").GetString(), "file: the chat template of this model leaves out");
    }

    [TestMethod]
    public async Task Every_format_says_what_is_known()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        Assert.AreEqual("Hello world.\n", await TextOf(server, Form(Sounds.Tone, ("response_format", "text"))));
        using var verbose = JsonDocument.Parse(await TextOf(server, Form(Sounds.Tone, ("response_format", "verbose_json"))));
        Assert.AreEqual("""
            {"task":"transcribe","language":"unknown","duration":1,"text":"Hello world.","segments":[],"usage":{"type":"duration","seconds":1}}
            """, verbose.RootElement.GetRawText());
    }

    [TestMethod]
    public async Task A_stream_has_pieces_and_ends_with_the_whole()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        var text = await TextOf(server, Form(Sounds.Tone, ("stream", "true"), ("temperature", "0.5")));
        var events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line["data: ".Length..]).RootElement).ToArray();
        Assert.AreEqual("Hello world.", string.Concat(events[..^1].Select(piece => piece.GetProperty("delta").GetString())));
        Assert.IsTrue(events[..^1].All(piece => piece.GetProperty("type").GetString() == "transcript.text.delta"));
        Assert.AreEqual("transcript.text.done", events[^1].GetProperty("type").GetString());
        Assert.AreEqual("Hello world.", events[^1].GetProperty("text").GetString());
        Assert.IsTrue(events[^1].TryGetProperty("usage", out _));
    }

    [TestMethod]
    [DataRow("response_format", "srt", "'json', 'text' and 'verbose_json'")]
    [DataRow("response_format", "vtt", "'json', 'text' and 'verbose_json'")]
    [DataRow("response_format", "xml", "'verbose_json'")]
    [DataRow("timestamp_granularities[]", "word", "produce no timestamps")]
    [DataRow("include[]", "logprobs", "log probabilities")]
    [DataRow("chunking_strategy", "manual", "'auto'")]
    [DataRow("temperature", "2", "from 0 to 1")]
    [DataRow("temperature", "warm", "number")]
    [DataRow("stream", "perhaps", "true or false")]
    [DataRow("language", "<|im_end|>", "must be a language")]
    [DataRow("timeout", "-1", "from 0")]
    public async Task A_wrong_field_is_refused_by_name(string name, string value, string reason)
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        await IsRefused(server, Form(Sounds.Tone, (name, value)), name, reason);
    }

    [TestMethod]
    public async Task A_file_that_is_none_is_refused_by_name()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        await using var deaf = await ServerFixture.StartAsync(Hearing([], rate: 0));
        await IsRefused(server, Form(null), "file", "is missing");
        await IsRefused(server, Form(null, ("file", "hello")), "file", "is a text");
        await IsRefused(server, Form([]), "file", "is empty");
        await IsRefused(server, Form(Pictures.Row), "file", "those of no sound format");
        await IsRefused(server, Form(Sounds.Tone[..100], ("stream", "true"), ("response_format", "verbose_json")), "response_format", "not streamed");
        await IsRefused(server, Form(Sounds.Wav(16_000, 1, [0])), "file", "fewer than two samples");
        await IsRefused(deaf, Form(Sounds.Tone), "file", "does not support audio input");
        using var twice = Form(Sounds.Tone);
        twice.Add(File(Sounds.Tone), "file", "b.wav");
        await IsRefused(server, twice, "file", "more than once");
        using var other = Form(Sounds.Tone);
        other.Add(File(Sounds.Tone), "mask", "b.wav");
        await IsRefused(server, other, "mask", "the only one");
        using var noForm = new StringContent("{}", Encoding.UTF8, "application/json");
        await IsRefused(server, noForm, "Content-Type", "multipart/form-data");
    }

    [TestMethod]
    public void A_form_is_read_as_clients_write_it()
    {
        using var form = MultipartForm.Parse(Encoding.UTF8.GetBytes(
            "a preamble\r\n--b \t\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name=model\r\n\r\nx\r\n"
            + "--b\r\nContent-Disposition: form-data; filename=\"a;name=b.wav\"; name=\"file\"\r\n\r\n\r\n--\r\n\r\n"
            + "--b\r\nContent-Disposition: form-data; name=\"list[]\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"list[]\"\r\n\r\nü\r\n"
            + "--b\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--b--\r\nan epilogue"), "b");
        Assert.AreEqual("x", form.Fields.Text("model"));
        Assert.AreEqual("\r\n--\r\n", Encoding.UTF8.GetString(form.File("file")!));
        CollectionAssert.AreEqual(new[] { "1", "ü" }, form.Fields.List("list[]")!.Select(item => item.GetString()).ToArray());
        Assert.AreEqual("", form.Fields.Text("empty"));
        Assert.IsNull(form.File("model"));
    }

    [TestMethod]
    public async Task No_damaged_form_is_a_fault_of_the_server()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        using var whole = Form(Sounds.Wav(16_000, 1, new float[20]), ("prompt", "p"));
        var body = await whole.ReadAsByteArrayAsync();
        var type = whole.Headers.ContentType!.ToString();
        var random = new Random(19);
        var refused = 0;
        for (var i = 0; i < 300; i++)
        {
            var damaged = (byte[])body.Clone();
            for (var hits = random.Next(0, 4); hits > 0; hits--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            using var content = new ByteArrayContent(damaged[..(i % 2 == 0 ? random.Next(damaged.Length) : damaged.Length)]);
            content.Headers.TryAddWithoutValidation("Content-Type", i % 10 == 0 ? "multipart/form-data; boundary=" : type);
            using var answer = await server.Client.PostAsync("v1/audio/transcriptions", content);
            Assert.IsLessThan(500, (int)answer.StatusCode, await answer.Content.ReadAsStringAsync());
            refused += answer.IsSuccessStatusCode ? 0 : 1;
        }
        Assert.IsGreaterThan(150, refused);
    }

    private static async Task<string> TextOf(ServerFixture server, MultipartFormDataContent form)
    {
        using var answer = await server.Client.PostAsync("v1/audio/transcriptions", form);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, text);
        form.Dispose();
        return text;
    }

    private static async Task IsRefused(ServerFixture server, HttpContent form, string field, string reason)
    {
        using var answer = await server.Client.PostAsync("v1/audio/transcriptions", form);
        var error = (await answer.JsonAsync()).GetProperty("error");
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.AreEqual(field, error.GetProperty("param").GetString());
        Assert.Contains(reason, error.GetProperty("message").GetString()!);
        form.Dispose();
    }

    private static MultipartFormDataContent Form(byte[]? file, params (string Name, string Value)[] fields)
    {
        var form = new MultipartFormDataContent { { new StringContent("talker"), "model" } };
        foreach (var (name, value) in fields)
            form.Add(new StringContent(value), name);
        if (file is not null)
            form.Add(File(file), "file", "a.wav");
        return form;
    }

    private static ByteArrayContent File(byte[] file)
    {
        var content = new ByteArrayContent(file);
        content.Headers.ContentType = new MediaTypeHeaderValue("audio/wav");
        return content;
    }

    private static ScriptedEngine Hearing(List<Prompt> asked, int rate = 16_000) =>
        ScriptedEngine.Hearing(asked, rate, 8_192, null, "Hello", " world.");
}
