using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Devices;

/// <summary>Runtimes that cannot be used, and how that is said. Most are compiled here: a library is known by a few functions.</summary>
[TestClass]
[TestCategory("Executable")]
[OSCondition(OperatingSystems.Linux)]
public sealed class RuntimeTests
{
    private const string Known = "known are llama.cpp v0.4 and v0.5 and LLamaSharp 0.30";

    [TestMethod]
    [DataRow("const char *llama_version(void) { return \"9.9.9\"; }", "is version 9.9.9, whose structs are not known; " + Known)]
    [DataRow("int other;", "has no version and was built from commit 'abc123', whose structs are not known; " + Known)]
    [DataRow("typedef struct { long all[20]; } s; const char *llama_version(void) { return \"0.5.1\"; } "
        + "s llama_model_default_params(void) { return (s){ 0 }; } s llama_context_default_params(void) { return (s){ 0 }; }",
        "calls itself 0.5.1, but its default of llama_model_params.n_gpu_layers is another than that of llama.cpp v0.4 and v0.5")]
    [DataRow("extern int gone; int *there(void) { return &gone; }", "cannot be loaded from ")]
    public async Task A_folder_whose_layout_is_unknown_is_refused_with_its_version_and_those_that_are_known(string source, string expected)
    {
        using var folder = new TemporaryFolder();
        var environment = Empty(folder);
        RuntimeFolder.Compile(environment, "libllama", source);
        RuntimeFolder.Compile(environment, "libggml-base", "const char *ggml_commit(void) { return \"abc123\"; }");

        var byVariable = await ShimmyProcess.RunAsync(["probe", "shimmy-demo"], folder.Path, environment);
        var byOption = await ShimmyProcess.RunAsync(["probe", "shimmy-demo", "--runtime", "./runtime"], folder.Path);

        foreach (var run in new[] { byVariable, byOption })
        {
            Assert.AreEqual(2, run.ExitCode, run.Errors);
            Assert.Contains(expected, run.Errors);
        }
    }

    [TestMethod]
    public async Task A_folder_without_libraries_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();

        var byVariable = await ShimmyProcess.RunAsync(["probe", "shimmy-demo"], folder.Path, Empty(folder));
        var byOption = await ShimmyProcess.RunAsync(["probe", "shimmy-demo", "--runtime", "nonsense"], folder.Path);

        Assert.AreEqual(2, byVariable.ExitCode);
        Assert.Contains($"the runtime {folder["runtime"]} is missing: {folder["runtime"]} holds no llama library", byVariable.Errors);
        Assert.AreEqual(2, byOption.ExitCode);
        Assert.Contains("--runtime: there is no runtime 'nonsense': it is neither one of ", byOption.Errors);
    }

    [TestMethod]
    public async Task A_runtime_that_is_named_and_reads_no_pictures_serves_the_model_without_its_projector()
    {
        using var folder = new TemporaryFolder();
        var own = Path.Combine(Path.GetDirectoryName(ShimmyProcess.Executable)!, "runtimes", "llamasharp");
        foreach (var file in Directory.GetFiles(own, "*.so*", SearchOption.AllDirectories).Where(file => !file.Contains("mtmd")))
        {
            var link = folder[$"runtime/{Path.GetRelativePath(own, file)}"];
            Directory.CreateDirectory(Path.GetDirectoryName(link)!);
            File.CreateSymbolicLink(link, file);
        }
        var environment = new Dictionary<string, string> { ["SHIMMY_RUNTIME_DIR"] = folder["runtime"] };

        var probed = await ShimmyProcess.RunAsync(["probe", "shimmy-demo"], folder.Path, environment);
        var listed = await ShimmyProcess.RunAsync(["list"], folder.Path, environment);

        Assert.AreEqual(0, probed.ExitCode, probed.Errors);
        Assert.MatchesRegex(@"capabilities +completion \(no projector: the runtime in \S+ has no libmtmd .+ needs\)\r?\n", probed.Output);
        Assert.MatchesRegex($@"runtime +{folder["runtime"]} .+ it is the one that SHIMMY_RUNTIME_DIR names", probed.Output);
        Assert.MatchesRegex(@"WRN .+ shimmy-demo is loaded without the projector that was found beside it, .+ needs\r?\n", probed.Errors);
        Assert.DoesNotContain("vision", listed.Output);
    }

    [TestMethod]
    public async Task What_a_model_says_to_do_is_what_the_runtime_configured_for_it_can()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/tiny.gguf"]);
        RandomProjector.Write(folder["models/mmproj-tiny.gguf"], new RandomModelShape().Embedding);
        // A runtime is known by its files; nothing is loaded here.
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(folder["old"]).FullName, "libllama.so"), "");
        var old = $",\"runtime\":\"{folder["old"]}\"";
        string[] models = ["sees\"", $"blind\"{old}", $"asked\"{old},\"mmproj\":\"models/mmproj-tiny.gguf\""];
        File.WriteAllText(folder["shimmy.config.json"],
            $$"""{"models":[{{string.Join(',', models.Select(model => $$"""{"base_path":"models/tiny.gguf","name":"{{model}}}"""))}}]}""");
        var environment = new Dictionary<string, string> { ["SHIMMY_CONFIG"] = folder["shimmy.config.json"] };

        var listed = await ShimmyProcess.RunAsync(["list"], folder.Path, environment);
        var everywhere = await ShimmyProcess.RunAsync(["list", "--runtime", folder["old"]], folder.Path, environment);
        using var server = await ServerProcess.StartAsync(folder, environment, []);
        using var all = JsonDocument.Parse(await server.Client.GetStringAsync("v1/models"));
        using var own = JsonDocument.Parse(await server.Client.GetStringAsync("api/models"));

        // A projector that is asked for decides before the runtime; one that was found does not.
        Assert.AreEqual("asked sees", Seeing(all.RootElement.GetProperty("data"), "id"));
        Assert.AreEqual("asked sees", Seeing(own.RootElement.GetProperty("models"), "name"));
        Assert.AreEqual("asked sees", string.Join(' ', Lines(listed.Output)));
        Assert.AreEqual("asked", string.Join(' ', Lines(everywhere.Output)));

        static string Seeing(JsonElement models, string name) => string.Join(' ', models.EnumerateArray()
            .Where(model => model.GetProperty("capabilities").EnumerateArray().Any(one => one.ValueEquals("vision")))
            .Select(model => model.GetProperty(name).GetString()!).Where(model => model != "shimmy-demo").Order(StringComparer.Ordinal));

        static IEnumerable<string> Lines(string table) => table.Split('\n').Where(line => line.Contains("vision", StringComparison.Ordinal))
            .Select(line => line.Split(' ')[0]).Where(model => model != "shimmy-demo").Order(StringComparer.Ordinal);
    }

    [TestMethod]
    public async Task An_architecture_that_no_runtime_knows_is_refused_with_the_reason_of_each()
    {
        using var folder = new TemporaryFolder();
        var environment = RuntimeFolder.Create(folder);
        var model = RandomModel.Write(folder["odd.gguf"], new RandomModelShape { Architecture = "starfish" });

        var run = await ShimmyProcess.RunAsync(["probe", model], folder.Path, environment);

        Assert.AreEqual(2, run.ExitCode, run.Errors);
        Assert.Contains("cannot load it, the next is tried: ", run.Errors);
        Assert.MatchesRegex(
            $"no runtime can load \\S+odd.gguf: {folder["runtime"]}: .*'starfish'.*; llamasharp: .*'starfish'", run.Errors);
    }

    [TestMethod]
    public async Task A_runtime_that_was_left_out_for_the_projector_is_named_where_the_others_cannot_load_the_model()
    {
        using var folder = new TemporaryFolder();
        // A runtime is known by its files; this one is not loaded.
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(folder["old"]).FullName, "libllama.so"), "");
        var environment = new Dictionary<string, string> { ["SHIMMY_RUNTIME_DIR"] = folder["old"] };
        var model = RandomModel.Write(folder["odd.gguf"], new RandomModelShape { Architecture = "starfish" });
        var projector = RandomProjector.Write(folder["mmproj.gguf"], new RandomModelShape().Embedding);

        var run = await ShimmyProcess.RunAsync(["probe", model, "--mmproj", projector], folder.Path, environment);

        Assert.AreEqual(2, run.ExitCode, run.Errors);
        Assert.MatchesRegex("no runtime can load \\S+odd.gguf: llamasharp: .*'starfish'.*; "
            + $"{folder["old"]}: it has no libmtmd, .+--mmproj none", run.Errors);
    }

    private static Dictionary<string, string> Empty(TemporaryFolder folder) =>
        new() { ["SHIMMY_RUNTIME_DIR"] = Directory.CreateDirectory(folder["runtime"]).FullName };
}
