using Shimmy.Gguf;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Registry;

[TestClass]
[TestCategory("Unit")]
public sealed class ModelRegistryTests
{
    public TestContext TestContext { get; set; } = null!;

    private CancellationToken Deadline => TestContext.CancellationToken;

    [TestMethod]
    public void inner_empty()
    {
        var registry = new ModelRegistry(new ModelDiscovery([]));
        Assert.IsEmpty(registry.Entries);
        Assert.AreEqual((0, 0), (registry.RegisteredCount, registry.DiscoveredCount));
        Assert.IsNull(registry.Find("anything"));
        Assert.IsEmpty(registry.ClosestNames("anything"));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_refresh_finds_what_came_and_forgets_what_went()
    {
        using var folder = new TemporaryFolder();
        var registry = Registry(folder.Path);
        Assert.AreEqual(0, await registry.RefreshAsync(Deadline));
        RandomModel.Write(folder["new.gguf"]);
        Assert.AreEqual(1, await registry.RefreshAsync(Deadline));
        Assert.AreEqual("new", registry.Entries.Single().Name);
        File.Delete(folder["new.gguf"]);
        Assert.AreEqual(0, await registry.RefreshAsync(Deadline));
        Assert.IsNull(registry.Find("new"));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task manual_priority()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["tiny.gguf"]);
        RandomModel.Write(folder["other.gguf"]);
        var registry = Registry(folder.Path);
        registry.Register(new ModelEntry { Name = "tiny", Path = "/by/hand.gguf" });
        registry.Register(new ModelEntry { Name = "mine", Path = folder["other.gguf"] });

        await registry.RefreshAsync(Deadline);

        Assert.AreEqual("/by/hand.gguf", registry.Find("tiny")!.Path);
        Assert.AreEqual(ModelSource.Registered, registry.Find("TINY")!.Source);
        Assert.AreEqual(folder["tiny.gguf"], registry.Find("models/tiny")!.Path);
        Assert.AreEqual("tiny mine models/tiny", string.Join(' ', registry.Entries.Select(entry => entry.Name)));
        Assert.AreEqual((2, 1), (registry.RegisteredCount, registry.DiscoveredCount));
    }

    [TestMethod]
    public void Registering_a_name_again_replaces_it()
    {
        var registry = Registry("/absent");
        registry.Register(new ModelEntry { Name = "a", Path = "/1.gguf" });
        registry.Register(new ModelEntry { Name = "A", Path = "/2.gguf" });
        Assert.AreEqual("/2.gguf", registry.Entries.Single().Path);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_model_is_found_by_its_file_name_and_with_its_quantization()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["tiny-1b-F32.gguf"]);
        var registry = Registry(folder.Path);
        await registry.RefreshAsync(Deadline);
        foreach (var name in new[] { "tiny-1b", "Tiny-1B", "tiny-1b-F32", "tiny-1b:f32" })
            Assert.AreEqual("tiny-1b", registry.Find(name)?.Name, name);

        Assert.IsNull(registry.Find("tiny"));
        Assert.IsNull(registry.Find(""));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_name_not_known_yet_waits_for_the_scan_that_is_under_way()
    {
        using var gate = new ManualResetEventSlim();
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["found.gguf"]);
        var registry = new ModelRegistry(new ModelDiscovery([new GatedSource(gate), new FolderSource("models", folder.Path)]));
        registry.Register(new ModelEntry { Name = "known", Path = "/known.gguf" });
        Assert.IsNull(await registry.FindAsync("found", Deadline), "no scan was begun");

        var scan = registry.RefreshAsync(Deadline);
        Assert.IsNotNull(await registry.FindAsync("known", Deadline));
        var found = registry.FindAsync("found", Deadline).AsTask();
        var absent = registry.FindAsync("absent", Deadline).AsTask();
        using var impatient = new CancellationTokenSource();
        var given = registry.FindAsync("found", impatient.Token).AsTask();
        Assert.IsFalse(found.IsCompleted || absent.IsCompleted || scan.IsCompleted);
        await impatient.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => given);
        gate.Set();

        Assert.AreEqual("found", (await found)?.Name);
        Assert.IsNull(await absent);
        Assert.AreEqual(1, await scan);
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task A_refresh_during_a_scan_scans_again_once_for_all_who_ask()
    {
        using var gate = new ManualResetEventSlim();
        var source = new GatedSource(gate);
        var registry = new ModelRegistry(new ModelDiscovery([source]));
        var first = registry.RefreshAsync(Deadline);
        var later = Enumerable.Range(0, 10).Select(_ => registry.RefreshAsync(Deadline)).ToList();
        gate.Set();
        await first;
        await Task.WhenAll(later);
        Assert.AreEqual(2, source.Scans);
        await registry.RefreshAsync(Deadline);
        Assert.AreEqual(3, source.Scans);
    }

    [TestMethod]
    [Timeout(20_000, CooperativeCancellation = true)]
    public async Task thread_safe()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["always.gguf"]);
        var registry = Registry(folder.Path);
        await registry.RefreshAsync(Deadline);
        var missing = 0;
        await Parallel.ForAsync(0, 400, Deadline, async (i, cancellation) =>
        {
            registry.Register(new ModelEntry { Name = $"m{i % 40}", Path = $"/{i}.gguf" });
            if (i % 20 == 0)
                await registry.RefreshAsync(cancellation);

            if (registry.Find("always") is null || registry.Find($"m{i % 40}") is null
                || registry.Entries.Count < registry.RegisteredCount - 40)
            {
                Interlocked.Increment(ref missing);
            }

            registry.ClosestNames("m");
        });

        Assert.AreEqual(0, missing);
        Assert.AreEqual((40, 1), (registry.RegisteredCount, registry.DiscoveredCount));
    }

    [TestMethod]
    public void Aliases_find_what_no_name_finds_and_the_first_one_counts()
    {
        var registry = Registry("/absent");
        registry.Register(new ModelEntry { Name = "qwen", Path = "/q.gguf", OtherNames = ["shared", "q"] });
        registry.Register(new ModelEntry { Name = "llama", Path = "/l.gguf", OtherNames = ["shared", "gpt-4o"] });
        registry.SetConfigured([], [new ModelAlias("gpt-*", "qwen"), new ModelAlias("q", "llama")]);
        registry.AddAlias(ModelAlias.Parse("gpt-4*=llama")!);
        registry.AddAlias(ModelAlias.Parse("claude-* = q")!);
        registry.AddAlias(ModelAlias.Parse("qwen=llama")!);
        registry.AddAlias(ModelAlias.Parse("lost=nowhere")!);

        Assert.AreEqual("llama", registry.Find("GPT-4-turbo")?.Name, "by hand comes first");
        Assert.AreEqual("qwen", registry.Find("gpt-3.5-turbo")?.Name);
        Assert.AreEqual("qwen", registry.Find("claude-sonnet")?.Name, "an alias may lead to another name");
        Assert.AreEqual("qwen", registry.Find("qwen")?.Name, "a model's own name beats an alias");
        Assert.AreEqual("llama", registry.Find("q")?.Name, "an alias beats another name");
        Assert.AreEqual("llama", registry.Find("gpt-4o")?.Name, "another name beats a wildcard");
        Assert.IsNull(registry.Find("shared"), "a name that two models claim finds neither");
        Assert.IsNull(registry.Find("lost"));
        registry.SetConfigured([], []);
        Assert.IsNull(registry.Find("gpt-3.5-turbo"));
    }

    [TestMethod]
    [DataRow("a=b", "a", "b")]
    [DataRow(" gpt-* = org/x:Q4=K ", "gpt-*", "org/x:Q4=K")]
    [DataRow("=b", null, null)]
    [DataRow("a=", null, null)]
    [DataRow("a", null, null)]
    public void An_alias_is_pattern_and_name(string text, string? pattern, string? target)
    {
        var alias = ModelAlias.Parse(text);
        Assert.AreEqual((pattern, target), (alias?.Pattern, alias?.Target));
    }

    [TestMethod]
    [Timeout(10_000, CooperativeCancellation = true)]
    public async Task An_alias_with_a_wildcard_behind_it_means_the_only_model_that_matches()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["whatever-7b.gguf"]);
        var registry = Registry(folder.Path);
        registry.AddAlias(ModelAlias.Parse("served=*")!);
        registry.AddAlias(ModelAlias.Parse("seven-*=*-7b")!);
        registry.Register(new ModelEntry { Name = ModelCatalogue.DemoModel, Path = "/demo.gguf" });
        Assert.IsNull(registry.Find("served"), "before a scan nobody knows which is the only one");

        await registry.RefreshAsync(Deadline);
        Assert.AreEqual("whatever-7b", registry.Find("served")?.Name, "the demo model does not count");
        Assert.AreEqual("whatever-7b", registry.Find("seven-a")?.Name);
        Assert.IsEmpty(registry.LostAliases);

        RandomModel.Write(folder["second.gguf"]);
        await registry.RefreshAsync(Deadline);
        Assert.IsNull(registry.Find("served"));
        Assert.AreEqual("the alias 'served=*' is for one model, and there are 2: second, whatever-7b", registry.ExplainUnknown("Served"));
        Assert.AreEqual("whatever-7b", registry.Find("seven-a")?.Name);
        Assert.AreEqual("served", registry.LostAliases.Single().Pattern);

        File.Delete(folder["second.gguf"]);
        File.Delete(folder["whatever-7b.gguf"]);
        await registry.RefreshAsync(Deadline);
        Assert.IsNull(registry.Find("served"), "nor where there is no other: nobody has mounted it");
    }

    [TestMethod]
    [DataRow("gpt-4*", "GPT-4o", true)]
    [DataRow("*", "", true)]
    [DataRow("?", "", false)]
    [DataRow("g?t", "gpt", true)]
    [DataRow("g?t", "gppt", false)]
    [DataRow("*-mini", "gpt-4o-mini", true)]
    [DataRow("*-mini", "gpt-4o-mini-2", false)]
    [DataRow("a*b*c", "aXbXbXc", true)]
    [DataRow("a*b*c", "aXcXb", false)]
    [DataRow("exact", "exact", true)]
    public void Wildcards_match(string pattern, string name, bool expected) => Assert.AreEqual(expected, Wildcard.Matches(pattern, name));

    [TestMethod]
    [Timeout(5_000, CooperativeCancellation = true)]
    public void A_pattern_of_many_stars_takes_no_time() =>
        Assert.IsFalse(Wildcard.Matches(string.Concat(Enumerable.Repeat("a*", 500)) + "b", new string('a', 10_000)));

    [TestMethod]
    [DataRow("llama3", "llama-3-8b-instruct")]
    [DataRow("qwen2-7", "qwen2-7b")]
    [DataRow("Qwen2.5-7B", "qwen2-7b")]
    [DataRow("storys260k", "stories260K")]
    [DataRow("org/phi3-mini-4k-instruct", "phi3-mini-4k-instruct")]
    public void The_closest_name_comes_first(string asked, string expected)
    {
        var registry = Registry("/absent");
        foreach (var name in new[] { "llama-3-8b-instruct", "qwen2-7b", "stories260K", "phi3-mini-4k-instruct" })
            registry.Register(new ModelEntry { Name = name, Path = $"/{name}.gguf" });

        var names = registry.ClosestNames(asked);

        Assert.HasCount(3, names);
        Assert.AreEqual(expected, names[0]);
        Assert.HasCount(3, registry.ClosestNames(new string('x', 1_000_000)));
    }

    [TestMethod]
    public void A_file_given_by_path_is_a_model_whatever_its_name()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["my-draft-F32.gguf"]);
        var entry = SingleFile.Open(folder["my-draft-F32.gguf"]);
        Assert.AreEqual(("my-draft", "llama"), (entry.Name, entry.Architecture));
        Assert.ThrowsExactly<FileNotFoundException>(() => SingleFile.Open(folder["absent.gguf"]));
        File.WriteAllText(folder["text.gguf"], "text");
        Assert.ThrowsExactly<GgufException>(() => SingleFile.Open(folder["text.gguf"]));
        RandomModel.Write(folder["lone-00001-of-00002.gguf"]);
        var lone = Assert.ThrowsExactly<GgufException>(() => SingleFile.Open(folder["lone-00001-of-00002.gguf"]));
        Assert.AreEqual("missing shards: lone-00002-of-00002.gguf", lone.Message);
    }

    private static ModelRegistry Registry(string folder) => new(new ModelDiscovery([new FolderSource("models", folder)]));

    private sealed class GatedSource(ManualResetEventSlim gate) : IModelSource
    {
        public int Scans { get; private set; }

        public string Origin => "gated";

        public IReadOnlyList<string> Places => [];

        public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
        {
            Scans++;
            gate.Wait(cancellation);
            return [];
        }
    }
}
