using System.Text;

namespace Shimmy.Models.Pull;

/// <summary>
/// The one place where names that come from a registry, or that a registry is asked for, become parts of paths. What passes stays below
/// the folder that it is joined to, on every system, and means one file there.
/// </summary>
internal static class RegistryPath
{
    private const int LongestPath = 400;
    private const int LongestPart = 200;
    private const int LongestName = 96;
    private const int MostParts = 8;

    // Windows has them in every folder, with any ending.
    private static readonly string[] Devices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];

    /// <summary>
    /// Why a path of a registry's file, with slashes between its parts, is not used; null where it is.
    /// </summary>
    public static string? WhyNot(string path)
    {
        if (path.Length is 0 or > LongestPath)
            return $"has {path.Length} characters; 1 to {LongestPath} are allowed";
        var parts = path.Split('/');
        if (parts.Length > MostParts)
            return $"has {parts.Length} parts; at most {MostParts} are allowed";
        foreach (var part in parts)
        {
            if (WhyNotPart(part) is { } reason)
                return reason;
        }
        return null;
    }

    /// <summary>
    /// Whether a name is one that repositories, models and tags have: letters, digits, <c>-</c>, <c>_</c> and <c>.</c> within.
    /// </summary>
    public static bool IsName(string name)
    {
        if (name.Length is 0 or > LongestName || name.Contains("..", StringComparison.Ordinal)
            || name.Contains("--", StringComparison.Ordinal))
        {
            return false;
        }
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.'))
                return false;
        }
        return name[0] is not ('.' or '-') && name[^1] is not ('.' or '-') && WhyNotPart(name) is null;
    }

    /// <summary>Whether a text is a hash in hexadecimal of so many characters.</summary>
    public static bool IsHash(string? text, int length) =>
        text?.Length == length && text.All(char.IsAsciiHexDigitLower);

    /// <summary>
    /// The first of these paths that means the same file as another on some system, or a folder where another is a file; null where none
    /// does.
    /// </summary>
    public static string? Collision(IEnumerable<string> paths)
    {
        var files = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        var folders = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var path in paths)
        {
            var form = UnicodeComposition.Of(path);
            if (folders.ContainsKey(form) || !files.Add(form))
                return path;
            for (var at = form.LastIndexOf('/'); at > 0; at = form.LastIndexOf('/', at - 1))
            {
                var folder = form[..at];
                if (files.Contains(folder) || (folders.TryGetValue(folder, out var other) && other != folder))
                    return path;
                folders[folder] = folder;
            }
        }
        return null;
    }

    /// <summary>
    /// The full path below a folder. Throws <see cref="PullException"/> where <paramref name="path"/> is not allowed.
    /// </summary>
    public static string Below(string folder, string path)
    {
        var root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var full = WhyNot(path) is { } reason
            ? throw new PullException(PullFailure.BadAnswer, $"a file is called '{Shown(path)}', which {reason}: nothing is written")
            : Path.GetFullPath(Path.Join(root, path.Replace('/', Path.DirectorySeparatorChar)));
        return full.StartsWith(root + Path.DirectorySeparatorChar, StringComparison.Ordinal) || root.EndsWith(Path.DirectorySeparatorChar)
            ? full
            : throw new PullException(PullFailure.BadAnswer, $"'{Shown(path)}' is not below {root}");
    }

    /// <summary>A text of a registry as people can be shown it: of bounded length, without control characters.</summary>
    public static string Shown(string text) => ShownText.Of(text, 120);

    private static string? WhyNotPart(string part)
    {
        if (part.Length == 0)
            return "has an empty part";
        if (part.Length > LongestPart)
            return $"has a part of {part.Length} characters; at most {LongestPart} are allowed";
        if (part[0] is ' ' || part[^1] is '.' or ' ')
            return "has a part that begins with a blank, or ends with a blank or a dot";
        for (var i = 0; i < part.Length; i++)
        {
            var c = part[i];
            var isHidden = Rune.TryGetRuneAt(part, i, out var character) && ShownText.IsHidden(character);
            if (isHidden || c is '\u200C' or '\u200D' or '\\' or ':' or '*' or '?' or '"' or '<' or '>' or '|')
                return $"has a character (U+{(int)c:X4}) that names of files cannot have everywhere";
            if (char.IsSurrogate(c) && !(char.IsHighSurrogate(c) ? i + 1 < part.Length && char.IsLowSurrogate(part[i + 1]) : i > 0
                && char.IsHighSurrogate(part[i - 1])))
            {
                return "is not valid Unicode (half a surrogate pair)";
            }
        }
        if (part.EndsWith(PartialFile.Ending, StringComparison.OrdinalIgnoreCase))
            return $"ends in {PartialFile.Ending}, which is for files that are not complete";
        return IsDevice(part) ? "is the name of a device on Windows" : null;
    }

    private static bool IsDevice(string part)
    {
        var dot = part.IndexOf('.', StringComparison.Ordinal);
        var name = (dot < 0 ? part : part[..dot]).TrimEnd(' ');
        return Array.Exists(Devices, device => device.Equals(name, StringComparison.OrdinalIgnoreCase))
            || (name.Length == 4 && (name.StartsWith("COM", StringComparison.OrdinalIgnoreCase)
                || name.StartsWith("LPT", StringComparison.OrdinalIgnoreCase))
                && (char.IsAsciiDigit(name[3]) || name[3] is '\u00B9' or '\u00B2' or '\u00B3'));
    }
}
