using System.Globalization;

namespace Shimmy.Tests.Soak;

/// <summary>What Linux tells of a process.</summary>
/// <param name="ResidentBytes">Memory that is in RAM (VmRSS).</param>
/// <param name="PrivateBytes">The part of it that is no file's (RssAnon).</param>
/// <param name="Threads">Threads.</param>
/// <param name="Files">Open file descriptors.</param>
internal sealed record ProcessState(long ResidentBytes, long PrivateBytes, int Threads, int Files)
{
    /// <summary>Of the process with this id.</summary>
    public static ProcessState Of(int id)
    {
        var fields = File.ReadLines($"/proc/{id}/status").Select(line => line.Split(':', 2))
            .ToDictionary(pair => pair[0], pair => pair[1].Trim());
        return new ProcessState(Bytes("VmRSS"), Bytes("RssAnon"), int.Parse(fields["Threads"], CultureInfo.InvariantCulture),
            CountFiles(id));

        long Bytes(string name) => long.Parse(fields[name].Split(' ')[0], CultureInfo.InvariantCulture) * 1024;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{ResidentBytes / 1e6:F1} MB resident ({PrivateBytes / 1e6:F1} MB its own), {Threads} threads, {Files} open files");

    private static int CountFiles(int id) => Directory.EnumerateFileSystemEntries($"/proc/{id}/fd").Count();
}
