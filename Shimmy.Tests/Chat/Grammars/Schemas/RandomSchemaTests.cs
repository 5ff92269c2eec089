using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using static Shimmy.Tests.Chat.Grammars.Schemas.SchemaCheck;

namespace Shimmy.Tests.Chat.Grammars.Schemas;

/// <summary>
/// Random schemas, answered by random walks through the grammar and by a model of random weights under llama.cpp's own grammar sampler.
/// </summary>
[TestClass]
[TestCategory("Worker")]
public sealed class RandomSchemaTests
{
    private const int Schemas = 200;
    private const int MostTokens = 160;

    private static readonly TemporaryFolder Folder = new();
    private static ILoadedModel _model = null!;

    [ClassInitialize]
    public static async Task LoadAsync(TestContext context)
    {
        _ = context;
        _model = await WorkerFixture.LoadAsync(Folder, spec => spec with { Parallel = 4 },
            new RandomModelShape { Layers = 1, Vocabulary = 512, Context = 2048 });
    }

    [ClassCleanup]
    public static async Task UnloadAsync()
    {
        await _model.DisposeAsync();
        Folder.Dispose();
    }

    [TestMethod]
    public void Every_text_of_a_schemas_grammar_is_valid()
    {
        for (var i = 0; i < Schemas; i++)
        {
            var schema = new RandomSchemas(i).Next(i / 40);
            AllValid(schema, Compile(schema), 20, i);
        }
    }

    [TestMethod]
    public async Task Whatever_a_model_of_random_weights_answers_and_ends_by_itself_is_valid()
    {
        var likely = await LikelyTokensAsync();
        var ended = 0;
        var watch = Stopwatch.StartNew();
        await Parallel.ForAsync(0, Schemas, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (i, cancellation) =>
        {
            var schema = new RandomSchemas(i).Next(i / 40);
            var answer = await WorkerFixture.RunAsync(_model, new GenerationRequest
            {
                Prompt = Prompt.FromText("x"),
                Grammar = Compile(schema),
                Options = new GenerationOptions
                {
                    Temperature = 1,
                    TopK = 0,
                    TopP = 1,
                    MinP = 0,
                    Seed = (uint)i + 1,
                    MaxTokens = MostTokens,
                    LogitBias = likely
                },
            });
            if (answer.End.Reason != FinishReason.Stop)
                return;
            Interlocked.Increment(ref ended);
            var text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(answer.Bytes.ToArray());
            var value = JsonElement.Parse(text);
            Assert.IsNull(new SchemaValidator(JsonElement.Parse(schema)).Judge(value), $"{schema}\n{text}");
            var independent = await NJsonSchema.JsonSchema.FromJsonAsync(schema, cancellation);
            Assert.IsEmpty(independent.Validate(text), $"{schema}\n{text}");
        });
        Assert.IsGreaterThan(Schemas * 3 / 5, ended, $"only {ended} of {Schemas} ended by themselves");
        Assert.IsLessThan(TimeSpan.FromSeconds(60), watch.Elapsed);
    }

    [TestMethod]
    public async Task Llama_cpp_takes_the_grammars_that_the_check_takes()
    {
        string[] schemas =
        [
            "true", """{"type":"object"}""", """{"type":"string","minLength":2500,"maxLength":5100}""",
                """{"type":"array","items":{"type":"integer"},"maxItems":100000}""",
            """{"type":"string","format":"uri-reference"}""", """{"type":"string","format":"ipv6"}""",
                """{"type":"object","properties":{"ab":{},"ac":{}},"additionalProperties":true}""",
            "{\"type\":\"object\",\"properties\":{" + string.Join(',', Enumerable.Range(0, 500).Select(i => $"\"p{i}\":{{}}")) + "}}",
            "{\"enum\":[" + string.Join(',', Enumerable.Range(0, 9000)) + "]}",
        ];
        foreach (var grammar in schemas.Select(schema => Compile(schema))
            .Append("root ::= (\"a\"*)* | ([b]? [c]?)+ | \"\\U0001F600\"{0,1999} | ((((\".\"))))"))
        {
            var answer =
                await WorkerFixture.RunAsync(_model,
                    WorkerFixture.Greedy("x", 3) with { Grammar = grammar, Options = new GenerationOptions { MaxTokens = 3, Seed = 1 } });
            Assert.IsNotNull(answer.End, grammar);
        }
    }

    // Random weights would hardly ever close a string, so the tokens that end things are made likelier. Left out are bytes that are no
    // ASCII, because llama.cpp lets pass overlong forms of UTF-8 where a byte is a token, and control tokens: the grammar sees their text,
    // the answer does not have it.
    private static async Task<List<LogitBias>> LikelyTokensAsync()
    {
        int[] control = [RandomModel.Unknown, RandomModel.Bos, RandomModel.ImStart];
        var biases = Enumerable.Range(RandomModel.FirstByte + 0x80, 0x80).Concat(control)
            .Select(token => new LogitBias(token, float.NegativeInfinity)).ToList();
        foreach (var text in new[] { "\"", "}", "]", "," })
        {
            var tokens =
                await _model.TokenizeAsync(new Prompt { Parts = [new PromptPart("a" + text, ParseSpecial: false)], AddBos = false },
                    CancellationToken.None);
            biases.Add(new LogitBias(tokens[^1], 3));
        }
        return biases;
    }
}
