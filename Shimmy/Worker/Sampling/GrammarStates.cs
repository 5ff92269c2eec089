using System.Buffers;
using System.Text;
using Shimmy.Engine.Grammars;
using Shimmy.Worker.Model;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// The states that a grammar can be in, as texts lead to them: two texts behind which the same may follow are in one state. What is found
/// out about a state, above all which tokens of the vocabulary may follow, is kept with it, for all answers under the same grammar.
///
/// A state is a set of stacks, as in llama.cpp's own parser: what each still has to match, the next character first. Stacks share their
/// lower parts, and equal ones are one object. A character leads on by its class alone: characters that no rule tells apart are one class.
/// llama.cpp tests every token that is chosen all the same. Used by the scheduler's thread.
/// </summary>
internal sealed class GrammarStates
{
    // Beyond these the rest of an answer has no states, and its tokens are judged anew.
    private const int MostStates = 8192;
    private const int MostStacks = 100_000;
    private const int MostMasks = 256;
    private const int LongestText = 1 << 17;
    private const int LastCharacter = 0x10FFFF;

    // Stacks of all states and states behind them. Beyond it all is dropped: texts without end that never come again are not worth more.
    private const int MostReferences = 2_000_000;

    private readonly GrammarElement[] _elements;
    private readonly int[] _begins;
    private readonly int[] _classes; // the first character of each
    private readonly int[] _asciiClasses = new int[128];
    private readonly Dictionary<long, Stack> _stacks = [];
    private readonly Dictionary<string, GrammarState> _states = new(StringComparer.Ordinal);
    private readonly HashSet<long> _expanded = [];
    private readonly List<Stack> _tops = [];
    private readonly Stack<(int Position, Stack? Below)> _pending = [];
    private bool _ends;
    private int _masks;
    private int _references;

    private GrammarStates(ParsedGrammar grammar, int root)
    {
        _begins = new int[grammar.Rules.Count];
        var count = 0;
        for (var i = 0; i < _begins.Length; i++)
        {
            _begins[i] = count;
            count += grammar.Rules[i].Elements.Length;
        }
        _elements = new GrammarElement[count];
        for (var i = 0; i < _begins.Length; i++)
            grammar.Rules[i].Elements.CopyTo(_elements, _begins[i]);
        _classes = ClassesOf(_elements);
        for (var i = 0; i < _asciiClasses.Length; i++)
            _asciiClasses[i] = SearchClass(i);
        foreach (var begin in AlternativesOf(root))
            Expand(begin, null);
        Start = TakeState();
    }

    /// <summary>Before any text; null where the grammar is beyond the limits.</summary>
    public GrammarState? Start { get; private set; }

    /// <summary>Whether there was too much to keep: nothing has a state any more.</summary>
    public bool IsDropped { get; private set; }

    /// <summary>Whether a state may be missing because there were too many.</summary>
    public bool IsFull { get; private set; }

    /// <summary>The states of a grammar's text; null where it is too long for that, or not understood.</summary>
    /// <param name="text">The grammar.</param>
    /// <param name="root">The rule that it begins with.</param>
    public static GrammarStates? Of(string text, string root)
    {
        if (text.Length > LongestText)
            return null;
        try
        {
            var grammar = new GrammarParser(text).Parse();
            for (var i = 0; i < grammar.Rules.Count; i++)
            {
                // Groups have the name of the rule around them, and come behind it.
                if (grammar.Rules[i].Name == root)
                    return new GrammarStates(grammar, i);
            }
            return null;
        }
        catch (GrammarException)
        {
            return null;
        }
    }

    /// <summary>The state behind a character; null where none may follow, or where there are too many states.</summary>
    /// <param name="state">The state before it.</param>
    /// <param name="character">Code point.</param>
    public GrammarState? Next(GrammarState state, int character)
    {
        var ofClass = (uint)character < (uint)_asciiClasses.Length ? _asciiClasses[character] : SearchClass(character);
        var known = state.Behind(ofClass);
        return known is null ? Follow(state, ofClass) : known == GrammarState.Nothing ? null : known;
    }

    /// <summary>
    /// Adds the tokens of a tree that may follow in a state. False where the grammar has too many states to say.
    /// </summary>
    public bool Allow(GrammarState state, TokenTrie tokens, TokenMask mask)
    {
        var before = new GrammarState[TokenTrie.LongestToken + 1]; // by depth
        before[0] = state;
        var nodes = tokens.Nodes;
        for (var i = 0; i < nodes.Length;)
        {
            ref readonly var node = ref nodes[i];
            if (Next(before[node.Depth], node.Character) is not { } next)
            {
                if (IsFull)
                    return false;
                i = node.Behind;
                continue;
            }
            before[node.Depth + 1] = next;
            foreach (var token in tokens.TokensAt(i++))
                mask.Add(token);
        }
        return true;
    }

    /// <summary>Whether a text of whole characters may follow in a state; null where the grammar has too many states to say.</summary>
    public bool? MayFollow(GrammarState state, ReadOnlySpan<byte> text)
    {
        for (; Rune.DecodeFromUtf8(text, out var character, out var length) == OperationStatus.Done; text = text[length..])
        {
            if (Next(state, character.Value) is not { } next)
                return IsFull ? null : false;
            state = next;
        }
        return true;
    }

    /// <summary>The one character that may follow in a state; -1 where the end or a class may, or several.</summary>
    public int OnlyCharacter(GrammarState state) => state.Only ??= FindOnly(state);

    /// <summary>Keeps which tokens may follow in a state; of grammars with very many states, not of all.</summary>
    public void Keep(GrammarState state, TokenMask mask)
    {
        if (state.Mask is null && _masks < MostMasks)
        {
            _masks++;
            state.Mask = mask;
        }
    }

    private GrammarState? Follow(GrammarState state, int ofClass)
    {
        if (IsDropped)
            return null;
        foreach (var stack in state.Stacks)
        {
            if (Match(stack.Position, _classes[ofClass], out var behind))
                Expand(behind, stack.Below);
        }
        var next = TakeState();
        _references += state.Keep(ofClass, next, _classes.Length);
        if (_references <= MostReferences)
            return next;
        (IsDropped, IsFull) = (true, true);
        Start = null;
        _states.Clear();
        _stacks.Clear();
        return null;
    }

    private int FindOnly(GrammarState state)
    {
        var only = -1;
        foreach (var stack in state.Stacks)
        {
            var (element, next) = (_elements[stack.Position], _elements[stack.Position + 1].Kind);
            if (element.Kind != GrammarElementKind.Character || (only >= 0 && element.Value != only)
                || next is GrammarElementKind.RangeEnd or GrammarElementKind.OrCharacter)
            {
                return -1;
            }
            only = element.Value;
        }
        return state.MayEnd ? -1 : only;
    }

    // Where the elements of a grammar begin to say something else of characters.
    private static int[] ClassesOf(GrammarElement[] elements)
    {
        var begins = new SortedSet<int> { 0 };
        for (var i = 0; i < elements.Length; i++)
        {
            if (elements[i].Kind is GrammarElementKind.RangeEnd)
            {
                begins.Add(elements[i].Value + 1);
            }
            else if (elements[i].Kind is GrammarElementKind.Character or GrammarElementKind.NotCharacter or GrammarElementKind.OrCharacter)
            {
                begins.Add(elements[i].Value);
                if (elements[i + 1].Kind != GrammarElementKind.RangeEnd)
                    begins.Add(elements[i].Value + 1);
            }
        }
        begins.RemoveWhere(begin => begin > LastCharacter);
        return [.. begins];
    }

    private int SearchClass(int character)
    {
        var found = Array.BinarySearch(_classes, character);
        return found >= 0 ? found : ~found - 1;
    }

    // What has to match next at a position, above what comes after the rule. Optional parts in a row are as deep as they are many: what
    // is still to be looked at is kept in a list, and not on the thread's stack.
    private void Expand(int position, Stack? below)
    {
        _pending.Push((position, below));
        // Beyond the bound there is no state, whatever else is found.
        while (_stacks.Count < MostStacks && _pending.TryPop(out var next))
            ExpandOne(next.Position, next.Below);
        _pending.Clear();
    }

    private void ExpandOne(int position, Stack? below)
    {
        while (_elements[position].EndsSequence)
        {
            if (below is null)
            {
                _ends = true;
                return;
            }
            (position, below) = (below.Position, below.Below);
        }
        if (!_expanded.Add(KeyOf(position, below)))
            return;
        if (_elements[position].Kind != GrammarElementKind.Rule)
        {
            if (StackOf(position, below) is { } top)
                _tops.Add(top);
            return;
        }
        // Of a rule at the end of another nothing is left to match behind it.
        var rest = _elements[position + 1].EndsSequence ? below : StackOf(position + 1, below);
        foreach (var begin in AlternativesOf(_elements[position].Value))
            _pending.Push((begin, rest));
    }

    private IEnumerable<int> AlternativesOf(int rule)
    {
        for (var at = _begins[rule]; ; at++)
        {
            yield return at;
            while (!_elements[at].EndsSequence)
                at++;
            if (_elements[at].Kind == GrammarElementKind.End)
                yield break;
        }
    }

    // Whether a character fits the class at a position, and where the class ends.
    private bool Match(int position, int character, out int behind)
    {
        var kind = _elements[position].Kind;
        if (kind == GrammarElementKind.Any)
        {
            behind = position + 1;
            return true;
        }
        var found = false;
        do
        {
            var low = _elements[position++].Value;
            var high = low;
            if (_elements[position].Kind == GrammarElementKind.RangeEnd)
                high = _elements[position++].Value;
            found |= low <= character && character <= high;
        }
        while (_elements[position].Kind == GrammarElementKind.OrCharacter);
        behind = position;
        return found == (kind == GrammarElementKind.Character);
    }

    private Stack? StackOf(int position, Stack? below)
    {
        var key = KeyOf(position, below);
        if (!_stacks.TryGetValue(key, out var stack) && _stacks.Count < MostStacks)
            _stacks[key] = stack = new Stack(_stacks.Count + 1, position, below);
        return stack;
    }

    // The state of what was expanded; null where nothing may follow, not even the end.
    private GrammarState? TakeState()
    {
        GrammarState? state = null;
        var hasAny = _tops.Count > 0 || _ends;
        // Stacks that were left out would make states equal that are not.
        if (hasAny && _stacks.Count < MostStacks)
        {
            _tops.Sort(static (a, b) => a.Number.CompareTo(b.Number));
            var key = new StringBuilder(_ends ? "." : "", (2 * _tops.Count) + 1);
            foreach (var stack in _tops)
                key.Append((char)(stack.Number & 0xFFFF)).Append((char)(stack.Number >> 16));
            if (!_states.TryGetValue(key.ToString(), out state) && _states.Count < MostStates)
            {
                _states[key.ToString()] = state = new GrammarState([.. _tops], _ends);
                _references += _tops.Count;
            }
        }
        IsFull |= state is null && (hasAny || _stacks.Count >= MostStacks);
        _tops.Clear();
        _expanded.Clear();
        _ends = false;
        return state;
    }

    private static long KeyOf(int position, Stack? below) => ((long)position << 32) | (uint)(below?.Number ?? 0);

    /// <summary>The elements still to be matched: the element at a position, then what is below.</summary>
    internal sealed record Stack(int Number, int Position, Stack? Below);
}

/// <summary>A state of a grammar (<see cref="GrammarStates"/>), with what was found out about it.</summary>
/// <param name="stacks">What may follow.</param>
/// <param name="mayEnd">Whether the text may end here.</param>
internal sealed class GrammarState(GrammarStates.Stack[] stacks, bool mayEnd)
{
    private const int FewClasses = 256;

    private GrammarState?[]? _behind;
    private Dictionary<int, GrammarState>? _met;

    /// <summary>Behind a character that may not follow.</summary>
    public static readonly GrammarState Nothing = new([], false);

    /// <summary>The stacks that may follow.</summary>
    public GrammarStates.Stack[] Stacks => stacks;

    /// <summary>Whether the text may end here.</summary>
    public bool MayEnd => mayEnd;

    /// <summary>The tokens that may follow; null where nobody has asked.</summary>
    public TokenMask? Mask { get; set; }

    /// <summary>As of <see cref="GrammarStates.OnlyCharacter"/>; null where nobody has asked.</summary>
    public int? Only { get; set; }

    /// <summary>The state behind characters of a class, or <see cref="Nothing"/>; null where that is not kept.</summary>
    public GrammarState? Behind(int ofClass) => _behind is not null ? _behind[ofClass] : _met?.GetValueOrDefault(ofClass);

    /// <summary>Keeps the state behind characters of a class. Gives how many references it takes more than before.</summary>
    /// <param name="ofClass">The class.</param>
    /// <param name="next">The state behind them; null for none.</param>
    /// <param name="classes">How many there are.</param>
    public int Keep(int ofClass, GrammarState? next, int classes)
    {
        if (classes <= FewClasses)
        {
            var added = _behind is null ? classes : 0;
            _behind ??= new GrammarState?[classes];
            _behind[ofClass] = next ?? Nothing;
            return added;
        }
        // Lists of thousands of names have thousands of classes, of which few follow anywhere.
        if (next is null)
            return 0;
        (_met ??= [])[ofClass] = next;
        return 1;
    }
}

/// <summary>The states of the grammars that were used last. Thread-safe; the states are not.</summary>
internal sealed class GrammarStateCache
{
    private const int Most = 16;

    private readonly Lock _lock = new();
    private readonly List<(string Text, string Root, GrammarStates? States)> _kept = [];

    /// <summary>The states of a grammar, kept or made.</summary>
    public GrammarStates? Of(string text, string root)
    {
        lock (_lock)
        {
            for (var i = 0; i < _kept.Count; i++)
            {
                if (_kept[i].Text != text || _kept[i].Root != root)
                    continue;
                var found = _kept[i];
                _kept.RemoveAt(i);
                if (found.States is { IsFull: true })
                    break;
                _kept.Insert(0, found);
                return found.States;
            }
        }
        var made = GrammarStates.Of(text, root);
        lock (_lock)
        {
            _kept.Insert(0, (text, root, made));
            if (_kept.Count > Most)
                _kept.RemoveAt(Most);
        }
        return made;
    }
}

/// <summary>Follows an answer through the states of its grammar, token by token; lost where it has none.</summary>
/// <param name="states">The states of the grammar; null for an answer that has none.</param>
internal sealed class GrammarPath(GrammarStates? states)
{
    private readonly byte[] _half = new byte[4];
    private GrammarState? _state = states?.Start;
    private int _halfLength;

    /// <summary>Of an answer without a grammar.</summary>
    public static GrammarPath None { get; } = new(null);

    /// <summary>The state behind the answer so far; null inside a character, and where it is not known.</summary>
    public GrammarState? State => _halfLength == 0 ? _state : null;

    /// <summary>Whether the answer so far ends within a character.</summary>
    public bool IsInside => _state is not null && _halfLength > 0;

    /// <summary>Keeps which tokens may follow.</summary>
    public void Keep(TokenMask mask)
    {
        if (State is { } state)
            states!.Keep(state, mask);
    }

    /// <summary>
    /// Adds the tokens of a tree that may follow. False where they are to be judged one by one, as inside a character.
    /// </summary>
    public bool Allow(TokenTrie tokens, TokenMask mask) => State is { } state && states!.Allow(state, tokens, mask);

    /// <summary>Whether a text of whole characters may follow; null where that is not known.</summary>
    public bool? MayFollow(ReadOnlySpan<byte> text) => State is { } state ? states!.MayFollow(state, text) : null;

    /// <summary>The one character that may follow, -1 where several or the end may; null where that is not known.</summary>
    public int? OnlyCharacter => State is { } state ? states!.OnlyCharacter(state) : null;

    /// <summary>Goes on by the bytes of a token.</summary>
    public void Accept(ReadOnlySpan<byte> bytes)
    {
        if (_state is null)
            return;
        if (_halfLength > 0)
        {
            byte[] whole = [.. _half.AsSpan(0, _halfLength), .. bytes];
            _halfLength = 0;
            bytes = whole;
        }
        while (!bytes.IsEmpty)
        {
            var status = Rune.DecodeFromUtf8(bytes, out var character, out var length);
            if (status == OperationStatus.NeedMoreData && bytes.Length < 4)
            {
                bytes.CopyTo(_half);
                _halfLength = bytes.Length;
                return;
            }
            if (status != OperationStatus.Done || character.Value == 0 || (_state = states!.Next(_state!, character.Value)) is null)
            {
                // Not UTF-8, a NUL, at which llama.cpp ends a text, or beyond the limits.
                _state = null;
                return;
            }
            bytes = bytes[length..];
        }
    }
}
