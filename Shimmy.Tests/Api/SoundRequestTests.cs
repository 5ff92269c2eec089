using System.Net;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>Sounds in every dialect that has them: at their place for a model that hears, refused or words for one that does not.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class SoundRequestTests
{
    private static readonly string Data = Convert.ToBase64String(Sounds.Tone);

    private static readonly string Part = $$$"""{"type":"input_audio","input_audio":{"data":"{{{Data}}}","format":"wav"}}""";

    private static readonly string Chat = $$"""
        {"model":"talker","messages":[{"role":"user","content":[{"type":"text","text":"Before "},{{Part}},{"type":"text","text":" after"}]}]}
        """;

    private static readonly string Response = $$"""
        {"model":"talker","input":[{"role":"user","content":[{"type":"input_text","text":"Before "},{{Part}},{"type":"input_text","text":" after"}]}]}
        """;

    [TestMethod]
    public async Task A_sound_stands_at_its_place_in_every_dialect()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Hearing(asked));
        await server.AnswerAsync("v1/chat/completions", Chat);
        await server.AnswerAsync("v1/responses", Response);
        await server.AnswerAsync("v1/chat/completions", $$"""
            {"model":"talker","messages":[{"role":"user","content":[{"type":"text","text":"Before "},
             {"type":"audio_url","audio_url":{"url":"{{Sounds.Url(Sounds.Tone)}}"} },{"type":"text","text":" after"}]}]}
            """);
        await server.AnswerAsync("completion", $$"""
            {"model":"talker","prompt":{"prompt_string":"Before <__media__> after","multimodal_data":["{{Data}}"]} }
            """);
        await server.AnswerAsync("api/generate",
            $$"""{"model":"talker","messages":[{"role":"user","content":"after","audio":["{{Data}}"]}]}""");
        await server.AnswerAsync("api/generate", $$"""{"model":"talker","prompt":"after","audio":["{{Sounds.Url(Sounds.Tone)}}"]}""");
        // Fields that only Ollama's requests have otherwise.
        await server.AnswerAsync("api/generate", $$"""{"model":"talker","prompt":"after","images":[],"audio":["{{Data}}"]}""");
        await server.AnswerAsync("api/generate", $$"""{"model":"talker","prompt":"after","think":false,"audio":["{{Data}}"]}""");
        // Ollama's clients send sounds where pictures stand.
        await server.AnswerAsync("api/chat",
            $$"""{"model":"talker","stream":false,"messages":[{"role":"user","content":"after","images":["{{Data}}"]}]}""");

        Assert.HasCount(9, asked);
        foreach (var prompt in asked)
        {
            var medium = prompt.Media.Single();
            Assert.AreEqual((MediumKind.Sound, 16_000, 1, 64_000), (medium.Kind, medium.Width, medium.Height, medium.Data.Length));
            Assert.AreEqual(asked[0].Media[0].Hash, medium.Hash);
            Assert.AreEqual(0, prompt.Parts.Single(part => part.Medium is not null).Medium);
        }
        foreach (var prompt in asked.Take(4))
            Assert.Contains("Before * after", ScriptedEngine.Shown(prompt).Replace("\n", "", StringComparison.Ordinal));
        foreach (var prompt in asked.Skip(4))
            Assert.Contains("*after", ScriptedEngine.Shown(prompt));
    }

    // One whose first bytes say it, and one that only decoding finds out.
    [TestMethod]
    public async Task A_sound_that_cannot_be_read_has_one_code_wherever_that_shows()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        foreach (var file in (byte[][])[[.. "OggS1234"u8], Sounds.Tone[..20]])
        {
            using var answer = await server.PostAsync("v1/chat/completions",
                Chat.Replace(Data, Convert.ToBase64String(file), StringComparison.Ordinal));
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.AreEqual("invalid_audio", (await answer.JsonAsync()).GetProperty("error").GetProperty("code").GetString());
        }
    }

    [TestMethod]
    public async Task A_deaf_model_refuses_a_new_sound_and_reads_words_for_an_old_one()
    {
        var asked = new List<Prompt>();
        await using var server = await ServerFixture.StartAsync(Hearing(asked, rate: 0));
        foreach (var (path, body, field) in (ValueTuple<string, string, string>[])
            [("v1/chat/completions", Chat, "messages[0].content[1].input_audio.data"),
            ("v1/responses", Response, "input[0].content[1].input_audio.data")])
        {
            using var answer = await server.PostAsync(path, body);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.Contains(field, text);
            Assert.Contains("the model 'talker' does not support audio input: it has no multimodal projector (mmproj)",
                text.Replace("\\u0027", "'", StringComparison.Ordinal));
        }
        Assert.IsEmpty(asked);

        await server.AnswerAsync("v1/chat/completions", $$"""
            {"model":"talker","messages":[{"role":"user","content":[{{Part}}]},
             {"role":"assistant","content":"A tone."},{"role":"user","content":"And now?"}]}
            """);
        Assert.IsEmpty(asked.Single().Media);
        Assert.Contains("[audio omitted: talker cannot hear]", ScriptedEngine.Shown(asked[0]));
    }

    [TestMethod]
    public async Task Why_a_projector_is_not_heard_through_is_said()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([], rate: 0, audioReason: "its encoder is of tomorrow"));
        using var answer = await server.PostAsync("v1/chat/completions", Chat);
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("its encoder is of tomorrow", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task What_is_wrong_with_a_sound_is_said_with_its_field()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        await IsRefused("data", "\"not base64!\"", "is not Base64");
        await IsRefused("data", $"\"{Convert.ToBase64String(Pictures.Row)}\"", "is a file of an unknown format");
        await IsRefused("data", $"\"{Convert.ToBase64String("OggS12345678"u8)}\"", "is an Ogg file");
        await IsRefused("data", $"\"{Convert.ToBase64String(Sounds.Wav(16_000, 1, [0]))}\"", "fewer than two samples");
        await IsRefused("data", $"\"{Convert.ToBase64String(Sounds.Wav(4_000, 1, [0, 0, 0]))}\"", "from 8000 to 192000");
        await IsRefused("data", "\"https://example.org/a.wav\"", "--media-urls");
        await IsRefused("data", "7", "must be a string");
        await IsRefused("data", $"\"{Data}\",\"format\":\"ogg\"", "'mp3'", "format");
        await IsRefused("data", "null", "is missing");

        async Task IsRefused(string name, string value, string reason, string? field = null)
        {
            using var answer = await server.PostAsync("v1/chat/completions", $$$"""
                {"model":"talker","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"{{{name}}}":{{{value}}}}}]}]}
                """);
            var error = (await answer.JsonAsync()).GetProperty("error");
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.AreEqual($"messages[0].content[0].input_audio.{field ?? name}", error.GetProperty("param").GetString());
            Assert.Contains(reason, error.GetProperty("message").GetString()!);
        }
    }

    [TestMethod]
    public async Task A_sound_that_cannot_fit_the_context_is_refused_before_it_is_computed()
    {
        var asked = new List<Prompt>();
        // Room for two chunks of thirty seconds.
        await using var server = await ServerFixture.StartAsync(Hearing(asked, context: 350));
        string Body(int seconds) => $$"""
            {"model":"talker","messages":[{"role":"user","content":[{"type":"input_audio",
             "input_audio":{"data":"{{Convert.ToBase64String(Sounds.Wav(8_000, 1, new float[8_000 * seconds]))}}"} }]}]}
            """;
        using var answer = await server.PostAsync("v1/chat/completions", Body(61));
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("is a sound of 61.0 s; at most 60 s", await answer.Content.ReadAsStringAsync());
        Assert.IsEmpty(asked);
        await server.AnswerAsync("v1/chat/completions", Body(60));
        Assert.AreEqual(16_000 * 60, asked.Single().Media[0].Width);
    }

    [TestMethod]
    public async Task A_stored_sound_comes_back_with_its_item()
    {
        await using var server = await ServerFixture.StartAsync(Hearing([]));
        using var answer = JsonDocument.Parse(await server.AnswerAsync("v1/responses", Response));
        var items = await server.Client.GetStringAsync($"v1/responses/{answer.RootElement.GetProperty("id").GetString()}/input_items");
        Assert.Contains(Part, items.Replace("\\u002B", "+", StringComparison.Ordinal));
    }

    private static ScriptedEngine Hearing(List<Prompt> asked, int rate = 16_000, string? audioReason = null, int context = 8_192) =>
        ScriptedEngine.Hearing(asked, rate, context, audioReason, "Heard.");
}
