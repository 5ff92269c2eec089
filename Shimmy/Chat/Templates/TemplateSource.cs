using Shimmy.Jinja;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Chat.Templates;

/// <summary>A model's chat template before anything was rendered with it: its text, its variants, and where they come from.</summary>
internal sealed record TemplateSource
{
    // Ends of a turn that the models which were trained on them also end an answer with. Texts such as <|end|> are not among them: there
    // are models that end a part of an answer so.
    private static readonly string[] TurnEnds = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end_of_turn|>"];

    /// <summary>Where it comes from, for people: <c>the model</c>, <c>family chatml</c>, <c>file …</c>.</summary>
    public required string Origin { get; init; }

    /// <summary>The template's own text.</summary>
    public required string Text { get; init; }

    /// <summary>The template.</summary>
    public required CompiledTemplate Default { get; init; }

    /// <summary>The template for requests with tools; null where that is <see cref="Default"/> too.</summary>
    public CompiledTemplate? ToolUse { get; init; }

    /// <summary>Texts that end an answer.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Of a built-in family.</summary>
    public static TemplateSource Of(TemplateFamily family) => new()
    {
        Origin = $"family {family.Name}",
        Text = family.Template,
        Default = CompiledTemplate.Compile(family.Template),
        Stop = family.Stop,
    };

    /// <summary>Of the templates that a model's file holds, by name; null where it holds none that can serve.</summary>
    /// <exception cref="TemplateException">One is not valid.</exception>
    public static TemplateSource? Of(IReadOnlyDictionary<string, string> templates)
    {
        templates.TryGetValue("tool_use", out var toolUse);
        if (!templates.TryGetValue("default", out var text))
            text = toolUse;
        return string.IsNullOrWhiteSpace(text) ? null : new TemplateSource
        {
            Origin = "the model",
            Text = text,
            Default = CompiledTemplate.Compile(text),
            ToolUse = toolUse is null || toolUse == text ? null : CompiledTemplate.Compile(toolUse),
            Stop = StopsOf(text),
        };
    }

    /// <summary>Of what the user named in place of the model's own: a family, or else a file.</summary>
    /// <exception cref="TemplateException">The file's template is not valid.</exception>
    /// <exception cref="FormatException">It is neither a family nor a file that can be read.</exception>
    public static TemplateSource Named(string nameOrFile)
    {
        if (TemplateFamilies.Find(nameOrFile) is { } family)
            return Of(family);
        try
        {
            var text = File.ReadAllText(nameOrFile);
            return new TemplateSource { Origin = $"file {nameOrFile}", Text = text, Default = CompiledTemplate.Compile(text), Stop = StopsOf(text) };
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FormatException($"'{nameOrFile}' is neither a file nor a family of chat templates; families are {TemplateFamilies.Names}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FormatException($"'{nameOrFile}': {e.Message}", e);
        }
    }

    private static string[] StopsOf(string template) =>
        Array.FindAll(TurnEnds, end => template.Contains(end, StringComparison.Ordinal));
}
