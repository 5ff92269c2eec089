using Shimmy.Packaging;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Packaging;

/// <summary>The notes of a release, out of CHANGELOG.md.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class NotesTests
{
    private const string Home = "https://example.org/o/shimmy";
    private const string Changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n- new\n\n## [1.0.0] - 2026-01-01\n\n- first\n";

    [TestMethod]
    public void They_are_the_section_of_the_version() => Assert.AreEqual("- first\n", Notes.Of(Changelog, "1.0.0", Home));

    [TestMethod]
    public void Those_before_a_release_are_what_is_not_released() =>
        Assert.AreEqual("### Added\n- new\n", Notes.Of(Changelog, "2.0.0-rc.1", Home));

    [TestMethod]
    public void A_release_without_a_section_is_refused() =>
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => Notes.Of(Changelog, "2.0.0", Home)).Message,
            "give what is below [Unreleased] the heading \"## [2.0.0] - DATE\"");

    [TestMethod]
    [DataRow("[a](docs/a.md#b)", "[a](https://example.org/o/shimmy/blob/v1.0.0/docs/a.md#b)")]
    [DataRow("[a](https://example.org/) [b](#here) (c)", "[a](https://example.org/) [b](#here) (c)")]
    public void Links_into_the_repository_lead_to_the_tag(string text, string expected) =>
        Assert.AreEqual(expected + "\n", Notes.Of($"## [1.0.0]\n{text}\n", "1.0.0", Home));

    [TestMethod]
    public void One_heading_makes_a_release_of_what_is_not_released()
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "CHANGELOG.md")).ReplaceLineEndings("\n");
        var before = Notes.Of(text, "99.0.0-rc.1", Home);

        var after = text.Replace("## [Unreleased]\n", "## [Unreleased]\n\n## [99.0.0] - 2026-01-01\n", StringComparison.Ordinal);

        Assert.AreEqual(before.Replace("v99.0.0-rc.1", "v99.0.0", StringComparison.Ordinal), Notes.Of(after, "99.0.0", Home));
        StringAssert.StartsWith(before, "### ", "nothing in it is of the time before");
        Assert.DoesNotContain("](docs/", before);
    }
}
