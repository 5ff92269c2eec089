namespace Shimmy.Models.Discovery;

/// <summary>The places that are searched for models, in their order: where two files have one name, the earlier place wins.</summary>
internal static class SearchOrder
{
    /// <summary>The variable that names one model to register by hand; its folder is searched too.</summary>
    public const string BaseGguf = "SHIMMY_BASE_GGUF";

    /// <summary>The variable that adds folders, separated by <c>;</c> on every system.</summary>
    public const string ModelPaths = "SHIMMY_MODEL_PATHS";

    /// <summary>The sources of this machine.</summary>
    /// <param name="host">Where to look.</param>
    /// <param name="modelDirs">Folders of <c>--model-dirs</c>, separated by <c>;</c>; null where the option was not given.</param>
    public static IReadOnlyList<IModelSource> Sources(HostEnvironment host, string? modelDirs = null)
    {
        var sources = new List<IModelSource>
        {
            new FolderSource("models", host.Join(host.CurrentDirectory, "models")),
            new FolderSource("app", host.Join(host.ExecutableDirectory, "models")),
        };
        if (host.Value(BaseGguf) is { } file && Path.GetDirectoryName(Path.GetFullPath(file, host.CurrentDirectory)) is { } folder)
        {
            // Only what lies right beside it: the file may lie in a home folder.
            sources.Add(new FolderSource("base", folder, maxDepth: 0));
        }

        foreach (string given in Folders(modelDirs).Concat(Folders(host.Value(ModelPaths))))
        {
            sources.Add(new FolderSource("dirs", Path.GetFullPath(Expanded(given, host), host.CurrentDirectory)));
        }

        return sources;
    }

    private static string[] Folders(string? list) =>
        list?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    // A shell leaves the tilde alone inside a list.
    private static string Expanded(string folder, HostEnvironment host) =>
        folder is "~" ? host.Home : folder is ['~', '/' or '\\', .. var rest] ? host.Join(host.Home, rest) : folder;
}
