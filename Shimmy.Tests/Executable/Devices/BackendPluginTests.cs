using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Devices;

/// <summary>Plug-ins that cannot be used, each with its own reason; no GPU is needed to find out.</summary>
[TestClass]
[TestCategory("Executable")]
[OSCondition(OperatingSystems.Linux)]
public sealed class BackendPluginTests
{
    [TestMethod]
    public async Task A_plug_in_that_is_missing_is_named_with_how_to_get_it()
    {
        using var folder = new TemporaryFolder();
        var probe = await ProbeAsync(folder, RuntimeFolder.Create(folder), "--gpu-backend", "vulkan");

        Assert.AreEqual(2, probe.ExitCode);
        Assert.Contains("the backend vulkan cannot be used: its plug-in is missing: ", probe.Errors);
        Assert.Contains("holds no libggml-vulkan.so; publish with it (./publish.sh ", probe.Errors);
    }

    [TestMethod]
    public async Task A_plug_in_of_another_version_is_refused_with_both_versions()
    {
        using var folder = new TemporaryFolder();
        var environment = RuntimeFolder.Create(folder);
        RuntimeFolder.Compile(environment, "libggml-opencl",
            "static struct { int version; void *rest[8]; } r = { 1 }; void *ggml_backend_init(void) { return &r; }");

        var probe = await ProbeAsync(folder, environment, "--gpu-backend", "opencl");

        Assert.AreEqual(2, probe.ExitCode);
        Assert.MatchesRegex(
            "libggml-opencl.so is of another version: it was built for version 1 of ggml's interface for plug-ins, llama.cpp 0.4.0-dev has version [2-9]", probe.Errors);
    }

    [TestMethod]
    [DataRow("cuda", "extern int gone; int *ggml_backend_init(void) { return &gone; }", "is of another version than llama.cpp 0.4.0-dev: ")]
    [DataRow("cuda", "int other(void) { return 0; }", "is no plug-in of llama.cpp 0.4.0-dev: it has no ggml_backend_init")]
    // As other releases do, whose interface has the same version: they would crash, or compute nonsense.
    [DataRow("vulkan", "static struct { int version; void *rest[8]; } r = { 2 }; void *ggml_backend_init(void) { return &r; }", "is not one of the plug-ins that were built with them; publish with it")]
    [DataRow("opencl", "void *ggml_backend_init(void) { return 0; }", "its driver did not start")]
    public async Task A_plug_in_that_does_not_fit_says_how(string backend, string source, string expected)
    {
        using var folder = new TemporaryFolder();
        var environment = RuntimeFolder.Create(folder);
        RuntimeFolder.Compile(environment, $"libggml-{backend}", source);

        var probe = await ProbeAsync(folder, environment, "--gpu-backend", backend);

        Assert.AreEqual(2, probe.ExitCode);
        Assert.Contains($"the backend {backend} cannot be used: ", probe.Errors);
        Assert.Contains(expected, probe.Errors);
    }

    [TestMethod]
    public async Task A_plug_in_that_ends_its_process_costs_neither_the_report_nor_auto()
    {
        using var folder = new TemporaryFolder();
        var environment = RuntimeFolder.Create(folder);
        RuntimeFolder.Compile(environment, "libggml-opencl", "#include <stdlib.h>\nvoid *ggml_backend_init(void) { abort(); }");

        var info = await ShimmyProcess.RunAsync(["gpu-info", "--json"], folder.Path, environment);
        var probe = await ProbeAsync(folder, environment);
        var named = await ProbeAsync(folder, environment, "--gpu-backend", "opencl");

        Assert.AreEqual(0, info.ExitCode, info.Errors);
        using var json = JsonDocument.Parse(info.Output);
        var opencl = json.RootElement.GetProperty("backends").EnumerateArray()
            .Single(one => one.GetProperty("name").GetString() == "opencl");
        Assert.IsTrue(opencl.GetProperty("crashed").GetBoolean());
        Assert.Contains("its plug-in ends the process that loads it: ", opencl.GetProperty("reason").GetString()!);
        Assert.AreEqual("cpu", json.RootElement.GetProperty("auto").GetString());
        Assert.AreEqual(0, probe.ExitCode, probe.Errors);
        Assert.Contains("trying again", probe.Errors);
        Assert.AreEqual(2, named.ExitCode);
        Assert.Contains("aborted", named.Errors);
    }

    [TestMethod]
    public async Task Gpu_info_says_why_each_backend_did_not_load_and_what_auto_takes()
    {
        using var folder = new TemporaryFolder();
        var environment = RuntimeFolder.Create(folder);
        File.WriteAllText(Path.Combine(environment["SHIMMY_RUNTIME_DIR"], "libggml-metal.so"), "not a library");

        var run = await ShimmyProcess.RunAsync(["gpu-info", "--json"], folder.Path, environment);
        var text = await ShimmyProcess.RunAsync(["gpu-info"], folder.Path, environment);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        using var json = JsonDocument.Parse(run.Output);
        var backends = json.RootElement.GetProperty("backends").EnumerateArray().ToDictionary(one => one.GetProperty("name").GetString()!);
        Assert.AreEqual("cpu cuda metal vulkan opencl", string.Join(' ', backends.Keys));
        Assert.IsTrue(backends["cpu"].GetProperty("loaded").GetBoolean());
        Assert.IsFalse(backends["metal"].GetProperty("loaded").GetBoolean());
        Assert.Contains("libggml-metal.so cannot be loaded: ", backends["metal"].GetProperty("reason").GetString()!);
        Assert.Contains("its plug-in is missing", backends["cuda"].GetProperty("reason").GetString()!);
        Assert.Contains("there is no prebuilt one", backends["opencl"].GetProperty("reason").GetString()!);
        Assert.AreEqual("cpu", json.RootElement.GetProperty("auto").GetString());
        Assert.Contains("--gpu-backend auto chooses cpu", text.Output);
    }

    [TestMethod]
    [DataRow("--device Vulkan0", "unknown device 'Vulkan0'; there is no GPU that a backend can use")]
    [DataRow("--gpu-backend cpu --device CUDA0", "device CUDA0 is asked for, but the backend cpu has no devices to choose")]
    [DataRow("--gpu-backend cpu --gpu-layers 3", "3 layers are to go to a GPU, but the backend cpu uses none")]
    [DataRow("--gpu-backend cpu --tensor-split 3,1", "tensor-split names the shares of 2 devices, but no GPU is used")]
    [DataRow("--split-mode row", "split-mode row shares a model among GPUs, but none is used")]
    [DataRow("--main-gpu 1", "main-gpu names the device that has all with split-mode none")]
    [DataRow("--split-mode none --main-gpu 1", "main-gpu 1 is not there: no GPU is used")]
    [DataRow("--cpu-moe", "shimmy-demo has no experts that could stay on the CPU")]
    [DataRow("--n-cpu-moe 1", "shimmy-demo has no experts that could stay on the CPU")]
    public async Task What_cannot_be_done_here_is_refused(string options, string expected)
    {
        using var folder = new TemporaryFolder();
        var probe = await ProbeAsync(folder, RuntimeFolder.Create(folder), options.Split(' '));

        Assert.AreEqual(2, probe.ExitCode);
        Assert.Contains(expected, probe.Errors);
    }

    [TestMethod]
    public async Task A_server_answers_502_with_the_reason_and_400_for_what_excludes_each_other()
    {
        using var folder = new TemporaryFolder();
        using var server = await ServerProcess.StartAsync(folder, RuntimeFolder.Create(folder), "--threads", "1", "--gpu-backend", "cuda");

        using var refused = await server.Client.PostAsync("api/models/shimmy-demo/load", null);
        Assert.AreEqual(HttpStatusCode.BadGateway, refused.StatusCode);
        Assert.Contains("the backend cuda cannot be used: its plug-in is missing", await refused.Content.ReadAsStringAsync());

        foreach (var (body, expected) in new[]
        {
            ("""{"cpu_moe":true,"n_cpu_moe":1}""", "n_cpu_moe: excludes cpu_moe: "),
            ("""{"gpu_layers":"many"}""", "gpu_layers: must be a whole number from 0 to 10000, or auto, not a string"),
            ("""{"gpu_layers":-1}""", "gpu_layers: must be a whole number from 0 to 10000, or auto, not -1"),
            ("""{"device":"CUDA0"}""", "device: is not a known field; keep_alive, pinned, gpu_layers, cpu_moe, n_cpu_moe are"),
        })
        {
            using var bad =
                await server.Client.PostAsync("api/models/shimmy-demo/load", new StringContent(body, Encoding.UTF8, "application/json"));
            Assert.AreEqual(HttpStatusCode.BadRequest, bad.StatusCode);
            Assert.Contains(expected, await bad.Content.ReadAsStringAsync());
        }
    }

    private static Task<ShimmyResult> ProbeAsync(TemporaryFolder folder,
        IReadOnlyDictionary<string, string> environment, params string[] options) =>
        ShimmyProcess.RunAsync(["probe", "shimmy-demo", "--threads", "1", .. options], folder.Path, environment);
}
