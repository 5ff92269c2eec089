using System.Text.Json;
using Shimmy.Jinja;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Tests.Jinja;

/// <summary>One rendering with its expected outcome, as the file <c>expected.json</c> of a folder of templates holds them.</summary>
/// <param name="Template">The template's file name.</param>
/// <param name="Scenario">What the context shows.</param>
/// <param name="Context">The variables.</param>
/// <param name="Expected">The text, or null for a refusal.</param>
/// <param name="Error">Of a refusal: the message of <c>raise_exception</c> or of Jinja; null where any failure is right.</param>
internal sealed record TemplateCase(string Template, string Scenario, JsonElement Context, string? Expected, string? Error)
{
    /// <summary>Reads the cases of a folder and the time at which they were rendered.</summary>
    public static (DateTime Now, IReadOnlyList<TemplateCase> Cases) Read(string folder)
    {
        using var stream = File.OpenRead(Path.Combine(folder, "expected.json"));
        using var document = JsonDocument.Parse(stream);
        var cases = document.RootElement.GetProperty("cases").EnumerateArray().Select(item => new TemplateCase(
            item.GetProperty("template").GetString()!,
            item.GetProperty("scenario").GetString()!,
            item.GetProperty("context").Clone(),
            item.TryGetProperty("expected", out var expected) ? expected.GetString() : null,
            item.TryGetProperty("error", out var error) ? error.GetString() : null)).ToList();
        return (document.RootElement.GetProperty("now").GetDateTime(), cases);
    }

    /// <summary>The variables that the context holds.</summary>
    public static Dictionary<string, Value> Variables(JsonElement context) =>
        context.EnumerateObject().ToDictionary(member => member.Name, member => JsonValues.Of(member.Value));

    /// <summary>Renders text with the variables of a context.</summary>
    public static string Render(CompiledTemplate template, JsonElement context, TimeProvider clock, RenderLimits? limits = null) =>
        string.Concat(template.Render(Variables(context), context.GetRawText().Length, clock, limits).Select(part => part.Text));

    /// <summary>What is wrong with the rendering; null where nothing is.</summary>
    public string? Check(CompiledTemplate template, TimeProvider clock)
    {
        try
        {
            var text = Render(template, Context, clock);
            return Expected is null ? $"rendered {text} but should refuse: {Error}" :
                text == Expected ? null : Difference(Expected, text);
        }
        catch (TemplateException failure) when (Expected is null)
        {
            return Error is null || failure.Detail == Error
                ? null
                : $"refused with '{failure.Message}' instead of '{Error}'";
        }
        catch (TemplateException failure)
        {
            return failure.Message;
        }
    }

    private static string Difference(string expected, string actual)
    {
        var at = 0;
        while (at < expected.Length && at < actual.Length && expected[at] == actual[at])
            at++;
        return $"differs at {at}: expected …{Show(expected)} but was …{Show(actual)}";

        string Show(string text) => JsonSerializer.Serialize(text[Math.Max(0, at - 40)..Math.Min(text.Length, at + 60)]);
    }
}
