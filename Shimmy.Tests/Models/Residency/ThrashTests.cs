using System.Text;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Models.Residency;

/// <summary>Random requests over five models of which two may be in memory, eight at a time.</summary>
[TestClass]
[TestCategory("Unit")]
[DoNotParallelize]
public sealed class ThrashTests
{
    private const int Models = 5;
    private const int MostLoaded = 2;
    private const int Clients = 8;
    private const int RequestsOfClient = 40;

    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [Timeout(60_000, CooperativeCancellation = true)]
    public async Task All_are_answered_by_the_right_model_with_few_loads()
    {
        var cancellation = TestContext.CancellationToken;
        var engine = new ScriptedEngine { Loading = (_, _, token) => Task.Delay(20, token), BeforeToken = token => Task.Delay(1, token) };
        var asked = new List<int>();
        var waits = new List<TimeSpan>();
        var wrong = 0;
        var most = 0;
        await using (var residency = new ModelResidency(
            [engine], entry => new ModelSpec { Name = entry.Name, Path = entry.Path }, TimeProvider.System,
                new ResidencyOptions { MaxLoaded = MostLoaded }))
        {
            await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(
                async () =>
                {
                    var random = new Random(client);
                    for (var i = 0; i < RequestsOfClient; i++)
                    {
                        var model = random.Next(Models);
                        var started = System.Diagnostics.Stopwatch.GetTimestamp();
                        lock (asked)
                        {
                            asked.Add(model);
                        }

                        using var lease =
                            await residency.AcquireAsync(new ModelEntry { Name = $"m{model}", Path = $"/m{model}" }, null, cancellation);
                        lock (asked)
                        {
                            waits.Add(System.Diagnostics.Stopwatch.GetElapsedTime(started));
                            most = Math.Max(most, engine.Alive);
                        }

                        if (await Answer(lease.Model, cancellation) != $"I am m{model}")
                            Interlocked.Increment(ref wrong);
                    }
                },
                cancellation)));
        }

        var least = ResidencyRun.LeastFor(asked, MostLoaded);
        TestContext.WriteLine(
            $"{asked.Count} requests, {engine.Loads} loads, in their order at least {least}; longest wait {waits.Max().TotalMilliseconds:0} ms");
        Assert.AreEqual(0, wrong);
        Assert.AreEqual(0, engine.Alive);
        Assert.IsLessThanOrEqualTo(MostLoaded, most);
        Assert.IsLessThanOrEqualTo(1.2 * least, engine.Loads);
        Assert.IsLessThan(TimeSpan.FromSeconds(2), waits.Max());
    }

    private static async Task<string> Answer(ILoadedModel model, CancellationToken cancellation)
    {
        var text = new StringBuilder();
        await foreach (var generated in model.GenerateAsync(new GenerationRequest { Prompt = Prompt.FromText("who?") }, cancellation))
            text.Append(generated.IsToken ? Encoding.UTF8.GetString(generated.Piece.Span) : "");

        return text.ToString();
    }
}
