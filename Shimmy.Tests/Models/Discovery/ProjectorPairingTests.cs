using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Models.Discovery;

/// <summary>Projectors find their models by width, folder and name, and models say that they see.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ProjectorPairingTests
{
    [TestMethod]
    public void A_projector_is_paired_by_its_width_and_its_name()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["seeing.gguf"]);
        RandomModel.Write(folder["blind.gguf"]);
        RandomModel.Write(folder["wide.gguf"], new RandomModelShape { Embedding = 128 });
        RandomProjector.Write(folder["mmproj-seeing-f16.gguf"], new RandomModelShape().Embedding);

        var seeing = Find(folder, null).Where(model => model.Sees).ToArray();
        Assert.AreEqual("seeing", seeing.Single().Name);
        Assert.AreEqual(folder["mmproj-seeing-f16.gguf"], seeing[0].Projector);
        CollectionAssert.AreEqual(new[] { "completion", "vision" }, seeing[0].Capabilities.ToArray());
        // The same where a path is opened.
        Assert.IsTrue(SingleFile.Open(folder["seeing.gguf"]).Sees);
        Assert.IsFalse(SingleFile.Open(folder["wide.gguf"]).Sees);
    }

    [TestMethod]
    public void The_users_choice_wins_where_it_fits()
    {
        using var folder = new TemporaryFolder();
        using var elsewhere = new TemporaryFolder();
        RandomModel.Write(folder["one.gguf"]);
        RandomModel.Write(folder["wide.gguf"], new RandomModelShape { Embedding = 128 });
        RandomProjector.Write(folder["mmproj-one.gguf"], new RandomModelShape().Embedding);
        var chosen = RandomProjector.Write(elsewhere["mmproj.gguf"], new RandomModelShape().Embedding);

        Assert.IsTrue(Find(folder, ModelSettings.NoProjector).All(model => model is { Projector: null, Sees: false }));
        Assert.AreEqual(chosen, Find(folder, chosen).Single(model => model.Sees).Projector);
    }

    private static IReadOnlyList<ModelEntry> Find(TemporaryFolder folder, string? projector) =>
        new ModelDiscovery([new FolderSource("models", folder.Path)], projector: projector).Scan().Models;
}
