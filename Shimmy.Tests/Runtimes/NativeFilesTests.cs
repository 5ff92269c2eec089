using System.Security.Cryptography;
using System.Text;
using Shimmy.Engine.Runtimes;

namespace Shimmy.Tests.Runtimes;

/// <summary>What the build puts beside the program of the package LLamaSharp.Backend.Cpu.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class NativeFilesTests
{
    private static readonly LlamaRuntime Runtime = InstalledRuntimes.Of(InstalledRuntimes.DirectoryOf(LlamaRuntime.LLamaSharp));

    // One function of each part that the binding needs: model, context, sampling, backends, media.
    [TestMethod]
    [DataRow("ggml-base", "ggml_log_set ggml_backend_dev_memory ggml_backend_reg_name ggml_commit")]
    [DataRow("ggml-cpu", "ggml_threadpool_new ggml_backend_cpu_reg")]
    [DataRow("ggml", "ggml_backend_dev_count ggml_backend_reg_count")]
    [DataRow("llama", "llama_model_load_from_file llama_init_from_model llama_decode llama_sampler_chain_init llama_memory_seq_cp llama_log_set")]
    [DataRow("mtmd", "mtmd_init_from_file mtmd_tokenize mtmd_encode_chunk")]
    public void A_build_puts_libraries_with_the_needed_functions_beside_the_program(string name, string symbols)
    {
        var file = Runtime.Find(name);
        Assert.IsNotNull(file, $"{Runtime.Directory} has no {name}");
        var code = File.ReadAllBytes(file);
        foreach (var symbol in symbols.Split(' '))
            Assert.IsGreaterThan(0, code.AsSpan().IndexOf(Encoding.ASCII.GetBytes(symbol)), $"{file} lacks {symbol}");
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void Libraries_of_equal_content_are_there_once()
    {
        var files = Directory.GetFiles(Runtime.Directory, "*.so", SearchOption.AllDirectories);

        Assert.HasCount(files.Length, files.Select(file => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))).Distinct().ToArray());
    }

    [TestMethod]
    public void The_licence_travels_with_the_files() =>
        Assert.Contains("The ggml authors", File.ReadAllText(Path.Combine(Runtime.Directory, "LICENSE.llama.cpp")));
}
