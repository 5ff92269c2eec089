using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Devices;

/// <summary>
/// Models on a GPU. Without one, on Mesa's lavapipe: a Vulkan device that computes on the CPU with 2 GiB of its own, whose first run of a
/// shader compiles it and keeps the result on disk, here in a folder of the tests' own. Needs the plug-in and the driver; .ci/run brings
/// both and sets SHIMMY_GPU_TESTS to vulkan, with which a test that finds them missing fails instead of being skipped. On a machine with a
/// GPU it may be cuda.
/// </summary>
[TestClass]
[TestCategory("Gpu")]
[DoNotParallelize]
[OSCondition(OperatingSystems.Linux)]
public sealed class GpuTests
{
    private static readonly string? Wanted = Environment.GetEnvironmentVariable("SHIMMY_GPU_TESTS") is { Length: > 0 } named ? named : null;
    private static readonly string Backend = Wanted ?? "vulkan";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(8);
    private static readonly TemporaryFolder Folder = new();
    private static Dictionary<string, string> _environment = null!;
    private static string _gpu = "";
    private static long _freeBytes;
    private static double _coldMilliseconds;

    [ClassInitialize]
    public static async Task Start(TestContext _)
    {
        if (!File.Exists(RuntimeFolder.Plugin(Backend)))
            Missing($"{RuntimeFolder.Plugin(Backend)} is missing: dotnet msbuild runtimes/natives.targets -t:BringNatives -p:NativeRid=linux-x64 -p:NativeBackends={Backend}");
        _environment = RuntimeFolder.WithPlugin(Folder, Backend);
        var shaders = Directory.CreateDirectory(Folder["shaders"]).FullName;
        foreach (var cache in new[] { "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH", "CUDA_CACHE_PATH" })
            _environment[cache] = shaders;
        var info = await ShimmyProcess.RunAsync(["gpu-info", "--json"], Folder.Path, _environment);
        using var json = JsonDocument.Parse(info.Output);
        var devices = json.RootElement.GetProperty("devices").EnumerateArray()
            .Where(device => device.GetProperty("kind").GetString() != "cpu").ToArray();
        if (devices.Length == 0)
            Missing($"no GPU (Debian's software device: mesa-vulkan-drivers): {info.Output}");
        Assert.AreEqual(Backend, json.RootElement.GetProperty("auto").GetString());
        _gpu = devices[0].GetProperty("name").GetString()!;
        _freeBytes = devices[0].GetProperty("memory_free_bytes").GetInt64();
        using var first = await ProbeAsync("shimmy-demo");
        _coldMilliseconds = Milliseconds(first);
    }

    [ClassCleanup]
    public static void End() => Folder.Dispose();

    private static void Missing(string what)
    {
        if (Wanted is not null)
            Assert.Fail(what);
        Assert.Inconclusive(what);
    }

    [TestMethod]
    public async Task The_model_is_on_the_GPU_and_says_there_what_it_says_on_the_CPU()
    {
        using var probe = await ProbeAsync("shimmy-demo");

        Assert.AreEqual(Backend, probe.RootElement.GetProperty("backend").GetString());
        Assert.AreEqual((6, 6),
            (probe.RootElement.GetProperty("gpu_layers").GetInt32(), probe.RootElement.GetProperty("layers").GetInt32()));
        var file = GgufReader.ReadFile(Path.Combine(Repository.Root, "Shimmy", "Assets", "shimmy-demo.gguf")).Tensors;
        var embeddings = file.Where(tensor => tensor.Name.StartsWith("token_embd", StringComparison.Ordinal))
            .Sum(tensor => tensor.SizeBytes);
        // Tied embeddings are there twice: tokens are looked up on the CPU, logits are computed on the GPU.
        var output = file.Any(tensor => tensor.Name == "output.weight") ? 0 : embeddings;
        Assert.AreEqual(file.Sum(tensor => tensor.SizeBytes) - embeddings + output, Bytes(probe, _gpu, "tensor_bytes"));
        Assert.AreEqual(embeddings, Bytes(probe, "CPU", "tensor_bytes"));
        Assert.IsGreaterThan(1_000_000, Bytes(probe, _gpu, "cache_bytes"));

        // Shaders are compiled once, and come from the driver's cache for every later process.
        Assert.IsLessThan(_coldMilliseconds / 2, Milliseconds(probe));

        // Questions whose answers the model knows: where it may choose, as in stories, two kinds of rounding choose differently.
        var characters = 0;
        foreach (var question in new[] { "What is Shimmy?", "Which APIs are there?", "What can you do?", "What does shimmy serve do?" })
        {
            var (onGpu, onCpu) = (await GenerateAsync("auto", question), await GenerateAsync("cpu", question));
            Assert.AreEqual(onCpu, onGpu);
            characters += onCpu.Length;
        }
        // Of about three characters to a token.
        Assert.IsGreaterThan(400, characters);
    }

    [TestMethod]
    [DataRow("mixtral")]
    [DataRow("qwen3moe")]
    public async Task Experts_that_are_to_stay_on_the_CPU_do_to_the_byte(string kind)
    {
        var path = RandomModel.Write(Folder[$"{kind}.gguf"], kind == "mixtral" ? RandomModelShape.Mixtral : RandomModelShape.Qwen3Moe);
        var file = GgufReader.ReadFile(path).Tensors;
        var all = file.Where(tensor => tensor.Name.Contains("_exps.", StringComparison.Ordinal)).Sum(tensor => tensor.SizeBytes);
        var ofTwo =
            file.Where(tensor =>
                tensor.Name.Contains("_exps.", StringComparison.Ordinal) && (tensor.Name.StartsWith("blk.0.", StringComparison.Ordinal)
            || tensor.Name.StartsWith("blk.1.", StringComparison.Ordinal))).Sum(tensor => tensor.SizeBytes);
        Assert.IsGreaterThan(100_000, ofTwo);

        using var without = await ProbeAsync(path);
        using var cpuMoe = await ProbeAsync(path, "--cpu-moe");
        using var two = await ProbeAsync(path, "--n-cpu-moe", "2");

        Assert.AreEqual((all, 0L), (Bytes(without, _gpu, "expert_bytes"), Bytes(without, "CPU", "expert_bytes")));
        Assert.AreEqual((0L, all), (Bytes(cpuMoe, _gpu, "expert_bytes"), Bytes(cpuMoe, "CPU", "expert_bytes")));
        Assert.AreEqual((all - ofTwo, ofTwo), (Bytes(two, _gpu, "expert_bytes"), Bytes(two, "CPU", "expert_bytes")));
        Assert.AreEqual(all, Bytes(without, _gpu, "tensor_bytes") - Bytes(cpuMoe, _gpu, "tensor_bytes"), "nothing else moved");
        Assert.AreEqual(ofTwo, Bytes(without, _gpu, "tensor_bytes") - Bytes(two, _gpu, "tensor_bytes"), "nothing else moved");
        Assert.AreEqual(all, Bytes(cpuMoe, "CPU", "tensor_bytes") - Bytes(without, "CPU", "tensor_bytes"));
    }

    [TestMethod]
    public async Task Layers_are_placed_as_asked_and_by_free_memory_where_left_to_us()
    {
        using var two = await ProbeAsync("shimmy-demo", "--gpu-layers", "2");
        Assert.AreEqual(2, two.RootElement.GetProperty("gpu_layers").GetInt32());
        using var none = await ProbeAsync("shimmy-demo", "--gpu-layers", "0");
        Assert.AreEqual((0, 0L), (none.RootElement.GetProperty("gpu_layers").GetInt32(), Bytes(none, _gpu, "tensor_bytes")));
        using var auto = await ProbeAsync("shimmy-demo", "--gpu-layers", "auto");
        Assert.AreEqual(6, auto.RootElement.GetProperty("gpu_layers").GetInt32());
        Assert.MatchesRegex(
            "^auto: 6 of 6 layers need about [0-9]+ MB and [0-9]+ MB to compute; [0-9]+ MB are free, [0-9]+ MB of them may be used$",
            auto.RootElement.GetProperty("layer_reason").GetString()!);
    }

    [TestMethod]
    public async Task A_device_with_too_little_memory_and_one_that_is_not_there_are_different_errors()
    {
        // Keys and values of 2560 bytes a token. Some drivers would hand out more than the device has.
        var tokens = (int)(_freeBytes / 2560 * 1.4);
        var small =
            await ShimmyProcess.RunAsync(["probe", "shimmy-demo", "--threads", "1", "--ctx", $"{tokens}"],
                Folder.Path, _environment, limit: Limit);
        Assert.AreEqual(2, small.ExitCode, small.Output);
        var told = Regex.Match(small.Errors,
            $@"too little memory on {_gpu} \(([0-9]+) MB free\); fewer layers .* 6 of 6 layers need about ([0-9]+) MB");
        Assert.IsTrue(told.Success, small.Errors);
        Assert.IsGreaterThan(int.Parse(told.Groups[1].Value, CultureInfo.InvariantCulture),
            int.Parse(told.Groups[2].Value, CultureInfo.InvariantCulture));

        var unknown =
            await ShimmyProcess.RunAsync(["probe", "shimmy-demo", "--threads", "1", "--device", "Gpu7"], Folder.Path, _environment);
        Assert.AreEqual(2, unknown.ExitCode);
        Assert.Contains($"unknown device 'Gpu7'; there are {_gpu}", unknown.Errors);
    }

    [TestMethod]
    public async Task Two_devices_share_a_model_as_asked_and_all_of_it_is_accounted_for()
    {
        if (Backend != "vulkan")
            Assert.Inconclusive("Only Vulkan shows one device as two.");
        var two = new Dictionary<string, string>(_environment) { ["GGML_VK_VISIBLE_DEVICES"] = "0,0" };
        using var one = await ProbeAsync("shimmy-demo");
        var all = Bytes(one, _gpu, "tensor_bytes");
        var second = _gpu.Replace('0', '1');

        using var layers = await ProbeWithAsync(two);
        Assert.AreEqual(all, Bytes(layers, _gpu, "tensor_bytes") + Bytes(layers, second, "tensor_bytes"));
        Assert.IsGreaterThan(0, Bytes(layers, second, "tensor_bytes"));
        using var tensors = await ProbeWithAsync(two, "--split-mode", "tensor");
        Assert.AreEqual(all, Bytes(tensors, $"{_gpu}+{second}", "tensor_bytes"));
        Assert.AreEqual(Bytes(one, _gpu, "cache_bytes"), Bytes(tensors, $"{_gpu}+{second}", "cache_bytes"), 100_000);
        using var alone = await ProbeWithAsync(two, "--split-mode", "none", "--main-gpu", "1");
        Assert.AreEqual(all, Bytes(alone, second, "tensor_bytes"));

        // What the other device has free is no room for a model that one has to hold.
        var tokens = $"{(int)(_freeBytes / 2560 * 1.4)}";
        var shared =
            await ShimmyProcess.RunAsync(["probe", "shimmy-demo", "--threads", "1", "--ctx", tokens, "--split-mode", "none"],
                Folder.Path, two, limit: Limit);
        Assert.AreEqual(2, shared.ExitCode, shared.Output);
        Assert.Contains($"too little memory on {_gpu} (", shared.Errors);
    }

    [TestMethod]
    public async Task A_load_request_moves_layers_and_status_says_where_they_are()
    {
        using var server = await ServerProcess.StartAsync(Folder, _environment, "--threads", "1");

        using var one = await LoadAsync(server, """{"gpu_layers":1}""");
        Assert.AreEqual((Backend, 1),
            (one.RootElement.GetProperty("backend").GetString(), one.RootElement.GetProperty("gpu_layers").GetInt32()));
        var first = Bytes(one, _gpu, "tensor_bytes");
        using var three = await LoadAsync(server, """{"gpu_layers":3}""");
        Assert.AreEqual(3, three.RootElement.GetProperty("gpu_layers").GetInt32());
        Assert.IsGreaterThan(first, Bytes(three, _gpu, "tensor_bytes"));
        using var status = JsonDocument.Parse(await server.Client.GetStringAsync("api/models/shimmy-demo/status"));
        Assert.AreEqual(Bytes(three, _gpu, "tensor_bytes"), Bytes(status, _gpu, "tensor_bytes"));

        using var refused = await server.Client.PostAsync("api/models/shimmy-demo/load", Json("""{"cpu_moe":true}"""));
        Assert.AreEqual(HttpStatusCode.BadGateway, refused.StatusCode);
        Assert.Contains("has no experts", await refused.Content.ReadAsStringAsync());
    }

    [TestMethod]
    [DataRow("")]
    [DataRow("auto")]
    public async Task A_model_that_finds_the_GPU_full_of_an_idle_one_takes_its_place(string layers)
    {
        using var folder = new TemporaryFolder();
        foreach (var name in new[] { "one", "two" })
            File.Copy(Path.Combine(Repository.Root, "Shimmy", "Assets", "shimmy-demo.gguf"), folder[$"models/{name}.gguf"]);
        var environment = FullForTwo(folder);
        using var server =
            await ServerProcess.StartAsync(folder, environment,
                ["--threads", "1", "--parallel", "1", "--ctx", "8192", "--gpu-backend", "opencl", .. layers == ""
                    ? []
                    : new[] { "--gpu-layers", layers }]);

        foreach (var name in new[] { "one", "two", "one" })
        {
            using var loaded = await LoadAsync(server, "{}", name);
            Assert.AreEqual(("opencl", 6),
                (loaded.RootElement.GetProperty("backend").GetString(), loaded.RootElement.GetProperty("gpu_layers").GetInt32()));
            using var other =
                JsonDocument.Parse(await server.Client.GetStringAsync($"api/models/{(name == "one" ? "two" : "one")}/status"));
            Assert.AreEqual("unloaded", other.RootElement.GetProperty("status").GetString());
        }
        var metrics = await server.Client.GetStringAsync("metrics");
        Assert.IsTrue(metrics.Contains("""shimmy_model_evictions_total{model="one",reason="memory"} 1"""), "the metrics say why it went");
    }

    // The GPU as one of OpenCL that has 600 MB, of which each other process that looked takes nearly all as long as it lives.
    private static Dictionary<string, string> FullForTwo(TemporaryFolder folder)
    {
        var environment = RuntimeFolder.Create(folder);
        foreach (var (name, value) in _environment)
            environment.TryAdd(name, value);
        RuntimeFolder.Compile(environment, "libggml-opencl", $$"""
            #include <dirent.h>
            #include <dlfcn.h>
            #include <signal.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <unistd.h>
            struct facts { const char *name, *description; size_t free, total; };
            struct device { void *name, *description, *memory, *type; void (*facts)(void *, struct facts *); };
            struct registry { int version; const char *(*name)(void *); size_t (*count)(void *); struct device *(*device)(void *, size_t); };
            static void (*really)(void *, struct facts *);
            static void facts(void *device, struct facts *facts) {
                really(device, facts);
                const char *folder = "{{Directory.CreateDirectory(folder["looked"]).FullName}}";
                char path[4096];
                snprintf(path, sizeof path, "%s/%d", folder, getpid());
                fclose(fopen(path, "w"));
                facts->free = facts->total = 600u << 20;
                DIR *all = opendir(folder);
                for (struct dirent *one; (one = readdir(all));) {
                    int process = atoi(one->d_name);
                    if (process > 0 && process != getpid() && kill(process, 0) == 0)
                        facts->free = 10u << 20;
                }
                closedir(all);
            }
            void *ggml_backend_init(void) {
                void *plugin = dlopen("{{RuntimeFolder.Plugin(Backend)}}", RTLD_NOW | RTLD_LOCAL);
                struct registry *registry = ((struct registry *(*)(void))dlsym(plugin, "ggml_backend_init"))();
                struct device *device = registry->device(registry, 0);
                really = device->facts;
                device->facts = facts;
                return registry;
            }
            """);
        return environment;
    }

    private static async Task<JsonDocument> LoadAsync(ServerProcess server, string body, string model = "shimmy-demo")
    {
        using var answer = await server.Client.PostAsync($"api/models/{model}/load", Json(body));
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, text);
        return JsonDocument.Parse(text);
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private static Task<JsonDocument> ProbeAsync(string model, params string[] options) => ProbeAsync(_environment, model, options);

    private static Task<JsonDocument> ProbeWithAsync(Dictionary<string, string> environment, params string[] options) =>
        ProbeAsync(environment, "shimmy-demo", options);

    private static async Task<JsonDocument> ProbeAsync(Dictionary<string, string> environment, string model, params string[] options)
    {
        var run = await ShimmyProcess.RunAsync(["probe", model, "--json", "--threads", "1", .. options],
            Folder.Path, environment, limit: Limit);
        Assert.AreEqual(0, run.ExitCode, run.Errors);
        return JsonDocument.Parse(run.Output);
    }

    private static async Task<string> GenerateAsync(string backend, string question)
    {
        var run = await ShimmyProcess.RunAsync(
        [
            "generate", "shimmy-demo", "--prompt", question, "--temperature", "0", "--repeat-penalty",
                "1", "--threads", "1", "--gpu-backend", backend,
        ], Folder.Path, _environment, limit: Limit);
        Assert.AreEqual(0, run.ExitCode, run.Errors);
        return run.Output;
    }

    // A load ends with a token, so that shaders are compiled by then.
    private static double Milliseconds(JsonDocument probe) =>
        probe.RootElement.GetProperty("load_milliseconds").GetDouble() + probe.RootElement.GetProperty("first_token_milliseconds")
            .GetDouble();

    private static long Bytes(JsonDocument report, string device, string field) => report.RootElement.GetProperty("memory").EnumerateArray()
        .Where(one => one.GetProperty("device").GetString() == device).Select(one => one.GetProperty(field).GetInt64()).SingleOrDefault();
}
