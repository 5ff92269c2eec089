using System.Buffers;
using System.Text;
using Shimmy.Engine;
using Shimmy.Worker.Media;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>The model's vocabulary: prompts to tokens, tokens to bytes. Constant once loaded, so any thread may use it.</summary>
internal sealed class Vocabulary
{
    private readonly byte[]?[] _pieces;
    private readonly Lazy<ControlTokens> _controlTokens;
    private readonly Lazy<int[]> _control;
    private readonly Lazy<TokenTrie> _trie;
    private readonly Lazy<TokenExtensions> _tokenExtensions;

    public Vocabulary(ModelHandle model)
    {
        Native = new NativeVocabulary(model);
        Size = Native.Size;
        Bos = Native.Bos;
        Eos = Native.Eos;
        AddsBos = Bos >= 0 && Native.AddsBos;
        _pieces = new byte[]?[Size];
        _controlTokens = new Lazy<ControlTokens>(FindControlTokens);
        _control = new Lazy<int[]>(() => [.. Enumerable.Range(0, Size).Where(IsControl)]);
        _trie = new Lazy<TokenTrie>(() => new TokenTrie(this));
        _tokenExtensions = new Lazy<TokenExtensions>(() => new TokenExtensions(this));
        var endTokens = new List<int>();
        for (var token = 0; token < Size; token++)
        {
            if (IsEnd(token))
                endTokens.Add(token);
        }
        EndTokens = endTokens;
        SuppressedTokens = Native.SuppressedTokens;
    }

    /// <summary>llama.cpp's vocabulary.</summary>
    public NativeVocabulary Native { get; }

    /// <summary>Number of tokens.</summary>
    public int Size { get; }

    /// <summary>Begin-of-sequence token, negative where there is none.</summary>
    public int Bos { get; }

    /// <summary>End-of-sequence token, negative where there is none.</summary>
    public int Eos { get; }

    /// <summary>The tokens for filling in the middle; null where the vocabulary lacks one of them.</summary>
    public FillInTheMiddle? FillInTheMiddle =>
        Native.FillInTheMiddle is var tokens && Text(tokens.Prefix) is { } prefix
            && Text(tokens.Suffix) is { } suffix && Text(tokens.Middle) is { } middle
            ? new FillInTheMiddle(prefix, suffix, middle)
            {
                Repository = Text(Native.ProjectTokens.Repository),
                File = Text(Native.ProjectTokens.File),
            }
            : null;

    /// <summary>Whether prompts begin with BOS.</summary>
    public bool AddsBos { get; }

    /// <summary>Tokens that end a generation (EOS, EOT, EOM and their like).</summary>
    public IReadOnlyList<int> EndTokens { get; }

    /// <summary>Tokens that the model's file asks never to sample.</summary>
    public IReadOnlyList<int> SuppressedTokens { get; }

    /// <summary>Control tokens and the unknown token, none of which adds text to an answer.</summary>
    public IReadOnlyList<int> ControlTokens => _control.Value;

    /// <summary>The tokens by the characters of their text; made at the first use.</summary>
    public TokenTrie Trie => _trie.Value;

    /// <summary>Begins to make <see cref="Trie"/>, which takes a while, where it is not made yet.</summary>
    public void PrepareTrie()
    {
        if (!_trie.IsValueCreated)
            ThreadPool.QueueUserWorkItem(static vocabulary => _ = vocabulary.Trie, this, preferLocal: false);
    }

    /// <summary>The tokens that extend another by one character; made at the first use.</summary>
    public TokenExtensions TokenExtensions => _tokenExtensions.Value;

    /// <summary>Whether a token stands for a byte that no other token spells.</summary>
    public bool IsByte(int token) => Native.IsByte(token);

    /// <summary>Whether a token adds no text to an answer because it is a control token or the unknown one.</summary>
    public bool IsControl(int token) => Native.IsControl(token);

    /// <summary>Whether a token ends a generation.</summary>
    public bool IsEnd(int token) => Native.IsEnd(token);

    /// <summary>The token's text as the vocabulary spells it; null for a token that is none.</summary>
    public string? Text(int token) => token < 0 ? null : Native.Text(token);

    /// <summary>The bytes a token adds to the answer; none for control tokens.</summary>
    public ReadOnlyMemory<byte> Piece(int token) => _pieces[token] ??= Native.Piece(token, special: false);

    /// <summary>The bytes of a token, a control token spelled out.</summary>
    public ReadOnlyMemory<byte> Spelled(int token) => Native.Piece(token, special: true);

    /// <summary>The bytes of a token as they are reported beside an answer: those that it adds, or else how it is spelled.</summary>
    public ReadOnlyMemory<byte> Shown(int token) => Piece(token) is { Length: > 0 } piece ? piece : Spelled(token);

    /// <summary>The control tokens that stand in these texts.</summary>
    public IReadOnlySet<int> ControlTokensIn(IReadOnlyList<string> texts) =>
        texts.SelectMany(text => _controlTokens.Value.Find(text, []).Ours).Select(found => found.Token).ToHashSet();

    /// <summary>The bytes of the tokens, control tokens spelled out.</summary>
    public byte[] Detokenize(IReadOnlyList<int> tokens)
    {
        var bytes = new ArrayBufferWriter<byte>(tokens.Count * 4 + 1);
        foreach (var token in tokens)
        {
            CheckRange(token);
            bytes.Write(Native.Piece(token, special: true));
        }
        return bytes.WrittenSpan.ToArray();
    }

    /// <summary>
    /// The tokens of a prompt. Text that may hold special tokens and text that may not is tokenized as one, so that words join
    /// across the seam as they did in training; a control token is only recognised where all of its characters may be special.
    /// </summary>
    public List<int> Tokenize(Prompt prompt)
    {
        if (prompt.Tokens is { } given)
        {
            foreach (var token in given)
                CheckRange(token);
            return WithBos([.. given], prompt.AddBos);
        }
        return WithBos(WithEos(TokensOf(prompt.Parts), prompt.AddEos), prompt.AddBos);
    }

    /// <summary>
    /// The tokens of a prompt with media: text and media each by themselves, as libmtmd joins them; the numbers of its chunks stand for
    /// a medium. Throws <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>) for one that the model does not take.
    /// </summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="projector">The model's projector; null where it has none.</param>
    /// <param name="spans">Gets the places of the media.</param>
    public List<int> Tokenize(Prompt prompt, Projector? projector, out List<MediaSpan> spans)
    {
        spans = [];
        if (prompt.Media.Count == 0)
            return Tokenize(prompt);
        if (projector is null)
        {
            throw new EngineException(EngineFailure.InvalidRequest,
                UnsupportedMedium.Text(null, prompt.Media[0].Kind, UnsupportedMedium.NoProjector))
            { Option = "messages" };
        }
        var tokens = new List<int>();
        var (from, isFirst) = (0, true);
        for (var i = 0; i <= prompt.Parts.Count; i++)
        {
            if (i < prompt.Parts.Count && prompt.Parts[i].Medium is null)
                continue;
            tokens.AddRange(TokensOf([.. prompt.Parts.Take(i).Skip(from)]));
            from = i + 1;
            if (isFirst)
                WithBos(tokens, prompt.AddBos);
            isFirst = false;
            if (i == prompt.Parts.Count)
                break;
            var index = prompt.Parts[i].Medium!.Value;
            if ((uint)index >= (uint)prompt.Media.Count)
                throw new InvalidDataException($"part {i} of the prompt names medium {index} of {prompt.Media.Count}");
            foreach (var chunk in projector.Read(prompt.Media[index]).Chunks)
            {
                if (chunk.Native.Text is { } text)
                {
                    tokens.AddRange(text);
                    continue;
                }
                spans.Add(new MediaSpan(tokens.Count, chunk));
                tokens.AddRange(Enumerable.Repeat(chunk.Number, chunk.Native.Tokens));
            }
        }
        return WithEos(tokens, prompt.AddEos);
    }

    private List<int> TokensOf(IReadOnlyList<PromptPart> parts)
    {
        var text = string.Concat(parts.Select(part => part.Text));
        var tokens = new List<int>(text.Length / 3 + 8);
        if (parts.All(part => part.ParseSpecial))
            AppendText(tokens, text, parseSpecial: true);
        else
            AppendMixed(tokens, text, UserRanges(parts));
        return tokens;
    }

    /// <summary>How many tokens a text is that may hold special ones, with nothing around it.</summary>
    public int Count(ReadOnlySpan<char> text)
    {
        var tokens = new List<int>(text.Length / 3 + 8);
        AppendText(tokens, text, parseSpecial: true);
        return tokens.Count;
    }

    /// <summary>
    /// The tokens of a whole text to embed, with what the vocabulary wants before and after it; given tokens as they are.
    /// </summary>
    public List<int> TokenizeWhole(Prompt prompt)
    {
        if (prompt.Tokens is not null)
            return Tokenize(prompt);
        var tokens = new List<int>();
        AppendText(tokens, prompt.WholeText(), parseSpecial: false, addSpecial: true);
        return tokens;
    }

    /// <summary>
    /// The tokens of a query and a document for a reranker: in its own template, where it brings one with <c>{query}</c> and
    /// <c>{document}</c>, else one after the other with the vocabulary's special tokens around them (as llama.cpp's server joins them).
    /// </summary>
    public List<int> TokenizePair(Prompt query, Prompt document, string? template)
    {
        var (queryText, documentText) = (query.WholeText(), document.WholeText());
        if (template is not null)
        {
            // Only the template's own text is tokenized with special tokens.
            var parts = new List<PromptPart>();
            foreach (var piece in template.Split("{query}") is [var before, var after] ? [before, "{query}", after] : new[] { template })
            {
                if (piece == "{query}")
                {
                    parts.Add(new PromptPart(queryText, ParseSpecial: false));
                    continue;
                }
                var around = piece.Split("{document}");
                for (var i = 0; i < around.Length; i++)
                {
                    if (i > 0)
                        parts.Add(new PromptPart(documentText, ParseSpecial: false));
                    parts.Add(new PromptPart(around[i], ParseSpecial: true));
                }
            }
            return Tokenize(new Prompt { Parts = parts });
        }
        var tokens = new List<int>();
        if (AddsBos)
            tokens.Add(Bos);
        AppendText(tokens, queryText, parseSpecial: false);
        WithEos(tokens, addEos: true);
        if (Native.AddsSeparator)
            tokens.Add(Native.Separator);
        AppendText(tokens, documentText, parseSpecial: false);
        return WithEos(tokens, addEos: true);
    }

    /// <summary>The token that a text begins with that has nothing in front of it; negative where there is none.</summary>
    public int Beginning => Bos >= 0 ? Bos : End;

    // What closes a text: EOS, or the separator of vocabularies that have no other end.
    private int End => Eos >= 0 ? Eos : Native.Separator;

    private List<int> WithBos(List<int> tokens, bool addBos)
    {
        if (addBos && AddsBos && (tokens.Count == 0 || tokens[0] != Bos))
            tokens.Insert(0, Bos);
        return tokens;
    }

    private List<int> WithEos(List<int> tokens, bool addEos)
    {
        if (addEos && Native.AddsEos && End >= 0)
            tokens.Add(End);
        return tokens;
    }

    private void CheckRange(int token)
    {
        if ((uint)token >= (uint)Size)
        {
            throw new EngineException(EngineFailure.InvalidRequest,
                $"token {token} is not in the vocabulary; allowed are 0 to {Size - 1}")
            { Option = "prompt" };
        }
    }

    private static List<(int Start, int End)> UserRanges(IReadOnlyList<PromptPart> parts)
    {
        var ranges = new List<(int, int)>();
        var position = 0;
        foreach (var part in parts)
        {
            if (!part.ParseSpecial && part.Text.Length > 0)
                ranges.Add((position, position + part.Text.Length));
            position += part.Text.Length;
        }
        return ranges;
    }

    // Where no control token touches user text, llama.cpp's own partition of the whole text is right and exact. Otherwise the text
    // is cut at the template's control tokens here, and what lies between goes to llama.cpp without special tokens.
    private void AppendMixed(List<int> tokens, string text, List<(int Start, int End)> userRanges)
    {
        var (ours, touching) = _controlTokens.Value.Find(text, userRanges);
        if (touching == 0)
        {
            AppendText(tokens, text, parseSpecial: true);
            return;
        }
        var position = 0;
        var stripLeft = false;
        foreach (var (start, token) in ours)
        {
            AppendBetween(position, start, stripLeft, Native.StripsLeft(token));
            tokens.Add(token);
            position = start + _controlTokens.Value.LengthOf(token);
            stripLeft = Native.StripsRight(token);
        }
        AppendBetween(position, text.Length, stripLeft, stripRight: false);

        void AppendBetween(int start, int end, bool stripStart, bool stripRight)
        {
            var between = text.AsSpan(start, end - start);
            between = stripStart ? between.TrimStart() : between;
            between = stripRight ? between.TrimEnd() : between;
            if (!between.IsEmpty)
                AppendText(tokens, between, parseSpecial: false);
        }
    }

    private void AppendText(List<int> tokens, ReadOnlySpan<char> text, bool parseSpecial, bool addSpecial = false)
    {
        if (text.IsEmpty)
            return;
        var bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        var length = Encoding.UTF8.GetBytes(text, bytes);
        var buffer = ArrayPool<int>.Shared.Rent(length + 16);
        try
        {
            var count = Native.Tokenize(bytes.AsSpan(0, length), buffer, addSpecial, parseSpecial);
            if (count < 0 && count != int.MinValue)
            {
                ArrayPool<int>.Shared.Return(buffer);
                buffer = ArrayPool<int>.Shared.Rent(-count);
                count = Native.Tokenize(bytes.AsSpan(0, length), buffer, addSpecial, parseSpecial);
            }
            if (count < 0)
                throw new EngineException(EngineFailure.InvalidRequest, "the prompt is too long to be tokenized") { Option = "prompt" };
            tokens.AddRange(buffer.AsSpan(0, count));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
            ArrayPool<int>.Shared.Return(buffer);
        }
    }

    private ControlTokens FindControlTokens()
    {
        var byText = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var token = 0; token < Size; token++)
        {
            if (IsControl(token) && Encoding.UTF8.GetString(Native.Piece(token, special: true)) is { Length: > 0 } text)
                byText.TryAdd(text, token);
        }
        return new ControlTokens(byText);
    }
}
