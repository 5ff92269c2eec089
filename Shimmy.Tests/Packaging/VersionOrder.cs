namespace Shimmy.Tests.Packaging;

/// <summary>How package managers order versions, where none of their programs can be asked.</summary>
internal static class VersionOrder
{
    /// <summary>As vercmp of pacman does, for versions without an epoch and a package's own revision: below 0 where the first is older.</summary>
    public static int Alpm(string first, string second)
    {
        var (a, b) = (0, 0);
        while (a < first.Length && b < second.Length)
        {
            var (endA, endB) = (Separators(first, a), Separators(second, b));
            var (countA, countB) = (endA - a, endB - b);
            (a, b) = (endA, endB);
            if (a == first.Length || b == second.Length)
                break;
            if (countA != countB)
                return countA < countB ? -1 : 1;
            var isNumber = char.IsAsciiDigit(first[a]);
            var (one, other) = (Segment(first, a, isNumber), Segment(second, b, isNumber));
            // A number is newer than letters.
            if (other.Length == 0)
                return isNumber ? 1 : -1;
            (a, b) = (a + one.Length, b + other.Length);
            if (isNumber)
            {
                (one, other) = (one.TrimStart('0'), other.TrimStart('0'));
                if (one.Length != other.Length)
                    return one.Length < other.Length ? -1 : 1;
            }
            if (string.CompareOrdinal(one, other) is var order and not 0)
                return Math.Sign(order);
        }
        if (a == first.Length && b == second.Length)
            return 0;
        // What is left decides: letters right here are of a version before the release, all else of a later one.
        var olderFirst = (a == first.Length && !char.IsAsciiLetter(second[b])) || (a < first.Length && char.IsAsciiLetter(first[a]));
        return olderFirst ? -1 : 1;

        static int Separators(string text, int at)
        {
            while (at < text.Length && !char.IsAsciiLetterOrDigit(text[at]))
                at++;
            return at;
        }

        static string Segment(string text, int at, bool isNumber)
        {
            var end = at;
            while (end < text.Length && (isNumber ? char.IsAsciiDigit(text[end]) : char.IsAsciiLetter(text[end])))
                end++;
            return text[at..end];
        }
    }
}
