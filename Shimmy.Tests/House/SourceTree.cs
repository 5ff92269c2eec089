using System.Text.RegularExpressions;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.House;

/// <summary>
/// The program's source files, by path, with what each refers to: namespaces by its <c>using</c> lines, types by names with the namespace
/// in front (<c>Engine.Prompt</c>), and types of the folders above its own, which a namespace sees without one. Read as text, so that a
/// rule can be tried on files that do not exist.
/// </summary>
internal sealed partial class SourceTree
{
    private const string Top = "Shimmy";

    private readonly Dictionary<string, (string Text, string Code, string[] Types, string[] Qualified)> _read;
    private readonly ILookup<string, string> _typesByFolder;

    // Most tests change one file of the tree: what is as it was before is not read again.
    private SourceTree(IReadOnlyDictionary<string, string> files, SourceTree? before = null)
    {
        Files = files;
        _read = files.ToDictionary(file => file.Key, file =>
            before is not null && before._read.TryGetValue(file.Key, out var known) && known.Text == file.Value ? known : Of(file.Value));
        _typesByFolder = _read.SelectMany(file => file.Value.Types.Select(name => (Folder: FolderOf(file.Key), Name: name)))
            .Distinct()
            .ToLookup(type => type.Folder, type => type.Name);

        static (string Text, string Code, string[] Types, string[] Qualified) Of(string text)
        {
            var code = TextAndComments().Replace(text, " ");
            return (text, code, [.. Declaration().Matches(code).Select(match => match.Groups[1].Value)],
                [.. QualifiedName().Matches(code).Select(match => match.Groups[1].Value).Distinct()]);
        }
    }

    /// <summary>The text of each file by its path from the top of the repository, with slashes.</summary>
    public IReadOnlyDictionary<string, string> Files { get; }

    /// <summary>The files of the checkout.</summary>
    public static SourceTree Read() =>
        new(PathsIn(Top).ToDictionary(path => path, path => File.ReadAllText(Path.Combine(Repository.Root, path))));

    /// <summary>The paths of the source files in a folder of the checkout and in those below it, from its top, with slashes.</summary>
    public static IEnumerable<string> PathsIn(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Repository.Root, path).Replace('\\', '/'))
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal));

    /// <summary>The same tree with one more file, or with another text in place of one.</summary>
    public SourceTree With(string path, string text) => new(new Dictionary<string, string>(Files) { [path] = text }, this);

    /// <summary>The same tree with a line in front of a file.</summary>
    public SourceTree WithLine(string path, string line) => With(path, line + "\n" + Files[path]);

    /// <summary>A file's text without its comments and literals.</summary>
    public string CodeOf(string path) => _read[path].Code;

    /// <summary>
    /// Lines of a file longer than <paramref name="most"/>, less those that a literal carries past it: a literal cannot be broken.
    /// </summary>
    public static IEnumerable<(int Number, int Columns)> LongLinesOf(string text, int most)
    {
        var literals = TextAndComments().Matches(text).Where(match => match.Groups["literal"].Success).ToList();
        var (number, start) = (0, 0);
        foreach (var line in text.Split('\n'))
        {
            number++;
            var end = start + most;
            if (line.Length > most && !literals.Exists(literal => literal.Index < end && literal.Index + literal.Length > end))
                yield return (number, line.Length);
            start += line.Length + 1;
        }
    }

    /// <summary>A file's folder below <c>Shimmy/</c>; empty at the top.</summary>
    public static string FolderOf(string path)
    {
        var folder = path[..path.LastIndexOf('/')];
        return folder == Top ? "" : folder[(Top.Length + 1)..];
    }

    /// <summary>The layer of a folder, its first name: <c>Worker</c> of <c>Worker/Native</c>.</summary>
    public static string LayerOf(string folder) => folder.Split('/')[0];

    /// <summary>Every reference from a file to another folder, the file first.</summary>
    public IEnumerable<(string File, string Folder)> Arrows()
    {
        foreach (var (path, text) in Files)
        {
            var own = FolderOf(path);
            var named = UsingLine().Matches(text).Select(match => FolderOfNamespace(match.Groups[1].Value))
                .Concat(_read[path].Qualified.Select(name => FolderOfType(name, own)));
            foreach (var target in named.OfType<string>().Where(target => target != own).Distinct())
                yield return (path, target);
            // A namespace sees the types of those that it lies in.
            for (var above = own; above.Contains('/', StringComparison.Ordinal);)
            {
                above = above[..above.LastIndexOf('/')];
                var types = _typesByFolder[above].ToHashSet();
                if (Identifier().Matches(_read[path].Code).Any(name => types.Contains(name.Value)))
                    yield return (path, above);
            }
        }
    }

    // The longest namespace that is a folder: the rest of a using static or an alias is a type.
    private string? FolderOfNamespace(string name)
    {
        var parts = name.Split('.');
        if (parts[0] != Top)
            return null;
        for (var count = parts.Length; count > 1; count--)
        {
            var folder = string.Join('/', parts[1..count]);
            if (_typesByFolder.Contains(folder))
                return folder;
        }
        return null;
    }

    // The folder of a type that is named with its namespace, whole or from a folder above: Engine.Prompt, Runtime.Value.
    private string? FolderOfType(string name, string from)
    {
        var parts = name.Split('.');
        for (var above = from; ; above = above.LastIndexOf('/') is >= 0 and var end ? above[..end] : "")
        {
            for (var count = parts.Length - 1; count > 0; count--)
            {
                var folder = string.Join('/', parts[..count].Prepend(above).Where(part => part.Length > 0));
                if (_typesByFolder.Contains(folder) && _typesByFolder[folder].Contains(parts[count]))
                    return folder;
            }
            if (above.Length == 0)
                return null;
        }
    }

    [GeneratedRegex(@"^(?:global )?using (?:static )?(?:\w+ = )?(Shimmy[\w.]*)", RegexOptions.Multiline)]
    private static partial Regex UsingLine();

    [GeneratedRegex(@"\b(?:class|struct|record|interface|enum|delegate [\w<>?\[\]]+) (?:class |struct )?([A-Z]\w*)")]
    private static partial Regex Declaration();

    // Names of types stand alone or in front of a dot; behind one stands a member.
    [GeneratedRegex(@"(?<![\w.@])[A-Z]\w*")]
    private static partial Regex Identifier();

    [GeneratedRegex(@"(?<![\w.:])(?:global::)?(?:Shimmy\.)?([A-Z]\w*(?:\.[A-Z]\w*)+)")]
    private static partial Regex QualifiedName();

    [GeneratedRegex("""
        //[^\n]* | /\*.*?\*/ |
        (?<literal> \$*""{3,}.*?""{3,} | \$?@"(?:[^"]|"")*" | \$?"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)+' )
        """, RegexOptions.Singleline | RegexOptions.IgnorePatternWhitespace)]
    private static partial Regex TextAndComments();
}
