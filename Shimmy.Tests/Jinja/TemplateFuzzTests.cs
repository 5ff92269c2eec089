using System.Text.Json;
using Shimmy.Jinja;
using Shimmy.Jinja.Runtime;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Jinja;

/// <summary>Damaged templates end in a rendering or a <see cref="TemplateException"/>, never in another exception.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class TemplateFuzzTests
{
    private static readonly string[] Insertions =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "-%}", "{%-", "|", ".", "(", ")", "[", "]", "{",
            "}", ":", ",", "~", "**", "//", "is", "not", "in",
        "if", "else", "for", "endfor", "endif", "set", "macro", "recursive", "loop", "loop.last",
            "messages", "none", "1e999", "-1", "0x", "'", "\"",
        "\\", "\\u", "\ud83d", "\u0000", "x", "%s", "|tojson", "|map('upper')", "|sort", "|batch(0)",
            "|slice(0)", "[::0]", "[::-1]", "*", "%",
        "range(-5)", "namespace()", ".format()", "'{:}'.format(", "caller", "varargs", "{% break %}",
            "{% raw %}", "true", "|default", "|int",
    ];

    [TestMethod]
    public void Damaged_templates_fail_cleanly()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(
            Path.Combine(Repository.Root, "Shimmy.Tests", "Jinja", "Recorded", "snippets.json")));
        var seeds = document.RootElement.GetProperty("cases").EnumerateArray()
            .Select(item => (Template: item.GetProperty("template").GetString()!, Context: item.GetProperty("context"))).ToArray();
        var random = new Random(20260105);
        var rendered = 0;
        const int Rounds = 20_000;
        for (var round = 0; round < Rounds; round++)
        {
            var (template, context) = seeds[random.Next(seeds.Length)];
            var damaged = Damage(template, seeds[random.Next(seeds.Length)].Template, random);
            try
            {
                TemplateCase.Render(CompiledTemplate.Compile(damaged), context, TimeProvider.System);
                rendered++;
            }
            catch (TemplateException)
            {
                // As it should.
            }
            catch (Exception e)
            {
                Assert.Fail($"round {round}: {e.GetType().Name} for {JsonSerializer.Serialize(damaged)}\n{e}");
            }
        }

        Assert.IsInRange(Rounds / 10, Rounds * 9 / 10, rendered);
    }

    private static string Damage(string template, string other, Random random)
    {
        for (var count = random.Next(1, 4); count > 0; count--)
        {
            var at = random.Next(template.Length + 1);
            var end = Math.Min(template.Length, at + random.Next(1, 12));
            var otherAt = random.Next(other.Length);
            template = random.Next(4) switch
            {
                0 => template.Insert(at, Insertions[random.Next(Insertions.Length)]),
                1 => template.Remove(at, end - at),
                2 => template.Insert(at, other.Substring(otherAt, Math.Min(other.Length - otherAt, random.Next(1, 40)))),
                _ => template[..at] + Insertions[random.Next(Insertions.Length)] + template[end..],
            };
        }

        return template;
    }
}
