namespace Shimmy.Models.Discovery;

/// <summary>Paths without links, as realpath(3) gives them.</summary>
internal static class RealPath
{
    private const int MaxLinks = 40; // what Linux allows (ELOOP)

    /// <summary>
    /// The path with every link in it followed. What does not exist stays as it is. Throws <see cref="IOException"/> for a loop.
    /// </summary>
    public static string Of(string path)
    {
        string full = Path.GetFullPath(path);
        string root = Path.GetPathRoot(full)!;
        var pending = new Stack<string>(Parts(full[root.Length..]).AsEnumerable().Reverse());
        string done = root;
        for (int links = 0; pending.TryPop(out string? part);)
        {
            string next = Path.Join(done, part);
            if (new FileInfo(next).LinkTarget is not { } target)
            {
                done = next;
                continue;
            }

            if (++links > MaxLinks)
            {
                throw new IOException($"too many links on the way to {path}");
            }

            string resolved = Path.GetFullPath(target, done);
            done = Path.GetPathRoot(resolved)!;
            foreach (string step in Parts(resolved[done.Length..]).AsEnumerable().Reverse())
            {
                pending.Push(step);
            }
        }

        return done;
    }

    private static string[] Parts(string path) =>
        path.Split([Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries);
}
