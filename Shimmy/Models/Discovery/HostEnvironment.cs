namespace Shimmy.Models.Discovery;

/// <summary>
/// Environment variables, folders and kind of the operating system, which the search for models depends on. Tests replace them.
/// </summary>
internal sealed record HostEnvironment
{
    /// <summary>Reads an environment variable; null or empty where unset.</summary>
    public required Func<string, string?> Variable { get; init; }

    /// <summary>The user's home folder.</summary>
    public required string Home { get; init; }

    /// <summary>The current working directory.</summary>
    public required string CurrentDirectory { get; init; }

    /// <summary>The folder of the executable.</summary>
    public required string ExecutableDirectory { get; init; }

    /// <summary>The operating system, which decides where other tools keep their files.</summary>
    public required HostSystem System { get; init; }

    /// <summary>The environment of this process.</summary>
    public static HostEnvironment Current() => new()
    {
        Variable = Environment.GetEnvironmentVariable,
        Home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify),
        CurrentDirectory = WorkingFolder(),
        ExecutableDirectory = AppContext.BaseDirectory,
        System = OperatingSystem.IsWindows() ? HostSystem.Windows
            : OperatingSystem.IsMacOS() ? HostSystem.MacOS
            : HostSystem.Linux,
    };

    // The folder may have been deleted, or be out of reach; then relative paths lead nowhere.
    private static string WorkingFolder()
    {
        try
        {
            return Environment.CurrentDirectory;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Path.GetPathRoot(AppContext.BaseDirectory)!;
        }
    }

    /// <summary>The trimmed value of an environment variable; null where unset or blank.</summary>
    public string? Value(string variable) =>
        Variable(variable) is { } value && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;

    /// <summary>The value of an environment variable as an absolute path; null where unset or blank.</summary>
    public string? Folder(string variable) => Value(variable) is { } folder ? Absolute(folder) : null;

    /// <summary>A user's path, in which <c>~</c> is the home folder.</summary>
    public string WithHome(string path) => path switch
    {
        "~" or ['~', '/' or '\\'] => Home,
        ['~', '/' or '\\', .. var rest] => Join(Home, rest),
        _ => path,
    };

    /// <summary>
    /// Makes a user's path absolute: <c>~</c> is the home folder; a relative path starts in the working directory.
    /// </summary>
    public string Absolute(string path)
    {
        if (WithHome(path) is var place && place != path)
            return place;

        var rooted = System == HostSystem.Windows
            ? path is ['\\' or '/', ..] or [_, ':', '\\' or '/', ..]
            : path.StartsWith('/');
        return rooted ? path : Join(CurrentDirectory, path is ['.', '/' or '\\', .. var rest] ? rest : path);
    }

    /// <summary>The parent folder of a path, by the rules of <see cref="System"/>.</summary>
    public string FolderOf(string path)
    {
        var at = System == HostSystem.Windows ? path.AsSpan().LastIndexOfAny('\\', '/') : path.LastIndexOf('/');
        return at <= 0 ? path[..(at + 1)] : path[..at];
    }

    /// <summary>
    /// The user's cache folder: LOCALAPPDATA on Windows, <c>~/Library/Caches</c> on macOS, XDG_CACHE_HOME or <c>~/.cache</c> elsewhere.
    /// </summary>
    public string CacheFolder() => System switch
    {
        HostSystem.Windows => Value("LOCALAPPDATA") ?? Join(Home, "AppData", "Local"),
        HostSystem.MacOS => Join(Home, "Library", "Caches"),
        _ => Value("XDG_CACHE_HOME") ?? Join(Home, ".cache"),
    };

    /// <summary>
    /// The user's folder for what programs remember between runs: LOCALAPPDATA on Windows, XDG_STATE_HOME or <c>~/.local/state</c>
    /// elsewhere.
    /// </summary>
    public string StateFolder() => System == HostSystem.Windows
        ? Value("LOCALAPPDATA") ?? Join(Home, "AppData", "Local")
        : Value("XDG_STATE_HOME") ?? Join(Home, ".local", "state");

    /// <summary>Joins path parts with the separator of <see cref="System"/>.</summary>
    public string Join(string folder, params ReadOnlySpan<string> parts)
    {
        var separator = System == HostSystem.Windows ? '\\' : '/';
        var joined = folder;
        foreach (var part in parts)
            joined = joined.EndsWith(separator) || joined.EndsWith('/') ? joined + part : joined + separator + part;

        return joined;
    }
}

/// <summary>Operating systems with different folders.</summary>
internal enum HostSystem
{
    /// <summary>Linux and other Unix systems.</summary>
    Linux,

    /// <summary>Windows.</summary>
    Windows,

    /// <summary>macOS.</summary>
    MacOS,
}
