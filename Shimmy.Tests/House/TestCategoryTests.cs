using System.Reflection;

namespace Shimmy.Tests.House;

/// <summary>What a test needs is told by its category, so that a filter finds all tests that a machine can run.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class TestCategoryTests
{
    private static readonly string[] Categories = ["Unit", "Worker", "Executable", "Gpu"];

    // The tests of which some of a class start a worker have the category at the method, the others at the class.
    [TestMethod]
    public void Every_test_has_exactly_one_category()
    {
        var wrong = typeof(TestCategoryTests).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods())
            .Where(method => method.GetCustomAttribute<TestMethodAttribute>() is not null)
            .Select(method => (Test: $"{method.DeclaringType!.FullName}.{method.Name}", Categories: CategoriesOf(method)))
            .Where(test =>
                test.Categories.Count(Categories.Contains) != 1 || test.Categories.Except(Categories).Any(other => other != "Shared"))
            .Select(test => $"{test.Test}: {string.Join(", ", test.Categories)}");

        Assert.AreEqual("", string.Join('\n', wrong),
            $"one of {string.Join(", ", Categories)} at the class or at the method; Shared may stand beside it");
    }

    private static List<string> CategoriesOf(MethodInfo method) =>
        [.. new MemberInfo[] { method, method.DeclaringType! }.SelectMany(member => member.GetCustomAttributes<TestCategoryBaseAttribute>())
            .SelectMany(category => category.TestCategories)];
}
