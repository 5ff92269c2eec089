using Shimmy.Engine.Grammars;

namespace Shimmy.Chat.Grammars;

/// <summary>
/// Graph of the rules that each rule can begin with, one edge for each place. Tarjan's algorithm sorts it and finds its cycles.
/// </summary>
internal sealed class LeftRecursion
{
    private readonly IReadOnlyList<GrammarRule> _rules;
    private readonly List<(int To, bool Tail)>[] _edges;
    private readonly int[] _component;
    private readonly List<int> _order = []; // topological: each rule after those that it begins with, except in cycles

    private LeftRecursion(IReadOnlyList<GrammarRule> rules, List<(int To, bool Tail)>[] edges)
    {
        _rules = rules;
        _edges = edges;
        _component = new int[rules.Count];
        FindComponents();
    }

    /// <summary>Builds the graph. After a nullable rule, the element behind it can come first too.</summary>
    public static LeftRecursion Of(IReadOnlyList<GrammarRule> rules, bool[] mayBeEmpty)
    {
        var edges = new List<(int, bool)>[rules.Count];
        for (var i = 0; i < edges.Length; i++)
        {
            edges[i] = [];
            var elements = rules[i].Elements;
            var first = true;
            for (var j = 0; j < elements.Length; j++)
            {
                if (elements[j].EndsSequence)
                {
                    first = true;
                    continue;
                }
                if (first && elements[j].Kind == GrammarElementKind.Rule)
                    edges[i].Add((elements[j].Value, elements[j + 1].EndsSequence));
                first = first && elements[j].Kind == GrammarElementKind.Rule && mayBeEmpty[elements[j].Value];
            }
        }
        return new LeftRecursion(rules, edges);
    }

    /// <summary>
    /// A left-recursive rule; null where there is none. Without <paramref name="tails"/>, recursion in tail position does not count.
    /// </summary>
    public int? FindCycle(bool tails)
    {
        for (var i = 0; i < _edges.Length; i++)
        {
            foreach (var (to, tail) in _edges[i])
            {
                if (_component[i] == _component[to] && (tails || !tail))
                    return i;
            }
        }
        return null;
    }

    /// <summary>
    /// The rule with the longest chain of rules each of which begins with the next, and its length. The graph must have no cycles.
    /// </summary>
    public (int Rule, int Depth) DeepestChain()
    {
        var depths = new int[_edges.Length];
        foreach (var rule in _order)
        {
            foreach (var (to, _) in _edges[rule])
                depths[rule] = Math.Max(depths[rule], depths[to] + 1);
        }
        var most = depths.Max();
        return (Array.IndexOf(depths, most), most);
    }

    /// <summary>
    /// Number of elements that llama.cpp's test visits: it starts once at each unvisited rule, and visits shared rules again on every path.
    /// </summary>
    public long Steps()
    {
        var steps = new long[_edges.Length];
        var reached = new bool[_edges.Length];
        foreach (var rule in _order)
        {
            steps[rule] = _rules[rule].Elements.Length;
            foreach (var (to, _) in _edges[rule])
                steps[rule] = Math.Min(long.MaxValue / 4, steps[rule] + steps[to]);
        }
        var total = 0L;
        for (var i = 0; i < reached.Length; i++)
        {
            if (reached[i])
                continue;
            total = Math.Min(long.MaxValue / 4, total + steps[i]);
            var next = new Stack<int>([i]);
            while (next.TryPop(out var rule))
            {
                if (reached[rule])
                    continue;
                reached[rule] = true;
                foreach (var (to, _) in _edges[rule])
                    next.Push(to);
            }
        }
        return total;
    }

    /// <summary>The rule that can begin in the most ways, and their number.</summary>
    public (int Rule, long Ways) MostBeginnings()
    {
        var ways = new long[_edges.Length];
        foreach (var rule in _order)
        {
            // One for each alternative; the ways of a cycle are counted at its exits.
            ways[rule] = _rules[rule].Elements.Count(element => element.EndsSequence);
            foreach (var (to, _) in _edges[rule])
                ways[rule] = Math.Min(long.MaxValue / 4, ways[rule] + (_component[to] == _component[rule] ? 0 : ways[to]));
        }
        var most = ways.Max();
        return (Array.IndexOf(ways, most), most);
    }

    // Iterative: a long chain of rules would overflow the stack.
    private void FindComponents()
    {
        var index = new int[_edges.Length];
        var low = new int[_edges.Length];
        var open = new Stack<int>();
        var isOpen = new bool[_edges.Length];
        var path = new Stack<(int Rule, int Edge)>();
        var count = 0;
        for (var start = 0; start < _edges.Length; start++)
        {
            if (index[start] != 0)
                continue;
            path.Push((start, 0));
            while (path.TryPop(out var step))
            {
                var (rule, edge) = step;
                if (edge == 0)
                {
                    index[rule] = low[rule] = ++count;
                    open.Push(rule);
                    isOpen[rule] = true;
                }
                else
                {
                    low[rule] = Math.Min(low[rule], low[_edges[rule][edge - 1].To]);
                }
                while (edge < _edges[rule].Count && index[_edges[rule][edge].To] != 0)
                {
                    var seen = _edges[rule][edge++].To;
                    if (isOpen[seen])
                        low[rule] = Math.Min(low[rule], index[seen]);
                }
                if (edge < _edges[rule].Count)
                {
                    path.Push((rule, edge + 1));
                    path.Push((_edges[rule][edge].To, 0));
                    continue;
                }
                if (low[rule] != index[rule])
                    continue;
                int member;
                do
                {
                    member = open.Pop();
                    isOpen[member] = false;
                    _component[member] = rule;
                    _order.Add(member);
                }
                while (member != rule);
            }
        }
    }
}
