using System.Runtime.InteropServices;

namespace Shimmy.Tests.Runtimes;

[TestClass]
[TestCategory("Worker")]
public sealed class NativeFilesTests
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "runtimes", Rid, "native");

    private static string Rid =>
        (OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux") + "-" +
        RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

    // One function of each part that the binding needs: model, context, sampling, chat of backends.
    [TestMethod]
    [DataRow("*llama*.v*", "llama_version llama_model_load_from_file llama_init_from_model llama_decode llama_sampler_chain_init llama_memory_seq_cp llama_log_set")]
    [DataRow("*ggml.*v*", "ggml_backend_load_all_from_path ggml_backend_dev_count ggml_backend_reg_count")]
    [DataRow("*ggml-base*", "ggml_log_set ggml_backend_dev_memory ggml_backend_reg_name")]
    public void A_build_puts_libraries_with_the_needed_functions_beside_the_program(string pattern, string symbols)
    {
        var file = Directory.GetFiles(Folder, pattern).Single(file => !file.Contains("LICENSE", StringComparison.Ordinal));
        var library = NativeLibrary.Load(file);
        foreach (var symbol in symbols.Split(' '))
            Assert.IsTrue(NativeLibrary.TryGetExport(library, symbol, out _), $"{file} lacks {symbol}");
    }

    [TestMethod]
    public void The_cpu_backend_is_there()
    {
        Assert.IsNotEmpty(Directory.GetFiles(Folder, "*ggml-cpu*"));
    }

    [TestMethod]
    public void Nothing_comes_along_that_only_serves_node_or_llama_cpps_own_tools()
    {
        var names = Directory.GetFiles(Folder).Select(Path.GetFileName).ToArray();
        Assert.IsEmpty(
            names.Where(name => name!.Contains("addon", StringComparison.Ordinal) || name.Contains("common", StringComparison.Ordinal)));
    }

    [TestMethod]
    public void Licences_travel_with_the_files()
    {
        Assert.Contains("The ggml authors", File.ReadAllText(Path.Combine(Folder, "LICENSE.llama.cpp")));
        Assert.Contains("Gilad S.", File.ReadAllText(Path.Combine(Folder, "LICENSE.node-llama-cpp")));
    }
}
