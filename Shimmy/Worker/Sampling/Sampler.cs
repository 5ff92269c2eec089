using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using static Shimmy.Worker.Native.LlamaApi;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// Chooses the tokens of one sequence. The order is llama.cpp's: logit bias; penalties; DRY; top-n-sigma; top-k; typical; top-p;
/// min-p; XTC; temperature; distribution. Bias, penalties and, where nothing stands before it, top-k are done here in place of
/// llama.cpp's: they then cost microseconds instead of a sort of the whole vocabulary.
///
/// A grammar stands outside the chain: sample, test that one token, and only on a refusal apply the grammar to all candidates and
/// sample again. It is never fed a token that was not just tested, because llama.cpp ends the process on one it cannot follow. Where
/// it then leaves one character alone to follow, the token that holds both is taken, as the model would have written them.
/// </summary>
internal sealed unsafe class Sampler : IDisposable
{
    // Of the likeliest tokens, so many are shown to a grammar before all are.
    private const int FewestLikeliest = 32;
    private const int MostLikeliest = 1024;

    private readonly SamplerHandle _chain;
    private readonly Vocabulary _vocabulary;
    private readonly GrammarTrigger? _trigger;
    private readonly IReadOnlySet<int> _shown;
    private readonly bool _ignoreEos;
    private SamplerHandle? _grammar;
    private readonly RepetitionPenalties? _penalties;
    private readonly LogitBias[] _biases;
    private readonly bool _greedy;
    private readonly int _topK;
    private readonly bool _chainLooksBack;
    private readonly List<LlamaTokenData> _others = [];
    private bool _betweenCharacters = true;

    /// <summary>
    /// Builds the chain. Throws <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>) for a grammar that does
    /// not parse or a bias on a token that does not exist.
    /// </summary>
    public Sampler(
        ModelHandle model, Vocabulary vocabulary, GenerationRequest request, IReadOnlySet<int> shown, uint seed, int contextLength)
    {
        var options = request.Options;
        _shown = shown;
        _ignoreEos = options.IgnoreEos;
        _biases = Biases(options, vocabulary);
        _penalties = RepetitionPenalties.Of(options, contextLength);
        _vocabulary = vocabulary;
        if (request.Grammar is { } grammar)
        {
            // Parsed in any case, so that one that is wrong is refused before anything is generated.
            _grammar = ParseGrammar(model, vocabulary, grammar, GrammarTrigger.Root);
            if (request.GrammarTrigger is { Length: > 0 } trigger)
            {
                _grammar.Dispose();
                _grammar = null;
                _trigger = new GrammarTrigger(trigger, lead => ParseGrammar(model, vocabulary, GrammarTrigger.After(lead, grammar), GrammarTrigger.RootAfterLead));
            }
        }
        _chain = new SamplerHandle(llama_sampler_chain_init(new LlamaSamplerChainParams { NoPerf = 1 }), model);

        var dry = options.DryMultiplier != 0f && options.DryPenaltyLastN != 0;
        var typical = options.TypicalP < 1f;
        var xtc = options is { XtcProbability: > 0f, XtcThreshold: <= 0.5f };
        if (dry)
            AddDry(options, vocabulary, contextLength);
        _chainLooksBack = dry;

        if (options.Mirostat != 0)
        {
            const int mirostatM = 100; // llama.cpp's fixed number of tokens to estimate the exponent from
            llama_sampler_chain_add(_chain, llama_sampler_init_temp(options.Temperature));
            llama_sampler_chain_add(_chain, options.Mirostat == 1
                ? llama_sampler_init_mirostat(vocabulary.Size, seed, options.MirostatTau, options.MirostatEta, mirostatM)
                : llama_sampler_init_mirostat_v2(seed, options.MirostatTau, options.MirostatEta));
            return;
        }
        // At temperature 0 the truncating samplers keep the best token and need not run; typical and XTC may drop it.
        var truncates = options.Temperature > 0f || typical || xtc;
        _greedy = !truncates && !dry;
        if (truncates)
        {
            if (options.TopNSigma > 0f)
                llama_sampler_chain_add(_chain, llama_sampler_init_top_n_sigma(options.TopNSigma));
            if (options.TopK > 0 && !dry && options.TopNSigma <= 0f)
                _topK = Math.Min(options.TopK, vocabulary.Size);
            else if (options.TopK > 0)
                llama_sampler_chain_add(_chain, llama_sampler_init_top_k(options.TopK));
            if (typical)
                llama_sampler_chain_add(_chain, llama_sampler_init_typical(options.TypicalP, 0));
            if (options.TopP < 1f)
                llama_sampler_chain_add(_chain, llama_sampler_init_top_p(options.TopP, 0));
            if (options.MinP > 0f)
                llama_sampler_chain_add(_chain, llama_sampler_init_min_p(options.MinP, 0));
            if (xtc)
                llama_sampler_chain_add(_chain, llama_sampler_init_xtc(options.XtcProbability, options.XtcThreshold, 0, seed));
        }
        if (options.Temperature <= 0f)
        {
            llama_sampler_chain_add(_chain, llama_sampler_init_greedy());
            return;
        }
        llama_sampler_chain_add(_chain, options.DynamicTemperatureRange > 0f
            ? llama_sampler_init_temp_ext(options.Temperature, options.DynamicTemperatureRange, options.DynamicTemperatureExponent)
            : llama_sampler_init_temp(options.Temperature));
        llama_sampler_chain_add(_chain, llama_sampler_init_dist(seed));
    }

    /// <summary>Candidates that <see cref="Sample"/> needs room for.</summary>
    public static int CandidatesRoom(int vocabularySize) => vocabularySize + 2048;

    /// <summary>Shows the prompt to what looks back at it. A grammar is not among that: it speaks of the answer alone.</summary>
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
        _penalties?.Apply(logits);
        var chosen = Choose(logits, candidates);
        if (chosen < 0)
            throw new EngineException(EngineFailure.GenerationFailed, "the model gave no usable logits (all are NaN or negative infinity)");
        if (_grammar is not null && !GrammarAllows(chosen))
        {
            if (!ApplyGrammarToLikeliest(logits, candidates))
                ApplyGrammarToAll(logits, candidates);
            chosen = Choose(logits, candidates);
            // A grammar that is complete leaves nothing but the end, which the request asked to ignore.
            if (chosen < 0 && _ignoreEos && _vocabulary.EndTokens is [var end, ..])
                return end;
            if (chosen < 0 || !GrammarAllows(chosen))
                throw new EngineException(EngineFailure.GenerationFailed, "the grammar allows no token of the vocabulary here");
        }
        if (_grammar is not null)
        {
            AcceptByGrammar(_grammar, chosen);
            chosen = WithWhatMustFollow(_grammar, chosen, logits, candidates);
        }
        else if (_trigger?.Accept(chosen, _vocabulary.Spelled(chosen)) is { } begun)
        {
            Constrain(begun.Grammar, begun.Tokens);
        }

        LookBackAt(chosen);
        return chosen;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _chain.Dispose();
        _grammar?.Dispose();
    }

    private void LookBackAt(int token)
    {
        _penalties?.Accept(token);
        if (!_greedy)
            llama_sampler_accept(_chain, token);
    }

    private int Choose(ReadOnlySpan<float> logits, Span<LlamaTokenData> candidates)
    {
        if (_greedy)
            return TopCandidates.IndexOfMax(logits);
        int count;
        if (_topK > 0)
        {
            count = TopCandidates.Select(logits, _topK, candidates);
        }
        else
        {
            count = logits.Length;
            for (var i = 0; i < count; i++)
                candidates[i] = new LlamaTokenData { Id = i, Logit = logits[i] };
        }
        if (count == 0)
            return -1;
        fixed (LlamaTokenData* data = candidates)
        {
            var array = new LlamaTokenDataArray
            {
                Data = data,
                Size = (nuint)count,
                Selected = -1,
                Sorted = _topK > 0 ? (byte)1 : (byte)0,
            };
            llama_sampler_apply(_chain, &array);
            return array.Selected >= 0 && (nuint)array.Selected < array.Size && !float.IsNaN(data[array.Selected].Logit)
                ? data[array.Selected].Id
                : -1;
        }
    }

    // The tokens that hold the trigger are tested like all others; where the grammar does not go on from them, the answer stays free.
    private void Constrain(SamplerHandle grammar, IReadOnlyList<int> tokens)
    {
        _grammar = grammar;
        foreach (var token in tokens)
        {
            if (!GrammarAllows(token))
            {
                grammar.Dispose();
                _grammar = null;
                return;
            }
            AcceptByGrammar(grammar, token);
        }
    }

    private void AcceptByGrammar(SamplerHandle grammar, int token)
    {
        llama_sampler_accept(grammar, token);
        var text = _vocabulary.Spelled(token).Span;
        // The last character is whole, or more of it must follow; what was no character at all counts as the latter.
        _betweenCharacters = text.Length > 0 && Rune.DecodeLastFromUtf8(text, out _, out _) == OperationStatus.Done;
    }

    // A model that is about to write a number where the grammar wants a text puts a space, and finds itself behind a token that it has
    // never seen a quotation mark follow: what it writes then is of no use. The text is the same either way.
    private int WithWhatMustFollow(SamplerHandle grammar, int token, ReadOnlySpan<float> logits, Span<LlamaTokenData> candidates)
    {
        while (_vocabulary.TokenExtensions.Of(token) is { } longer
            && OnlyCharacter(longer, candidates) is { } only
            && longer[only.Character] is var whole
            && !float.IsNegativeInfinity(logits[whole]) && !IsHidden(whole) && !Array.Exists(_biases, bias => bias.Token == whole && bias.Bias < 0))
        {
            AcceptByGrammar(grammar, only.Token);
            token = whole;
        }
        return token;
    }

    // The only character that the grammar goes on with, if it is one of these, and the token that is just that. Null where the answer may end.
    private (char Character, int Token)? OnlyCharacter(IReadOnlyDictionary<char, int> ofThese, Span<LlamaTokenData> candidates)
    {
        var tokens = _vocabulary.TokensByFirstRune;
        var ascii = 0;
        while (ascii < tokens.Groups.Count && tokens.Groups[ascii].Character.IsAscii)
        {
            candidates[ascii] = new LlamaTokenData { Id = tokens.Groups[ascii].Speaker, Logit = 1f };
            ascii++;
        }
        ApplyGrammar(candidates[..ascii]);
        var only = -1;
        for (var i = 0; i < ascii; i++)
        {
            if (float.IsNegativeInfinity(candidates[i].Logit))
                continue;
            if (only >= 0)
                return null;
            only = i;
        }
        if (only < 0 || !ofThese.ContainsKey((char)tokens.Groups[only].Character.Value))
            return null;
        var tested = 0;
        for (var i = ascii; i < tokens.Groups.Count; i++)
            candidates[tested++] = new LlamaTokenData { Id = tokens.Groups[i].Speaker, Logit = 1f };
        foreach (var token in tokens.Single)
        {
            if (!IsHidden(token))
                candidates[tested++] = new LlamaTokenData { Id = token, Logit = 1f };
        }
        ApplyGrammar(candidates[..tested]);
        foreach (var candidate in candidates[..tested])
        {
            if (!float.IsNegativeInfinity(candidate.Logit))
                return null;
        }
        return ((char)tokens.Groups[only].Character.Value, tokens.Groups[only].Speaker);
    }

    private bool GrammarAllows(int token)
    {
        if (IsHidden(token))
            return false;
        var candidate = new LlamaTokenData { Id = token, Logit = 1f };
        var array = new LlamaTokenDataArray { Data = &candidate, Size = 1, Selected = -1 };
        llama_sampler_apply(_grammar!, &array);
        return !float.IsNegativeInfinity(candidate.Logit);
    }

    // llama.cpp's grammars match the text of control tokens, which an answer does not have: it would be what the grammar forbids.
    private bool IsHidden(int token) => _vocabulary.IsControl(token) && !_shown.Contains(token) && !_vocabulary.IsEnd(token);

    // Forbids what the grammar does not take of the likeliest tokens. True where that is all that can be chosen from: one for a greedy
    // choice, as many as top-k keeps. The cut comes first in the chain then, so that what lies behind them cannot matter.
    private bool ApplyGrammarToLikeliest(Span<float> logits, Span<LlamaTokenData> candidates)
    {
        var needed = _greedy ? 1 : _topK;
        if (needed is 0 or > MostLikeliest / 2)
            return false;
        var count = TopCandidates.Select(logits, Math.Min(logits.Length, Math.Max(needed * 2, FewestLikeliest)), candidates);
        ApplyGrammar(candidates[..count]);
        var allowed = 0;
        foreach (var candidate in candidates[..count])
        {
            if (float.IsNegativeInfinity(candidate.Logit) || IsHidden(candidate.Id))
                logits[candidate.Id] = float.NegativeInfinity;
            else
                allowed++;
        }
        return allowed >= needed;
    }

    private void ApplyGrammarToAll(Span<float> logits, Span<LlamaTokenData> candidates)
    {
        var (tested, allowed) = (0, new List<LlamaTokenData>());
        var tokens = _vocabulary.TokensByFirstRune;
        foreach (var token in tokens.Single)
        {
            if (!IsHidden(token))
                candidates[tested++] = new LlamaTokenData { Id = token, Logit = logits[token] };
        }
        var speakers = tested;
        foreach (var (_, speaker, others) in tokens.Groups)
        {
            candidates[tested++] = new LlamaTokenData { Id = speaker, Logit = logits[speaker] };
            // Inside a character, what its next bytes may be no first character tells.
            for (var i = 0; !_betweenCharacters && i < others.Length; i++)
                candidates[tested++] = new LlamaTokenData { Id = others[i], Logit = logits[others[i]] };
        }
        // One that is forbidden anyway must still speak for the others.
        for (var i = speakers; i < tested; i++)
        {
            if (float.IsNegativeInfinity(candidates[i].Logit))
                candidates[i].Logit = float.MinValue;
        }
        ApplyGrammar(candidates[..tested]);
        Keep(candidates[..tested], logits);
        if (_betweenCharacters)
        {
            var takes = speakers;
            tested = 0;
            foreach (var (_, _, others) in tokens.Groups)
            {
                if (float.IsNegativeInfinity(candidates[takes++].Logit))
                    continue;
                foreach (var token in others)
                    _others.Add(new LlamaTokenData { Id = token, Logit = logits[token] });
            }
            var rest = CollectionsMarshal.AsSpan(_others);
            ApplyGrammar(rest);
            Keep(rest, logits);
            _others.Clear();
        }
        logits.Fill(float.NegativeInfinity);
        foreach (var token in allowed)
            logits[token.Id] = token.Logit;

        void Keep(ReadOnlySpan<LlamaTokenData> of, ReadOnlySpan<float> given)
        {
            foreach (var candidate in of)
            {
                if (!float.IsNegativeInfinity(candidate.Logit) && !float.IsNegativeInfinity(given[candidate.Id]))
                    allowed.Add(candidate);
            }
        }
    }

    private void ApplyGrammar(Span<LlamaTokenData> candidates)
    {
        if (candidates.IsEmpty)
            return;
        fixed (LlamaTokenData* data = candidates)
        {
            var array = new LlamaTokenDataArray { Data = data, Size = (nuint)candidates.Length, Selected = -1 };
            llama_sampler_apply(_grammar!, &array);
        }
    }

    private void AddDry(GenerationOptions options, Vocabulary vocabulary, int contextLength)
    {
        var breakers = options.DrySequenceBreakers.Select(text => Marshal.StringToCoTaskMemUTF8(text)).ToArray();
        try
        {
            fixed (nint* pointers = breakers)
            {
                var lastN = options.DryPenaltyLastN < 0 ? contextLength : options.DryPenaltyLastN;
                llama_sampler_chain_add(_chain, llama_sampler_init_dry(vocabulary.Pointer, options.DryMultiplier, options.DryBase,
                    options.DryAllowedLength, lastN, (byte**)pointers, (nuint)breakers.Length));
            }
        }
        finally
        {
            foreach (var breaker in breakers)
                Marshal.FreeCoTaskMem(breaker);
        }
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

    private static SamplerHandle ParseGrammar(ModelHandle model, Vocabulary vocabulary, string grammar, string root)
    {
        // NUL would end the text early on the native side and accept what stands before it.
        if (grammar.Contains('\0'))
            throw new EngineException(EngineFailure.InvalidRequest, "the grammar holds a NUL character") { Option = "grammar" };
        // An empty one would be taken for "no grammar".
        if (string.IsNullOrWhiteSpace(grammar))
            throw new EngineException(EngineFailure.InvalidRequest, "the grammar is empty") { Option = "grammar" };
        NativeLog.TakeErrors();
        var sampler = llama_sampler_init_grammar(vocabulary.Pointer, grammar, root);
        if (sampler == 0)
        {
            var reason = NativeLog.TakeErrors();
            throw new EngineException(EngineFailure.InvalidRequest,
                reason.Length > 0 ? $"the grammar does not parse: {reason}" : "the grammar does not parse or has no rule 'root'")
            { Option = "grammar" };
        }
        return new SamplerHandle(sampler, model);
    }
}
