using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Runtimes;

[TestClass]
[TestCategory("Unit")]
public sealed partial class NoticesTests
{
    [TestMethod]
    public void Every_package_that_is_compiled_in_is_named_in_the_notices()
    {
        var notices = File.ReadAllText(Path.Combine(Repository.Root, "Shimmy", "THIRD-PARTY-NOTICES.txt"));
        using var assets = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Shimmy", "obj", "project.assets.json")));
        var packages = assets.RootElement.GetProperty("libraries").EnumerateObject().Select(library => library.Name.Split('/')[0])
            // The compiler and its analyzers; what they link in is .NET, which is named.
            .Where(name => !Compiler().IsMatch(name)).ToArray();

        Assert.IsNotEmpty(packages);
        foreach (var name in packages)
            Assert.Contains(name, notices);
    }

    [GeneratedRegex(@"ILCompiler|ILLink|^Microsoft\.NET(Core\.App|\.)")]
    private static partial Regex Compiler();
}
