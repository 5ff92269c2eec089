using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// The grammar of one answer: tests tokens, and masks the logits of those that it forbids. Inactive where the request has no grammar,
/// before its trigger text (<see cref="GrammarTrigger"/>) appears, and where the tokens that hold the trigger do not match.
///
/// It stands outside the sampler chain: a token is sampled first, that one token is tested, and only on a refusal are the others. llama.cpp
/// ends the process where a grammar is fed a token that it cannot follow, so it is fed none that was not just tested.
///
/// What it says of the whole vocabulary is kept with the state that the grammar is in (<see cref="GrammarStates"/>): the next token, the
/// next answer and the next request find it there.
/// </summary>
internal sealed class GrammarMask : IDisposable
{
    // So many of the most likely tokens are tested before the whole vocabulary is.
    private const int FewestLikeliest = 32;
    private const int MostLikeliest = 1024;

    private readonly Vocabulary _vocabulary;
    private readonly IReadOnlySet<int> _shown;
    private readonly LogitBias[] _biases;
    private readonly GrammarStateCache _states;
    private readonly GrammarTrigger? _trigger;
    private readonly List<LlamaTokenData> _others = [];
    private SamplerHandle? _grammar;
    private GrammarPath _path = GrammarPath.None;
    private bool _betweenCharacters = true;

    /// <summary>
    /// Parses the grammar. Throws <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>) where it does not parse.
    /// </summary>
    /// <param name="request">The request.</param>
    /// <param name="vocabulary">The model's tokens.</param>
    /// <param name="shown">Control tokens that are spelled out in the answer.</param>
    /// <param name="biases">The request's biases: a token that they make less likely is not put in place of another.</param>
    /// <param name="states">The states of grammars over this vocabulary.</param>
    public GrammarMask(
        GenerationRequest request, Vocabulary vocabulary, IReadOnlySet<int> shown, LogitBias[] biases, GrammarStateCache states)
    {
        _vocabulary = vocabulary;
        _shown = shown;
        _biases = biases;
        _states = states;
        if (request.Grammar is not { } grammar)
            return;
        // Parsed in any case, so that one that is wrong is refused before anything is generated.
        _grammar = Parse(vocabulary, grammar, GrammarTrigger.Root);
        if (request.GrammarTrigger is not { Length: > 0 } trigger)
        {
            _path = PathOf(grammar, GrammarTrigger.Root);
            return;
        }

        _grammar.Dispose();
        _grammar = null;
        _trigger = new GrammarTrigger(trigger, lead =>
        {
            var text = GrammarTrigger.After(lead, grammar);
            _path = PathOf(text, GrammarTrigger.RootAfterLead);
            return Parse(vocabulary, text, GrammarTrigger.RootAfterLead);
        });
    }

    /// <summary>Whether a token may follow; true while inactive.</summary>
    public bool Allows(int token)
    {
        if (_grammar is null)
            return true;
        if (IsHidden(token))
            return false;
        var candidate = new LlamaTokenData { Id = token, Logit = 1f };
        _grammar.Forbid(new Span<LlamaTokenData>(ref candidate));
        return !float.IsNegativeInfinity(candidate.Logit);
    }

    /// <summary>Sets the logits of all tokens that may not follow to negative infinity, or of as many as matter.</summary>
    /// <param name="logits">All logits.</param>
    /// <param name="candidates">Buffer of <see cref="Sampler.CandidatesCapacity"/>.</param>
    /// <param name="cut">
    /// How many of the likeliest allowed tokens are enough, because the choice is cut to them first: 1 where it is greedy, else top-k; 0
    /// where all matter.
    /// </param>
    public void Apply(Span<float> logits, Span<LlamaTokenData> candidates, int cut)
    {
        if (_grammar is not { } grammar)
            return;
        if (_path.State?.Mask is { } known)
        {
            Forbid(known, logits);
        }
        else if (!ApplyToLikeliest(grammar, logits, candidates, cut))
        {
            var mask = MaskOf(grammar, candidates);
            _path.Keep(mask);
            Forbid(mask, logits);
        }
    }

    /// <summary>
    /// Takes a token that was just tested; or, while inactive, looks for the text that the grammar waits for. Gives the token to take in
    /// its place: the same, or a longer one where the grammar leaves a single character to follow.
    /// </summary>
    public int Accept(int token, ReadOnlySpan<float> logits, Span<LlamaTokenData> candidates)
    {
        if (_grammar is not null)
        {
            Accept(_grammar, token);
            return WithWhatMustFollow(_grammar, token, logits, candidates);
        }
        if (_trigger?.Accept(token, _vocabulary.Spelled(token)) is { } begun)
            Begin(begun.Grammar, begun.Tokens);
        return token;
    }

    /// <inheritdoc/>
    public void Dispose() => _grammar?.Dispose();

    // The tokens that hold the trigger are tested like all others; where the grammar refuses one, the answer stays unconstrained.
    private void Begin(SamplerHandle grammar, IReadOnlyList<int> tokens)
    {
        _grammar = grammar;
        foreach (var token in tokens)
        {
            if (!Allows(token))
            {
                grammar.Dispose();
                _grammar = null;
                return;
            }
            Accept(grammar, token);
        }
    }

    private void Accept(SamplerHandle grammar, int token)
    {
        grammar.Accept(token);
        var text = _vocabulary.Spelled(token).Span;
        if (!_vocabulary.IsEnd(token))
            _path.Accept(text);
        // Whether the last UTF-8 character is complete; invalid bytes count as incomplete.
        _betweenCharacters = text.Length > 0 && Rune.DecodeLastFromUtf8(text, out _, out _) == OperationStatus.Done;
    }

    // Where the grammar leaves a single character to follow, the token that holds both is taken. Example: the model wants a number and the
    // grammar a string; the model puts a space, which training never showed it before a separate quotation mark, and writes nonsense behind
    // it. The text is the same either way.
    private int WithWhatMustFollow(SamplerHandle grammar, int token, ReadOnlySpan<float> logits, Span<LlamaTokenData> candidates)
    {
        while (_vocabulary.TokenExtensions.Of(token) is { } longer
            && OnlyCharacter(grammar, longer, candidates) is { } only
            && longer[only.Character] is var whole
            && !float.IsNegativeInfinity(logits[whole]) && !IsHidden(whole)
            && !Array.Exists(_biases, bias => bias.Token == whole && bias.Bias < 0))
        {
            Accept(grammar, only.Token);
            token = whole;
        }
        return token;
    }

    // The only character that may follow, if it is one of these, and the token that is just that character. Null where several or the end
    // may follow.
    private (char Character, int Token)? OnlyCharacter(
        SamplerHandle grammar, IReadOnlyDictionary<char, int> ofThese, Span<LlamaTokenData> candidates)
    {
        var tokens = _vocabulary.TokensByFirstRune;
        if (_path.State is { } state)
        {
            state.OnlyGroup ??= OnlyGroup(grammar, candidates);
            return state.OnlyGroup is >= 0 and var group && ofThese.ContainsKey((char)tokens.Groups[group].Character.Value)
                ? ((char)tokens.Groups[group].Character.Value, tokens.Groups[group].Speaker)
                : null;
        }
        return OnlyGroup(grammar, candidates, ofThese) is >= 0 and var only
            ? ((char)tokens.Groups[only].Character.Value, tokens.Groups[only].Speaker)
            : null;
    }

    // The number of the one group that may follow, of ASCII alone, or of some characters alone; -1 where there is none such.
    private int OnlyGroup(SamplerHandle grammar, Span<LlamaTokenData> candidates, IReadOnlyDictionary<char, int>? ofThese = null)
    {
        var tokens = _vocabulary.TokensByFirstRune;
        var ascii = 0;
        while (ascii < tokens.Groups.Count && tokens.Groups[ascii].Character.IsAscii)
        {
            candidates[ascii] = new LlamaTokenData { Id = tokens.Groups[ascii].Speaker, Logit = 1f };
            ascii++;
        }
        grammar.Forbid(candidates[..ascii]);
        var only = -1;
        for (var i = 0; i < ascii; i++)
        {
            if (float.IsNegativeInfinity(candidates[i].Logit))
                continue;
            if (only >= 0)
                return -1;
            only = i;
        }
        if (only < 0 || ofThese?.ContainsKey((char)tokens.Groups[only].Character.Value) == false)
            return -1;
        var tested = 0;
        for (var i = ascii; i < tokens.Groups.Count; i++)
            candidates[tested++] = new LlamaTokenData { Id = tokens.Groups[i].Speaker, Logit = 1f };
        foreach (var token in tokens.Single)
        {
            // What is kept for other answers may not depend on what is shown in this one.
            if (ofThese is null || !IsHidden(token))
                candidates[tested++] = new LlamaTokenData { Id = token, Logit = 1f };
        }
        grammar.Forbid(candidates[..tested]);
        foreach (var candidate in candidates[..tested])
        {
            if (!float.IsNegativeInfinity(candidate.Logit))
                return -1;
        }
        return only;
    }

    private GrammarPath PathOf(string grammar, string root) => new(_states.Of(grammar, root));

    // llama.cpp's grammars match the text of control tokens, but that text is not part of the answer, which would then break the grammar.
    private bool IsHidden(int token) => _vocabulary.IsControl(token) && !_shown.Contains(token) && !_vocabulary.IsEnd(token);

    // Masks the most likely tokens only. True where enough of them are allowed: the choice is cut to so many first, so that no other token
    // can be chosen.
    private bool ApplyToLikeliest(SamplerHandle grammar, Span<float> logits, Span<LlamaTokenData> candidates, int cut)
    {
        if (cut is 0 or > MostLikeliest / 2)
            return false;
        var count = TopCandidates.Select(logits, Math.Min(logits.Length, Math.Max(cut * 2, FewestLikeliest)), candidates);
        grammar.Forbid(candidates[..count]);
        var allowed = 0;
        foreach (var candidate in candidates[..count])
        {
            if (float.IsNegativeInfinity(candidate.Logit) || IsHidden(candidate.Id))
                logits[candidate.Id] = float.NegativeInfinity;
            else
                allowed++;
        }
        return allowed >= cut;
    }

    // A bit for each token of the vocabulary, set where the grammar lets it follow, hidden ones too.
    private ulong[] MaskOf(SamplerHandle grammar, Span<LlamaTokenData> candidates)
    {
        var mask = new ulong[(_vocabulary.Size + 63) / 64];
        var tested = 0;
        var tokens = _vocabulary.TokensByFirstRune;
        foreach (var token in tokens.Single)
            candidates[tested++] = new LlamaTokenData { Id = token, Logit = 1f };
        var takes = tested;
        foreach (var (_, speaker, others) in tokens.Groups)
        {
            candidates[tested++] = new LlamaTokenData { Id = speaker, Logit = 1f };
            // Inside a UTF-8 character the first character of a token says nothing about its next bytes.
            for (var i = 0; !_betweenCharacters && i < others.Length; i++)
                candidates[tested++] = new LlamaTokenData { Id = others[i], Logit = 1f };
        }
        grammar.Forbid(candidates[..tested]);
        Keep(candidates[..tested]);
        if (!_betweenCharacters)
            return mask;
        foreach (var (_, _, others) in tokens.Groups)
        {
            if (float.IsNegativeInfinity(candidates[takes++].Logit))
                continue;
            foreach (var token in others)
                _others.Add(new LlamaTokenData { Id = token, Logit = 1f });
        }
        var rest = CollectionsMarshal.AsSpan(_others);
        grammar.Forbid(rest);
        Keep(rest);
        _others.Clear();
        return mask;

        void Keep(ReadOnlySpan<LlamaTokenData> of)
        {
            foreach (var candidate in of)
            {
                if (!float.IsNegativeInfinity(candidate.Logit))
                    mask[candidate.Id >> 6] |= 1UL << (candidate.Id & 63);
            }
        }
    }

    private void Forbid(ulong[] mask, Span<float> logits)
    {
        for (var word = 0; word < mask.Length; word++)
        {
            var allowed = mask[word];
            var tokens = logits[(word << 6)..Math.Min(logits.Length, (word + 1) << 6)];
            if (allowed == 0)
            {
                tokens.Fill(float.NegativeInfinity);
                continue;
            }
            if (allowed == ulong.MaxValue)
                continue;
            for (var i = 0; i < tokens.Length; i++)
            {
                if ((allowed >> i & 1) == 0)
                    tokens[i] = float.NegativeInfinity;
            }
        }
        foreach (var token in _vocabulary.ControlTokens)
        {
            if (IsHidden(token))
                logits[token] = float.NegativeInfinity;
        }
    }

    private static SamplerHandle Parse(Vocabulary vocabulary, string grammar, string root)
    {
        // NUL would end the C string early, and llama.cpp would accept what stands before it.
        if (grammar.Contains('\0'))
            throw new EngineException(EngineFailure.InvalidRequest, "the grammar holds a NUL character") { Option = "grammar" };
        // llama.cpp takes an empty grammar for none.
        if (string.IsNullOrWhiteSpace(grammar))
            throw new EngineException(EngineFailure.InvalidRequest, "the grammar is empty") { Option = "grammar" };
        NativeLog.TakeErrors();
        if (SamplerHandle.Grammar(vocabulary.Native, grammar, root) is { } parsed)
            return parsed;
        var reason = NativeLog.TakeErrors();
        throw new EngineException(EngineFailure.InvalidRequest,
            reason.Length > 0 ? $"the grammar does not parse: {reason}" : "the grammar does not parse or has no rule 'root'")
        { Option = "grammar" };
    }
}
