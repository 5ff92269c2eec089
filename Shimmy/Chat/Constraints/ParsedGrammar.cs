namespace Shimmy.Chat.Constraints;

/// <summary>A grammar as llama.cpp sees it: groups and repetitions are rules of their own.</summary>
/// <param name="Rules">The rules, by number.</param>
/// <param name="Root">The number of the rule <c>root</c>.</param>
internal sealed record ParsedGrammar(IReadOnlyList<GrammarRule> Rules, int Root);

/// <summary>A rule.</summary>
/// <param name="Name">Its name; of a rule that a group or a repetition became, the name of the rule around it.</param>
/// <param name="Elements">Its elements, the last one <see cref="GrammarElementKind.End"/>.</param>
/// <param name="Offset">Where in the text it is defined.</param>
internal sealed record GrammarRule(string Name, GrammarElement[] Elements, int Offset);
