using System.Collections.Concurrent;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Pull;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Models.Discovery;

namespace Shimmy.Tests.Models.Pull;

/// <summary>Models come from registries that stand in for the real ones on this machine, whole or not at all.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PullTests
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";
    private const string Hub = "home/.cache/huggingface/hub/models--org--tiny/";
    private static readonly byte[] Model = RandomModel.Bytes(new RandomModelShape { Layers = 1, Embedding = 16 });

    [TestMethod]
    public async Task A_model_of_the_hub_lies_as_huggingface_hub_puts_it_and_discovery_finds_it()
    {
        using var run = new Run();
        var projector = "a projector"u8.ToArray();
        run.Registry.AddHub("org/tiny", Commit, ("README.md", [1]), ("config.json", "{}"u8.ToArray()), ("tiny-Q2_K.gguf", [2]),
            ("sub/tiny-Q8_0.gguf", Model), ("mmproj-tiny-F16.gguf", projector));

        var pulled = await run.PullAsync("hf.co/org/tiny:q8_0");

        Assert.AreEqual("org/tiny:Q8_0", pulled.Plan.Name);
        Assert.AreEqual(Model.Length + projector.Length, pulled.Fetched);
        var (model, mmproj) = (StandInRegistry.Sha256(Model), StandInRegistry.Sha256(projector));
        CollectionAssert.AreEquivalent(new[]
        {
            "refs/main", $"blobs/{model}", $"blobs/{mmproj}", $"snapshots/{Commit}/sub/tiny-Q8_0.gguf",
                $"snapshots/{Commit}/mmproj-tiny-F16.gguf",
        }, run.Files(Hub));
        Assert.AreEqual(Commit, File.ReadAllText(run.Folder[Hub + "refs/main"]));
        Assert.AreEqual($"../../../blobs/{model}", new FileInfo(run.Folder[Hub + $"snapshots/{Commit}/sub/tiny-Q8_0.gguf"]).LinkTarget);
        Assert.AreEqual($"../../blobs/{mmproj}", new FileInfo(run.Folder[Hub + $"snapshots/{Commit}/mmproj-tiny-F16.gguf"]).LinkTarget);
        CollectionAssert.AreEqual(Model, File.ReadAllBytes(run.Folder[Hub + "blobs/" + model]));
        var found = new ModelDiscovery([new HuggingFaceSource(run.Host)]).Scan().Models.Single();
        Assert.AreEqual("org/tiny:Q8_0", found.Name);
        Assert.AreEqual(found.Path, pulled.Plan.Entries[0]);

        Assert.AreEqual(0, (await run.PullAsync("org/tiny:Q8_0")).Fetched);
    }

    [TestMethod]
    public async Task Without_a_quantization_the_usual_one_is_taken_and_the_list_shows_what_fits()
    {
        using var run = new Run();
        run.Registry.AddHub("org/tiny", Commit, ("tiny-Q2_K.gguf", new byte[1000]), ("tiny-Q4_K_M.gguf", new byte[2000]),
            ("tiny-Q8_0-00001-of-00002.gguf", new byte[30_000_000]), ("tiny-Q8_0-00002-of-00002.gguf", new byte[10]),
            ("tiny-F16-00001-of-00002.gguf", new byte[10]), ("mmproj-tiny.gguf", new byte[1]));
        var puller = run.Puller(options => options with { MemoryBudget = 40_000_000 });
        var choices = await puller.ChoicesAsync(PullName.Parse("org/tiny"), CancellationToken.None);
        Assert.AreEqual("org/tiny:Q2_K 1 True False, org/tiny:Q4_K_M 1 True True, org/tiny:Q8_0 2 False False",
            string.Join(", ", choices.Select(choice => $"{choice.Name} {choice.Shards} {choice.Fits} {choice.Chosen}")));
        Assert.AreEqual("org/tiny:Q4_K_M", (await run.PullAsync("org/tiny")).Plan.Name);
        Assert.AreEqual(3, (await run.PullAsync("org/tiny:Q8_0")).Plan.Files.Count);
        Assert.Contains("it has Q", (await run.FailAsync("org/tiny:Q3_K_M", PullFailure.NotFound)).Message);
    }

    [TestMethod]
    public async Task A_repository_of_SafeTensors_comes_as_a_folder()
    {
        using var run = new Run();
        run.Registry.AddHub("org/tiny", Commit, ("config.json", "{}"u8.ToArray()), ("tokenizer.json", "{\"a\":1}"u8.ToArray()),
            ("model.safetensors", new byte[100]), ("onnx/model.onnx", new byte[100]), ("README.md", [1]));
        await run.PullAsync("org/tiny");
        Assert.AreEqual("config.json model.safetensors tokenizer.json",
            string.Join(' ', run.Files(Hub + $"snapshots/{Commit}/").Order(StringComparer.Ordinal)));
        Assert.IsTrue(File.Exists(run.Folder[Hub + "blobs/" + StandInRegistry.GitHash("{}"u8.ToArray())]));
    }

    [TestMethod]
    public async Task A_model_of_Ollama_lies_as_Ollama_puts_it_and_discovery_finds_it()
    {
        using var run = new Run();
        var manifest = run.Registry.AddOllama("library/tiny", "1b", ("model", Model), ("template", "{{ .Prompt }}"u8.ToArray()),
            ("params", """{"stop":["x"]}"""u8.ToArray()), ("license", "free"u8.ToArray()));

        var pulled = await run.PullAsync("tiny:1b");

        Assert.AreEqual("tiny:1b", pulled.Plan.Name);
        CollectionAssert.AreEqual(manifest,
            File.ReadAllBytes(run.Folder["home/.ollama/models/manifests/registry.ollama.ai/library/tiny/1b"]));
        Assert.HasCount(5, run.Files("home/.ollama/models/blobs/"));
        CollectionAssert.AreEqual(Model,
            File.ReadAllBytes(run.Folder["home/.ollama/models/blobs/sha256-" + StandInRegistry.Sha256(Model)]));
        var found = new ModelDiscovery([new OllamaSource(run.Folder["home/.ollama/models"])]).Scan().Models.Single();
        Assert.AreEqual(("tiny:1b", "x"), (found.Name, found.Settings.Defaults.Stop[0]));

        var other = $"{run.Registry.Address.Authority}/library/tiny:1b";
        Assert.AreEqual(0, (await run.PullAsync(other)).Fetched);
        Assert.IsTrue(File.Exists(run.Folder[$"home/.ollama/models/manifests/{run.Registry.Address.Authority}/library/tiny/1b"]));
    }

    [TestMethod]
    public async Task A_file_by_its_URL_goes_where_llama_cpp_keeps_such_or_to_a_folder()
    {
        using var run = new Run();
        run.Registry.Route("/files/a-Q8_0.gguf", _ => new StandInAnswer { File = Model, Headers = [("ETag", "\"one\"")] });
        var url = $"{run.Registry.Address}files/a-Q8_0.gguf";
        Assert.AreEqual(run.Folder["home/.cache/llama.cpp/a-Q8_0.gguf"], (await run.PullAsync(url)).Plan.Entries[0]);
        var to = run.Puller(options => options with { To = run.Folder["here"] });
        await to.PullAsync(PullName.Parse(url), _ => { }, CancellationToken.None);
        CollectionAssert.AreEqual(Model, File.ReadAllBytes(run.Folder["here/a-Q8_0.gguf"]));
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public async Task What_breaks_off_twenty_times_goes_on_where_it_was(bool ranges)
    {
        using var run = new Run();
        var content = run.Large("org/tiny", 400_000);
        run.Registry.HasRanges = ranges;
        var random = new Random(1);
        // Without ranges each cut begins anew, and a connection that brings nothing more is not asked for ever.
        for (var i = 0; i < (ranges ? 20 : 3); i++)
            run.Registry.Cuts.Enqueue(random.Next(1, 15_000));
        var pulled = await run.PullAsync("org/tiny:Q8_0");
        CollectionAssert.AreEqual(content, File.ReadAllBytes(pulled.Plan.Entries[0]));
        Assert.IsEmpty(run.Registry.Cuts);
        if (ranges)
            Assert.IsLessThan(content.Length * 3 / 2, run.Registry.Sent);
    }

    [TestMethod]
    public async Task A_pull_that_is_ended_twenty_times_goes_on_where_it_was_and_nothing_looks_whole_before()
    {
        using var run = new Run();
        var content = run.Large("org/tiny", 10_000_000);
        var blob = run.Folder[Hub + "blobs/" + StandInRegistry.Sha256(content)];
        var random = new Random(2);
        for (var i = 0; i < 20; i++)
        {
            using var end = new CancellationTokenSource();
            var from = 0L;
            var bytes = random.Next(1, 100_000);
            await Assert.ThrowsAsync<OperationCanceledException>(() => run.Puller().PullAsync(PullName.Parse("org/tiny:Q8_0"), step =>
            {
                if (step.Stage == PullStage.Fetching && Interlocked.CompareExchange(ref from, step.Done + 1, 0) is > 0 and var first
                    && step.Done - first > bytes)
                {
                    end.Cancel();
                }
            }, end.Token));
            Assert.IsFalse(File.Exists(blob));
            Assert.IsFalse(Directory.Exists(run.Folder[Hub + "snapshots"]));
        }
        var pulled = await run.PullAsync("org/tiny:Q8_0");
        CollectionAssert.AreEqual(content, File.ReadAllBytes(blob));
        Assert.IsLessThan(content.Length, pulled.Fetched);
        Assert.IsFalse(File.Exists(blob + PartialFile.Ending));
    }

    [TestMethod]
    public async Task What_is_not_what_was_promised_is_not_kept()
    {
        using var run = new Run();
        var content = run.Large("org/tiny", 100_000);
        var hash = StandInRegistry.Sha256(content);
        var wrong = content.ToArray();
        wrong[50_000] ^= 1;
        run.Registry.Route($"/cdn/{hash}", _ => new StandInAnswer { File = wrong });
        Assert.Contains(hash, (await run.FailAsync("org/tiny:Q8_0", PullFailure.WrongContent)).Message);
        Assert.IsEmpty(run.Files(Hub));
        run.Registry.Route($"/cdn/{hash}", _ => new StandInAnswer { File = content[..^1] });
        await run.FailAsync("org/tiny:Q8_0", PullFailure.WrongContent);
        Assert.IsFalse(File.Exists(run.Folder[Hub + "blobs/" + hash]));
    }

    [TestMethod]
    public async Task What_an_earlier_pull_has_left_wrong_is_fetched_again()
    {
        using var run = new Run();
        var content = run.Large("org/tiny", 100_000);
        using (var end = new CancellationTokenSource())
        {
            await Assert.ThrowsAsync<OperationCanceledException>(() => run.Puller().PullAsync(PullName.Parse("org/tiny:Q8_0"), step =>
            {
                if (step.Done > 50_000)
                    end.Cancel();
            }, end.Token));
        }
        var partial = Directory.GetFiles(run.Folder[Hub + "blobs"]).Single();
        using (var file = File.OpenHandle(partial, FileMode.Open, FileAccess.Write))
            RandomAccess.Write(file, [1, 2, 3], 100);
        var pulled = await run.PullAsync("org/tiny:Q8_0");
        CollectionAssert.AreEqual(content, File.ReadAllBytes(pulled.Plan.Entries[0]));
    }

    [TestMethod]
    [DataRow(401, "Refused", "HF_TOKEN")]
    [DataRow(403, "Refused", "HF_TOKEN")]
    [DataRow(404, "NotFound", "has no repository org/tiny")]
    [DataRow(429, "TooMany", "asks to wait 77 s")]
    [DataRow(500, "Unreachable", "answered 500")]
    [DataRow(418, "BadAnswer", "answered 418")]
    public async Task Refusals_are_reported_in_words(int status, string failure, string words)
    {
        using var run = new Run();
        run.Registry.Instead = _ => new StandInAnswer { Status = status, Headers = [("Retry-After", "77")] };
        var refused = await run.FailAsync("org/tiny:Q8_0", Enum.Parse<PullFailure>(failure));
        Assert.Contains(words, refused.Message);
        Assert.AreEqual(status == 429 ? 77 : null, refused.RetryAfterSeconds);
    }

    [TestMethod]
    public async Task A_short_wait_that_a_registry_asks_for_is_kept()
    {
        using var run = new Run();
        var content = run.Large("org/tiny", 1000);
        var refused = 0;
        run.Registry.Instead = request =>
            request.Path.StartsWith("/cdn/", StringComparison.Ordinal) && Interlocked.Increment(ref refused) < 3
            ? new StandInAnswer { Status = 429, Headers = [("Retry-After", "0")] }
            : null;
        CollectionAssert.AreEqual(content, File.ReadAllBytes((await run.PullAsync("org/tiny:Q8_0")).Plan.Entries[0]));
    }

    [TestMethod]
    public async Task Where_the_disk_is_full_nothing_is_begun()
    {
        using var run = new Run();
        run.Large("org/tiny", 100_000);
        var puller = run.Puller(options => options with { FreeBytes = _ => 99_999 });
        var refused = await Assert.ThrowsExactlyAsync<PullException>(() =>
            puller.PullAsync(PullName.Parse("org/tiny:Q8_0"), _ => { }, CancellationToken.None));
        Assert.AreEqual(PullFailure.NoSpace, refused.Failure);
        Assert.IsFalse(Directory.Exists(Path.GetDirectoryName(run.Folder[Hub + "x"])! + "/blobs"));
        Assert.AreEqual(0, run.Registry.Sent);
    }

    [TestMethod]
    public async Task Offline_nothing_is_asked()
    {
        using var run = new Run();
        run.Large("org/tiny", 100);
        foreach (var puller in new[] { run.Puller(options => options with { Offline = true }),
            run.Puller(options => options with { Host = Run.HostOf(run, ("HF_HUB_OFFLINE", "1")) }) })
        {
            var refused = await Assert.ThrowsExactlyAsync<PullException>(() =>
                puller.PullAsync(PullName.Parse("org/tiny:Q8_0"), _ => { }, CancellationToken.None));
            Assert.AreEqual(PullFailure.Offline, refused.Failure);
        }
        Assert.IsEmpty(run.Registry.Asked);
    }

    [TestMethod]
    public async Task Two_pulls_of_one_file_share_the_work()
    {
        using var run = new Run();
        var content = run.Large("org/tiny", 500_000);
        run.Registry.Pause = TimeSpan.FromMilliseconds(5);
        var waited = new ConcurrentBag<PullStage>();
        var both = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
            run.Puller().PullAsync(PullName.Parse("org/tiny:Q8_0"), step => waited.Add(step.Stage), CancellationToken.None))));
        CollectionAssert.AreEqual(content, File.ReadAllBytes(both[0].Plan.Entries[0]));
        Assert.AreEqual(content.Length, run.Registry.Sent);
        Assert.AreEqual(content.Length, both.Sum(pulled => pulled.Fetched));
        Assert.Contains(PullStage.Waiting, waited);
    }

    [TestMethod]
    public async Task A_token_goes_to_the_registry_alone()
    {
        using var run = new Run(("HF_TOKEN", "hf_secret"));
        var content = run.Large("org/tiny", 1000);
        var elsewhere = $"http://localhost:{run.Registry.Address.Port}/cdn/{StandInRegistry.Sha256(content)}";
        run.Registry.Route($"/org/tiny/resolve/{Commit}/tiny-Q8_0.gguf",
            _ => new StandInAnswer { Status = 302, Headers = [("Location", elsewhere)] });
        await run.PullAsync("org/tiny:Q8_0");
        foreach (var request in run.Registry.Asked)
        {
            Assert.AreEqual(request.Headers["Host"].StartsWith("127", StringComparison.Ordinal) ? "Bearer hf_secret" : null,
                request.Headers.GetValueOrDefault("Authorization"), request.Path);
        }
        Assert.IsTrue(run.Registry.Asked.Any(request => request.Headers["Host"].StartsWith("localhost", StringComparison.Ordinal)));
    }

    [TestMethod]
    [DataRow("/api/models/org/tiny/revision/main", "redirects more than")]
    [DataRow("ftp://127.0.0.1/x", "neither https nor http")]
    [DataRow("http://user:key@127.0.0.1/x", "a name or a password")]
    public async Task Redirects_lead_nowhere_else(string location, string words)
    {
        using var run = new Run();
        run.Registry.Instead = _ => new StandInAnswer { Status = 307, Headers = [("Location", location)] };
        Assert.Contains(words, (await run.FailAsync("org/tiny:Q8_0", PullFailure.BadAnswer)).Message);
        Assert.IsLessThan(10, run.Registry.Asked.Count);
    }

    [TestMethod]
    public async Task Only_what_was_pulled_is_removed_and_nothing_that_others_use()
    {
        using var run = new Run();
        var projector = new byte[50];
        run.Registry.AddHub("org/tiny", Commit, ("tiny-Q4_0.gguf", new byte[100]),
            ("tiny-Q8_0.gguf", Model), ("mmproj-F16.gguf", projector));
        await run.PullAsync("org/tiny:Q4_0");
        await run.PullAsync("org/tiny:Q8_0");

        var first = PulledModels.Remove(run.Host, "hf.co/org/tiny:Q4_0", null);
        Assert.AreEqual(100, first.Bytes);
        Assert.Contains("is a file of org/tiny:Q8_0, too", first.Kept.Single());
        var blob = run.Folder[Hub + "blobs/" + StandInRegistry.Sha256(Model)];
        File.CreateSymbolicLink(run.Folder[Hub + "snapshots/other/mine.gguf"], "../../blobs/" + StandInRegistry.Sha256(Model));
        var second = PulledModels.Remove(run.Host, "org/tiny", null);
        Assert.AreEqual(50, second.Bytes);
        Assert.Contains("is used by snapshots/other/mine.gguf", second.Kept.Single());
        Assert.IsTrue(File.Exists(blob));
        Assert.AreEqual(PullFailure.NotFound,
            Assert.ThrowsExactly<PullException>(() => PulledModels.Remove(run.Host, "org/tiny:Q8_0", null)).Failure);
    }

    [TestMethod]
    public async Task A_removed_model_of_Ollama_leaves_the_layers_of_others()
    {
        using var run = new Run();
        var own = run.Registry.AddOllama("library/tiny", "a", ("model", Model), ("license", "free"u8.ToArray()));
        var manifest = run.Registry.AddOllama("library/tiny", "b", ("model", Model), ("license", "other"u8.ToArray()));
        File.WriteAllBytes(run.Folder["home/.ollama/models/manifests/registry.ollama.ai/library/theirs/latest"], manifest);
        await run.PullAsync("tiny:a");
        Assert.AreEqual(4 + own.Length, PulledModels.Remove(run.Host, "tiny:a", null).Bytes);
        Assert.AreEqual(2, run.Files("home/.ollama/models/blobs/").Length);
        Assert.IsFalse(Directory.Exists(Path.Join(run.Folder.Path, "home/.ollama/models/manifests/registry.ollama.ai/library/tiny")));
    }

    [TestMethod]
    public async Task What_was_there_before_a_pull_is_not_removed()
    {
        using var run = new Run();
        run.Registry.AddOllama("library/tiny", "a", ("model", Model));
        await run.PullAsync("tiny:a");
        // As if Ollama had brought it, all of it or without a blob.
        var manifest = run.Folder["home/.ollama/models/manifests/registry.ollama.ai/library/tiny/a"];
        var blob = run.Folder["home/.ollama/models/blobs/sha256-" + StandInRegistry.Sha256(Model)];
        foreach (var misses in new[] { false, true })
        {
            run.Forget();
            if (misses)
                File.Delete(blob);
            await run.PullAsync("tiny:a");
            Assert.AreEqual(PullFailure.NotFound,
                Assert.ThrowsExactly<PullException>(() => PulledModels.Remove(run.Host, "tiny:a", null)).Failure);
            Assert.IsTrue(File.Exists(manifest) && File.Exists(blob));
        }

        run.Registry.AddHub("org/tiny", Commit, ("tiny-Q8_0.gguf", Model), ("mmproj-F16.gguf", new byte[50]));
        await run.PullAsync("org/tiny:Q8_0");
        run.Forget();
        File.Delete(run.Folder[Hub + $"snapshots/{Commit}/mmproj-F16.gguf"]);
        await run.PullAsync("org/tiny:Q8_0");
        await run.PullAsync("org/tiny:Q8_0");
        Assert.Contains(kept => kept.Contains("tiny-Q8_0.gguf was there before", StringComparison.Ordinal),
            PulledModels.Remove(run.Host, "org/tiny:Q8_0", null).Kept);
        CollectionAssert.AreEquivalent(new[] { "refs/main", $"snapshots/{Commit}/tiny-Q8_0.gguf",
            $"blobs/{StandInRegistry.Sha256(Model)}", $"blobs/{StandInRegistry.Sha256(new byte[50])}" }, run.Files(Hub));
    }

    [TestMethod]
    public async Task Names_of_a_removed_commit_go_with_it_in_the_cache_and_nowhere_else()
    {
        using var run = new Run();
        run.Registry.AddHub("org/tiny", Commit, ("tiny-Q8_0.gguf", Model));
        await run.PullAsync("org/tiny:Q8_0");
        File.WriteAllText(run.Folder[Hub + "refs/other"], new string('f', 40));
        PulledModels.Remove(run.Host, "org/tiny:Q8_0", null);
        CollectionAssert.AreEqual(new[] { "refs/other" }, run.Files(Hub));

        File.WriteAllText(run.Folder["mine/refs/main"], Commit);
        await run.PullToAsync("mine", "org/tiny:Q8_0");
        PulledModels.Remove(run.Host, "org/tiny:Q8_0", null);
        CollectionAssert.AreEqual(new[] { "refs/main" }, run.Files("mine"));
    }

    [TestMethod]
    public async Task A_folder_keeps_the_files_that_were_in_it()
    {
        using var run = new Run();
        run.Registry.AddHub("org/tiny", Commit, ("config.json", "{}"u8.ToArray()), ("model.safetensors", new byte[100]));
        var config = run.Folder["mine/config.json"];
        foreach (var other in new[] { "[]", "{\"mine\":true}" })
        {
            File.WriteAllText(config, other);
            Assert.AreEqual(PullFailure.Exists,
                (await Assert.ThrowsExactlyAsync<PullException>(() => run.PullToAsync("mine", "org/tiny"))).Failure);
            Assert.AreEqual(other, File.ReadAllText(config));
        }
        File.WriteAllText(config, "{}");
        await run.PullToAsync("mine", "org/tiny");
        // What was pulled is replaced by what is newer.
        run.Registry.AddHub("org/tiny", Commit, ("config.json", "{}"u8.ToArray()), ("model.safetensors", new byte[101]));
        await run.PullToAsync("mine", "org/tiny");
        PulledModels.Remove(run.Host, "org/tiny", null);
        CollectionAssert.AreEqual(new[] { "config.json" }, run.Files("mine"));
    }

    [TestMethod]
    public async Task A_name_of_another_model_or_of_an_alias_removes_nothing()
    {
        using var run = new Run();
        run.Registry.AddOllama("library/tiny", "a", ("model", Model));
        await run.PullAsync("tiny:a");
        var pulled = new ModelDiscovery([new OllamaSource(run.Folder["home/.ollama/models"])]).Scan().Models.Single();
        var local = new ModelEntry { Name = "tiny", Path = run.Folder["tiny.gguf"] };
        foreach (var (name, entry) in new[] { ("tiny", local), ("alias", pulled), ("tiny", pulled with { Name = "x", OtherNames = [] }) })
        {
            Assert.IsFalse(PulledModels.Has(run.Host, name, entry), name);
            Assert.ThrowsExactly<PullException>(() => PulledModels.Remove(run.Host, name, entry));
        }
        Assert.IsTrue(PulledModels.Has(run.Host, "tiny:a", pulled));
        Assert.AreEqual("tiny:a", PulledModels.Remove(run.Host, "registry.ollama.ai/library/tiny:a", pulled).Name);
    }

    [TestMethod]
    public void A_pull_that_is_being_ended_has_no_more_followers()
    {
        using var end = new CancellationTokenSource();
        var run = new PullRun(PullName.Parse("org/tiny"), end.Token);
        var (first, second) = (run.Follow()!, run.Follow()!);
        first.Dispose();
        run.Follow()!.Dispose();
        second.Dispose();
        Assert.IsNull(run.Follow());
    }

    // A registry, a home, and pulls into it.
    private sealed class Run(params (string Name, string Value)[] variables) : IDisposable
    {
        public TemporaryFolder Folder { get; } = new();

        public StandInRegistry Registry { get; } = new();

        public HostEnvironment Host => HostOf(this, variables);

        public static HostEnvironment HostOf(Run run, params (string Name, string Value)[] variables) =>
            HostEnvironments.In(run.Folder, [("HF_ENDPOINT", run.Registry.Address.AbsoluteUri), .. variables]);

        public Puller Puller(Func<PullOptions, PullOptions>? change = null)
        {
            var options = new PullOptions
            {
                Host = Host,
                MemoryBudget = 1L << 40,
                OllamaAddress = Registry.Address,
                Piece = 64 << 10,
            };
            return new Puller(change?.Invoke(options) ?? options);
        }

        public Task<PulledModel> PullAsync(string name) => Puller().PullAsync(PullName.Parse(name), _ => { }, CancellationToken.None);

        public Task<PulledModel> PullToAsync(string folder, string name) =>
            Puller(options => options with { To = Path.Join(Folder.Path, folder) })
                .PullAsync(PullName.Parse(name), _ => { }, CancellationToken.None);

        // What was pulled is as if others had brought it.
        public void Forget()
        {
            if (Path.Join(Host.StateFolder(), "shimmy", "pulled") is var records && Directory.Exists(records))
                Directory.Delete(records, recursive: true);
        }

        public async Task<PullException> FailAsync(string name, PullFailure failure)
        {
            var refused = await Assert.ThrowsExactlyAsync<PullException>(() => PullAsync(name));
            Assert.AreEqual(failure, refused.Failure, refused.Message);
            return refused;
        }

        // A model of random bytes in the hub.
        public byte[] Large(string repository, int bytes)
        {
            var content = new byte[bytes];
            new Random(bytes).NextBytes(content);
            Registry.AddHub(repository, Commit, ("tiny-Q8_0.gguf", content));
            return content;
        }

        // The files below a folder, links included.
        public string[] Files(string folder)
        {
            var root = Path.TrimEndingDirectorySeparator(Path.Join(Folder.Path, folder));
            return Directory.Exists(root)
                ? [.. Directory.GetFiles(root, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(root, file))]
                : [];
        }

        public void Dispose()
        {
            Registry.Dispose();
            Folder.Dispose();
        }
    }
}
