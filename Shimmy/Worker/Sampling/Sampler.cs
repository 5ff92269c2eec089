using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// Chooses the tokens of one sequence. The order is llama.cpp's: logit bias; penalties; DRY; top-n-sigma; top-k; typical; top-p;
/// min-p; XTC; temperature; distribution. Bias, penalties and, where nothing stands before it, top-k are managed code in place of
/// llama.cpp's samplers: they then cost microseconds instead of a sort of the whole vocabulary, and the penalties of llama.cpp 0.4.0 leave
/// the logits alone at times, by what its memory held before. A grammar stands outside the chain (<see cref="GrammarMask"/>).
/// </summary>
internal sealed class Sampler : IDisposable
{
    private readonly SamplerHandle _chain;

    // The stages before the penalties, where a request's order has some there; null where the penalties come first.
    private readonly SamplerHandle? _beforePenalties;
    private readonly GrammarMask _grammar;
    private readonly Vocabulary _vocabulary;
    private readonly RepetitionPenalties? _penalties;
    private readonly LogitBias[] _biases;
    private readonly bool _ignoreEos;
    private readonly bool _greedy;
    private readonly int _topK;
    private readonly bool _chainLooksBack;

    /// <summary>
    /// Builds the chain. Throws <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>) for a grammar that does
    /// not parse or a bias on a token that does not exist.
    /// </summary>
    /// <param name="vocabulary">The model's tokens.</param>
    /// <param name="request">The request.</param>
    /// <param name="shown">Control tokens that are spelled out in the answer.</param>
    /// <param name="seed">Seed of the random numbers.</param>
    /// <param name="contextLength">Tokens that a penalty over the whole context looks at.</param>
    /// <param name="grammars">The states of grammars over this vocabulary.</param>
    public Sampler(
        Vocabulary vocabulary, GenerationRequest request, IReadOnlySet<int> shown, uint seed, int contextLength, GrammarStateCache grammars)
    {
        var options = request.Options;
        _ignoreEos = options.IgnoreEos;
        _biases = Biases(options, vocabulary);
        _penalties = options is { Samplers: { } named } && (options.Mirostat != 0 || !named.Contains(SamplerKind.Penalties))
            ? null
            : RepetitionPenalties.Of(options, contextLength);
        _vocabulary = vocabulary;
        _grammar = new GrammarMask(request, vocabulary, shown, _biases, grammars);
        _chain = SamplerHandle.Chain(vocabulary.Native.Model);
        var parts = new ChainParts(vocabulary.Native, seed, contextLength);
        if (options is { Mirostat: 0 } && (options.Samplers is not null || options.MinKeep > 0 || options.AfterSampling))
        {
            // As named, or all of llama.cpp's order: a stage that is off does nothing in the chain.
            _chainLooksBack = true;
            SamplerKind[] order = [.. options.Samplers ?? Stages.Where(stage => !stage.ByNameAlone).Select(stage => stage.Kind)];
            var penalties = _penalties is null ? -1 : Array.IndexOf(order, SamplerKind.Penalties);
            if (penalties > 0)
            {
                _beforePenalties = SamplerHandle.Chain(vocabulary.Native.Model);
                Add(_beforePenalties, StagesOf(order.Take(penalties)), options, parts);
            }
            Add(_chain, StagesOf(order.Skip(penalties + 1)), options, parts);
            Draw(options, options.Samplers?.Contains(SamplerKind.AdaptiveP) == true, seed);
            return;
        }

        var stages = Stages.Where(stage => !stage.ByNameAlone && stage.IsOn(options)).ToList();
        _chainLooksBack = stages.Exists(stage => stage.LooksBack);
        if (options.Mirostat != 0)
        {
            Add(_chain, stages.Where(stage => stage.LooksBack), options, parts);
            _chain.AddTemperature(options.Temperature);
            if (options.Mirostat == 1)
                _chain.AddMirostat(vocabulary.Size, seed, options.MirostatTau, options.MirostatEta);
            else
                _chain.AddMirostatV2(seed, options.MirostatTau, options.MirostatEta);
            return;
        }
        if (options.TakesLikeliest)
            stages.RemoveAll(stage => !stage.LooksBack);
        _greedy = stages.Count == 0;
        if (stages is [{ Kind: SamplerKind.TopK }, ..])
        {
            _topK = Math.Min(options.TopK, vocabulary.Size);
            stages.RemoveAt(0);
        }
        Add(_chain, stages, options, parts);
        // Without an order of samplers the target alone asks for adaptive-p.
        if (options.Temperature <= 0f)
            _chain.AddGreedy();
        else
            Draw(options, options.AdaptiveTarget >= 0f, seed);
    }

    // What a stage of the chain may need beside the options.
    private readonly record struct ChainParts(NativeVocabulary Vocabulary, uint Seed, int ContextLength)
    {
        // How many tokens to look back on; negative for all. llama.cpp allocates as many as it is given, so never more than there can be.
        public int Within(int count) => count < 0 ? ContextLength : Math.Min(count, ContextLength);
    }

    // A stage of the chain: when it does something, and llama.cpp's sampler for it.
    private sealed record Stage(
        SamplerKind Kind, Func<GenerationOptions, bool> IsOn, Action<SamplerHandle, GenerationOptions, ChainParts> Add)
    {
        // It weighs tokens by those before them.
        public bool LooksBack { get; init; }

        // It applies only where a request names it.
        public bool ByNameAlone { get; init; }
    }

    // The stages in llama.cpp's order. Penalties stand before the chain, and adaptive-p at its end, wherever they are named.
    private static readonly Stage[] Stages =
    [
        new(SamplerKind.Dry, o => o.DryMultiplier != 0f && o.DryPenaltyLastN != 0, (chain, o, parts) => chain.AddDry(parts.Vocabulary,
            o.DryMultiplier, o.DryBase, o.DryAllowedLength, parts.Within(o.DryPenaltyLastN), o.DrySequenceBreakers)) { LooksBack = true },
        new(SamplerKind.TopNSigma, o => o.TopNSigma > 0f, (chain, o, _) => chain.AddTopNSigma(o.TopNSigma)),
        new(SamplerKind.TopK, o => o.TopK > 0, (chain, o, _) => chain.AddTopK(Math.Max(o.TopK, 0))),
        new(SamplerKind.Typical, o => o.TypicalP < 1f, (chain, o, _) => chain.AddTypical(o.TypicalP, o.MinKeep)),
        new(SamplerKind.TopP, o => o.TopP < 1f, (chain, o, _) => chain.AddTopP(o.TopP, o.MinKeep)),
        new(SamplerKind.MinP, o => o.MinP > 0f, (chain, o, _) => chain.AddMinP(o.MinP, o.MinKeep)),
        new(SamplerKind.Xtc, o => o.DrawsByXtc,
            (chain, o, parts) => chain.AddXtc(o.XtcProbability, o.XtcThreshold, parts.Seed, o.MinKeep)),
        new(SamplerKind.Temperature, o => o.Temperature > 0f, (chain, o, _) =>
        {
            if (o.DynamicTemperatureRange > 0f)
                chain.AddDynamicTemperature(o.Temperature, o.DynamicTemperatureRange, o.DynamicTemperatureExponent);
            else
                chain.AddTemperature(o.Temperature);
        }),
        // It joins tokens with a common prefix, for the middle of a text.
        new(SamplerKind.Infill, _ => true, (chain, _, parts) => chain.AddInfill(parts.Vocabulary)) { ByNameAlone = true },
    ];

    private static IEnumerable<Stage> StagesOf(IEnumerable<SamplerKind> kinds) =>
        kinds.SelectMany(kind => Stages.Where(stage => stage.Kind == kind));

    private static void Add(SamplerHandle chain, IEnumerable<Stage> stages, GenerationOptions options, ChainParts parts)
    {
        foreach (var stage in stages)
            stage.Add(chain, options, parts);
    }

    private void Draw(GenerationOptions options, bool adapts, uint seed)
    {
        if (adapts)
            _chain.AddAdaptiveP(options.AdaptiveTarget, options.AdaptiveDecay, seed);
        else
            _chain.AddDistribution(seed);
    }

    /// <summary>
    /// The probabilities that the samplers left at the last <see cref="Sample"/>: of the chosen token, and of the most likely ones. As
    /// logarithms; a token that could not be drawn any more has negative infinity.
    /// </summary>
    public TokenLogProbability Left(int token, int top, Span<LlamaTokenData> candidates)
    {
        var left = candidates[.._chain.Left.Count];
        if (!_chain.Left.Sorted)
            left.Sort(static (a, b) => b.Logit.CompareTo(a.Logit));
        var chosen = 0f;
        foreach (var candidate in left)
            chosen = candidate.Id == token ? candidate.Probability : chosen;
        var likeliest = new List<TopToken>();
        foreach (var candidate in left[..Math.Min(top, left.Length)])
            likeliest.Add(new TopToken(candidate.Id, _vocabulary.Shown(candidate.Id), MathF.Log(candidate.Probability)));
        return new TokenLogProbability(MathF.Log(chosen), likeliest);
    }

    /// <summary>Candidates that <see cref="Sample"/> needs places for.</summary>
    public static int CandidatesCapacity(int vocabularySize) => vocabularySize + 2048;

    /// <summary>Shows the prompt to the penalties and to DRY, which look back at it. A grammar concerns the answer only.</summary>
    public void AcceptPrompt(IReadOnlyList<int> tokens)
    {
        if (_penalties is null && !_chainLooksBack)
            return;
        foreach (var token in tokens)
            LookBackAt(token);
    }

    /// <summary>
    /// Chooses a token and takes it into account for the next. The logits are changed. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.GenerationFailed"/>) where the logits are not numbers or the grammar allows nothing.
    /// </summary>
    public int Sample(Span<float> logits, Span<LlamaTokenData> candidates)
    {
        foreach (var (token, bias) in _biases)
            logits[token] += bias;
        if (_beforePenalties is null)
            _penalties?.Apply(logits);
        var selected = 0;
        // Where chance has no part, few tokens that may follow are looked at alone.
        var chosen = _greedy && _grammar.Few(logits, candidates) > 0 ? candidates[0].Id : Choose(logits, candidates, out selected);
        if (chosen < 0)
        {
            throw new EngineException(EngineFailure.GenerationFailed, "the model gave no usable logits (all are NaN or negative infinity)")
            {
                HasBrokenMemory = float.IsNaN(logits[0]),
            };
        }
        if (!_grammar.Allows(chosen))
        {
            chosen = _grammar.Apply(logits, candidates, _greedy ? 1 : _topK, selected) switch
            {
                0 => Choose(logits, candidates, out _),
                _ when _greedy => candidates[0].Id,
                var allowed => _chain.Choose(candidates[..Math.Min(allowed, _topK)], sorted: true),
            };
            // A complete grammar allows the end token only, which ignore_eos forbids.
            if (chosen < 0 && _ignoreEos && _vocabulary.EndTokens is [var end, ..])
                return end;
            if (chosen < 0 || !_grammar.Allows(chosen))
                throw new EngineException(EngineFailure.GenerationFailed, "the grammar allows no token of the vocabulary here");
        }
        chosen = _grammar.Accept(chosen, logits, candidates);
        LookBackAt(chosen);
        return chosen;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _chain.Dispose();
        _beforePenalties?.Dispose();
        _grammar.Dispose();
    }

    private void LookBackAt(int token)
    {
        _penalties?.Accept(token);
        if (!_greedy)
            _chain.Accept(token);
        _beforePenalties?.Accept(token);
    }

    // Gives beside the token how many of the likeliest candidates stand in front, as they were before the chain: the grammar may refuse the
    // token, and the choice is then among them.
    private int Choose(ReadOnlySpan<float> logits, Span<LlamaTokenData> candidates, out int selected)
    {
        selected = 0;
        if (_greedy)
            return TopCandidates.IndexOfMax(logits);
        int count;
        if (_topK > 0 && _grammar.IsActive && GrammarMask.LikeliestOf(_topK, logits.Length) is > 0 and var likeliest)
        {
            selected = TopCandidates.Select(logits, likeliest, candidates);
            count = Math.Min(selected, _topK);
            candidates[..count].CopyTo(candidates[^_topK..]);
            candidates = candidates[^_topK..];
        }
        else if (_topK > 0)
        {
            count = TopCandidates.Select(logits, _topK, candidates);
        }
        else
        {
            count = logits.Length;
            for (var i = 0; i < count; i++)
                candidates[i] = new LlamaTokenData { Id = i, Logit = logits[i] };
        }
        if (_beforePenalties is not null && count > 0)
        {
            // It chooses none; what it has left is what the penalties see.
            _beforePenalties.Choose(candidates[..count], sorted: false);
            count = _beforePenalties.Left.Count;
            _penalties!.Apply(candidates[..count]);
        }
        return count == 0 ? -1 : _chain.Choose(candidates[..count], sorted: _topK > 0);
    }

    private static LogitBias[] Biases(GenerationOptions options, Vocabulary vocabulary)
    {
        var biases = new List<LogitBias>(options.LogitBias);
        foreach (var (token, _) in biases)
        {
            if ((uint)token >= (uint)vocabulary.Size)
            {
                throw new EngineException(EngineFailure.InvalidRequest,
                    $"logit_bias names token {token}; the vocabulary has tokens 0 to {vocabulary.Size - 1}")
                { Option = "logit_bias" };
            }
        }
        biases.AddRange(vocabulary.SuppressedTokens.Select(token => new LogitBias(token, float.NegativeInfinity)));
        if (options.IgnoreEos)
            biases.AddRange(vocabulary.EndTokens.Select(token => new LogitBias(token, float.NegativeInfinity)));
        return [.. biases];
    }
}
