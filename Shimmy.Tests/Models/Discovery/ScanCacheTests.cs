using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Discovery;

[TestClass]
[TestCategory("Unit")]
public sealed class ScanCacheTests
{
    [TestMethod]
    public void What_a_scan_read_is_not_read_again_until_the_file_changes()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/a.gguf"], new RandomModelShape { ChatTemplate = RandomModel.ChatMl });
        File.WriteAllText(folder["models/bad.gguf"], "bad");
        var first = Scan(folder);

        // The same size and time: only the cache can still know what was in it.
        var time = File.GetLastWriteTimeUtc(folder["models/a.gguf"]);
        File.WriteAllBytes(folder["models/a.gguf"], new byte[new FileInfo(folder["models/a.gguf"]).Length]);
        File.SetLastWriteTimeUtc(folder["models/a.gguf"], time);
        var second = Scan(folder);

        Assert.AreEqual(Described(first), Described(second));
        Assert.AreEqual(first.Skipped.Single(), second.Skipped.Single());
        File.SetLastWriteTimeUtc(folder["models/a.gguf"], time.AddSeconds(1));
        Assert.IsEmpty(Scan(folder).Models);
    }

    [TestMethod]
    public void A_damaged_cache_counts_for_nothing()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/a.gguf"]);
        var expected = Described(Scan(folder));
        var cache = File.ReadAllBytes(folder["cache/models.cache"]);
        var random = new Random(3);
        for (var i = 0; i < 500; i++)
        {
            var damaged = (byte[])cache.Clone();
            damaged[random.Next(damaged.Length)] ^= (byte)random.Next(1, 256);
            File.WriteAllBytes(folder["cache/models.cache"], i % 5 == 0 ? damaged[..random.Next(damaged.Length)] : damaged);
            Assert.AreEqual(expected, Described(Scan(folder)));
        }
    }

    [TestMethod]
    public void A_folder_that_cannot_be_written_does_no_harm()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/a.gguf"]);
        File.WriteAllText(folder["cache"], "a file where the folder should be");
        Assert.HasCount(1, Scan(folder).Models);
        Assert.HasCount(1, Scan(folder).Models);
    }

    [TestMethod]
    public void The_cache_lies_where_the_system_keeps_such_files()
    {
        Assert.AreEqual("/home/me/.cache/shimmy/models.cache", ScanCache.DefaultPath(HostEnvironments.Linux()));
        Assert.AreEqual("/x/shimmy/models.cache", ScanCache.DefaultPath(HostEnvironments.Linux(("XDG_CACHE_HOME", "/x"))));
        Assert.AreEqual("/Users/me/Library/Caches/shimmy/models.cache", ScanCache.DefaultPath(HostEnvironments.MacOS()));
        Assert.AreEqual(@"C:\Users\me\AppData\Local\shimmy\models.cache", ScanCache.DefaultPath(HostEnvironments.Windows()));
        Assert.IsNull(ScanCache.DefaultPath(HostEnvironments.Linux() with { Home = "" }));
    }

    // A new cache object each time: what it knows comes from the disk.
    private static ScanResult Scan(TemporaryFolder folder) =>
        new ModelDiscovery([new FolderSource("models", folder["models"])],
            new ScanCache(Path.Join(folder.Path, "cache", "models.cache"))).Scan();

    private static string Described(ScanResult result) => string.Join('\n', result.Models.Select(model => string.Join(
        ' ',
        model.Name,
        model.Architecture,
        model.ParameterCount,
        model.ParameterLabel,
        model.Quantization,
        model.ContextLength,
        model.Type,
        model.EmbeddingLength,
        model.Layers,
        model.SizeBytes)));
}
