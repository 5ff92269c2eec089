using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Shimmy.Engine;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Models.Registry;

/// <summary>Kind: who asks while models are still being looked for, or before the search looked where they are now.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class FirstScanTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ManualResetEventSlim _gate = new();

    public void Dispose()
    {
        _gate.Dispose();
        _folder.Dispose();
    }

    [TestMethod]
    [DataRow("v1/models", "data")]
    [DataRow("api/models", "models")]
    [Timeout(30_000, CooperativeCancellation = true)]
    public async Task Listings_wait_for_the_first_scan(string path, string list)
    {
        RandomModel.Write(_folder["there.gguf"]);
        await using var server = await StartAsync(scans: true);
        var asked = server.Client.GetStringAsync(path);
        await Poll.UntilInFlightAsync(server.Client, 1);
        Assert.IsFalse(asked.IsCompleted);

        _gate.Set();
        using var answer = JsonDocument.Parse(await asked);
        Assert.AreEqual(1, answer.RootElement.GetProperty(list).GetArrayLength());
    }

    [TestMethod]
    [Timeout(30_000, CooperativeCancellation = true)]
    public async Task The_counts_of_health_wait_too()
    {
        RandomModel.Write(_folder["there.gguf"]);
        await using var server = await StartAsync(scans: true);
        var asked = server.Client.GetStringAsync("health");
        _gate.Set();
        using var answer = JsonDocument.Parse(await asked);
        var models = answer.RootElement.GetProperty("models");
        Assert.AreEqual((1, false), (models.GetProperty("total").GetInt32(), models.TryGetProperty("scanning", out _)));
    }

    [TestMethod]
    [Timeout(30_000, CooperativeCancellation = true)]
    public async Task A_model_that_was_copied_meanwhile_is_found_by_the_request_that_names_it()
    {
        _gate.Set();
        var registry = new ModelRegistry(Discovery());
        await registry.RefreshAsync();
        Assert.IsNull(await registry.FindAsync("late"));
        RandomModel.Write(_folder["late.gguf"]);
        Assert.AreEqual("late", (await registry.FindAsync("late"))?.Name);
    }

    [TestMethod]
    [Timeout(30_000, CooperativeCancellation = true)]
    public async Task Names_that_do_not_exist_do_not_keep_the_disk_busy()
    {
        var scans = 0;
        var registry = new ModelRegistry(new ModelDiscovery([new CountedSource(() => scans++)]));
        await registry.RefreshAsync();
        for (var i = 0; i < 200; i++)
            Assert.IsNull(await registry.FindAsync($"absent-{i}"));
        Assert.IsLessThan(60, scans);
    }

    private ModelDiscovery Discovery() => new([new CountedSource(_gate.Wait), new FolderSource("models", _folder.Path)]);

    private async Task<Running> StartAsync(bool scans)
    {
        var registry = new ModelRegistry(Discovery());
        var scan = scans ? registry.RefreshAsync() : Task.CompletedTask;
        var residency = new ModelResidency([new ScriptedEngine()], entry => new ModelSpec { Name = entry.Name, Path = entry.Path },
            TimeProvider.System, ResidencyRun.Unmeasured);
        var server = await ShimmyServer.StartAsync(new ServerOptions { Bind = "0" }, registry, residency, NullLoggerFactory.Instance,
            CancellationToken.None);
        return new Running(server, residency, scan);
    }

    private sealed record Running(ShimmyServer Server, ModelResidency Residency, Task Scan) : IAsyncDisposable
    {
        public HttpClient Client { get; } = new() { BaseAddress = Server.Address };

        public async ValueTask DisposeAsync()
        {
            Client.Dispose();
            await Scan;
            await Server.DisposeAsync();
            await Residency.DisposeAsync();
        }
    }

    private sealed class CountedSource(Action searched) : IModelSource
    {
        public string Origin => "counted";

        public IReadOnlyList<string> Places => [];

        public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
        {
            searched();
            return [];
        }
    }
}
