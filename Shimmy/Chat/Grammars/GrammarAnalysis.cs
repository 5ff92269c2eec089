using Shimmy.Engine.Grammars;

namespace Shimmy.Chat.Grammars;

/// <summary>
/// Validates GBNF before llama.cpp parses it. llama.cpp gives the reason of a refusal in its log only, and some grammars that it accepts
/// crash it: a count like <c>{5,3}</c> never ends, nested parentheses and long chains of rules overflow the stack, and left recursion
/// through nullable rules is not found and exhausts memory.
/// </summary>
internal static class GrammarCheck
{
    /// <summary>Parses and analyses a grammar. Throws <see cref="GrammarException"/> with line and column.</summary>
    public static ParsedGrammar Parse(string text)
    {
        var grammar = new GrammarParser(text).Parse();
        GrammarAnalysis.Check(text, grammar);
        return grammar;
    }
}

/// <summary>
/// Static checks of a parsed grammar: left recursion, and the cost of sampling with it. A left-recursive rule makes the stacks of
/// llama.cpp's sampler grow without bound. llama.cpp's own test for it takes only rules with an empty alternative for nullable, so it
/// misses some, and it follows every path, so it may take for ever.
/// </summary>
internal static class GrammarAnalysis
{
    /// <summary>
    /// Throws <see cref="GrammarException"/> for left recursion, and where the grammar exceeds <see cref="GrammarLimits"/>.
    /// </summary>
    public static void Check(string text, ParsedGrammar grammar)
    {
        var rules = grammar.Rules;
        var directlyEmpty = rules.Select(rule => HasEmptyAlternative(rule.Elements)).ToArray();
        var asNative = LeftRecursion.Of(rules, directlyEmpty);
        if (asNative.FindCycle(tails: true) is { } native)
            throw RefuseLeftRecursion(text, rules[native]);
        var mayBeEmpty = Fixpoint(rules, charactersBlock: true);
        var exact = LeftRecursion.Of(rules, mayBeEmpty);
        // Recursion in tail position is harmless: the stack does not grow, and the sampler drops duplicates of a stack.
        if (exact.FindCycle(tails: false) is { } hidden)
            throw RefuseLeftRecursion(text, rules[hidden]);
        if (asNative.DeepestChain() is var (deepest, depth) && depth > GrammarLimits.LeftDepth)
        {
            throw GrammarException.At(text, rules[deepest].Offset,
                $"the rule '{rules[deepest].Name}' begins with a chain of {depth} rules; at most {GrammarLimits.LeftDepth} are allowed");
        }

        if (asNative.Steps() > GrammarLimits.LeftRecursionSteps)
        {
            throw GrammarException.At(text, rules[grammar.Root].Offset,
                "the rules begin with one another in too many ways to be tested for left recursion");
        }

        if (exact.MostBeginnings() is var (widest, ways) && ways > GrammarLimits.Beginnings)
        {
            throw GrammarException.At(text, rules[widest].Offset,
                $"the rule '{rules[widest].Name}' can begin in more than {GrammarLimits.Beginnings} ways");
        }
    }

    /// <summary>For each rule, whether it matches any finite text.</summary>
    public static bool[] CanEnd(IReadOnlyList<GrammarRule> rules) => Fixpoint(rules, charactersBlock: false);

    private static GrammarException RefuseLeftRecursion(string text, GrammarRule rule) =>
        GrammarException.At(text, rule.Offset, $"the rule '{rule.Name}' is left-recursive: it can begin with itself");

    private static bool HasEmptyAlternative(GrammarElement[] elements)
    {
        var first = true;
        foreach (var element in elements)
        {
            if (element.EndsSequence && first)
                return true;
            first = element.EndsSequence;
        }
        return false;
    }

    // Least fixed point: a rule holds if all rules in one of its alternatives hold. Each alternative counts the rules that it still waits
    // for.
    private static bool[] Fixpoint(IReadOnlyList<GrammarRule> rules, bool charactersBlock)
    {
        var holds = new bool[rules.Count];
        var waiting = new List<(int Rule, int Left)>();
        var waitsFor = new Dictionary<int, List<int>>();
        var found = new Queue<int>();
        for (var i = 0; i < rules.Count; i++)
        {
            var blocked = false;
            var wants = new List<int>();
            foreach (var element in rules[i].Elements)
            {
                if (element.Kind == GrammarElementKind.Rule)
                {
                    wants.Add(element.Value);
                }
                else if (!element.EndsSequence)
                {
                    blocked |= charactersBlock;
                }
                else
                {
                    if (!blocked && wants.Count == 0 && !holds[i])
                    {
                        holds[i] = true;
                        found.Enqueue(i);
                    }
                    else if (!blocked && wants.Count > 0)
                    {
                        foreach (var want in wants)
                        {
                            if (!waitsFor.TryGetValue(want, out var list))
                                waitsFor.Add(want, list = []);
                            list.Add(waiting.Count);
                        }
                        waiting.Add((i, wants.Count));
                    }
                    blocked = false;
                    wants.Clear();
                }
            }
        }
        while (found.TryDequeue(out var known))
        {
            if (!waitsFor.TryGetValue(known, out var list))
                continue;
            foreach (var alternative in list)
            {
                var (rule, left) = waiting[alternative];
                waiting[alternative] = (rule, left - 1);
                if (left > 1 || holds[rule])
                    continue;
                holds[rule] = true;
                found.Enqueue(rule);
            }
        }
        return holds;
    }
}
