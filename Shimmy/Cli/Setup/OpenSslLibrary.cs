using System.Runtime.InteropServices;

namespace Shimmy.Cli.Setup;

/// <summary>
/// OpenSSL, which .NET loads on Linux with the first hash or random number. Where it is missing .NET ends the process in the middle of the
/// first request; so commands that answer requests look for it before they begin.
/// </summary>
internal static class OpenSslLibrary
{
    // What .NET 10 looks for, in its order (opensslshim.c); a variable may name another before them.
    private const string Variable = "CLR_OPENSSL_VERSION_OVERRIDE";
    private static readonly string[] Versions = ["3", "1.1"];

    // Debian's, Fedora's and SUSE's, and Arch's and Alpine's.
    private static readonly string[] Folders =
    [
        RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "/usr/lib/aarch64-linux-gnu" : "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];

    /// <summary>The advice where none of its versions can be loaded; null where one can, or the system needs none.</summary>
    public static string? WhyMissing() =>
        !OperatingSystem.IsLinux() ? null : WhyMissing(CanLoad, Environment.GetEnvironmentVariable(Variable));

    /// <inheritdoc cref="WhyMissing()"/>
    /// <param name="canLoad">Whether the system finds a library of that name.</param>
    /// <param name="named">The version that the variable names; null where it is not set.</param>
    public static string? WhyMissing(Func<string, bool> canLoad, string? named) =>
        Versions.Prepend(named ?? "").Any(version => version.Length > 0 && canLoad("libssl.so." + version))
            ? null
            : "OpenSSL is missing, which .NET needs for hashes and random numbers (libssl.so.3): "
                + "apt-get install libssl3 (Debian 13: libssl3t64), dnf install openssl-libs, or zypper install libopenssl3";

    // Loading it takes a fifth of a server's start and stays in its memory, since libcrypto cannot be unloaded; so a look at where systems
    // keep it comes first.
    private static bool CanLoad(string name)
    {
        if (Folders.Any(folder => File.Exists(Path.Join(folder, name)) && File.Exists(Path.Join(folder, name.Replace("ssl", "crypto")))))
            return true;
        if (!NativeLibrary.TryLoad(name, out var library))
            return false;
        NativeLibrary.Free(library);
        return true;
    }
}
