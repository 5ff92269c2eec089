using System.Text.RegularExpressions;

namespace Shimmy.Packaging;

/// <summary>The notes of a release: what CHANGELOG.md says of its version (Keep a Changelog).</summary>
internal static partial class Notes
{
    /// <summary>
    /// The section of a version, without its heading; for one before a release (with a hyphen) that has none, what is not released yet.
    /// </summary>
    /// <param name="changelog">The text of CHANGELOG.md.</param>
    /// <param name="version">The version.</param>
    /// <param name="home">The address of the repository, to which links into it lead: notes lie elsewhere.</param>
    public static string Of(string changelog, string version, string home)
    {
        var lines = changelog.ReplaceLineEndings("\n").Split('\n');
        var headings = new List<string> { $"## [{version}]" };
        if (version.Contains('-', StringComparison.Ordinal))
            headings.Add("## [Unreleased]");
        foreach (var heading in headings)
        {
            var start = Array.FindIndex(lines, line => line.StartsWith(heading, StringComparison.Ordinal));
            if (start < 0)
                continue;
            var end = Array.FindIndex(lines, start + 1, line => line.StartsWith("## ", StringComparison.Ordinal));
            var section = string.Join('\n', lines[(start + 1)..(end < 0 ? lines.Length : end)]).Trim('\n') + "\n";
            return RelativeLink().Replace(section, $"]({home}/blob/v{version}/$1)");
        }
        throw new ArgumentException($"CHANGELOG.md has no section of version {version}: give what is below [Unreleased] the heading \"{headings[0]} - DATE\"");
    }

    [GeneratedRegex(@"\]\((?!\w+:)([^)#][^)]*)\)")]
    private static partial Regex RelativeLink();
}
