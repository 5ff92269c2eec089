using System.Text;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Native;
using Shimmy.Gguf;
using Shimmy.Models.Discovery;
using static Shimmy.Cli.Packing.PackedProgram;

namespace Shimmy.Cli.Packing;

/// <summary>
/// A packed program in the cache folder, from which it runs: under the hash of its index, unpacked by the first start, and used by every
/// start that finds all files of the index there, in their lengths. A model that may be mapped where it lies is not written again: in its
/// place stands where it is (<see cref="GgufPlace"/>), which a start from another place corrects.
/// </summary>
internal static class UnpackedProgram
{
    private const string LockEnding = ".lock";
    private const int LockPause = 100;

    // What a start that was killed left behind is taken away once it is so old.
    private static readonly TimeSpan LeftAfter = TimeSpan.FromHours(1);

    /// <summary>What moves the cache folder (<see cref="HostEnvironment.CacheFolder"/>), for errors.</summary>
    public static string Elsewhere =>
        (OperatingSystem.IsWindows() ? "LOCALAPPDATA" : OperatingSystem.IsMacOS() ? "HOME" : "XDG_CACHE_HOME") + " names another folder";

    /// <summary>Below which folder this user's programs are unpacked.</summary>
    public static string Root
    {
        get
        {
            var host = HostEnvironment.Current();
            return host.Join(host.CacheFolder(), "shimmy", "packed");
        }
    }

    /// <summary>
    /// Unpacks a file below a folder, unless it is there already with all its files. Throws <see cref="CommandException"/> where that
    /// fails, or where others could change what is there.
    /// </summary>
    /// <returns>The program in there; null where the file carries nothing.</returns>
    public static string? Of(string path, string root)
    {
        using var file = File.OpenRead(path);
        if (ReadIndex(file) is not { } packed)
            return null;
        var folder = Path.Join(root, packed.Id);
        try
        {
            PrivateFile.MakeFolder(root);
            RefuseRename(root);
            RefuseOthers(root);
            if (!IsReady(folder, packed.Parts, path))
            {
                using var turn = Turn(folder);
                if (!IsReady(folder, packed.Parts, path))
                    Unpack(file, packed, folder);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.Failed, $"cannot unpack into {folder}: {e.Message} ({Elsewhere})");
        }
        return Path.Join(folder, packed.Parts[0].Path);
    }

    /// <summary>
    /// Compares the SHA-256 of every file that one was unpacked into; a start looks at lengths alone. Throws
    /// <see cref="CommandException"/> where one differs.
    /// </summary>
    /// <returns>The folder; null where it has not been unpacked below the root.</returns>
    public static string? Verify(string path, string root)
    {
        using var file = File.OpenRead(path);
        if (ReadIndex(file) is not { } packed)
            return null;
        var folder = Path.Join(root, packed.Id);
        if (!Directory.Exists(folder))
            return null;
        foreach (var part in packed.Parts)
        {
            var unpacked = Path.Join(folder, part.Path);
            if (Stays(part) ? !File.Exists(unpacked) : !IsAsPacked(unpacked, part))
            {
                throw new CommandException(ExitCode.Failed,
                    $"{unpacked} is not what was packed; remove {folder}, and the next start unpacks it again");
            }
        }
        return folder;
    }

    // Linux alone: elsewhere the libraries may have another C library than the one that opens the file for them.
    private static bool Stays(Part part) => part.Kind == PartKind.Model && OperatingSystem.IsLinux();

    private static bool IsAsPacked(string path, Part part)
    {
        if (!File.Exists(path))
            return false;
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
        return Copy(file, long.MaxValue, Stream.Null) == (part.Hash, part.Length);
    }

    // A folder gets its name when all is written, and may lose files later, to what cleans caches or to a disk that was full. A model's
    // place is corrected where all the rest is there.
    private static bool IsReady(string folder, List<Part> parts, string path)
    {
        if (!Directory.Exists(folder))
            return false;
        RefuseOthers(folder);
        if (!IsWhole(folder, parts))
            return false;
        foreach (var part in parts.Where(Stays))
        {
            // One that leads to another copy of the same program is left: a server may run from that.
            var model = Path.Join(folder, part.Path);
            if (!LeadsToModel(model))
                SmallFile.Write(model, Encoding.UTF8.GetBytes(PlaceOf(part, path).Text()), Partial);
        }
        return true;
    }

    private static bool LeadsToModel(string path)
    {
        try
        {
            return GgufPlace.Of(path).IsPart;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    // By names and lengths: hashes would read all of it at every start.
    private static bool IsWhole(string folder, List<Part> parts) => parts.TrueForAll(part =>
        new FileInfo(Path.Join(folder, part.Path)) is { Exists: true } file && (Stays(part) || file.Length == part.Length));

    private static GgufPlace PlaceOf(Part part, string path) => new(path, part.Offset, part.Length);

    private static void Unpack(FileStream file, (string Id, List<Part> Parts) packed, string folder)
    {
        var root = Path.GetDirectoryName(folder)!;
        foreach (var left in Directory.EnumerateDirectories(root, "*" + Partial))
            RemoveLeft(left, packed.Id);
        Console.Error.WriteLine($"unpacking {ByteCount.Megabytes(packed.Parts.Where(part => !Stays(part)).Sum(part => part.Length))} MB into "
            + $"{folder}, {(Directory.Exists(folder) ? "again, since files in it are missing or were changed" : "once")}");
        var partial = $"{folder}.{Guid.NewGuid():N}{Partial}";
        try
        {
            foreach (var part in packed.Parts)
            {
                var path = Path.Join(partial, part.Path);
                PrivateFile.MakeFolder(Path.GetDirectoryName(path)!);
                using var target = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1);
                Copy(file, part, Stays(part) ? Stream.Null : target);
                if (Stays(part))
                    target.Write(Encoding.UTF8.GetBytes(PlaceOf(part, file.Name).Text()));
                target.Flush(flushToDisk: true);
                if (!OperatingSystem.IsWindows())
                    File.SetUnixFileMode(path, Mode(part.Kind));
            }
            // Where the file system has no locks, another start may have been first, and runs from there.
            if (IsReady(folder, packed.Parts, file.Name))
            {
                Directory.Delete(partial, recursive: true);
                return;
            }
            if (Directory.Exists(folder))
                PutAside(folder);
            Directory.Move(partial, folder);
        }
        catch
        {
            if (Directory.Exists(partial))
                Directory.Delete(partial, recursive: true);
            throw;
        }
        TellOthers(root, packed.Id);
    }

    // Each version of a packed program has a folder of its own, and nobody but the user knows which are still run.
    private static void TellOthers(string root, string id)
    {
        try
        {
            var others = Directory.GetDirectories(root)
                .Where(other => Path.GetFileName(other) != id && !other.EndsWith(Partial, StringComparison.Ordinal)).ToList();
            var bytes = others.SelectMany(other => Directory.EnumerateFiles(other, "*", SearchOption.AllDirectories))
                .Sum(path => new FileInfo(path).Length);
            if (others.Count > 0)
            {
                Console.Error.WriteLine($"{root} also has {others.Count} other packed program{(others.Count > 1 ? "s" : "")}, "
                    + $"{ByteCount.Megabytes(bytes)} MB; remove the folders of those that are no longer run");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another's, or removed meanwhile: it is only a hint.
        }
    }

    // One start unpacks; the others wait for it. The system takes the lock away from a process that dies.
    private static FileStream Turn(string folder)
    {
        for (var waits = false; ; waits = true)
        {
            try
            {
                return SmallFile.Lock(folder + LockEnding);
            }
            catch (IOException e) when (IsHeld(e))
            {
                if (!waits)
                    Console.Error.WriteLine($"waiting for another start that unpacks into {folder}");
                Thread.Sleep(LockPause);
            }
        }
    }

    // EWOULDBLOCK of Linux and of macOS, ERROR_SHARING_VIOLATION.
    private static bool IsHeld(IOException e) => e.HResult is 11 or 35 or unchecked((int)0x80070020);

    // The lock says that somebody still writes; the age covers file systems without locks.
    private static void RemoveLeft(string left, string id)
    {
        if (DateTime.UtcNow - Directory.GetLastWriteTimeUtc(left) < LeftAfter)
            return;
        var owner = Path.GetFileName(left).Split('.')[0];
        try
        {
            // That of this program is held by this process.
            using var unheld = owner == id ? null : SmallFile.Lock(Path.Join(Path.GetDirectoryName(left), owner + LockEnding));
            Directory.Delete(left, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is still being written, or another start takes it away.
        }
    }

    // Under a name that a later start takes away, where a program that still runs from it holds it.
    private static void PutAside(string folder)
    {
        var old = $"{folder}.{Guid.NewGuid():N}{Partial}";
        Directory.Move(folder, old);
        try
        {
            Directory.Delete(old, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // RemoveLeft finds it.
        }
    }

    // Whoever may rename a folder above decides as well what runs here. Of groups only Shimmy's own folder is kept: many systems give each
    // user a group of its own, which may write to all that the user makes.
    private static void RefuseRename(string root)
    {
        if (OperatingSystem.IsWindows())
            return;
        var own = RealPath.Of(Path.GetDirectoryName(root)!);
        for (var above = own; above is not null; above = Path.GetDirectoryName(above))
        {
            var mode = File.GetUnixFileMode(above);
            var refused = above == own ? UnixFileMode.OtherWrite | UnixFileMode.GroupWrite : UnixFileMode.OtherWrite;
            if ((mode & UnixFileMode.StickyBit) != 0 || (mode & refused) == 0)
                continue;
            if (above != own || FileOwner.IsTrusted(above) == false)
                throw Refusal(above);
            try
            {
                // What others have put into it meanwhile is theirs, and refused below.
                File.SetUnixFileMode(above, mode & ~(UnixFileMode.GroupWrite | UnixFileMode.OtherWrite));
            }
            catch (UnauthorizedAccessException) when ((mode & UnixFileMode.OtherWrite) != 0)
            {
                throw Refusal(above);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Root's, for a group, as images have it; or a file system that is only read.
            }
        }
    }

    // Whoever may write there decides what runs here.
    private static void RefuseOthers(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        var mode = File.GetUnixFileMode(folder);
        if ((mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0)
            throw Refusal(folder);
        var isTrusted = FileOwner.IsTrusted(folder);
        if (isTrusted == true)
            return;
        try
        {
            // It changes nothing; only the owner may do it, and root, of whom it says nothing.
            File.SetUnixFileMode(folder, mode);
            if (isTrusted is null)
                return;
        }
        catch (UnauthorizedAccessException)
        {
            // Another's.
        }
        catch (IOException)
        {
            // A file system that is only read: nobody changes it.
            return;
        }
        throw new CommandException(ExitCode.Failed, $"{folder} is another user's, so nothing in it is run ({Elsewhere})");
    }

    private static CommandException Refusal(string folder) => new(
        ExitCode.Failed, $"others may write to {folder}, so nothing in it is run; remove it, or chmod go-w it ({Elsewhere})");
}
