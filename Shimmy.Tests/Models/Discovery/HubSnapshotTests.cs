using Shimmy.Gguf;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Discovery;

/// <summary>Kind: the Hugging Face cache holds several revisions of a repository, and not every file is in the newest.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class HubSnapshotTests : IDisposable
{
    private const string Repository = "home/.cache/huggingface/hub/models--org--a/";
    private readonly TemporaryFolder _folder = new();
    private int _blobs;

    public void Dispose() => _folder.Dispose();

    [TestMethod]
    public void A_file_that_only_an_older_snapshot_has_is_found_there()
    {
        Add("old", "a-Q8_0.gguf");
        Add("new", "a-Q4_0.gguf");
        Main("new");
        Assert.AreEqual("org/a:Q4_0 org/a:Q8_0", Names());
    }

    [TestMethod]
    public void Of_one_file_in_two_snapshots_that_of_main_counts()
    {
        Add("old", "a-Q8_0.gguf");
        Add("new", "a-Q8_0.gguf");
        Directory.SetLastWriteTimeUtc(_folder[Repository + "snapshots/old"], DateTime.UtcNow.AddDays(1));
        Main("new");
        Assert.AreEqual(_folder[Repository + "snapshots/new/a-Q8_0.gguf"], Scan().Models.Single().Path);
    }

    [TestMethod]
    public void Without_main_the_newest_snapshot_counts()
    {
        Add("old", "a-Q8_0.gguf");
        Add("new", "a-Q8_0.gguf");
        Directory.SetLastWriteTimeUtc(_folder[Repository + "snapshots/old"], DateTime.UtcNow.AddDays(-1));
        Assert.AreEqual(_folder[Repository + "snapshots/new/a-Q8_0.gguf"], Scan().Models.Single().Path);
    }

    [TestMethod]
    public void A_ref_without_its_snapshot_hides_nothing()
    {
        Add("old", "a-Q8_0.gguf");
        Main("cleared-away");
        Assert.AreEqual("org/a:Q8_0", Names());
    }

    [TestMethod]
    public void A_repository_with_refs_of_pull_requests_only_is_found()
    {
        Add("abc", "a-Q8_0.gguf");
        File.WriteAllText(_folder[Repository + "refs/refs/pr/1"], "abc");
        Assert.AreEqual("org/a:Q8_0", Names());
    }

    [TestMethod]
    public void Shards_come_from_the_first_snapshot_that_has_them_all()
    {
        AddShard("new", 1);
        AddShard("old", 1);
        AddShard("old", 2);
        Main("new");
        var model = Scan().Models.Single();
        Assert.HasCount(2, model.Shards);
        Assert.AreEqual(_folder[Repository + "snapshots/old/big-Q4_0-00001-of-00002.gguf"], model.Path);
    }

    [TestMethod]
    public void A_download_that_was_not_finished_leaves_the_older_file()
    {
        Add("old", "a-Q8_0.gguf");
        File.CreateSymbolicLink(_folder[Repository + "snapshots/new/a-Q8_0.gguf"], "../../blobs/absent");
        Main("new");
        Assert.AreEqual(_folder[Repository + "snapshots/old/a-Q8_0.gguf"], Scan().Models.Single().Path);
    }

    private void Main(string commit) => File.WriteAllText(_folder[Repository + "refs/main"], commit);

    private ScanResult Scan() => new ModelDiscovery([new HuggingFaceSource(HostEnvironments.In(_folder))]).Scan();

    private string Names() => string.Join(' ', Scan().Models.Select(model => model.Name));

    private void Add(string commit, string file)
    {
        var blob = $"b{++_blobs}";
        RandomModel.Write(_folder[$"{Repository}blobs/{blob}"], new RandomModelShape { Seed = _blobs, Layers = 1, Vocabulary = 384 });
        File.CreateSymbolicLink(_folder[$"{Repository}snapshots/{commit}/{file}"], $"../../blobs/{blob}");
    }

    private void AddShard(string commit, int number)
    {
        var blob = $"b{++_blobs}";
        new GgufWriter().Add("split.count", 2u).AddTensor($"t{_blobs}", GgmlType.F32, [4], output => output.Write(new byte[16]))
            .WriteFile(_folder[$"{Repository}blobs/{blob}"]);
        File.CreateSymbolicLink(_folder[$"{Repository}snapshots/{commit}/big-Q4_0-{number:D5}-of-00002.gguf"], $"../../blobs/{blob}");
    }
}
