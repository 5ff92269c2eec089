namespace Shimmy.Models.Registry;

/// <summary>Finds known names that resemble an unknown one.</summary>
internal static class NameSuggestions
{
    private const int MaxLength = 200;

    /// <summary>
    /// Up to <paramref name="count"/> of the names, the closest first. Compares the first 200 characters, so a hostile name costs little.
    /// </summary>
    public static IReadOnlyList<string> Of(string name, IEnumerable<string> names, int count)
    {
        var wanted = Folded(name);
        return [.. names.Select(known => (Name: known, Distance: Distance(wanted, Folded(known)))).OrderBy(pair => pair.Distance)
            .ThenBy(pair => pair.Name, StringComparer.Ordinal).Take(count).Select(pair => pair.Name)];
    }

    private static string Folded(string name) => (name.Length <= MaxLength ? name : name[..MaxLength]).ToLowerInvariant();

    // A name that contains the other is close, whatever its length: users leave out the publisher, the size or the quantization.
    private static double Distance(string wanted, string known) =>
        wanted.Length > 0
            && (known.Contains(wanted, StringComparison.Ordinal) || wanted.Contains(known, StringComparison.Ordinal))
            ? 0.01 * Math.Abs(known.Length - wanted.Length) / MaxLength
            : (double)Edits(wanted, known) / Math.Max(1, Math.Max(wanted.Length, known.Length));

    // Levenshtein distance, with one row of the matrix.
    private static int Edits(string a, string b)
    {
        Span<int> row = stackalloc int[MaxLength + 1];
        for (var j = 0; j <= b.Length; j++)
            row[j] = j;

        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substituted, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
