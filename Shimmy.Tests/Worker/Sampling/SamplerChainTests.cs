using System.Text;
using System.Text.Json;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sampling;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

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

        // Random weights may end a text at once, which is a token drawn, too.
        Assert.IsTrue(drawn.Tokens.Count > 4 || drawn.End.Reason == FinishReason.Stop, "too few to compare");
        _direct.AssertDraws(prompt, Settings[name], drawn.Tokens, name);
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void Tokens_of_another_seed_and_without_the_setting_are_not_its_own(string name)
    {
        var prompt = Prompt.FromText("Once upon a time");
        var without = Settings[name].Temperature == 0 ? Settings["greedy"] : Plain;
        var own = _direct.Draw(prompt, Settings[name]);
        foreach (var other in (GenerationOptions[])[without, Settings[name] with { Seed = 43 }])
        {
            var tokens = _direct.Draw(prompt, other);
            // A setting may happen to change little of one text.
            if (own.Count == tokens.Count && own.Zip(tokens).Count(pair => pair.First != pair.Second) > 4)
                Assert.ThrowsExactly<AssertFailedException>(() => _direct.AssertDraws(prompt, Settings[name], tokens, name));
        }
    }

    [TestMethod]
    [DataRow("any JSON", null)]
    [DataRow("strings of few characters", """root ::= "[" ("\"" [^"\\]{0,9} "\"" ","?){1,4} "]" """)]
    [DataRow("words with a common beginning", """root ::= ("a" | "an" | "and" | " The" | " There" | "\n" [à-ÿ一-龥]+ | .)+""")]
    [DataRow("nothing twice", """root ::= ("(" root ")" | [0-9]+ ("." [0-9]+)?)? " "? """)]
    public void A_mask_is_what_the_grammar_of_the_library_says_of_every_token(string name, string? grammar)
    {
        using var anything = JsonDocument.Parse("true");

        // The vocabulary of the demo model has words, bytes and control tokens.
        using var demo = new SamplerChain(new ModelSpec
        {
            Name = "demo",
            Path = Path.Combine(AppContext.BaseDirectory, "models", "shimmy-demo.gguf"),
            ContextLength = 256,
        });

        var masked = demo.AssertMasks(grammar ?? AnswerGrammar.OfSchema(anything.RootElement).Text, name);

        Assert.IsGreaterThan(100, masked, "too few tokens of too few masks were told apart");
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    public async Task A_grammar_holds_behind_its_trigger_wherever_a_token_has_that(int within)
    {
        var free = await RunAsync(_worker, Greedy("Once upon a time", 40));
        // The end of a token, since the grammar judges what follows in it; and nowhere before.
        var pieces = free.Tokens.Select(_direct.TextOf).ToArray();
        var trigger = pieces.Where((piece, i) => piece.Length >= 3 && piece.All(char.IsAsciiLetter)
            && !string.Concat(pieces.Take(i)).Contains(piece[within..], StringComparison.Ordinal)).First()[within..];

        var bound = await RunAsync(_worker, Greedy("Once upon a time", 40) with { Grammar = "root ::= \"zqz\"", GrammarTrigger = trigger });

        var answer = Encoding.UTF8.GetString(bound.Bytes.ToArray());
        Assert.MatchesRegex($"{trigger}[ \\n]{{0,4}}zqz$", answer);
    }

    [TestMethod]
    public async Task A_grammar_that_is_wrong_is_refused_before_its_trigger()
    {
        var error = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            RunAsync(_worker, Greedy("Once upon a time", 4) with { Grammar = "root ::= nothing", GrammarTrigger = "never" }));

        Assert.AreEqual((EngineFailure.InvalidRequest, "grammar"), (error.Failure, error.Option));
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

    /// <summary>The text of a token.</summary>
    public string TextOf(int token) => Encoding.UTF8.GetString(_model.Vocabulary.Piece(token).Span);

    /// <summary>The tokens that follow a prompt, up to one that ends the text.</summary>
    public List<int> Draw(Prompt prompt, GenerationOptions options)
    {
        var drawn = new List<int>();
        var text = new Text(this, prompt, options);
        using var chain = text.Replay();
        while (drawn.Count < options.MaxTokens)
        {
            var chosen = Choose(chain, text.Compute());
            if (_model.Vocabulary.IsEnd(chosen))
                break;
            chain.Accept(chosen);
            text.Tokens.Add(chosen);
            drawn.Add(chosen);
        }
        return drawn;
    }

    /// <summary>
    /// Fails where the mask of a grammar lets other tokens follow than the grammar itself, each tested alone, along texts of chance. Gives
    /// how many tokens were allowed beside others that were not.
    /// </summary>
    public int AssertMasks(string grammar, string name)
    {
        var (vocabulary, random, told, states) = (_model.Vocabulary, new Random(7), 0, new GrammarStateCache());
        for (var texts = 0; texts < 8; texts++)
        {
            using var mask = new GrammarMask(
                new GenerationRequest { Prompt = Prompt.FromText(""), Grammar = grammar }, vocabulary, new HashSet<int>(), [], states);
            using var alone = SamplerHandle.Grammar(vocabulary.Native, grammar, "root")!;
            for (var tokens = 0; tokens < 24; tokens++)
            {
                var (logits, candidates) = (new float[vocabulary.Size], new LlamaTokenData[Sampler.CandidatesCapacity(vocabulary.Size)]);
                var chance = Array.ConvertAll(logits, _ => random.NextSingle());
                var cuts = new Dictionary<int, int[]>();
                foreach (var cut in (int[])[1, 8, 1, 8])
                    cuts[cut] = Likeliest(cut);
                mask.Apply(logits, candidates, cut: 0);
                var allowed = Enumerable.Range(0, vocabulary.Size).Where(token => logits[token] == 0).ToList();
                var expected = Enumerable.Range(0, vocabulary.Size).Where(token =>
                {
                    var candidate = new LlamaTokenData { Id = token, Logit = 1 };
                    alone.Forbid(new Span<LlamaTokenData>(ref candidate));
                    return candidate.Logit == 1 && (!vocabulary.IsControl(token) || vocabulary.IsEnd(token));
                }).ToList();
                CollectionAssert.AreEqual(expected, allowed, $"{name}: token {tokens} of text {texts}");
                foreach (var (cut, likeliest) in cuts)
                {
                    CollectionAssert.AreEqual(expected.OrderByDescending(token => chance[token]).Take(cut).ToArray(), likeliest,
                        $"{name}: the likeliest {cut} at token {tokens} of text {texts}");
                }
                told += allowed.Count < vocabulary.Size ? allowed.Count : 0;
                var next = allowed[random.Next(allowed.Count)];
                if (vocabulary.IsEnd(next))
                    break;
                alone.Accept(mask.Accept(next, logits, candidates));

                int[] Likeliest(int cut)
                {
                    var those = chance.ToArray();
                    var found = mask.Apply(those, candidates, cut);
                    if (found == 0)
                        found = TopCandidates.Select(those, cut, candidates);
                    return [.. candidates[..Math.Min(cut, found)].Select(candidate => candidate.Id)];
                }
            }
        }
        return told;
    }

    /// <summary>
    /// Fails where the chain would not have drawn these tokens. Logits differ in their last digits between runtimes, processors and
    /// batches, which may decide at the edge of a sampler's cut: two tokens of a text may be others, if logits as near as that draw them.
    /// </summary>
    public void AssertDraws(Prompt prompt, GenerationOptions options, IReadOnlyList<int> drawn, string settings)
    {
        Assert.IsTrue(drawn.Count <= options.MaxTokens, settings);
        var text = new Text(this, prompt, options);
        var (chain, others) = (text.Replay(), 0);
        try
        {
            for (var i = 0; i < drawn.Count || (i == drawn.Count && i < options.MaxTokens); i++)
            {
                // Behind the last one the text has ended, or has come to its limit.
                var expected = i < drawn.Count ? drawn[i] : (int?)null;
                var logits = text.Compute();
                var chosen = Choose(chain, logits);
                if (!Is(chosen, expected))
                {
                    others++;
                    (chain, logits) = Nearby(text, chain, logits, expected)
                        ?? throw new AssertFailedException($"{settings}: token {i} is {expected}, not {chosen} ({string.Join(' ', drawn)})");
                }
                if (expected is not { } token)
                    break;
                chain.Accept(token);
                text.Tokens.Add(token);
                text.Logits.Add(logits);
            }
        }
        finally
        {
            chain.Dispose();
        }
        Assert.IsLessThanOrEqualTo(2, others, $"{settings}: drawn as by logits that are a little different ({string.Join(' ', drawn)})");
    }

    // The chain as it is after logits that differ by a twentieth at most and draw the token; null where none of them does.
    private (OrderedChain Chain, float[] Logits)? Nearby(Text text, OrderedChain chain, float[] logits, int? expected)
    {
        var random = new Random(logits.Length);
        for (var tries = 0; tries < 200; tries++)
        {
            var nearby = Array.ConvertAll(logits, logit => logit + (0.1f * (random.NextSingle() - 0.5f)));
            var again = text.Replay();
            if (Is(Choose(again, nearby), expected))
            {
                chain.Dispose();
                return (again, nearby);
            }
            again.Dispose();
        }
        return null;
    }

    private bool Is(int chosen, int? expected) => expected is { } token ? chosen == token : _model.Vocabulary.IsEnd(chosen);

    private static int Choose(OrderedChain chain, float[] logits)
    {
        var candidates = new LlamaTokenData[logits.Length];
        for (var i = 0; i < candidates.Length; i++)
            candidates[i] = new LlamaTokenData { Id = i, Logit = logits[i] };
        return chain.Choose(candidates);
    }

    // llama.cpp's chain, in two parts where penalties stand in it. Those of llama.cpp 0.4.0 do nothing at times, by what its memory held
    // before; so they are computed here, by its formula.
    private sealed class OrderedChain(SamplerHandle before, SamplerHandle after, GenerationOptions options, int window) : IDisposable
    {
        private readonly List<int> _accepted = [];

        public int Choose(Span<LlamaTokenData> candidates)
        {
            before.Choose(candidates, sorted: false);
            candidates = candidates[..before.Left.Count];
            foreach (ref var candidate in candidates)
            {
                var id = candidate.Id;
                if (_accepted.TakeLast(window).Count(token => token == id) is > 0 and var times)
                {
                    var repeat = options.RepeatPenalty;
                    candidate.Logit = (candidate.Logit > 0 ? candidate.Logit / repeat : candidate.Logit * repeat)
                        - (times * options.FrequencyPenalty) - options.PresencePenalty;
                }
            }
            return after.Choose(candidates, sorted: false);
        }

        public void Accept(int token)
        {
            _accepted.Add(token);
            before.Accept(token);
            after.Accept(token);
        }

        public void Dispose()
        {
            before.Dispose();
            after.Dispose();
        }
    }

    // A prompt, what has been drawn behind it, and the logits that it was drawn from.
    private sealed class Text
    {
        private readonly SamplerChain _owner;
        private readonly GenerationOptions _options;
        private readonly int _prompt;
        private int _computed;

        public Text(SamplerChain owner, Prompt prompt, GenerationOptions options)
        {
            (_owner, _options) = (owner, options);
            Tokens = [.. owner._model.Vocabulary.Tokenize(prompt)];
            _prompt = Tokens.Count;
            owner._model.Context.ClearCells();
        }

        public List<int> Tokens { get; }

        public List<float[]> Logits { get; } = [];

        public float[] Compute()
        {
            var logits = _owner.Compute(Tokens, _computed).ToArray();
            _computed = Tokens.Count;
            return logits;
        }

        // A chain that has come as far as this text: samplers cannot be asked twice about one token.
        public OrderedChain Replay()
        {
            var chain = _owner.Build(_options);
            for (var i = 0; i < _prompt; i++)
                chain.Accept(Tokens[i]);
            for (var i = 0; i < Logits.Count; i++)
            {
                _ = Choose(chain, Logits[i]);
                chain.Accept(Tokens[_prompt + i]);
            }
            return chain;
        }
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
    private OrderedChain Build(GenerationOptions options)
    {
        var seed = options.Seed!.Value;
        SamplerKind[] order = [.. options.Samplers ?? Order];
        var penalties = options.Mirostat != 0 ? -1 : Array.IndexOf(order, SamplerKind.Penalties);
        var (before, after) = (SamplerHandle.Chain(_model.Handle), SamplerHandle.Chain(_model.Handle));
        foreach (var kind in order.Take(penalties))
            Add(before, kind, options, seed);
        Draw(after, options, order.Skip(penalties + 1), seed);
        return new OrderedChain(before, after, options, penalties < 0 ? 0 : Within(options.RepeatLastN));
    }

    private void Draw(SamplerHandle chain, GenerationOptions options, IEnumerable<SamplerKind> order, uint seed)
    {
        if (options.Mirostat != 0)
        {
            chain.AddTemperature(options.Temperature);
            if (options.Mirostat == 1)
                chain.AddMirostat(_model.Vocabulary.Size, seed, options.MirostatTau, options.MirostatEta);
            else
                chain.AddMirostatV2(seed, options.MirostatTau, options.MirostatEta);
            return;
        }
        foreach (var kind in order)
            Add(chain, kind, options, seed);
        // llama-server asks for it by its name in the order; ours takes the target alone for that.
        if (options.Samplers?.Contains(SamplerKind.AdaptiveP) ?? options.AdaptiveTarget >= 0)
            chain.AddAdaptiveP(options.AdaptiveTarget, options.AdaptiveDecay, seed);
        else
            chain.AddDistribution(seed);
    }

    private void Add(SamplerHandle chain, SamplerKind kind, GenerationOptions options, uint seed)
    {
        var (vocabulary, keep) = (_model.Vocabulary.Native, options.MinKeep);
        switch (kind)
        {
            case SamplerKind.Penalties:
                throw new InvalidOperationException("penalties are computed between the two parts");
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
