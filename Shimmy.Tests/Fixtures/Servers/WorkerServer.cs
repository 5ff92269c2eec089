using Shimmy.Engine;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>
/// The real server before real workers: <c>talker</c> says hello and ends, <c>noise</c> has 60,000 tokens of context for noise.
/// </summary>
internal sealed class WorkerServer : IAsyncDisposable
{
    private readonly TemporaryFolder _folder;

    private WorkerServer(TemporaryFolder folder, ServerFixture http)
    {
        _folder = folder;
        Http = http;
    }

    public ServerFixture Http { get; }

    /// <summary>Starts one whose models answer so many requests at once.</summary>
    public static async Task<WorkerServer> StartAsync(int parallel = 2)
    {
        var folder = new TemporaryFolder();
        RandomModel.Write(folder["talker.gguf"], new RandomModelShape { Says = "hello" });
        RandomModel.Write(folder["noise.gguf"], new RandomModelShape { Context = 60_000 });
        return new WorkerServer(folder, await ServerFixture.StartAsync(WorkerFixture.NewEngine(),
            entry => new ModelSpec
            {
                Name = entry.Name,
                Path = entry.Path,
                Threads = 1,
                Parallel = parallel,
                Cells = entry.Name == "noise" ? 60_000 : 0
            },
            null, null, ["talker", "noise"], name => folder[name + ".gguf"]));
    }

    /// <summary>A model that was loaded.</summary>
    public ILoadedModel Model(string name) =>
        Http.Residency.Resident.Single(model => model.Entry.Name == name && model.State == ResidencyState.Ready).Model!;

    public async ValueTask DisposeAsync()
    {
        await Http.DisposeAsync();
        _folder.Dispose();
    }
}
