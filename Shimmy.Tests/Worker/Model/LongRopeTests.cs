using System.Globalization;
using System.Text.Json.Nodes;
using Shimmy.Engine;
using Shimmy.SafeTensors;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Worker.Model;

/// <summary>Models with rotary factors for short and for long texts.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class LongRopeTests
{
    private const int Original = 64;

    [TestMethod]
    public async Task What_one_request_may_use_decides_and_not_what_all_slots_have()
    {
        using var folder = new TemporaryFolder();
        var family = FolderFamily.All.First(one => one.Class == "Phi3ForCausalLM");
        var path = RandomFolder.Write(folder["phi"], family: family, config: config =>
        {
            config["original_max_position_embeddings"] = Original;
            config["rope_scaling"] =
                new JsonObject { ["type"] = "longrope", ["short_factor"] = Factors(1, 1.1), ["long_factor"] = Factors(2, 40) };
        });
        FolderConversion.Of(path).WriteFile(folder["phi.gguf"]);

        var alone = await ProbabilitiesAsync(folder, Original, slots: 1);
        Assert.AreEqual(alone, await ProbabilitiesAsync(folder, Original, slots: 4));
        // Else the two would be equal whatever is chosen.
        Assert.AreNotEqual(alone, await ProbabilitiesAsync(folder, 2 * Original, slots: 1));
        var overridden = new MetadataOverride("phi3.rope.scaling.original_context_length", "int", "16");
        Assert.AreNotEqual(alone, await ProbabilitiesAsync(folder, Original, slots: 4, overridden));
    }

    private static JsonArray Factors(double first, double last) =>
        [.. Enumerable.Range(0, 4).Select(i => JsonValue.Create(first + ((last - first) * i / 3)))];

    private static async Task<string> ProbabilitiesAsync(TemporaryFolder folder, int context, int slots, params MetadataOverride[] overrides)
    {
        await using var model = await WorkerFixture.NewEngine().LoadAsync(new ModelSpec
        {
            Name = "phi",
            Path = folder["phi.gguf"],
            Threads = 1,
            ContextLength = context,
            Parallel = slots,
            Tuning = new LoadTuning { MetadataOverrides = overrides },
        }, null, CancellationToken.None);
        var request = WorkerFixture.Greedy("a b c d e f", 20);
        var answer = await WorkerFixture.RunAsync(model, request with { Options = request.Options with { TopLogProbabilities = 0 } });
        return string.Join(' ', answer.LogProbabilities.Select(one => one!.LogProbability.ToString("F3", CultureInfo.InvariantCulture)));
    }
}
