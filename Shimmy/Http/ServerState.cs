using System.Diagnostics;
using System.Reflection;

namespace Shimmy.Http;

/// <summary>State and limits of the server, for the endpoints.</summary>
internal sealed class ServerState
{
    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly TaskCompletionSource _draining = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether the server stops and takes no new requests.</summary>
    public bool Draining => _draining.Task.IsCompleted;

    /// <summary>Ends when the server stops taking new requests.</summary>
    public Task DrainBegun => _draining.Task;

    /// <summary>Time since the server was made.</summary>
    public TimeSpan Uptime => Stopwatch.GetElapsedTime(_started);

    /// <summary>The limits in force, for <c>/diag</c>: name, and value or null where there is none.</summary>
    public IReadOnlyList<(string Name, double? Value)> Limits { get; init; } = [];

    /// <summary>Longest duration of a request; null sets no limit.</summary>
    public TimeSpan? RequestTimeout { get; init; }

    /// <summary>Most bytes of a request's body; a message on a socket is one.</summary>
    public long BodyLimit { get; init; } = long.MaxValue;

    /// <summary>Whether rendered prompts are logged.</summary>
    public bool LogsPrompts { get; init; }

    /// <summary>Whether <c>/metrics</c> has vLLM's names beside Shimmy's.</summary>
    public bool NamesMetricsAsVllm { get; init; }

    /// <summary>Takes no new requests from now on.</summary>
    public void BeginDrain() => _draining.TrySetResult();

    /// <summary>The program's version.</summary>
    public static string Version => Informational[0];

    /// <summary>The commit that the program was built from; null where the build did not know it.</summary>
    public static string? Commit => Informational is [_, { Length: > 0 } commit] ? commit : null;

    // The build puts the commit behind a plus sign.
    private static readonly string[] Informational =
        typeof(ServerState).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+', 2)
            ?? ["unknown"];
}
