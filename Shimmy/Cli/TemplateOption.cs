using Shimmy.Chat.Templates;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Cli;

/// <summary>Reads <c>--template</c>: what is wrong with it is said before a model is loaded.</summary>
internal static class TemplateOption
{
    /// <summary>The family's name, or the file's full path; null where none is given.</summary>
    public static string? Read(OptionValue? option)
    {
        if (option is not { } given)
            return null;
        try
        {
            _ = TemplateSource.Named(given.Value);
            return TemplateFamilies.Find(given.Value)?.Name ?? Path.GetFullPath(given.Value);
        }
        catch (Exception e) when (e is FormatException or TemplateException)
        {
            throw new UsageException($"{given.Source}: {e.Message}");
        }
    }
}
