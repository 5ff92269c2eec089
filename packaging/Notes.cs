namespace Shimmy.Packaging;

/// <summary>The notes of a release: what CHANGELOG.md says of its version (Keep a Changelog).</summary>
internal static class Notes
{
    /// <summary>The section of a version, without its heading; that of what is not released yet where the version has none.</summary>
    public static string Of(string changelog, string version)
    {
        var lines = changelog.ReplaceLineEndings("\n").Split('\n');
        foreach (var heading in new[] { $"## [{version}]", "## [Unreleased]" })
        {
            var start = Array.FindIndex(lines, line => line.StartsWith(heading, StringComparison.Ordinal));
            if (start < 0)
                continue;
            var end = Array.FindIndex(lines, start + 1, line => line.StartsWith("## ", StringComparison.Ordinal));
            return string.Join('\n', lines[(start + 1)..(end < 0 ? lines.Length : end)]).Trim('\n') + "\n";
        }
        throw new ArgumentException($"CHANGELOG.md says nothing of version {version}");
    }
}
