using Shimmy.Chat.Templates;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Jinja.Runtime;
using Shimmy.Models;

namespace Shimmy.Cli.Options;

/// <summary>Reads <c>--lora</c> and <c>--draft</c>: a file that is not there is said before a model is loaded.</summary>
internal static class CompanionFiles
{
    // A file of this name is ./none.
    private const string NoDraft = "none";

    /// <summary>The adapters in the order given.</summary>
    public static IReadOnlyList<LoraSetting> Loras(OptionReader reader, string? given)
    {
        if (reader.Find("--lora", given) is not { } found)
            return [];
        return [.. found.Value.Split(CommandLine.Separator).Select(Read)];

        LoraSetting Read(string text)
        {
            try
            {
                var setting = LoraText.Read(text, Path.GetFullPath);
                MustExist(found.Source, setting.Path);
                return setting;
            }
            catch (FormatException e)
            {
                throw new UsageException($"{found.Source}: {e.Message}");
            }
        }
    }

    /// <summary>The draft model's full path, null where none is given; and whether anything is drafted at all.</summary>
    public static (string? Path, bool Speculate) Draft(OptionReader reader, string? given)
    {
        if (reader.Find("--draft", given) is not { } found)
            return (null, true);
        if (found.Value == NoDraft)
            return (null, false);
        var path = Path.GetFullPath(found.Value);
        MustExist(found.Source, path);
        return (path, true);
    }

    private static void MustExist(string source, string path)
    {
        if (!File.Exists(path))
            throw new CommandException(ExitCode.Failed, $"{source}: there is no file '{path}'");
    }
}

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
