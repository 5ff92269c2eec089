using Shimmy.Jinja;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Chat.Templates;

/// <summary>A compiled chat template with its variants and origin, before it is probed.</summary>
internal sealed record TemplateSource
{
    // End-of-turn texts with which models also end an answer. Not <|end|> and the like: some models end a part of an answer with them.
    private static readonly string[] TurnEnds = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end_of_turn|>"];

    /// <summary>Stands before a template that is given as its text, where a file's name could stand.</summary>
    public const string TextPrefix = "text:";

    /// <summary>The origin, for logs: <c>the model</c>, <c>family chatml</c>, <c>file …</c>.</summary>
    public required string Origin { get; init; }

    /// <summary>The template's source.</summary>
    public required string Text { get; init; }

    /// <summary>The compiled template.</summary>
    public required CompiledTemplate Default { get; init; }

    /// <summary>The variant for requests with tools; null where that is <see cref="Default"/>.</summary>
    public CompiledTemplate? ToolUse { get; init; }

    /// <summary>Stop sequences of the template.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>The template of a built-in family.</summary>
    public static TemplateSource Of(TemplateFamily family) => new()
    {
        Origin = $"family {family.Name}",
        Text = family.Template,
        Default = CompiledTemplate.Compile(family.Template),
        Stop = family.Stop,
    };

    /// <summary>The templates in a model's file, by name; null where there is none.</summary>
    /// <exception cref="TemplateException">A template is not valid.</exception>
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

    /// <summary>The template that Ollama keeps beside a model.</summary>
    /// <exception cref="FormatException">It uses more of Go's template language than is read here.</exception>
    /// <exception cref="TemplateException">What it was translated to is not valid.</exception>
    public static TemplateSource OfOllama(string template) => new()
    {
        Origin = "Ollama",
        Text = template,
        Default = CompiledTemplate.Compile(GoTemplate.ToJinja(template)),
        Stop = StopsOf(template),
    };

    /// <summary>The template that the user set (<c>--template</c>): a family's name, or else a file.</summary>
    /// <exception cref="TemplateException">The file's template is not valid.</exception>
    /// <exception cref="FormatException">There is no such family, and no such file that can be read.</exception>
    public static TemplateSource Named(string nameOrFile)
    {
        if (TemplateFamilies.Find(nameOrFile) is { } family)
            return Of(family);
        if (nameOrFile.StartsWith(TextPrefix, StringComparison.Ordinal))
            return Written("the command line", nameOrFile[TextPrefix.Length..]);
        try
        {
            return Written($"file {nameOrFile}", File.ReadAllText(nameOrFile));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FormatException(
                $"'{nameOrFile}' is neither a file nor a family of chat templates; families are {TemplateFamilies.Names}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FormatException($"'{nameOrFile}': {e.Message}", e);
        }
    }

    private static TemplateSource Written(string origin, string text) => new()
    {
        Origin = origin,
        Text = text,
        Default = CompiledTemplate.Compile(text),
        Stop = StopsOf(text),
    };

    private static string[] StopsOf(string template) =>
        Array.FindAll(TurnEnds, end => template.Contains(end, StringComparison.Ordinal));
}
