using System.Reflection;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Cache;

/// <summary>What makes an answer another one, and what does not.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class CacheKeyTests
{
    private static readonly GenerationRequest Request = new() { Prompt = Prompt.FromText("a b") };

    [TestMethod]
    public void An_answer_that_a_clock_may_cut_is_not_kept()
    {
        var greedy = new GenerationOptions { Temperature = 0 };
        Assert.IsTrue(CachedExecution.IsDetermined(greedy));
        Assert.IsFalse(CachedExecution.IsDetermined(greedy with { PromptMilliseconds = 50 }));
        Assert.IsFalse(CachedExecution.IsDetermined(greedy with { Seed = 1, PredictMilliseconds = 50 }));
    }

    [TestMethod]
    public void An_answer_is_kept_where_chance_has_no_part_in_it()
    {
        var greedy = new GenerationOptions { Temperature = 0 };
        Assert.IsTrue(CachedExecution.IsDetermined(greedy with { Samplers = [SamplerKind.TopK, SamplerKind.Temperature] }));
        Assert.IsFalse(CachedExecution.IsDetermined(greedy with { Samplers = [SamplerKind.TopK] }), "no stage looks at the temperature");
        Assert.IsFalse(CachedExecution.IsDetermined(greedy with { XtcProbability = 0.5f }));
        Assert.IsFalse(CachedExecution.IsDetermined(new GenerationOptions()));
    }

    [TestMethod]
    public async Task Every_option_counts()
    {
        var model = await LoadAsync(new ModelSpec { Name = "m", Path = "/nowhere/m.gguf" });
        var keys = new Dictionary<CacheKey, string> { [CacheKey.Of(model, Request, null)] = "the request itself" };
        PropertyInfo[] properties = [.. typeof(GenerationOptions).GetProperties().Where(property => property.CanWrite)];
        foreach (var property in properties)
        {
            var options = Request.Options with { };
            property.SetValue(options, Other(property.GetValue(options), property.PropertyType));
            var key = CacheKey.Of(model, Request with { Options = options }, null);
            Assert.IsTrue(keys.TryAdd(key, property.Name), $"{property.Name} makes no difference to {keys.GetValueOrDefault(key)}");
        }
        Assert.HasCount(properties.Length + 1, keys);
    }

    [TestMethod]
    public async Task At_temperature_0_what_only_chance_needs_does_not_count()
    {
        var model = await LoadAsync(new ModelSpec { Name = "m", Path = "/nowhere/m.gguf" });
        var best = new GenerationOptions { Temperature = 0 };
        foreach (var options in new[]
        {
            best with { Seed = 1 }, best with { TopP = 0.5f }, best with { TopK = 1 },
                best with { MinP = 0.5f }, best with { TopNSigma = 1 }, best with { TypicalP = 2 },
            best with { DynamicTemperatureRange = 1, DynamicTemperatureExponent = 2 },
                best with { XtcProbability = 0.5f, XtcThreshold = 0.6f }, best with { MirostatTau = 1, MirostatEta = 1 },
        })
        {
            Assert.AreEqual(Of(best), Of(options), options.ToString());
        }
        // What weighs tokens or may drop the best of them does, and with it what else narrows.
        GenerationOptions[] others =
        [
            best, best with { RepeatPenalty = 1.1f }, best with { PresencePenalty = 1 },
                best with { DryMultiplier = 1 }, best with { LogitBias = [new LogitBias(1, 1)] },
            best with { MaxTokens = 3 }, best with { Stop = ["x"] }, best with { TopLogProbabilities = 1 },
                best with { Mirostat = 2 }, best with { Mirostat = 2, Seed = 1 },
            best with { TypicalP = 0.5f }, best with { TypicalP = 0.5f, TopK = 1 },
            // How many tokens are left is what is reported.
            best with { AfterSampling = true }, best with { AfterSampling = true, TopK = 1 },
                best with { XtcProbability = 0.5f, Seed = 1 }, best with { XtcProbability = 0.5f, Seed = 2 },
        ];
        Assert.HasCount(others.Length, others.Select(Of).Distinct().ToList());

        CacheKey Of(GenerationOptions options) => CacheKey.Of(model, Request with { Options = options }, null);
    }

    [TestMethod]
    public async Task Everything_else_that_is_asked_for_counts()
    {
        var model = await LoadAsync(new ModelSpec { Name = "m", Path = "/nowhere/m.gguf" });
        var marks = new ReasoningTags("<think>", "</think>");
        GenerationRequest[] requests =
        [
            Request,
            Request with { Prompt = Prompt.FromText("a c") },
            Request with { Prompt = new Prompt { Parts = [new PromptPart("a b", ParseSpecial: false)] } },
            Request with { Prompt = Request.Prompt with { AddBos = false } },
            Request with { Prompt = Prompt.FromTokens([1, 2]) },
            Request with { Grammar = "root ::= \"a\"" },
            Request with { Grammar = "root ::= \"a\"", GrammarTrigger = "x" },
            Request with { Grammar = "", GrammarTrigger = "root ::= \"a\"x" },
            Request with { Prompt =
                new Prompt { Parts = [new PromptPart("a", ParseSpecial: true), new PromptPart(" b", ParseSpecial: true)] } },
            Request with { Prompt = Prompt.FromTokens([]) },
            Request with { ShownControlTokens = ["<think>"] },
        ];
        var keys = requests.Select(request => CacheKey.Of(model, request, null))
            .Concat(new[] { new ReasoningLimit(5, marks, true), new ReasoningLimit(6, marks, true),
                new ReasoningLimit(5, marks, false) }.Select(limit => CacheKey.Of(model, Request, limit)))
            .Append(CacheKey.Of(model, Request, null, "someone")).Append(CacheKey.Of(model, Request, null, "somebody")).ToList();

        Assert.HasCount(keys.Count, keys.Distinct().ToList());
        Assert.AreEqual(keys[0], CacheKey.Of(model, new GenerationRequest { Prompt = Prompt.FromText("a b") }, null));
        Assert.AreEqual(keys[0], CacheKey.Of(model, Request with { Place = new QueuePlace("someone", 1, 2) }, null));
    }

    [TestMethod]
    public void A_new_property_of_a_request_must_be_put_into_the_key_or_left_out_knowingly()
    {
        CollectionAssert.AreEquivalent(new[] { "Prompt", "Options", "Grammar", "GrammarTrigger", "Place", "ShownControlTokens" },
            NamesOf(typeof(GenerationRequest)));
        CollectionAssert.AreEquivalent(new[] { "Tokens", "Parts", "Media", "AddBos", "AddEos" }, NamesOf(typeof(Prompt)));
        CollectionAssert.AreEquivalent(new[] { "Text", "ParseSpecial", "Medium" }, NamesOf(typeof(PromptPart)));
        // The hash is of all the others.
        CollectionAssert.AreEquivalent(new[] { "Kind", "Width", "Height", "Hash", "Data", "DataLength" }, NamesOf(typeof(Medium)));

        static string[] NamesOf(Type type) =>
            [.. type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(property => property.Name)];
    }

    [TestMethod]
    public async Task A_model_is_its_file_and_how_it_is_loaded_not_its_name()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["a.gguf"], "one");
        await File.WriteAllTextAsync(folder["lora.gguf"], "one");
        var spec = new ModelSpec { Name = "m", Path = folder["a.gguf"] };
        var before = CacheKey.Of(await LoadAsync(spec), Request, null);

        Assert.AreEqual(before, CacheKey.Of(await LoadAsync(spec with { Name = "another" }), Request, null));
        Assert.AreEqual(before, CacheKey.Of(await LoadAsync(spec with { Template = "chatml" }), Request, null));
        var others = new[]
        {
            spec with { Path = folder["b.gguf"] }, spec with { Loras = [new LoraSetting(folder["lora.gguf"])] },
                spec with { Loras = [new LoraSetting(folder["lora.gguf"], 0.5f)] },
            spec with { ContextLength = 9 }, spec with { Defaults = new RequestDefaults { Stop = ["x"] } },
        };
        var keys = new List<CacheKey> { before };
        foreach (var other in others)
            keys.Add(CacheKey.Of(await LoadAsync(other), Request, null));
        var adapted = keys[2];
        await File.WriteAllTextAsync(folder["lora.gguf"], "other");
        keys.Add(CacheKey.Of(await LoadAsync(others[1]), Request, null));
        await File.WriteAllTextAsync(folder["a.gguf"], "two");
        File.SetLastWriteTimeUtc(folder["a.gguf"], new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        keys.Add(CacheKey.Of(await LoadAsync(spec), Request, null));

        Assert.AreNotEqual(adapted, keys[^2]);
        Assert.HasCount(keys.Count, keys.Distinct().ToList());
    }

    [TestMethod]
    public async Task A_file_that_is_replaced_counts_from_the_next_load_on()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["a.gguf"], "one");
        var spec = new ModelSpec { Name = "m", Path = folder["a.gguf"] };
        var loaded = await LoadAsync(spec);
        var before = CacheKey.Of(loaded, Request, null);

        await File.WriteAllTextAsync(folder["a.gguf"], "another");

        Assert.AreEqual(before, CacheKey.Of(loaded, Request, null));
        Assert.AreNotEqual(before, CacheKey.Of(await LoadAsync(spec), Request, null));
    }

    [TestMethod]
    public async Task A_file_that_changes_during_its_load_is_like_no_other()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["a.gguf"], "one");
        var spec = new ModelSpec { Name = "m", Path = folder["a.gguf"] };
        var torn = await LoadAsync(spec, () => File.WriteAllText(spec.Path, "another"));

        Assert.AreNotEqual(CacheKey.Of(await LoadAsync(spec), Request, null), CacheKey.Of(torn, Request, null));
        Assert.AreEqual(CacheKey.Of(torn, Request, null), CacheKey.Of(torn, Request, null));
    }

    [TestMethod]
    public void Every_shard_of_a_model_counts()
    {
        using var folder = new TemporaryFolder();
        foreach (var shard in new[] { 1, 2 })
            File.WriteAllText(folder[$"m-0000{shard}-of-00002.gguf"], "one");
        var spec = new ModelSpec { Name = "m", Path = folder["m-00001-of-00002.gguf"] };
        var before = ModelIdentity.Read(spec);

        File.WriteAllText(folder["m-00002-of-00002.gguf"], "another");

        Assert.AreNotEqual(before, ModelIdentity.Read(spec));
    }

    private static async Task<string> LoadAsync(ModelSpec spec, Action? meanwhile = null)
    {
        var identity = ModelIdentity.Read(spec);
        meanwhile?.Invoke();
        var model = await new ScriptedEngine().LoadAsync(spec, null, CancellationToken.None);
        return ModelIdentity.Of(model.Spec, identity);
    }

    private static object Other(object? value, Type type) => value switch
    {
        bool flag => !flag,
        int number => number + 1,
        float number => number + 0.5f,
        uint number => number + 1,
        IReadOnlyList<string> => new[] { "other" },
        null when type == typeof(IReadOnlyList<LoraChoice>) => new[] { new LoraChoice(0, null, 0.5f) },
        IReadOnlyList<LogitBias> => new[] { new LogitBias(1, float.NegativeInfinity) },
        null when type == typeof(IReadOnlyList<SamplerKind>) => new[] { SamplerKind.TopK },
        null when type == typeof(uint?) => 7u,
        null when type == typeof(int?) => 7,
        _ => throw new AssertFailedException($"the test knows no other value of {type}"),
    };
}
