namespace Shimmy.Tests.Fixtures;

/// <summary>The checkout that the tests were built from.</summary>
internal static class Repository
{
    /// <summary>Its top folder.</summary>
    public static string Root { get; } = Find();

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
