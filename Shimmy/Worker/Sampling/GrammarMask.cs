using System.Buffers;
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
    private SamplerHandle? _grammar;

    // What follows the trigger where a token begins with it; null where that is not awaited.
    private SamplerHandle? _awaited;
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
        if (request.GrammarTrigger is not { Length: > 0 } trigger)
        {
            _grammar = Parse(vocabulary, grammar, GrammarTrigger.Root);
            _path = PathOf(grammar, GrammarTrigger.Root);
            return;
        }

        // The form that the answer most likely needs, so that nothing is parsed between its tokens.
        _awaited = Parse(vocabulary, GrammarTrigger.After(trigger, grammar), GrammarTrigger.RootAfterLead);
        _trigger = new GrammarTrigger(trigger, lead =>
        {
            var text = GrammarTrigger.After(lead, grammar);
            _path = PathOf(text, GrammarTrigger.RootAfterLead);
            if (lead != trigger)
                return Parse(vocabulary, text, GrammarTrigger.RootAfterLead);
            var awaited = _awaited!;
            _awaited = null;
            return awaited;
        });
    }

    /// <summary>Whether a token may follow; true while inactive.</summary>
    public bool Allows(int token)
    {
        if (_grammar is null)
            return true;
        return !IsHidden(token) && Follows(_grammar, token);
    }

    /// <summary>Whether it has a say at the next token.</summary>
    public bool IsActive => _grammar is not null;

    /// <summary>The tokens that may follow, likeliest first, where they are known and few: gives how many; 0 where they are not.</summary>
    public int Few(ReadOnlySpan<float> logits, Span<LlamaTokenData> candidates)
    {
        var count = 0;
        foreach (var token in _path.State?.Mask?.Few ?? [])
        {
            if (!IsHidden(token) && !float.IsNaN(logits[token]) && !float.IsNegativeInfinity(logits[token]))
                candidates[count++] = new LlamaTokenData { Id = token, Logit = logits[token] };
        }
        candidates[..count].Sort(TopCandidates.LargestFirst);
        return count;
    }

    /// <summary>
    /// How many of the likeliest tokens are tested before the whole vocabulary is; 0 where the choice is cut to too many for that.
    /// </summary>
    /// <param name="cut">As of <see cref="Apply"/>.</param>
    /// <param name="vocabulary">Tokens of the vocabulary.</param>
    public static int LikeliestOf(int cut, int vocabulary) =>
        cut is 0 or > MostLikeliest / 2 ? 0 : Math.Min(vocabulary, Math.Max(cut * 2, FewestLikeliest));

    /// <summary>Finds the tokens that may follow, as many as matter.</summary>
    /// <param name="logits">All logits; those of tokens that may not follow are set to negative infinity where 0 is returned.</param>
    /// <param name="candidates">Buffer of <see cref="Sampler.CandidatesCapacity"/>.</param>
    /// <param name="cut">
    /// How many of the likeliest allowed tokens are enough, because the choice is cut to them first: 1 where it is greedy, else top-k; 0
    /// where all matter.
    /// </param>
    /// <param name="selected">How many candidates are the likeliest of all tokens, likeliest first; 0 where that is not known.</param>
    /// <returns>
    /// How many candidates are the likeliest that may follow, likeliest first; 0 where the logits have to be looked through again.
    /// </returns>
    public int Apply(Span<float> logits, Span<LlamaTokenData> candidates, int cut, int selected = 0)
    {
        if (_grammar is not { } grammar)
            return 0;
        if (cut > 0 && Few(logits, candidates) is > 0 and var few)
            return few;
        var mask = _path.State?.Mask;
        if (OfLikeliest(grammar, mask, logits, candidates, cut, selected) is > 0 and var enough)
            return enough;
        if (mask is null)
            _path.Keep(mask = MaskOf(grammar, candidates));
        Forbid(mask, logits);
        return 0;
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
    public void Dispose()
    {
        _grammar?.Dispose();
        _awaited?.Dispose();
    }

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
                _path = GrammarPath.None;
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
        var groups = _vocabulary.Trie.Groups;
        if (_path.OnlyCharacter is { } known)
        {
            if (known is < 0 or > char.MaxValue || !ofThese.ContainsKey((char)known))
                return null;
            // A control token that is shown may be what follows.
            foreach (var token in _shown)
            {
                if (_vocabulary.Spelled(token).Span is [var first, ..] && first == known && Follows(grammar, token))
                    return null;
            }
            var speaker = groups.Where(group => group.Character.Value == known).Select(group => group.Speaker).FirstOrDefault(-1);
            return speaker < 0 ? null : ((char)known, speaker);
        }
        return OnlyGroup(grammar, candidates, ofThese) is >= 0 and var only
            ? ((char)groups[only].Character.Value, groups[only].Speaker)
            : null;
    }

    // The same where the states of the grammar do not say it: the number of the one group of tokens that may follow, of ASCII alone; -1
    // where there is none such.
    private int OnlyGroup(SamplerHandle grammar, Span<LlamaTokenData> candidates, IReadOnlyDictionary<char, int> ofThese)
    {
        var tokens = _vocabulary.Trie;
        var tested = 0;
        foreach (var (character, speaker, _) in tokens.Groups)
        {
            if (speaker >= 0 && character.IsAscii)
                candidates[tested++] = new LlamaTokenData { Id = speaker, Logit = 1f };
        }
        grammar.Forbid(candidates[..tested]);
        var only = -1;
        foreach (var candidate in candidates[..tested])
        {
            if (float.IsNegativeInfinity(candidate.Logit))
                continue;
            if (only >= 0)
                return -1;
            only = candidate.Id;
        }
        var group = 0;
        while (only >= 0 && tokens.Groups[group].Speaker != only)
            group++;
        if (only < 0 || !ofThese.ContainsKey((char)tokens.Groups[group].Character.Value))
            return -1;
        tested = 0;
        foreach (var (character, speaker, others) in tokens.Groups)
        {
            if (speaker < 0 || !character.IsAscii)
            {
                foreach (var token in speaker < 0 ? others : [speaker])
                    candidates[tested++] = new LlamaTokenData { Id = token, Logit = 1f };
            }
        }
        foreach (var token in tokens.Single)
        {
            // A token that begins with the character and goes on with part of another is no other character.
            if (!IsHidden(token) && (_vocabulary.IsControl(token) || _vocabulary.Spelled(token).Span is not [< 0x80, ..]))
                candidates[tested++] = new LlamaTokenData { Id = token, Logit = 1f };
        }
        grammar.Forbid(candidates[..tested]);
        foreach (var candidate in candidates[..tested])
        {
            if (!float.IsNegativeInfinity(candidate.Logit))
                return -1;
        }
        return group;
    }

    private GrammarPath PathOf(string grammar, string root) => new(_states.Of(grammar, root));

    // llama.cpp's grammars match the text of control tokens, but that text is not part of the answer, which would then break the grammar.
    private bool IsHidden(int token) => _vocabulary.IsControl(token) && !_shown.Contains(token) && !_vocabulary.IsEnd(token);

    // Those of the likeliest that may follow; 0 where they are fewer than the choice is cut to.
    private int OfLikeliest(
        SamplerHandle grammar, TokenMask? mask, ReadOnlySpan<float> logits, Span<LlamaTokenData> candidates, int cut, int selected)
    {
        if (LikeliestOf(cut, logits.Length) is not (> 0 and var likeliest))
            return 0;
        var count = selected > 0 ? selected : TopCandidates.Select(logits, likeliest, candidates);
        // Those that the states do not tell of stand behind them, for llama.cpp to judge.
        var unknown = 0;
        foreach (ref var candidate in candidates[..count])
        {
            var follows = IsHidden(candidate.Id) ? false : MayFollow(mask, candidate.Id);
            if (follows is null)
                candidates[count + unknown++] = candidate;
            else if (follows is false)
                candidate.Id = -1;
        }
        var judged = candidates.Slice(count, unknown);
        grammar.Forbid(judged);
        var (allowed, next) = (0, 0);
        foreach (var candidate in candidates[..count])
        {
            if (next < judged.Length && candidate.Id == judged[next].Id && float.IsNegativeInfinity(judged[next++].Logit))
                continue;
            if (candidate.Id >= 0)
                candidates[allowed++] = candidate;
        }
        return allowed >= cut ? allowed : 0;
    }

    // Null where llama.cpp is to be asked.
    private bool? MayFollow(TokenMask? mask, int token)
    {
        if (mask is not null)
            return mask.Has(token);
        var text = _vocabulary.Piece(token).Span;
        return TokenTrie.Takes(_vocabulary, token, text) ? _path.MayFollow(text) : null;
    }

    // The tokens that the grammar lets follow, hidden ones too.
    private TokenMask MaskOf(SamplerHandle grammar, Span<LlamaTokenData> candidates)
    {
        var mask = new TokenMask(_vocabulary.Size);
        var tokens = _vocabulary.Trie;
        Judge(grammar, tokens.Single, mask, candidates);
        // Inside a character no token of whole characters follows.
        if (_path.IsInside || _path.Allow(tokens, mask))
            return mask;
        // Else llama.cpp judges them: first the characters, then what begins with one that may follow. Behind bytes that are no UTF-8 the
        // first character of a token says nothing about its next ones.
        Judge(grammar, [.. tokens.Groups.Where(group => group.Speaker >= 0).Select(group => group.Speaker)], mask, candidates);
        Judge(grammar, [.. tokens.Groups.Where(group => !_betweenCharacters || group.Speaker < 0 || mask.Has(group.Speaker))
            .SelectMany(group => group.Others)], mask, candidates);
        return mask;
    }

    private static bool Follows(SamplerHandle grammar, int token)
    {
        var candidate = new LlamaTokenData { Id = token, Logit = 1f };
        grammar.Forbid(new Span<LlamaTokenData>(ref candidate));
        return !float.IsNegativeInfinity(candidate.Logit);
    }

    private static void Judge(SamplerHandle grammar, IReadOnlyList<int> tokens, TokenMask mask, Span<LlamaTokenData> candidates)
    {
        for (var i = 0; i < tokens.Count; i++)
            candidates[i] = new LlamaTokenData { Id = tokens[i], Logit = 1f };
        grammar.Forbid(candidates[..tokens.Count]);
        foreach (var candidate in candidates[..tokens.Count])
        {
            if (!float.IsNegativeInfinity(candidate.Logit))
                mask.Add(candidate.Id);
        }
    }

    private void Forbid(TokenMask mask, Span<float> logits)
    {
        mask.Apply(logits);
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
