using Shimmy.Jinja;

namespace Shimmy.Tests.Jinja;

/// <summary>
/// Renders every case of the folder that SHIMMY_TEMPLATE_CASES names: <c>.jinja</c> files and an <c>expected.json</c> with what
/// transformers makes of them.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ReferenceTests
{
    private const string Variable = "SHIMMY_TEMPLATE_CASES";

    private static string? Folder => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? folder : null;

    private static readonly Lazy<(DateTime Now, IReadOnlyList<TemplateCase> Cases)> Loaded = new(() => TemplateCase.Read(Folder!));

    public static IEnumerable<object[]> Cases() => Folder is null
        ? [["", 0]]
        : Loaded.Value.Cases.Select((item, index) => new object[] { $"{item.Template} {item.Scenario}", index });

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void A_template_renders_what_transformers_renders(string name, int index)
    {
        if (Folder is null)
            Assert.Inconclusive($"{Variable} names no folder of templates.");
        var item = Loaded.Value.Cases[index];
        var template = CompiledTemplate.Compile(File.ReadAllText(Path.Combine(Folder, item.Template)));
        var wrong = item.Check(template, new FixedClock(Loaded.Value.Now));
        Assert.IsNull(wrong, $"{name}: {wrong}");
    }
}
