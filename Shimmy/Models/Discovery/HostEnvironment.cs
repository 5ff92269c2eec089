namespace Shimmy.Models.Discovery;

/// <summary>What the search for models depends on outside this process; tests put other systems in its place.</summary>
internal sealed record HostEnvironment
{
    /// <summary>Reads an environment variable; null or empty where it is not set.</summary>
    public required Func<string, string?> Variable { get; init; }

    /// <summary>The user's home folder.</summary>
    public required string Home { get; init; }

    /// <summary>The folder that <c>./</c> means.</summary>
    public required string CurrentDirectory { get; init; }

    /// <summary>The folder of the executable.</summary>
    public required string ExecutableDirectory { get; init; }

    /// <summary>The kind of system, which decides where other tools keep their files.</summary>
    public required HostSystem System { get; init; }

    /// <summary>This machine and process.</summary>
    public static HostEnvironment Current() => new()
    {
        Variable = Environment.GetEnvironmentVariable,
        Home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify),
        CurrentDirectory = Environment.CurrentDirectory,
        ExecutableDirectory = AppContext.BaseDirectory,
        System = OperatingSystem.IsWindows() ? HostSystem.Windows
            : OperatingSystem.IsMacOS() ? HostSystem.MacOS
            : HostSystem.Linux,
    };

    /// <summary>The variable's value; null where it is not set or blank.</summary>
    public string? Value(string variable) =>
        Variable(variable) is { } value && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;

    /// <summary>The folder that a variable names; null where it is not set.</summary>
    public string? Folder(string variable) => Value(variable) is { } folder ? Absolute(folder) : null;

    /// <summary>
    /// A path as a user wrote it, made whole: <c>~</c> is the home folder, what is relative begins in the current one.
    /// </summary>
    public string Absolute(string path)
    {
        if (path is "~" || path is ['~', '/' or '\\', ..])
        {
            return path.Length <= 2 ? Home : Join(Home, path[2..]);
        }

        var rooted = System == HostSystem.Windows
            ? path is ['\\' or '/', ..] or [_, ':', '\\' or '/', ..]
            : path.StartsWith('/');
        return rooted ? path : Join(CurrentDirectory, path is ['.', '/' or '\\', .. var rest] ? rest : path);
    }

    /// <summary>The folder that a path lies in.</summary>
    public string FolderOf(string path)
    {
        var at = System == HostSystem.Windows ? path.AsSpan().LastIndexOfAny('\\', '/') : path.LastIndexOf('/');
        return at <= 0 ? path[..(at + 1)] : path[..at];
    }

    /// <summary>
    /// The folder for files that can be made again: XDG_CACHE_HOME or <c>~/.cache</c>, <c>~/Library/Caches</c>, LOCALAPPDATA.
    /// </summary>
    public string CacheFolder() => System switch
    {
        HostSystem.Windows => Value("LOCALAPPDATA") ?? Join(Home, "AppData", "Local"),
        HostSystem.MacOS => Join(Home, "Library", "Caches"),
        _ => Value("XDG_CACHE_HOME") ?? Join(Home, ".cache"),
    };

    /// <summary>Joins path parts in the system's own way.</summary>
    public string Join(string folder, params ReadOnlySpan<string> parts)
    {
        var separator = System == HostSystem.Windows ? '\\' : '/';
        var joined = folder;
        foreach (var part in parts)
        {
            joined = joined.EndsWith(separator) || joined.EndsWith('/') ? joined + part : joined + separator + part;
        }

        return joined;
    }
}

/// <summary>Kinds of system.</summary>
internal enum HostSystem
{
    /// <summary>Linux and its kin.</summary>
    Linux,

    /// <summary>Windows.</summary>
    Windows,

    /// <summary>macOS.</summary>
    MacOS,
}
