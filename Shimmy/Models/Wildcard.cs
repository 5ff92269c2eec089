namespace Shimmy.Models;

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
        (int p, int n) = (0, 0);
        (int star, int resume) = (-1, 0);
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
