namespace Shimmy.Models;

/// <summary>Another name for a model, or a pattern of names, set by the user.</summary>
/// <param name="Pattern">Names that requests may use; see <see cref="Wildcard"/>.</param>
/// <param name="Target">Name of the model that they stand for; with wildcards, of the only model that matches.</param>
internal sealed record ModelAlias(string Pattern, string Target)
{
    /// <summary>Whether it leads to the only model that matches, whatever that is called.</summary>
    public bool IsForTheOnlyOne => Wildcard.Is(Target);

    /// <summary>Parses <c>PATTERN=NAME</c>, the form of <c>--alias</c>; null where a part is missing.</summary>
    public static ModelAlias? Parse(string text)
    {
        var at = text.IndexOf('=', StringComparison.Ordinal);
        var pattern = at < 0 ? "" : text[..at].Trim();
        var target = text[(at + 1)..].Trim();
        return pattern.Length == 0 || target.Length == 0 ? null : new ModelAlias(pattern, target);
    }
}

/// <summary>Wildcard patterns of aliases: <c>*</c> matches any text, <c>?</c> any one character. Case is ignored.</summary>
internal static class Wildcard
{
    /// <summary>Whether the pattern contains a wildcard.</summary>
    public static bool Is(string pattern) => pattern.AsSpan().IndexOfAny('*', '?') >= 0;

    /// <summary>
    /// Whether the whole name matches. Takes O(pattern × name) steps at worst, so a hostile name cannot stall the server.
    /// </summary>
    public static bool Matches(string pattern, string name)
    {
        (var p, var n) = (0, 0);
        (var star, var resume) = (-1, 0);
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                (star, resume) = (p++, n);
            }
            else if (p < pattern.Length
                && (pattern[p] == '?' || char.ToLowerInvariant(pattern[p]) == char.ToLowerInvariant(name[n])))
            {
                p++;
                n++;
            }
            else if (star >= 0)
            {
                // Backtrack to the last star only: the text before it has matched, and a longer match there cannot help.
                p = star + 1;
                n = ++resume;
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == '*')
            p++;

        return p == pattern.Length;
    }
}
