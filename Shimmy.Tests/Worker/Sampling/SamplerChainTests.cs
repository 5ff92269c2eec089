using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using static Shimmy.Tests.Fixtures.WorkerFixture;

namespace Shimmy.Tests.Worker.Sampling;

/// <summary>
/// What a worker draws is what llama.cpp's own chain of samplers draws, called directly on the same libraries: the same seed and settings
/// give the text that llama-server gives.
/// </summary>
[TestClass]
[TestCategory("Worker")]
public sealed class SamplerChainTests
{
    private static readonly GenerationOptions Plain = new() { MaxTokens = 32, Seed = 42, CachePrompt = false };

    private static readonly Dictionary<string, GenerationOptions> Settings = new()
    {
        ["defaults"] = Plain,
        ["greedy"] = Plain with { Temperature = 0 },
        ["greedy with penalties"] = Plain with { Temperature = 0, RepeatPenalty = 1.3f, PresencePenalty = 0.5f },
        ["greedy with DRY"] = Plain with { Temperature = 0, DryMultiplier = 0.8f, DryPenaltyLastN = -1 },
        ["nothing but chance"] = Plain with { TopK = 0, TopP = 1, MinP = 0, Temperature = 1.5f },
        ["penalties"] = Plain with { RepeatPenalty = 1.3f, FrequencyPenalty = 0.5f, PresencePenalty = 0.4f, RepeatLastN = 8 },
        ["penalties over all"] = Plain with { RepeatPenalty = 1.2f, RepeatLastN = -1 },
        ["DRY"] = Plain with { DryMultiplier = 0.8f, DryAllowedLength = 1, DryPenaltyLastN = -1, DrySequenceBreakers = ["\n", "."] },
        ["XTC"] = Plain with { XtcProbability = 0.5f, XtcThreshold = 0.05f },
        ["typical"] = Plain with { TypicalP = 0.5f },
        ["top-n-sigma"] = Plain with { TopNSigma = 1.2f },
        ["few"] = Plain with { TopK = 5, TopP = 0.7f, MinP = 0.2f },
        ["dynamic temperature"] = Plain with { DynamicTemperatureRange = 0.5f, DynamicTemperatureExponent = 1.5f },
        ["Mirostat"] = Plain with { Mirostat = 1, MirostatTau = 4 },
        ["Mirostat 2"] = Plain with { Mirostat = 2, MirostatTau = 4 },
        ["adaptive-p"] = Plain with { AdaptiveTarget = 0.3f, AdaptiveDecay = 0.8f },
        ["adaptive-p by name"] = Plain with { AdaptiveTarget = 0.3f, Samplers = [SamplerKind.MinP, SamplerKind.AdaptiveP] },
        ["another order"] = Plain with
        {
            RepeatPenalty = 1.2f,
            Samplers = [SamplerKind.Temperature, SamplerKind.TopP, SamplerKind.Penalties, SamplerKind.TopK],
        },
        ["as editors fill"] = Plain with { TopP = 0.9f, Samplers = [SamplerKind.TopK, SamplerKind.TopP, SamplerKind.Infill] },
        ["at least some"] = Plain with { TopP = 0.1f, MinKeep = 4 },
        ["all at once"] = Plain with
        {
            RepeatPenalty = 1.1f,
            DryMultiplier = 0.5f,
            TopNSigma = 2,
            TypicalP = 0.9f,
            XtcProbability = 0.3f,
            DynamicTemperatureRange = 0.2f,
        },
    };

    private static TemporaryFolder _folder = null!;
    private static ILoadedModel _worker = null!;
    private static SamplerChain _direct = null!;

    public static IEnumerable<object[]> Names => Settings.Keys.Select(name => new object[] { name });

    [ClassInitialize]
    public static async Task Load(TestContext _)
    {
        _folder = new TemporaryFolder();
        // A developer's machine has a small model that tells stories; without it random weights do.
        var path = Environment.GetEnvironmentVariable("SHIMMY_STORIES_MODEL") is { Length: > 0 } stories
            ? stories
            : RandomModel.Write(_folder["random.gguf"]);
        var spec = new ModelSpec { Name = "chain", Path = path, Threads = 1, ContextLength = 256, Speculate = false };
        _worker = await NewEngine().LoadAsync(spec, null, CancellationToken.None);
        _direct = new SamplerChain(spec);
    }

    [ClassCleanup]
    public static async Task Unload()
    {
        await _worker.DisposeAsync();
        _direct.Dispose();
        _folder.Dispose();
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public async Task A_seed_draws_what_the_chain_of_the_library_draws(string name)
    {
        var prompt = Prompt.FromText("Once upon a time");

        var drawn = await RunAsync(_worker, new GenerationRequest { Prompt = prompt, Options = Settings[name] });
        var expected = _direct.Draw(prompt, Settings[name]);
        // A worker joins tokens to batches as time allows, whose logits differ in their last digits; what is drawn at the edge of a
        // sampler's cut may differ for that once, but not always.
        for (var again = 0; again < 3 && !expected.SequenceEqual(drawn.Tokens); again++)
        {
            drawn = await RunAsync(_worker, new GenerationRequest { Prompt = prompt, Options = Settings[name] });
            expected = _direct.Draw(prompt, Settings[name]);
        }

        // Random weights may end a text at once, which is a token drawn, too.
        Assert.IsTrue(expected.Count > 4 || drawn.End.Reason == FinishReason.Stop, "too few to compare");
        CollectionAssert.AreEqual(expected, drawn.Tokens, $"{string.Join(' ', expected)} | {string.Join(' ', drawn.Tokens)}");
    }

    [TestMethod]
    public void Another_seed_and_each_setting_make_a_difference()
    {
        var prompt = Prompt.FromText("Once upon a time");

        var texts = Settings.Values.Append(Plain with { Seed = 43 }).Select(options => string.Join(' ', _direct.Draw(prompt, options)));

        // Most of them: a setting may happen to change none of the tokens.
        Assert.IsGreaterThan(Settings.Count / 2, texts.Distinct().Count());
    }
}

/// <summary>llama.cpp in this process: a model, and a chain of its samplers put together as llama-server does it.</summary>
internal sealed class SamplerChain : IDisposable
{
    private static readonly SamplerKind[] Order =
    [
        SamplerKind.Penalties, SamplerKind.Dry, SamplerKind.TopNSigma, SamplerKind.TopK, SamplerKind.Typical, SamplerKind.TopP,
        SamplerKind.MinP, SamplerKind.Xtc, SamplerKind.Temperature,
    ];

    private readonly LlamaModel _model;
    private readonly DecodeBatch _batch;

    public SamplerChain(ModelSpec spec)
    {
        _model = LlamaModel.Load(spec, _ => { });
        _batch = new DecodeBatch(_model.BatchSize);
    }

    /// <summary>The tokens that follow a prompt, up to one that ends the text.</summary>
    public List<int> Draw(Prompt prompt, GenerationOptions options)
    {
        using var chain = Build(options);
        var tokens = _model.Vocabulary.Tokenize(prompt);
        foreach (var token in tokens)
            chain.Accept(token);
        _model.Context.ClearCells();
        var (drawn, computed) = (new List<int>(), 0);
        var candidates = new LlamaTokenData[_model.Vocabulary.Size];
        while (drawn.Count < options.MaxTokens)
        {
            var logits = Compute(tokens, computed);
            computed = tokens.Count;
            for (var i = 0; i < candidates.Length; i++)
                candidates[i] = new LlamaTokenData { Id = i, Logit = logits[i] };
            var chosen = chain.Choose(candidates, sorted: false);
            if (_model.Vocabulary.IsEnd(chosen))
                break;
            chain.Accept(chosen);
            drawn.Add(chosen);
            tokens.Add(chosen);
        }
        return drawn;
    }

    public void Dispose()
    {
        _batch.Dispose();
        _model.Dispose();
    }

    private Span<float> Compute(List<int> tokens, int from)
    {
        _batch.Clear();
        var last = -1;
        for (var i = from; i < tokens.Count; i++)
            last = _batch.Add(tokens[i], i, 0, logits: i == tokens.Count - 1);
        // As a worker computes a lone token, so that all is rounded alike.
        if (_batch.Count == 1 && _model.PairsLoneTokens)
            _batch.Add(tokens[^1], tokens.Count, 0, logits: false);
        _model.Threads.Prepare(_batch.Count);
        Assert.AreEqual(0, _batch.Decode(_model.Context));
        _model.Context.Synchronize();
        _model.Context.RemoveCells(0, tokens.Count);
        return _model.Logits(last);
    }

    // common_sampler_init of llama.cpp: each stage is there, and does nothing where it is off.
    private SamplerHandle Build(GenerationOptions options)
    {
        var chain = SamplerHandle.Chain(_model.Handle);
        var seed = options.Seed!.Value;
        if (options.Mirostat != 0)
        {
            chain.AddTemperature(options.Temperature);
            if (options.Mirostat == 1)
                chain.AddMirostat(_model.Vocabulary.Size, seed, options.MirostatTau, options.MirostatEta);
            else
                chain.AddMirostatV2(seed, options.MirostatTau, options.MirostatEta);
            return chain;
        }
        foreach (var kind in options.Samplers ?? Order)
            Add(chain, kind, options, seed);
        // llama-server asks for it by its name in the order; ours takes the target alone for that.
        if (options.Samplers?.Contains(SamplerKind.AdaptiveP) ?? options.AdaptiveTarget >= 0)
            chain.AddAdaptiveP(options.AdaptiveTarget, options.AdaptiveDecay, seed);
        else
            chain.AddDistribution(seed);
        return chain;
    }

    private void Add(SamplerHandle chain, SamplerKind kind, GenerationOptions options, uint seed)
    {
        var (vocabulary, keep) = (_model.Vocabulary.Native, options.MinKeep);
        switch (kind)
        {
            case SamplerKind.Penalties:
                chain.AddPenalties(Within(options.RepeatLastN), options.RepeatPenalty, options.FrequencyPenalty, options.PresencePenalty);
                break;
            case SamplerKind.Dry:
                chain.AddDry(vocabulary, options.DryMultiplier, options.DryBase, options.DryAllowedLength, Within(options.DryPenaltyLastN),
                    options.DrySequenceBreakers);
                break;
            case SamplerKind.TopNSigma:
                chain.AddTopNSigma(options.TopNSigma);
                break;
            case SamplerKind.TopK:
                chain.AddTopK(options.TopK);
                break;
            case SamplerKind.Typical:
                chain.AddTypical(options.TypicalP, keep);
                break;
            case SamplerKind.TopP:
                chain.AddTopP(options.TopP, keep);
                break;
            case SamplerKind.MinP:
                chain.AddMinP(options.MinP, keep);
                break;
            case SamplerKind.Xtc:
                chain.AddXtc(options.XtcProbability, options.XtcThreshold, seed, keep);
                break;
            case SamplerKind.Temperature:
                chain.AddDynamicTemperature(options.Temperature, options.DynamicTemperatureRange, options.DynamicTemperatureExponent);
                break;
            case SamplerKind.Infill:
                chain.AddInfill(vocabulary);
                break;
        }
    }

    // llama-server reads -1 as the whole context.
    private int Within(int last) => last < 0 ? _model.ContextLength : last;
}
