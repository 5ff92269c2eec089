using System.Diagnostics;

namespace Shimmy.Tests.Soak;

/// <summary>What a run found: prints each criterion as it is judged, and keeps those that were missed.</summary>
internal sealed class Verdict(TextWriter output)
{
    private readonly long _begun = Stopwatch.GetTimestamp();
    private readonly Lock _lock = new();
    private readonly List<string> _missed = [];

    /// <summary>The criteria that were missed, in words.</summary>
    public IReadOnlyList<string> Missed => _missed;

    /// <summary>Tells something that is no criterion.</summary>
    public void Say(string text)
    {
        lock (_lock)
            output.WriteLine($"[{Stopwatch.GetElapsedTime(_begun).TotalSeconds,6:F1} s] {text}");
    }

    /// <summary>Judges a criterion, told with its numbers.</summary>
    public void Require(bool holds, string criterion)
    {
        Say($"{(holds ? "ok    " : "MISSED")} {criterion}");
        lock (_lock)
        {
            if (!holds)
                _missed.Add(criterion);
        }
    }
}
