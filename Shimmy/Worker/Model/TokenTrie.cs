using System.Buffers;
using System.Text;
using System.Text.Unicode;

namespace Shimmy.Worker.Model;

/// <summary>
/// The texts of a vocabulary's tokens as a tree (a trie): a node is one character behind those above it, and has the tokens whose text
/// ends there. What a grammar says of a character holds for all tokens below it, so that one walk judges 150,000 tokens.
/// </summary>
internal sealed class TokenTrie
{
    /// <summary>Bytes, and so characters, of the longest token that is in the tree.</summary>
    public const int LongestToken = 255;

    private readonly Node[] _nodes;
    private readonly int[] _tokens;
    private readonly List<int> _single = [];
    private readonly List<(Rune Character, int Speaker, int[] Others)> _groups = [];

    /// <summary>Builds the tree of a vocabulary.</summary>
    public TokenTrie(Vocabulary vocabulary)
    {
        var texts = new List<ReadOnlyMemory<byte>>(vocabulary.Size);
        var tokens = new List<int>(vocabulary.Size);
        for (var token = 0; token < vocabulary.Size; token++)
        {
            var text = vocabulary.Spelled(token);
            if (!Takes(vocabulary, token, text.Span))
            {
                _single.Add(token);
                continue;
            }
            texts.Add(text);
            tokens.Add(token);
        }
        _tokens = [.. tokens];
        ReadOnlyMemory<byte>[] sorted = [.. texts];
        // The bytes of UTF-8 have the order of the characters.
        Array.Sort(sorted, _tokens, Comparer<ReadOnlyMemory<byte>>.Create(static (a, b) => a.Span.SequenceCompareTo(b.Span)));
        _nodes = NodesOf(sorted);
        for (var i = 0; i < _nodes.Length; i = _nodes[i].Behind)
        {
            var from = _nodes[i].FirstToken;
            var below = _tokens.AsSpan(from, FirstTokenOf(_nodes[i].Behind) - from);
            var speaks = TokensAt(i).Length > 0;
            _groups.Add((new Rune(_nodes[i].Character), speaks ? below[0] : -1, below[(speaks ? 1 : 0)..].ToArray()));
        }
    }

    /// <summary>A character of the tree.</summary>
    /// <param name="Character">Code point.</param>
    /// <param name="Depth">How many characters stand above it.</param>
    /// <param name="FirstToken">How many of the tree's tokens stand before its own and those below it.</param>
    /// <param name="Behind">Number of the node that follows all those below it.</param>
    public readonly record struct Node(int Character, int Depth, int FirstToken, int Behind);

    /// <summary>The nodes, each followed by those below it; beside each other in the order of their characters.</summary>
    public ReadOnlySpan<Node> Nodes => _nodes;

    /// <summary>
    /// Tokens that are not in the tree, each tested by itself: those that end an answer, control tokens, and what is no text by itself.
    /// </summary>
    public IReadOnlyList<int> Single => _single;

    /// <summary>
    /// The tokens by their first character, in the order of the characters: the token that is just that character (the speaker; -1 where
    /// there is none), and the others that begin with it.
    /// </summary>
    public IReadOnlyList<(Rune Character, int Speaker, int[] Others)> Groups => _groups;

    /// <summary>
    /// Whether a token is in the tree of its vocabulary, as one that is text by itself. llama.cpp reads a text up to its first NUL, and
    /// goes on where bytes are no UTF-8.
    /// </summary>
    public static bool Takes(Vocabulary vocabulary, int token, ReadOnlySpan<byte> text) =>
        text.Length is > 0 and <= LongestToken && !text.Contains((byte)0) && Utf8.IsValid(text)
        && !vocabulary.IsControl(token) && !vocabulary.IsEnd(token);

    /// <summary>The tokens whose text ends at a node.</summary>
    public ReadOnlySpan<int> TokensAt(int node) => _tokens.AsSpan(_nodes[node].FirstToken..FirstTokenOf(node + 1));

    private int FirstTokenOf(int node) => node < _nodes.Length ? _nodes[node].FirstToken : _tokens.Length;

    private static Node[] NodesOf(ReadOnlySpan<ReadOnlyMemory<byte>> sorted)
    {
        var nodes = new List<Node>(2 * sorted.Length);
        var open = new List<int>(); // from the top to the end of the text before
        for (var i = 0; i < sorted.Length; i++)
        {
            var depth = 0;
            for (var text = sorted[i].Span; Rune.DecodeFromUtf8(text, out var character, out var length) == OperationStatus.Done; depth++)
            {
                text = text[length..];
                if (depth < open.Count && nodes[open[depth]].Character == character.Value)
                    continue;
                Close(depth);
                open.Add(nodes.Count);
                nodes.Add(new Node(character.Value, depth, i, 0));
            }
        }
        Close(0);
        return [.. nodes];

        void Close(int depth)
        {
            foreach (var node in open[depth..])
                nodes[node] = nodes[node] with { Behind = nodes.Count };
            open.RemoveRange(depth, open.Count - depth);
        }
    }
}

/// <summary>
/// For each token of punctuation and spaces, the tokens that are one character longer: for <c>{</c> among others <c>{"</c>. Where a grammar
/// allows that character only, the longer token is the one that the model learnt to write; behind the shorter one it expects other text.
/// Letters and digits are left out: how words are split into tokens is left to the model.
/// </summary>
internal sealed class TokenExtensions
{
    private static readonly SearchValues<byte> Marks = SearchValues.Create("\t\n !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"u8);

    private readonly Dictionary<int, Dictionary<char, int>> _longer = [];

    /// <summary>Finds the pairs in a vocabulary.</summary>
    public TokenExtensions(Vocabulary vocabulary)
    {
        var byText = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var token = 0; token < vocabulary.Size; token++)
        {
            var text = vocabulary.Spelled(token).Span;
            if (!text.IsEmpty && text.IndexOfAnyExcept(Marks) < 0 && !vocabulary.IsControl(token)
                && !vocabulary.IsEnd(token) && !vocabulary.IsByte(token))
            {
                byText.TryAdd(Encoding.ASCII.GetString(text), token);
            }
        }
        foreach (var (text, token) in byText)
        {
            if (!byText.TryGetValue(text[..^1], out var shorter))
                continue;
            if (!_longer.TryGetValue(shorter, out var longer))
                _longer[shorter] = longer = [];
            longer[text[^1]] = token;
        }
    }

    /// <summary>The tokens that are this one and one character more, by that character; none for most.</summary>
    public IReadOnlyDictionary<char, int>? Of(int token) => _longer.GetValueOrDefault(token);
}
