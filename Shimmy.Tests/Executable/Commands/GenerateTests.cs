using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Commands;

/// <summary>The command <c>generate</c> on models made here.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class GenerateTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassInitialize]
    public static void WriteModels(TestContext _)
    {
        RandomModel.Write(Folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        RandomModel.Write(Folder["models/noise.gguf"]);
    }

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    private static Task<ShimmyResult> GenerateAsync(string model, string[] arguments, string input = "") =>
        ShimmyProcess.RunAsync(["generate", model, "--threads", "1", .. arguments], Folder.Path, input: input);

    [TestMethod]
    [DataRow("--raw --no-stream")]
    [DataRow("--raw --stream")]
    [DataRow("--system quiet")]
    [DataRow("")]
    public async Task Only_the_answer_is_on_stdout(string arguments)
    {
        var run = await GenerateAsync("talker", ["--prompt", "who?", .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        Assert.AreEqual(" hello", run.Output);
        Assert.AreEqual("", run.Errors);
    }

    [TestMethod]
    public async Task A_sound_is_heard_through_a_projector_and_refused_without_one()
    {
        await File.WriteAllBytesAsync(Folder["tone.wav"], Sounds.Tone);
        var projector = RandomProjector.WriteHearing(Folder["hearing.gguf"], new RandomModelShape().Embedding);
        string[] options = ["--prompt", "what?", "--audio", Folder["tone.wav"]];
        var heard = await GenerateAsync("talker", [.. options, "--mmproj", projector]);
        Assert.AreEqual(0, heard.ExitCode, heard.Errors);
        Assert.AreNotEqual("", heard.Output);

        var deaf = await GenerateAsync("talker", options);
        Assert.AreEqual(2, deaf.ExitCode);
        Assert.Contains(
            $"--audio {Folder["tone.wav"]}: the model 'talker' does not support audio input: it has no multimodal projector (mmproj)", deaf.Errors);
        Assert.DoesNotContain("----", deaf.Errors);
        await File.WriteAllBytesAsync(Folder["tone.ogg"], "OggS and more"u8.ToArray());
        var wrong = await GenerateAsync("talker", ["--prompt", "what?", "--audio", Folder["tone.ogg"], "--mmproj", projector]);
        Assert.AreEqual(2, wrong.ExitCode);
        Assert.Contains("is an Ogg file; WAV, MP3 and FLAC are taken", wrong.Errors);
    }

    [TestMethod]
    public async Task A_dash_reads_the_prompt_from_stdin()
    {
        var prompt = await GenerateAsync("noise", ["--raw", "--prompt", "ünï 😀", "--temperature", "0", "--max-tokens", "8"]);
        var input = await GenerateAsync("noise", ["--raw", "--prompt", "-", "--temperature", "0", "--max-tokens", "8"], "ünï 😀");

        Assert.AreEqual(0, input.ExitCode, input.Errors);
        Assert.AreNotEqual("", input.Output);
        Assert.AreEqual(prompt.Output, input.Output);
    }

    [TestMethod]
    public async Task The_same_seed_gives_the_same_answer_streamed_or_not()
    {
        string[] options = ["--raw", "--prompt", "a", "--temperature", "1", "--seed", "7", "--max-tokens", "12", "--ignore-eos"];
        var one = await GenerateAsync("noise", options);
        var two = await GenerateAsync("noise", [.. options, "--stream"]);
        var other =
            await GenerateAsync("noise",
                ["--raw", "--prompt", "a", "--temperature", "1", "--seed", "8", "--max-tokens", "12", "--ignore-eos"]);

        Assert.AreEqual(0, one.ExitCode, one.Errors);
        Assert.AreEqual(one.Output, two.Output);
        Assert.AreNotEqual(one.Output, other.Output);
    }

    [TestMethod]
    public async Task Each_stop_string_ends_the_answer_and_is_not_part_of_it()
    {
        var run = await GenerateAsync("talker", ["--raw", "--prompt", "who?", "--stop", "nothing", "--stop", "ll"]);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        Assert.AreEqual(" he", run.Output);
    }

    [TestMethod]
    public async Task A_grammar_binds_the_answer()
    {
        File.WriteAllText(Folder["answer.gbnf"], """root ::= "yes" | "no" """);

        var run = await GenerateAsync("noise", ["--raw", "--prompt", "a", "--grammar", Folder["answer.gbnf"]]);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        Assert.IsTrue(run.Output is "yes" or "no", run.Output);
    }

    [TestMethod]
    [DataRow("", "--prompt is missing: a text, or - to read it from stdin")]
    [DataRow("--prompt x --raw --system y", "--system and --raw exclude each other")]
    [DataRow("--prompt x --stream --no-stream", "--stream and --no-stream exclude each other")]
    [DataRow("--prompt x --max-tokens 0", "--max-tokens: '0' is not a whole number of at least 1")]
    [DataRow("--prompt x --temperature 0,5", "--temperature: '0,5' is not a number from 0 to 100")]
    [DataRow("--prompt x --top-k 1.5", "--top-k: '1.5' is not a whole number from -1 to 2147483647")]
    [DataRow("--prompt x --topk 1", "unknown option --topk")]
    [DataRow("--prompt x --grammar /missing.gbnf", "--grammar: Could not find file")]
    [DataRow("--prompt x --json-schema /missing.json", "--json-schema: Could not find file")]
    [DataRow("--prompt x --json-schema a --grammar b", "--grammar and --json-schema exclude each other")]
    public async Task What_is_wrong_with_an_option_is_said_by_its_name(string arguments, string error)
    {
        var run = await GenerateAsync("talker", arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        Assert.AreEqual(2, run.ExitCode);
        Assert.AreEqual("", run.Output);
        Assert.StartsWith("shimmy generate: " + error, run.Errors);
    }

    [TestMethod]
    public async Task A_grammar_that_does_not_parse_is_refused_by_the_options_name()
    {
        File.WriteAllText(Folder["broken.gbnf"], "root ::= \"");

        var run = await GenerateAsync("noise", ["--raw", "--prompt", "a", "--grammar", Folder["broken.gbnf"], "--log-level", "none"]);

        Assert.AreEqual(2, run.ExitCode);
        Assert.StartsWith("shimmy generate: --grammar: line 1, column 10: ", run.Errors);
    }

    [TestMethod]
    [DataRow("--raw")]
    [DataRow("--temperature 1")]
    public async Task What_a_json_schemas_grammar_cannot_hold_is_checked(string option)
    {
        File.WriteAllText(Folder["step.json"], """{"type":"number","minimum":0.1,"maximum":0.9,"multipleOf":0.95}""");

        var run = await GenerateAsync("noise", [.. option.Split(' '), "--prompt", "a", "--max-tokens", "200", "--json-schema", Folder["step.json"]]);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        Assert.Contains("does not satisfy its schema", run.Errors);
    }

    [TestMethod]
    public async Task A_json_schema_binds_the_answer()
    {
        File.WriteAllText(Folder["answer.json"],
            """{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false}""");

        var run = await GenerateAsync("noise", ["--raw", "--prompt", "a", "--max-tokens", "200", "--json-schema", Folder["answer.json"]]);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        Assert.IsTrue(System.Text.Json.JsonElement.Parse(run.Output).GetProperty("a").GetRawText() is "true" or "false", run.Output);
    }

    [TestMethod]
    [DataRow("{\"type\":", "LineNumber: 0")]
    [DataRow("{\"properties\":{\"a\":{\"not\":{}}}}", "/properties/a: not cannot be expressed")]
    public async Task A_json_schema_that_cannot_be_held_to_is_refused_by_the_options_name(string schema, string problem)
    {
        File.WriteAllText(Folder["broken.json"], schema);

        var run = await GenerateAsync("noise", ["--raw", "--prompt", "a", "--json-schema", Folder["broken.json"], "--log-level", "none"]);

        Assert.AreEqual(2, run.ExitCode);
        Assert.StartsWith("shimmy generate: --json-schema: ", run.Errors);
        Assert.Contains(problem, run.Errors);
    }

    [TestMethod]
    public async Task A_prompt_that_does_not_fit_is_refused_with_both_numbers()
    {
        var run = await GenerateAsync("noise", ["--raw", "--prompt", "-"], new string('!', 600));

        Assert.AreEqual(2, run.ExitCode);
        Assert.MatchesRegex("maximum context length is 512 tokens, but the prompt has 60[0-9] tokens", run.Errors);
    }
}
