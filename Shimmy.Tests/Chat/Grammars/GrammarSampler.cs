using System.Text;
using Shimmy.Chat.Grammars;
using Shimmy.Engine.Grammars;

namespace Shimmy.Tests.Chat.Grammars;

/// <summary>Writes random texts of a grammar: what a model could answer, without a model.</summary>
internal sealed class GrammarSampler
{
    private readonly ParsedGrammar _grammar;
    private readonly int[][][] _alternatives; // for each rule, its alternatives as indices of their elements
    private readonly int[] _heights; // for each rule, how many rules deep its shallowest text is

    public GrammarSampler(string grammar)
    {
        _grammar = GrammarCheck.Parse(grammar);
        _alternatives = [.. _grammar.Rules.Select(rule => Alternatives(rule.Elements))];
        _heights = new int[_grammar.Rules.Count];
        Array.Fill(_heights, int.MaxValue);
        for (var changed = true; changed;)
        {
            changed = false;
            for (var i = 0; i < _heights.Length; i++)
            {
                var height = _alternatives[i].Min(alternative => Height(i, alternative));
                changed |= height < _heights[i];
                _heights[i] = Math.Min(_heights[i], height);
            }
        }
    }

    /// <summary>A text; beyond <paramref name="length"/> characters it ends as soon as it can.</summary>
    public string Next(Random random, int length)
    {
        var text = new StringBuilder();
        var todo = new Stack<(int Rule, int Element)>();
        Push(todo, _grammar.Root, random, short_: false);
        while (todo.TryPop(out var next))
        {
            var element = _grammar.Rules[next.Rule].Elements[next.Element];
            if (element.Kind == GrammarElementKind.Rule)
                Push(todo, element.Value, random, text.Length > length);
            else
                text.Append(char.ConvertFromUtf32(Character(_grammar.Rules[next.Rule].Elements, next.Element, random)));
        }
        return text.ToString();
    }

    private void Push(Stack<(int, int)> todo, int rule, Random random, bool short_)
    {
        var alternatives = short_
            ? [.. _alternatives[rule].Where(alternative => Height(rule, alternative) == _heights[rule])]
            : _alternatives[rule];
        foreach (var element in Enumerable.Reverse(alternatives[random.Next(alternatives.Length)]))
            todo.Push((rule, element));
    }

    private int Height(int rule, int[] alternative)
    {
        var height = 0;
        foreach (var i in alternative)
        {
            var element = _grammar.Rules[rule].Elements[i];
            if (element.Kind == GrammarElementKind.Rule)
                height = Math.Max(height, _heights[element.Value]);
        }
        return height == int.MaxValue ? height : height + 1;
    }

    private static int[][] Alternatives(GrammarElement[] elements)
    {
        var all = new List<int[]>();
        var one = new List<int>();
        for (var i = 0; i < elements.Length; i++)
        {
            if (elements[i].EndsSequence)
            {
                all.Add([.. one]);
                one.Clear();
            }
            else if (elements[i].Kind is not (GrammarElementKind.RangeEnd or GrammarElementKind.OrCharacter))
            {
                one.Add(i);
            }
        }
        return [.. all];
    }

    // Mostly from the beginning of a range, where the letters are; sometimes from its end.
    private static int Character(GrammarElement[] elements, int at, Random random)
    {
        var ranges = new List<(int Low, int High)>();
        var first = at;
        do
        {
            var low = elements[at].Value;
            var high = elements[at + 1].Kind == GrammarElementKind.RangeEnd ? elements[++at].Value : low;
            ranges.Add((low, high));
            at++;
        }
        while (elements[at].Kind == GrammarElementKind.OrCharacter);
        var set = CharacterSet.Of(ranges);
        if (elements[first].Kind == GrammarElementKind.NotCharacter)
            set = set.Inverted();
        if (elements[first].Kind == GrammarElementKind.Any)
            set = CharacterSet.All;
        var (from, to) = set.Ranges[random.Next(set.Ranges.Count)];
        return random.Next(10) == 0 ? to : from + random.Next(Math.Min(60, to - from + 1));
    }
}
