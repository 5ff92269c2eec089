using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Ollama;

/// <summary>What Ollama's clients learn of the models: lists, details, digests, copies; and embeddings.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class OllamaModelTests
{
    [TestMethod]
    public async Task Tags_have_what_clients_choose_by()
    {
        using var folder = new TemporaryFolder();
        await using var server = await StoreServer.StartAsync(folder);
        var tags = await server.Http.JsonAsync("api/tags");
        CollectionAssert.AreEquivalent(new[] { "plain:latest", "tiny:1b", "people/named:latest" }, Names(tags));

        var plain = Model(tags, "plain:latest");
        Assert.AreEqual("plain:latest", plain.GetProperty("model").GetString());
        Assert.AreEqual(Hash(folder["models/plain.gguf"]), plain.GetProperty("digest").GetString());
        Assert.AreEqual(new FileInfo(folder["models/plain.gguf"]).Length, plain.GetProperty("size").GetInt64());
        StringAssert.EndsWith(plain.GetProperty("modified_at").GetString(), "00Z");
        var details = plain.GetProperty("details");
        Assert.AreEqual(("", "gguf", "llama", "llama"),
            (details.GetProperty("parent_model").GetString(), details.GetProperty("format").GetString(),
            details.GetProperty("family").GetString(), details.GetProperty("families")[0].GetString()));
        StringAssert.EndsWith(details.GetProperty("parameter_size").GetString(), "K");
        Assert.IsGreaterThan(0, details.GetProperty("context_length").GetInt32());
        Assert.IsGreaterThan(0, details.GetProperty("embedding_length").GetInt32());
        Assert.AreEqual("""["completion"]""", plain.GetProperty("capabilities").GetRawText());

        // Ollama's own have the digest of their manifest, as ollama list shows it.
        Assert.AreEqual(Hash(folder["store/manifests/registry.ollama.ai/library/tiny/1b"]),
            Model(tags, "tiny:1b").GetProperty("digest").GetString());
    }

    [TestMethod]
    public async Task Show_tells_the_header_and_what_a_Modelfile_says()
    {
        using var folder = new TemporaryFolder();
        await using var server = await StoreServer.StartAsync(folder);
        var shown = JsonElement.Parse(await server.Http.AnswerAsync("api/show", """{"model":"tiny:1b"}"""));
        var info = shown.GetProperty("model_info");
        Assert.AreEqual("llama", info.GetProperty("general.architecture").GetString());
        Assert.IsGreaterThan(0, info.GetProperty("llama.context_length").GetInt32());
        Assert.IsGreaterThan(0, info.GetProperty("general.parameter_count").GetInt64());
        Assert.AreEqual(JsonValueKind.Null, info.GetProperty("tokenizer.ggml.tokens").ValueKind);
        Assert.AreEqual("Be brief.", shown.GetProperty("system").GetString());
        Assert.AreEqual("{{ .Prompt }}!", shown.GetProperty("template").GetString());
        Assert.AreEqual("Do what you like.", shown.GetProperty("license").GetString());
        // The context is what the server really gives it.
        var parameters = shown.GetProperty("parameters").GetString()!.Split('\n')
            .Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        CollectionAssert.AreEquivalent(new[] { "temperature 0.3", "num_ctx 64", "stop \"</s>\"" }, parameters.ToArray());
        foreach (var line in new[] { $"FROM {folder["store/blobs"]}", "PARAMETER temperature 0.3",
            "SYSTEM \"\"\"Be brief.\"\"\"", "LICENSE" })
        {
            StringAssert.Contains(shown.GetProperty("modelfile").GetString(), line);
        }
        Assert.AreEqual("completion", shown.GetProperty("capabilities")[0].GetString());
        Assert.IsFalse(shown.TryGetProperty("tensors", out _));

        var all = JsonElement.Parse(await server.Http.AnswerAsync("api/show", """{"name":"plain","verbose":true}"""));
        Assert.IsGreaterThan(10, all.GetProperty("model_info").GetProperty("tokenizer.ggml.tokens").GetArrayLength());
        Assert.IsGreaterThan(3, all.GetProperty("tensors").GetArrayLength());

        // Copilot shows this name to its users.
        using var copilot = new HttpRequestMessage(HttpMethod.Post, "api/show") { Content = new StringContent("""{"model":"plain"}""") };
        copilot.Headers.TryAddWithoutValidation("User-Agent", "GitHubCopilotChat/1.0");
        using var told = await server.Http.Client.SendAsync(copilot);
        Assert.AreEqual("plain", (await told.JsonAsync()).GetProperty("model_info").GetProperty("general.basename").GetString());
    }

    [TestMethod]
    public async Task A_copy_is_a_name_that_can_be_taken_back_and_files_are_not_deleted()
    {
        using var folder = new TemporaryFolder();
        await using var server = await StoreServer.StartAsync(folder);
        using (var copied = await server.Http.PostAsync("api/copy", """{"source":"plain","destination":"mine:latest"}"""))
            Assert.AreEqual((HttpStatusCode.OK, ""), (copied.StatusCode, await copied.Content.ReadAsStringAsync()));
        CollectionAssert.Contains(Names(await server.Http.JsonAsync("api/tags")), "mine:latest");
        StringAssert.StartsWith(await server.Http.AnswerAsync("api/chat", """{"model":"mine","messages":[],"stream":false}"""),
            "{\"model\":\"mine\"");

        Assert.AreEqual(HttpStatusCode.OK, (await DeleteAsync(server.Http, "mine")).Status);
        Assert.AreEqual((HttpStatusCode.NotFound, "model 'mine' not found"), await DeleteAsync(server.Http, "mine"));
        var (status, why) = await DeleteAsync(server.Http, "plain");
        Assert.AreEqual(
            (HttpStatusCode.Forbidden,
                $"model 'plain' is not deleted: its file is not Shimmy's own; remove {folder["models/plain.gguf"]} by hand"),
                    (status, why));
        StringAssert.EndsWith((await DeleteAsync(server.Http, "tiny:1b")).Error, "'ollama rm tiny:1b' removes it");
        Assert.IsTrue(File.Exists(folder["models/plain.gguf"]));

        foreach (var (destination, error) in new[]
        {
            ("tiny:1b", "destination: 'tiny:1b' is the name of another model or alias, or 1000 copies were made"),
                ("a*", "destination: must be a name without blanks, * and ?, not 'a*'"),
        })
        {
            using var refused = await server.Http.PostAsync("api/copy", $$"""{"source":"plain","destination":"{{destination}}"}""");
            Assert.AreEqual((HttpStatusCode.BadRequest, error),
                (refused.StatusCode, (await refused.JsonAsync()).GetProperty("error").GetString()));
        }
    }

    [TestMethod]
    public async Task Blobs_that_are_there_are_found_and_what_is_not_done_is_501()
    {
        using var folder = new TemporaryFolder();
        await using var server = await StoreServer.StartAsync(folder);
        await server.Http.JsonAsync("api/tags");
        foreach (var (digest, status) in new[]
        {
            (Hash(folder["models/plain.gguf"]), HttpStatusCode.OK), (Hash(folder["models/tiny"]), HttpStatusCode.OK),
                (new string('0', 64), HttpStatusCode.NotFound),
        })
        {
            using var head = await server.Http.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, $"api/blobs/sha256:{digest}"));
            Assert.AreEqual(status, head.StatusCode, digest);
        }
        foreach (var route in new[] { "api/create", "api/blobs/sha256:00" })
        {
            using var answer = await server.Http.PostAsync(route, """{"model":"a"}""");
            Assert.AreEqual(HttpStatusCode.NotImplemented, answer.StatusCode, route);
            StringAssert.StartsWith((await answer.JsonAsync()).GetProperty("error").GetString(), $"/{route}: ");
        }
    }

    [TestMethod]
    public async Task Embeddings_are_normalised_and_those_of_the_older_route_are_not()
    {
        var plain = new ScriptedEngine().Facts;
        await using var server =
            await ServerFixture.StartAsync(new ScriptedEngine { Facts = spec => plain(spec) with { EmbeddingLength = 2 } });
        var many = JsonElement.Parse(await server.AnswerAsync("api/embed", """{"model":"talker","input":["a b","c"]}"""));
        Assert.AreEqual("[[0.6,0.8],[0.6,0.8]]", many.GetProperty("embeddings").GetRawText());
        Assert.AreEqual(("talker", 3), (many.GetProperty("model").GetString(), many.GetProperty("prompt_eval_count").GetInt32()));
        Assert.IsGreaterThan(0, many.GetProperty("total_duration").GetInt64());
        Assert.IsGreaterThanOrEqualTo(0, many.GetProperty("load_duration").GetInt64());
        var cut = JsonElement.Parse(
            await server.AnswerAsync("api/embed",
                """{"model":"talker","input":"a","dimensions":1,"truncate":false,"options":{"num_ctx":8}}"""));
        Assert.AreEqual("[[1]]", cut.GetProperty("embeddings").GetRawText());
        var none = JsonElement.Parse(await server.AnswerAsync("api/embed", """{"model":"talker","input":""}"""));
        Assert.AreEqual("[]", none.GetProperty("embeddings").GetRawText());
        Assert.AreEqual("""{"embedding":[3,4]}""", await server.AnswerAsync("api/embeddings", """{"model":"talker","prompt":"a"}"""));
        Assert.AreEqual("""{"embedding":[]}""", await server.AnswerAsync("api/embeddings", """{"model":"talker"}"""));
        foreach (var (input, error) in new[] { ("5", "input: must be a string or an array of strings, not 5"),
            ("[1]", "input[0]: must be a string, not 1") })
        {
            using var refused = await server.PostAsync("api/embed", $$"""{"model":"talker","input":{{input}}}""");
            Assert.AreEqual(error, (await refused.JsonAsync()).GetProperty("error").GetString());
        }
    }

    [TestMethod]
    public async Task The_version_is_one_that_clients_do_not_find_too_old()
    {
        await using var server = await ServerFixture.StartAsync();
        var version = (await server.JsonAsync("api/version")).GetProperty("version").GetString()!;
        // Copilot asks for 0.6.4; log probabilities came with 0.12.11.
        Assert.IsGreaterThan(new Version(0, 12, 11), Version.Parse(version));
    }

    [TestMethod]
    public async Task Digests_are_computed_once_and_remembered()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["a.gguf"], "weights");
        var entry = new ModelEntry { Name = "a", Path = folder["a.gguf"] };
        using (var digests = new FileDigests(folder["cache/digests.tsv"]))
        {
            await digests.SettleAsync([entry, new ModelEntry { Name = "gone", Path = folder["gone.gguf"] }],
                TimeSpan.FromSeconds(20), CancellationToken.None);
            Assert.AreEqual(Hash(folder["a.gguf"]), digests.Of(entry));
            Assert.AreEqual("", digests.Of(new ModelEntry { Name = "gone", Path = folder["gone.gguf"] }));
        }
        // What is remembered is believed as long as size and time are the same.
        var line = await File.ReadAllTextAsync(folder["cache/digests.tsv"]);
        await File.WriteAllTextAsync(folder["cache/digests.tsv"], "damaged\n" + new string('f', 64) + line[64..]);
        using (var digests = new FileDigests(folder["cache/digests.tsv"]))
            Assert.AreEqual(new string('f', 64), digests.Of(entry));
        await File.WriteAllTextAsync(folder["a.gguf"], "other weights");
        using (var digests = new FileDigests(folder["cache/digests.tsv"]))
        {
            await digests.SettleAsync([entry], TimeSpan.FromSeconds(20), CancellationToken.None);
            Assert.AreEqual(Hash(folder["a.gguf"]), digests.Of(entry));
        }
    }

    private static string[] Names(JsonElement tags) =>
        [.. tags.GetProperty("models").EnumerateArray().Select(model => model.GetProperty("name").GetString()!)];

    private static JsonElement Model(JsonElement tags, string name) =>
        tags.GetProperty("models").EnumerateArray().Single(model => model.GetProperty("name").GetString() == name);

    private static string Hash(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));

    private static async Task<(HttpStatusCode Status, string Error)> DeleteAsync(ServerFixture server, string name)
    {
        using var request =
            new HttpRequestMessage(HttpMethod.Delete, "api/delete") { Content = new StringContent($$"""{"model":"{{name}}"}""") };
        using var answer = await server.Client.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        return (answer.StatusCode, text.Length == 0 ? "" : JsonElement.Parse(text).GetProperty("error").GetString()!);
    }

    /// <summary>A server before a folder with a model, and a store of Ollama's with another.</summary>
    private sealed class StoreServer(ServerFixture http) : IAsyncDisposable
    {
        public ServerFixture Http => http;

        public static async Task<StoreServer> StartAsync(TemporaryFolder folder)
        {
            foreach (var name in (string[])["models", "store/blobs", "store/manifests/registry.ollama.ai/library/tiny"])
                Directory.CreateDirectory(folder[name]);
            RandomModel.Write(folder["models/plain.gguf"], new RandomModelShape());
            RandomModel.Write(folder["models/tiny"], new RandomModelShape { Context = 256 });
            var layers = new[]
            {
                Layer(folder, "model", await File.ReadAllBytesAsync(folder["models/tiny"])),
                Layer(folder, "system", "Be brief."u8.ToArray()),
                Layer(folder, "template", "{{ .Prompt }}!"u8.ToArray()),
                Layer(folder, "license", "Do what you like."u8.ToArray()),
                Layer(folder, "params", Encoding.UTF8.GetBytes("""{"temperature":0.3,"num_ctx":128,"stop":["</s>"]}""")),
            };
            await File.WriteAllTextAsync(folder["store/manifests/registry.ollama.ai/library/tiny/1b"],
                $$"""{"layers":[{{string.Join(',', layers)}}]}""");
            IModelSource[] sources = [new PlainFolder(folder["models"]), new OllamaSource(folder["store"])];
            var registry = new ModelRegistry(new ModelDiscovery(sources));
            registry.Register(new ModelEntry { Name = "people/named", Path = "/nowhere/named.gguf" });
            await registry.RefreshAsync();
            return new StoreServer(await ServerFixture.StartAsync(new ScriptedEngine(), registry));
        }

        public ValueTask DisposeAsync() => http.DisposeAsync();

        private static string Layer(TemporaryFolder folder, string kind, byte[] content)
        {
            var digest = Convert.ToHexStringLower(SHA256.HashData(content));
            File.WriteAllBytes(folder[$"store/blobs/sha256-{digest}"], content);
            return $$"""{"mediaType":"application/vnd.ollama.image.{{kind}}","digest":"sha256:{{digest}}","size":{{content.Length}}}""";
        }
    }

    private sealed class PlainFolder(string root) : IModelSource
    {
        public string Origin => "models";

        public IReadOnlyList<string> Places => [root];

        public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation) =>
            Directory.EnumerateFiles(root, "*.gguf").Select(path => new ModelCandidate
            {
                Path = path,
                RealPath = path,
                Origin = Origin,
                SizeBytes = new FileInfo(path).Length,
                ModifiedUtc = File.GetLastWriteTimeUtc(path),
            });
    }
}
