using Shimmy.Chat.Grammars;
using Shimmy.Engine.Grammars;

namespace Shimmy.Tests.Chat.Grammars;

/// <summary>Matches texts against a parsed grammar as llama.cpp does: by sets of stacks of places in rules.</summary>
internal sealed class GrammarMatcher
{
    private readonly ParsedGrammar _grammar;

    public GrammarMatcher(string grammar) => _grammar = GrammarCheck.Parse(grammar);

    public bool Accepts(string text)
    {
        var stacks = Start();
        foreach (var rune in text.EnumerateRunes())
            stacks = Step(stacks, rune.Value);
        return stacks.Any(stack => stack is null);
    }

    /// <summary>Characters of the text up to the first that the grammar does not allow.</summary>
    public int AcceptedLength(string text)
    {
        var stacks = Start();
        var length = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            stacks = Step(stacks, rune.Value);
            if (stacks.Count == 0)
                return length;
            length += rune.Utf16SequenceLength;
        }
        return length;
    }

    private HashSet<Place?> Start()
    {
        var stacks = new HashSet<Place?>();
        Open(_grammar.Root, null, stacks, []);
        return stacks;
    }

    private HashSet<Place?> Step(HashSet<Place?> stacks, int character)
    {
        var next = new HashSet<Place?>();
        var seen = new HashSet<Place?>();
        foreach (var stack in stacks)
        {
            if (stack is not null && Match(stack, character) is { } after)
                Advance(stack with { At = after }, next, seen);
        }
        return next;
    }

    private void Open(int rule, Place? below, HashSet<Place?> stacks, HashSet<Place?> seen)
    {
        var elements = _grammar.Rules[rule].Elements;
        Advance(new Place(rule, 0, below), stacks, seen);
        for (var i = 0; i < elements.Length; i++)
        {
            if (elements[i].Kind == GrammarElementKind.Alternative)
                Advance(new Place(rule, i + 1, below), stacks, seen);
        }
    }

    private void Advance(Place? place, HashSet<Place?> stacks, HashSet<Place?> seen)
    {
        while (place is not null && _grammar.Rules[place.Rule].Elements[place.At].EndsSequence)
            place = place.Below;
        if (!seen.Add(place))
            return;
        if (place is null || _grammar.Rules[place.Rule].Elements[place.At] is not { Kind: GrammarElementKind.Rule } element)
        {
            stacks.Add(place);
            return;
        }
        var after = place with { At = place.At + 1 };
        while (after is not null && _grammar.Rules[after.Rule].Elements[after.At].EndsSequence)
            after = after.Below;
        Open(element.Value, after, stacks, seen);
    }

    private int? Match(Place place, int character)
    {
        var elements = _grammar.Rules[place.Rule].Elements;
        var at = place.At;
        var inverted = elements[at].Kind == GrammarElementKind.NotCharacter;
        var found = elements[at].Kind == GrammarElementKind.Any;
        do
        {
            var low = elements[at].Value;
            var high = elements[at + 1].Kind == GrammarElementKind.RangeEnd ? elements[++at].Value : low;
            found |= low <= character && character <= high;
            at++;
        }
        while (elements[at].Kind == GrammarElementKind.OrCharacter);
        return found != inverted ? at : null;
    }

    private sealed record Place(int Rule, int At, Place? Below);
}
