namespace Shimmy.Engine;

/// <summary>Words in a sentence.</summary>
internal static class WordList
{
    /// <summary>What is allowed: <c>a, b or c</c>. There must be two at least.</summary>
    public static string AnyOf(IReadOnlyList<string> words) => $"{string.Join(", ", words.Take(words.Count - 1))} or {words[^1]}";
}
