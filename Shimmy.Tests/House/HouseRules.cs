namespace Shimmy.Tests.House;

/// <summary>The rules of the house, each as what breaks it in a tree: one line a place, none where the rule holds.</summary>
internal static class HouseRules
{
    /// <summary>The layers from the top down; a layer uses those behind it. docs/architecture.md says what each is.</summary>
    public static readonly string[] Layers =
        ["Cli", "Server", "Api", "Http", "Observability", "Chat", "Jinja", "Models", "Engine", "SafeTensors", "Gguf"];

    /// <summary>The layer of what runs in the child process: it uses these, and nothing uses it but Program.cs, which starts it.</summary>
    public const string Child = "Worker";

    /// <summary>
    /// The only folders with pointers and native calls: llama.cpp's in the child, and the terminal's modes, which .NET does not set, in the
    /// command line's process, which may not use the child's.
    /// </summary>
    public static readonly string[] Native = ["Worker/Native", "Cli/Terminal/Native"];

    private const int MostFilesOfFolder = 20;
    private const int MostFiles = 548;
    private const int LongestFile = 500;
    private const int TypicalFile = 110;
    private const int LongestLine = 140;

    /// <summary>References to a layer above, to another dialect, and into or out of the layer of the child.</summary>
    public static IEnumerable<string> UpwardArrows(SourceTree tree) =>
        from arrow in tree.Arrows()
        let folder = SourceTree.FolderOf(arrow.File)
        where folder.Length > 0 && !MayUse(folder, arrow.Folder)
        select $"{arrow.File} uses {arrow.Folder}";

    /// <summary>Circles of folders; a folder and one inside it are two.</summary>
    public static IEnumerable<string> Circles(SourceTree tree)
    {
        var arrows = tree.Arrows().Select(arrow => (From: SourceTree.FolderOf(arrow.File), To: arrow.Folder))
            .Where(arrow => arrow.From.Length > 0).Distinct().ToLookup(arrow => arrow.From, arrow => arrow.To);
        return from start in arrows.Select(arrow => arrow.Key).Order(StringComparer.Ordinal)
               where Reaches(arrows, start)
               select $"{start} uses a folder that uses it: {string.Join(", ", arrows[start].Where(next => next == start || Reaches(arrows, next, start)))}";
    }

    /// <summary>Pointers and imported functions outside the folder that is made for them.</summary>
    public static IEnumerable<string> NativeCode(SourceTree tree) =>
        from path in tree.Files.Keys
        where !Native.Contains(SourceTree.FolderOf(path))
        let code = tree.CodeOf(path)
        from word in (string[])["unsafe ", "[LibraryImport", "[DllImport"]
        where code.Contains(word, StringComparison.Ordinal)
        select $"{path} has {word.Trim(' ', '[')}";

    /// <summary>Folders with more files than one looks through.</summary>
    public static IEnumerable<string> CrowdedFolders(IEnumerable<string> paths) =>
        from folder in paths.GroupBy(path => path[..path.LastIndexOf('/')])
        where folder.Count() > MostFilesOfFolder
        select $"{folder.Key} has {folder.Count()} files; {MostFilesOfFolder} are allowed";

    /// <summary>A program with more files than one gets to know.</summary>
    public static IEnumerable<string> ManyFiles(SourceTree tree)
    {
        if (tree.Files.Count > MostFiles)
            yield return $"there are {tree.Files.Count} files; {MostFiles} are allowed";
    }

    /// <summary>Files that are too long, and a tree half of whose files are longer than one reads at once, blank lines not counted.</summary>
    public static IEnumerable<string> LongFiles(SourceTree tree)
    {
        foreach (var file in tree.Files.Where(file => file.Value.Count('\n') > LongestFile))
            yield return $"{file.Key} has more than {LongestFile} lines";
        var lengths = tree.Files.Values.Select(text => text.Split('\n').Count(line => line.AsSpan().Trim().Length > 0)).Order().ToList();
        if (lengths[lengths.Count / 2] >= TypicalFile)
            yield return $"half of the files have {lengths[lengths.Count / 2]} lines and more; it is to have less than {TypicalFile}";
    }

    /// <summary>Lines that are too long.</summary>
    public static IEnumerable<string> LongLines(SourceTree tree) =>
        from file in tree.Files
        from line in SourceTree.LongLinesOf(file.Value, LongestLine)
        select $"{file.Key}:{line.Number} has {line.Columns} columns; {LongestLine} are allowed";

    private static bool MayUse(string folder, string other)
    {
        var (layer, used) = (SourceTree.LayerOf(folder), SourceTree.LayerOf(other));
        if (layer == used)
            return layer != "Api" || DialectOf(folder) is not { } dialect || DialectOf(other) is not { } another || dialect == another;
        if (layer == Child || used == Child)
            return layer == Child && used is "Engine" or "Gguf";
        return Array.IndexOf(Layers, layer) is >= 0 and var at && Array.IndexOf(Layers, used) > at;
    }

    private static string? DialectOf(string folder) => folder.Split('/') is [_, var dialect, ..] ? dialect : null;

    private static bool Reaches(ILookup<string, string> arrows, string from, string? to = null)
    {
        var seen = new HashSet<string>();
        var open = new Stack<string>(arrows[from]);
        while (open.TryPop(out var next))
        {
            if (next == (to ?? from))
                return true;
            foreach (var further in seen.Add(next) ? arrows[next] : [])
                open.Push(further);
        }
        return false;
    }
}
