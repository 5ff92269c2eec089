using Shimmy.Gguf;
using Shimmy.Models;
using Shimmy.Models.Configuration;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

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
    public void A_projector_of_an_unknown_kind_promises_nothing_and_hides_none_that_can_be_loaded()
    {
        using var folder = new TemporaryFolder();
        var width = new RandomModelShape().Embedding;
        RandomModel.Write(folder["one.gguf"]);
        var unknown = RandomProjector.Write(folder["a-mmproj.gguf"], width, kind: "deepseek4v");
        var result = new ModelDiscovery([new FolderSource("models", folder.Path)]).Scan();
        Assert.AreEqual((unknown, false), (result.Models.Single().Projector, result.Models.Single().Sees));
        Assert.AreEqual("multimodal projector, not a model, of a kind that is not read here; fits one", result.Skipped.Single().Reason);

        var known = RandomProjector.Write(folder["b-mmproj.gguf"], width);
        Assert.AreEqual(known, Find(folder, null).Single(model => model.Sees).Projector);
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

    [TestMethod]
    public void In_a_repository_of_the_hub_a_projector_is_for_the_folders_of_its_quantizations_as_well()
    {
        using var folder = new TemporaryFolder();
        const string hub = "home/.cache/huggingface/hub/";
        const string tiny = hub + "models--org--tiny/snapshots/new/";
        var width = new RandomModelShape().Embedding;
        RandomModel.Write(Made(tiny + "UD-Q4_K_XL/tiny-UD-Q4_K_XL.gguf"));
        RandomModel.Write(Made(tiny + "own/tiny-Q8_0.gguf"), new RandomModelShape { Seed = 2 });
        RandomModel.Write(Made(tiny + "wide/tiny-Q2_K.gguf"), new RandomModelShape { Embedding = 128 });
        // What was pulled before the repository changed.
        RandomModel.Write(Made(hub + "models--org--tiny/snapshots/old/tiny-Q6_K.gguf"), new RandomModelShape { Seed = 3 });
        RandomModel.Write(Made(hub + "models--org--other/snapshots/new/sub/other-Q8_0.gguf"), new RandomModelShape { Seed = 4 });
        RandomProjector.Write(Made(tiny + "mmproj-F16.gguf"), width);
        RandomProjector.Write(Made(tiny + "own/mmproj-F32.gguf"), width);
        File.WriteAllText(Made(hub + "models--org--tiny/refs/main"), "new");

        var result = new ModelDiscovery([new HuggingFaceSource(HostEnvironments.In(folder))]).Scan();

        Assert.AreEqual("other-Q8_0 blind; tiny-Q2_K blind; tiny-Q6_K mmproj-F16; tiny-Q8_0 mmproj-F32; tiny-UD-Q4_K_XL mmproj-F16",
            string.Join("; ", result.Models
                .Select(model => $"{Stem(model.Path)} {(model.Sees ? Stem(model.Projector!) : "blind")}").Order(StringComparer.Ordinal)));
        Assert.EndsWith("fits org/tiny:UD-Q4_K_XL, org/tiny:Q6_K",
            result.Skipped.Single(file => file.Path == folder[tiny + "mmproj-F16.gguf"]).Reason);
        // The same where a path is opened.
        Assert.AreEqual(folder[tiny + "mmproj-F16.gguf"], SingleFile.Open(folder[tiny + "UD-Q4_K_XL/tiny-UD-Q4_K_XL.gguf"]).Projector);
        Assert.IsNull(SingleFile.Open(folder[hub + "models--org--other/snapshots/new/sub/other-Q8_0.gguf"]).Projector);

        string Made(string path)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder[path])!);
            return folder[path];
        }

        static string Stem(string path) => Path.GetFileNameWithoutExtension(path);
    }

    [TestMethod]
    public void A_projector_of_the_same_snapshot_comes_before_one_of_another()
    {
        using var folder = new TemporaryFolder();
        const string snapshots = "home/.cache/huggingface/hub/models--org--tiny/snapshots/";
        var width = new RandomModelShape().Embedding;
        foreach (var (model, projector, seed) in ((string, string, int)[])
            [("new/sub/tiny-Q8_0.gguf", "new/mmproj-new.gguf", 1), ("old/sub/tiny-Q6_K.gguf", "old/mmproj-old.gguf", 2),
            // This one has none of its own.
            ("older/sub/tiny-Q2_K.gguf", "old/mmproj-old.gguf", 3),
            ("moved/sub/tiny-Q4_0.gguf", "moved/mmproj/mmproj-moved.gguf", 4)])
        {
            foreach (var file in (string[])[model, projector])
                Directory.CreateDirectory(Path.GetDirectoryName(folder[snapshots + file])!);
            RandomModel.Write(folder[snapshots + model], new RandomModelShape { Seed = seed });
            RandomProjector.Write(folder[snapshots + projector], width);
        }
        Directory.CreateDirectory(folder["home/.cache/huggingface/hub/models--org--tiny/refs"]);
        File.WriteAllText(folder["home/.cache/huggingface/hub/models--org--tiny/refs/main"], "new");

        var models = new ModelDiscovery([new HuggingFaceSource(HostEnvironments.In(folder))]).Scan().Models;

        Assert.AreEqual("mmproj-old.gguf", ProjectorOf("Q6_K"));
        Assert.AreEqual("mmproj-new.gguf", ProjectorOf("Q8_0"));
        Assert.IsNotNull(ProjectorOf("Q2_K"));
        Assert.AreEqual("mmproj-moved.gguf", ProjectorOf("Q4_0"));

        string? ProjectorOf(string quantization) =>
            Path.GetFileName(models.Single(model => model.Path.Contains(quantization, StringComparison.Ordinal)).Projector);
    }

    // Each path is taken apart once, not once for each pair: that took a minute.
    [TestMethod]
    public void Thousands_of_models_are_paired_in_no_time()
    {
        const int models = 5000;
        const int projectors = 1000;
        var pairing = new AdapterPairing();
        for (var i = 0; i < projectors; i++)
        {
            var path = SnapshotOf(i) + "mmproj-F16.gguf";
            var candidate = new ModelCandidate { Path = path, RealPath = path, Origin = "huggingface", SizeBytes = 1, ModifiedUtc = default };
            Assert.IsTrue(pairing.Take(new InspectedFile(candidate, ModelFileName.Parse("mmproj-F16.gguf"),
                new GgufFacts { Content = GgufContent.Projector, EmbeddingLength = 64, Sees = true })));
        }
        ModelEntry[] entries = [.. Enumerable.Range(0, models).Select(i => new ModelEntry
        {
            Name = $"m{i}",
            Path = SnapshotOf(i) + "Q4/tiny-Q4_K_M.gguf",
            EmbeddingLength = 64,
        })];
        var started = System.Diagnostics.Stopwatch.GetTimestamp();

        var paired = pairing.PairWith(entries, []);

        Assert.IsLessThan(5, System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds);
        for (var i = 0; i < models; i++)
            Assert.AreEqual(i < projectors ? SnapshotOf(i) + "mmproj-F16.gguf" : null, paired[i].Projector);

        static string SnapshotOf(int i) => Path.GetFullPath($"/home/user/.cache/huggingface/hub/models--org--m{i}/snapshots/main/");
    }

    [TestMethod]
    public void Of_a_plain_folder_only_the_models_beside_a_projector_get_it()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["sub"]);
        RandomModel.Write(folder["sub/one.gguf"]);
        RandomProjector.Write(folder["mmproj-one.gguf"], new RandomModelShape().Embedding);
        Assert.IsNull(Find(folder, null).Single().Projector);
        Assert.IsNull(SingleFile.Open(folder["sub/one.gguf"]).Projector);
    }

    [TestMethod]
    public void Beside_a_model_that_is_named_by_its_path_a_projector_is_known_by_its_header_where_no_name_says_it()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["one.gguf"]);
        var eye = RandomProjector.Write(folder["eye.gguf"], new RandomModelShape().Embedding);
        RandomAdapter.Write(folder["style.gguf"]);
        Assert.AreEqual(eye, SingleFile.Open(folder["one.gguf"]).Projector);

        var named = RandomProjector.Write(folder["mmproj-one.gguf"], new RandomModelShape().Embedding);
        Assert.AreEqual(named, SingleFile.Open(folder["one.gguf"]).Projector);
    }

    [TestMethod]
    public void A_projector_of_another_width_that_was_chosen_for_one_model_is_an_error_and_not_ignored()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["one.gguf"]);
        RandomProjector.Write(folder["mmproj-one.gguf"], new RandomModelShape().Embedding);
        var wrong = RandomProjector.Write(folder["wrong.gguf"], 32);

        var entry = RegisteredModels.Open(folder["one.gguf"], "one", ModelSettings.None with { Projector = wrong });
        Assert.AreEqual((wrong, false), (entry.Projector, entry.Sees));
        Assert.AreEqual($"its projector (mmproj) '{wrong}' is for models of the embedding length 32, not 64", entry.WhyUnloadable);
        // It may have been put right since.
        RandomProjector.Write(wrong, new RandomModelShape().Embedding);
        var again = RegisteredModels.Again(entry);
        Assert.AreEqual((wrong, true, null), (again.Projector, again.Sees, again.WhyUnloadable));
    }

    private static IReadOnlyList<ModelEntry> Find(TemporaryFolder folder, string? projector) =>
        new ModelDiscovery([new FolderSource("models", folder.Path)], projector: projector).Scan().Models;
}
