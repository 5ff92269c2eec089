namespace Shimmy.Models;

/// <summary>Another name for a model, set by the user.</summary>
/// <param name="Pattern">The name asked for, with wildcards or without.</param>
/// <param name="Target">The name of the model that answers.</param>
internal sealed record ModelAlias(string Pattern, string Target)
{
    /// <summary>Reads <c>PATTERN=NAME</c>, as <c>--alias</c> takes it; null where it is not of that form.</summary>
    public static ModelAlias? Parse(string text)
    {
        var at = text.IndexOf('=', StringComparison.Ordinal);
        var pattern = at < 0 ? "" : text[..at].Trim();
        var target = text[(at + 1)..].Trim();
        return pattern.Length == 0 || target.Length == 0 ? null : new ModelAlias(pattern, target);
    }
}

/// <summary>Patterns of aliases: <c>*</c> stands for any text, <c>?</c> for one character; case does not matter.</summary>
internal static class Wildcard
{
    /// <summary>Whether a pattern has a wildcard at all.</summary>
    public static bool Is(string pattern) => pattern.AsSpan().IndexOfAny('*', '?') >= 0;

    /// <summary>
    /// Whether the whole name matches. Takes time in proportion to the product of both lengths at worst, whatever the pattern.
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
                // Only the last star ever needs to take one more: what stood before it has matched already.
                p = star + 1;
                n = ++resume;
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == '*')
        {
            p++;
        }

        return p == pattern.Length;
    }
}
