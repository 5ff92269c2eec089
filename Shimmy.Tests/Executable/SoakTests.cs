using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Soak;

namespace Shimmy.Tests.Executable;

/// <summary>
/// A minute of the programs that judge a server under load; <c>Shimmy.Tests/Soak</c> runs them in full. What they say of memory is true
/// of the published executable alone.
/// </summary>
[TestClass]
[TestCategory("Executable")]
[DoNotParallelize]
public sealed class SoakTests
{
    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    public Task Requests_of_all_dialects_a_third_of_them_left_by_their_clients() =>
        JudgeAsync(SoakRun.RunAsync, new SoakOptions { Duration = TimeSpan.FromSeconds(22) });

    [TestMethod]
    public Task Workers_killed_under_load() =>
        JudgeAsync(KillRun.RunAsync, new SoakOptions { Duration = TimeSpan.FromSeconds(10), Kills = 15 });

    [TestMethod]
    public Task Damaged_requests_in_each_dialect() =>
        JudgeAsync(FuzzRun.RunAsync, new SoakOptions { Duration = TimeSpan.FromSeconds(15), Requests = 2000 });

    [TestMethod]
    public Task Idle_connections_slow_readers_and_half_closed_sockets() =>
        JudgeAsync(IdleRun.RunAsync, new SoakOptions { Duration = TimeSpan.FromSeconds(20), Connections = 1000 });

    private async Task JudgeAsync(Func<SoakOptions, Verdict, Task> run, SoakOptions options)
    {
        if (!ShimmyProcess.IsPublished || !OperatingSystem.IsLinux())
            Assert.Inconclusive("SHIMMY_EXECUTABLE names no published executable; .ci/run publishes one and runs this.");
        var said = new StringWriter();
        var verdict = new Verdict(said);

        await run(options, verdict);

        TestContext.WriteLine(said.ToString());
        Assert.IsEmpty(verdict.Missed, said.ToString());
    }
}
