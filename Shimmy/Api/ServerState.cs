using System.Diagnostics;
using System.Reflection;

namespace Shimmy.Api;

/// <summary>What the endpoints tell about the server itself.</summary>
internal sealed class ServerState
{
    private readonly long _started = Stopwatch.GetTimestamp();

    /// <summary>Whether the server stops and takes no new requests.</summary>
    public bool Draining { get; set; }

    /// <summary>Time since the server was made.</summary>
    public TimeSpan Uptime => Stopwatch.GetElapsedTime(_started);

    /// <summary>The program's version.</summary>
    public static string Version { get; } =
        typeof(ServerState).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";
}
