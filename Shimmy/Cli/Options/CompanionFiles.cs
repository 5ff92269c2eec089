using Shimmy.Chat.Templates;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Jinja.Runtime;
using Shimmy.Models;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Options;

/// <summary>Reads the options that name files which go with a model, and refuses a missing file before a model is loaded.</summary>
internal static class CompanionFiles
{
    // A file of this name is ./none.
    private const string NoDraft = "none";

    /// <summary><c>--lora</c>: the adapters in the order given.</summary>
    public static IReadOnlyList<LoraSetting> Loras(OptionValue value) => [.. value.Texts.Select(text => Lora(value.Source, text))];

    /// <summary>One adapter, with its strength where <paramref name="scaled"/> says that a text may have it.</summary>
    public static LoraSetting Lora(string source, string text, bool scaled = true)
    {
        try
        {
            var setting = scaled ? LoraSetting.Parse(text, Path.GetFullPath) : new LoraSetting(Path.GetFullPath(text));
            if (!TensorFolder.IsAdapter(setting.Path))
                MustExist(source, setting.Path);
            return setting with { Path = Path.TrimEndingDirectorySeparator(setting.Path) };
        }
        catch (FormatException e)
        {
            throw new UsageException($"{source}: {e.Message}");
        }
    }

    /// <summary><c>--draft</c>: the draft model's full path; null where nothing is to be drafted.</summary>
    public static string? Draft(OptionValue value)
    {
        if (value.Text == NoDraft)
            return null;
        var path = Path.GetFullPath(value.Text);
        MustExist(value.Source, path);
        return path;
    }

    /// <summary><c>--mmproj</c>: the projector's full path, or <see cref="ModelSettings.NoProjector"/>.</summary>
    public static string Projector(OptionValue value)
    {
        if (value.Text == ModelSettings.NoProjector)
            return value.Text;
        var path = Path.GetFullPath(value.Text);
        MustExist(value.Source, path);
        return path;
    }

    /// <summary><c>--image</c> and <c>--audio</c>: the bytes of each file.</summary>
    public static IReadOnlyList<(string Path, byte[] Bytes)> Media(OptionValue value)
    {
        return [.. value.Texts.Select(Read)];

        (string, byte[]) Read(string path)
        {
            MustExist(value.Source, path);
            try
            {
                return (path, File.ReadAllBytes(path));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CommandException(ExitCode.Failed, $"{value.Source}: '{path}' cannot be read: {e.Message}");
            }
        }
    }

    /// <summary><c>--template</c>: the family's name, or the file's full path.</summary>
    public static string Template(OptionValue value)
    {
        try
        {
            _ = TemplateSource.Named(value.Text);
            return TemplateFamilies.Find(value.Text)?.Name
                ?? (value.Text.StartsWith(TemplateSource.TextPrefix, StringComparison.Ordinal) ? value.Text : Path.GetFullPath(value.Text));
        }
        catch (Exception e) when (e is FormatException or TemplateException)
        {
            throw new UsageException($"{value.Source}: {e.Message}");
        }
    }

    private static void MustExist(string source, string path)
    {
        if (!File.Exists(path))
            throw new CommandException(ExitCode.Failed, $"{source}: there is no file '{path}'");
    }
}
