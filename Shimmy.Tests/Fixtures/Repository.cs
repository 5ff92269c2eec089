namespace Shimmy.Tests.Fixtures;

/// <summary>The checkout that the tests were built from.</summary>
internal static class Repository
{
    /// <summary>Its top folder.</summary>
    public static string Root { get; } = Find();

    /// <summary>
    /// What a document under <c>docs</c> has between three backticks and a language, the first of that language: the tests then run what
    /// its readers copy.
    /// </summary>
    public static string Block(string document, string language)
    {
        var text = File.ReadAllText(Path.Combine(Root, "docs", document)).ReplaceLineEndings("\n");
        var mark = $"```{language}\n";
        var begin = text.IndexOf(mark, StringComparison.Ordinal);
        return begin < 0
            ? throw new InvalidDataException($"docs/{document} has nothing in {language}")
            : text[(begin + mark.Length)..text.IndexOf("```", begin + mark.Length, StringComparison.Ordinal)];
    }

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "shimmy.slnx")))
                return folder.FullName;
        }

        throw new DirectoryNotFoundException($"No shimmy.slnx above {AppContext.BaseDirectory}: run the tests inside the checkout.");
    }
}
