using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Pulls from registries that lie: nothing is written outside the folders of the tools, nothing fails but in words, no redirect goes on for
/// ever, and memory does not grow.
/// </summary>
internal static class RegistryRun
{
    private const int FullRun = 100_000;
    private const long Room = 64 << 20;

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        var total = options.Requests ?? FullRun;
        var complaints = new List<string>();
        var (settled, most) = (0L, 0L);
        using var fuzz = new RegistryFuzz();
        var tried = 0;
        for (; tried < total; tried++)
        {
            if (await fuzz.TryAsync(options.Seed, tried) is { } complaint)
                complaints.Add(complaint);
            if (tried % 1000 == 999)
            {
                var used = GC.GetTotalMemory(forceFullCollection: true);
                settled = settled == 0 ? used : settled;
                most = Math.Max(most, used);
                if (tried % 10_000 == 9999)
                    verdict.Say($"{tried + 1} pulls; {used >> 20} MB");
            }
        }
        verdict.Say($"{tried} pulls from registries that lie, seed {options.Seed}");
        verdict.Require(complaints.Count == 0,
            $"nothing escaped, and nothing failed but in words ({complaints.Count})"
                + string.Concat(complaints.Take(10).Select(text => "\n    " + text)));
        verdict.Require(most - settled <= Room, $"memory did not grow ({settled >> 20} MB after the first 1000, {most >> 20} MB at most)");
    }
}
