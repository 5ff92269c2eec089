using System.Text;
using Shimmy.Models.Discovery;
using Shimmy.Models.Pull;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>
/// Registries that lie: listings, manifests and redirects with names that lead elsewhere, sizes and hashes that are none, and damaged JSON.
/// Each case is a pull; what it writes stays in its folders, or it is refused in words.
/// </summary>
internal sealed class RegistryFuzz : IDisposable
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private static readonly string[] Paths =
    [
        "../../../../escaped.gguf", "/tmp/shimmy-escaped.gguf", "..\\..\\escaped.gguf", "C:\\escaped.gguf",
            "sub/../../../../../escaped.gguf",
        "NUL.gguf", "con.gguf", "a.gguf:stream", "sub/COM1/a.gguf", "A-Q8_0.GGUF", "a-Q8_0.gguf", "a-q8_0.gguf", "sub/a-Q8_0.gguf",
        "Sub/a-Q8_0.gguf", "a-Q8_0.gguf/b-Q8_0.gguf", "a\0-Q8_0.gguf", "a-Q8_0.gguf ", " a-Q8_0.gguf",
            "a\u202E-Q8_0.gguf", "...gguf", ".gguf",
        "blobs/../../../x-Q8_0.gguf", "~/x-Q8_0.gguf", "%2e%2e/x-Q8_0.gguf", "a-Q8_0.gguf.shimmy-partial", "mmproj-F16.gguf",
        "a-Q8_0-00001-of-00002.gguf", "a-Q8_0-00002-of-00002.gguf", "a-Q8_0-00001-of-99999.gguf", "refs/main", "config.json",
        "model.safetensors", "\uD83D\uDE00-Q8_0.gguf",
    ];

    private static readonly string[] Hashes =
    [
        "../../../../escaped", "", "0000", "sha256:zz", new string('0', 64), new string('F', 64), new string('0', 63) + "/", "..", "/etc/x",
    ];

    private static readonly string[] Numbers = ["-1", "0", "1e30", "9223372036854775807", "1.5", "null", "\"5\"", "[]", "4", "5"];
    private static readonly string[] Locations =
    [
        "/loop", "../../x", "file:///etc/passwd", "http://", "//", "ftp://127.0.0.1/x", "http://user:key@127.0.0.1/x", "javascript:1", "",

    ];

    private readonly TemporaryFolder _folder = new();
    private readonly StandInRegistry _registry = new();
    private readonly HostEnvironment _host;

    public RegistryFuzz()
    {
        foreach (var name in (string[])["home/x", "work", "app"])
            Directory.CreateDirectory(_folder[name]);
        File.WriteAllText(_folder["home/canary"], "alive");
        _host = new HostEnvironment
        {
            Variable = name => name switch
            {
                "HF_ENDPOINT" => _registry.Address.AbsoluteUri,
                "HF_HUB_CACHE" => _folder["home/hub"],
                "OLLAMA_MODELS" => _folder["home/ollama"],
                "XDG_STATE_HOME" => _folder["home/state"],
                _ => null,
            },
            Home = _folder["home"],
            CurrentDirectory = _folder["work"],
            ExecutableDirectory = _folder["app"],
            System = HostSystem.Linux,
        };
    }

    /// <summary>Runs one case; gives what is wrong, or null.</summary>
    public async Task<string?> TryAsync(int seed, int number)
    {
        var random = new Random(unchecked((seed * 1_000_003) + number));
        var content = new byte[5];
        random.NextBytes(content);
        var hash = StandInRegistry.Sha256(content);
        var ofOllama = random.Next(2) == 0;
        var body = Encoding.UTF8.GetBytes(ofOllama ? Manifest(random, hash) : Listing(random, hash));
        if (random.Next(3) == 0)
            body = JsonFuzz.Mutate(body, random);
        var asked = 0;
        _registry.Asked.Clear();
        _registry.Instead = request =>
        {
            asked++;
            var isFile = request.Path.Contains("/resolve/", StringComparison.Ordinal)
                || request.Path.Contains("/blobs/", StringComparison.Ordinal);
            if (random.Next(isFile ? 6 : 12) == 0)
                return new StandInAnswer { Status = random.Next(2) == 0 ? 302 : 307, Headers = [("Location", Any(random, Locations))] };
            var size = random.Next(4) == 0 ? Any(random, Numbers) : "5";
            return isFile || request.Path == "/loop"
                ? new StandInAnswer { File = content, Headers = [("X-Linked-Etag", Any(random, Hashes)), ("X-Linked-Size", size)] }
                : StandInAnswer.Json(body);
        };
        var puller = new Puller(new PullOptions
        {
            Host = _host,
            MemoryBudget = 1L << 40,
            OllamaAddress = _registry.Address,
            FreeBytes = _ => 1 << 20,
            Connections = 2,
        });
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        try
        {
            await puller.PullAsync(PullName.Parse(ofOllama ? "tiny" : random.Next(2) == 0 ? "org/tiny:Q8_0" : "org/tiny"),
                _ => { }, limit.Token);
        }
        catch (PullException)
        {
            // Refused in words.
        }
        catch (Exception e)
        {
            return $"case {number}: {e}";
        }
        if (asked > 500)
            return $"case {number}: {asked} requests";
        return Escaped() is { } escaped ? $"case {number}: wrote {escaped}" : null;
    }

    public void Dispose()
    {
        _registry.Dispose();
        _folder.Dispose();
    }

    // What lies elsewhere than in the folders of the two tools; these are emptied.
    private string? Escaped()
    {
        foreach (var path in Directory.EnumerateFileSystemEntries(_folder.Path)
            .Concat(Directory.EnumerateFileSystemEntries(_folder["home"])))
        {
            if (Path.GetFileName(path) is not ("home" or "work" or "app" or "canary" or "hub" or "ollama" or "state" or "x"))
                return path;
        }
        foreach (var path in Directory.EnumerateFileSystemEntries(_folder["work"])
            .Concat(Directory.EnumerateFileSystemEntries(_folder["app"])))
        {
            return path;
        }
        foreach (var folder in (string[])[_folder["home/hub"], _folder["home/ollama"]])
        {
            if (!Directory.Exists(folder))
                continue;
            foreach (var path in Directory.EnumerateFileSystemEntries(folder))
            {
                if (Path.GetFileName(path) is not ("models--org--tiny" or "blobs" or "manifests"))
                    return path;
            }
            foreach (var file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
            {
                if (new FileInfo(file).LinkTarget is { } link
                    && !Path.GetFullPath(Path.Join(Path.GetDirectoryName(file), link)).StartsWith(folder + "/", StringComparison.Ordinal))
                {
                    return $"{file} -> {link}";
                }
            }
            Directory.Delete(folder, recursive: true);
        }
        return File.Exists("/tmp/shimmy-escaped.gguf") ? "/tmp/shimmy-escaped.gguf"
            : File.ReadAllText(_folder["home/canary"]) == "alive" ? null : "over the canary";
    }

    private static string Any(Random random, string[] of) => of[random.Next(of.Length)];

    private static string Quoted(string text) => $"\"{System.Text.Json.JsonEncodedText.Encode(text)}\"";

    private static string Listing(Random random, string hash)
    {
        var files = Enumerable.Range(0, random.Next(1, 8)).Select(_ =>
        {
            var path = random.Next(3) == 0 ? "a-Q8_0.gguf" : Any(random, Paths);
            var right = random.Next(3) > 0;
            var lfs = $$"""{"sha256":{{Quoted(right ? hash : Any(random, Hashes))}},"size":{{(random.Next(4) > 0 ? "5" : Any(random, Numbers))}}}""";
            return $$"""{"rfilename":{{Quoted(path)}},"size":{{(random.Next(4) > 0 ? "5" : Any(random, Numbers))}},"blobId":{{Quoted(Any(random, Hashes))}}{{(random.Next(5) > 0 ? ",\"lfs\":" + lfs : "")}}}""";
        });
        return $$"""{"sha":{{Quoted(random.Next(8) > 0 ? Commit : Any(random, Hashes))}},"siblings":[{{string.Join(',', files)}}]}""";
    }

    private static string Manifest(Random random, string hash)
    {
        var layers = Enumerable.Range(0, random.Next(1, 6))
            .Select(i => Layer(i == 0 ? "model" : Any(random, ["model", "params", "../x", "license"])));
        return $$"""{"schemaVersion":2,"config":{{Layer("x")}},"layers":[{{string.Join(',', layers)}}]}""";

        string Layer(string kind) => $$"""
            {"mediaType":{{Quoted("application/vnd.ollama.image." + kind)}},"digest":{{Quoted("sha256:" + (random.Next(3) > 0 ? hash : Any(random, Hashes)))}},"size":{{(random.Next(4) > 0 ? "5" : Any(random, Numbers))}}}
            """;
    }
}
