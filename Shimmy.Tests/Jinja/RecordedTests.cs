using System.Text.Json;
using Shimmy.Jinja;
using Shimmy.Jinja.Runtime;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Jinja;

/// <summary>
/// The language construct by construct: every template of <c>Recorded/snippets.txt</c> renders, or fails, as Python's jinja2 did
/// when <c>Recorded/record.py</c> wrote down the outcome.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RecordedTests
{
    private static readonly JsonElement Recorded = Read();

    public static IEnumerable<object[]> Cases() =>
        Recorded.GetProperty("cases").EnumerateArray()
            .Select((item, index) => new object[] { item.GetProperty("name").GetString()!, index });

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void A_construct_renders_as_in_Jinja(string name, int index)
    {
        var item = Recorded.GetProperty("cases")[index];
        var clock = new FixedClock(Recorded.GetProperty("now").GetDateTime());
        var source = item.GetProperty("template").GetString()!;
        if (item.TryGetProperty("expected", out var expected))
        {
            Assert.AreEqual(expected.GetString(),
                TemplateCase.Render(CompiledTemplate.Compile(source), item.GetProperty("context"), clock), name);
            return;
        }

        var failure = Assert.ThrowsExactly<TemplateException>(
            () => TemplateCase.Render(CompiledTemplate.Compile(source), item.GetProperty("context"), clock), name);
        if (item.GetProperty("error").GetString() is { } refusal)
            Assert.AreEqual((TemplateFailure.Refused, refusal), (failure.Failure, failure.Detail));
        else
            CheckFailure(item.GetProperty("python_error").GetString()!, failure);
    }

    /// <summary>The message is Python's; of syntax errors only the kind has to be the same.</summary>
    private static void CheckFailure(string recorded, TemplateException failure)
    {
        var kind = recorded[..recorded.IndexOf(':', StringComparison.Ordinal)];
        var expected = kind switch
        {
            "TemplateSyntaxError" or "TemplateAssertionError" => TemplateFailure.Syntax,
            "UndefinedError" or "SecurityError" => TemplateFailure.Undefined,
            _ => failure.Failure == TemplateFailure.Undefined ? TemplateFailure.Undefined : TemplateFailure.Evaluation,
        };
        Assert.AreEqual(expected, failure.Failure, failure.Message);
        if (expected != TemplateFailure.Syntax)
            Assert.AreEqual(recorded[(kind.Length + 2)..], failure.Detail);
    }

    private static JsonElement Read()
    {
        var path = Path.Combine(Repository.Root, "Shimmy.Tests", "Jinja", "Recorded", "snippets.json");
        using var document = JsonDocument.Parse(File.ReadAllText(path));
        return document.RootElement.Clone();
    }
}
