using Shimmy.Engine;
using Shimmy.Engine.Runtimes;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Engine.Runtimes;

/// <summary>The order in which a model tries runtimes. A runtime is a folder with files of certain names, whatever is in them.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RuntimeChoiceTests
{
    private static readonly TemporaryFolder Folder = new();
    private static readonly LlamaRuntime Newest = Make("newest", "llama", "ggml-vulkan");
    private static readonly LlamaRuntime LLamaSharp = Make("llamasharp", "llama", "mtmd");
    private static readonly LlamaRuntime Mine = Make("mine", "llama");

    private static readonly ModelSpec Plain = new() { Name = "m", Path = "/m.gguf" };

    [ClassCleanup]
    public static void End() => Folder.Dispose();

    [TestMethod]
    public void A_model_without_needs_gets_the_newest_then_the_others() =>
        Assert.AreEqual("newest, because it is the newest; llamasharp, because it is the next", Order(Plain));

    [TestMethod]
    public void The_users_folder_comes_first_and_the_option_before_it()
    {
        Assert.AreEqual("mine newest llamasharp", Names(Plain, given: Mine));
        Assert.AreEqual("llamasharp mine newest", Names(Plain, given: Mine, named: LLamaSharp));
    }

    [TestMethod]
    public void A_projector_that_is_asked_for_decides_before_the_user() => Assert.AreEqual(
        "llamasharp, because it has libmtmd, which the model's projector needs; mine does not",
        Order(Plain with { Projector = "/p.gguf" }, given: Mine));

    [TestMethod]
    public void A_projector_that_was_found_decides_only_where_the_user_names_no_runtime()
    {
        var found = Plain with { Projector = "/p.gguf", ProjectorIsFound = true };

        Assert.AreEqual("mine newest llamasharp", Names(found, given: Mine));
        Assert.AreEqual("newest llamasharp", Names(found, named: Newest));
        Assert.AreEqual("llamasharp, because it has libmtmd, which the model's projector needs; newest does not; "
            + "newest, because it is the newest", Order(found));
    }

    [TestMethod]
    public void Those_that_are_left_out_for_a_projector_that_is_asked_for_are_known()
    {
        Assert.AreEqual("mine newest", Left(Plain with { Projector = "/p.gguf" }));
        Assert.AreEqual("", Left(Plain with { Projector = "/p.gguf", ProjectorIsFound = true }));
        Assert.AreEqual("", Left(Plain));

        static string Left(ModelSpec spec) => string.Join(' ',
            RuntimeChoice.WithoutMedia(spec, [Mine, Newest, LLamaSharp], Mine, named: null).Select(one => one.Runtime.Name));
    }

    [TestMethod]
    public void The_libmtmd_of_another_build_does_not_count()
    {
        var official = Make("official", "llama", "ggml-cpu", "mtmd");
        File.AppendAllText(official.Find("llama")!, "..llama_version\0..");
        var plugins = Make("plugins", "llama", "mtmd");
        var package = Make("package", "llama", "ggml-cpu", "mtmd");

        Assert.AreEqual((false, false, true), (official.HasMedia, plugins.HasMedia, package.HasMedia));
        Assert.AreEqual("llamasharp, because it has libmtmd, which the model's projector needs; official does not",
            Order(Plain with { Projector = "/p.gguf" }, given: official));
    }

    [TestMethod]
    public void A_projector_without_any_runtime_that_reads_pictures_is_refused_with_those_there_are()
    {
        var refused = Assert.ThrowsExactly<EngineException>(
            () => RuntimeChoice.For(Plain with { Projector = "/p.gguf" }, [Newest], given: null, named: null));

        Assert.AreEqual("m has a projector, but no runtime here has libmtmd: there is newest", refused.Message);
    }

    [TestMethod]
    public void A_GPU_that_is_asked_for_decides_before_the_user()
    {
        Assert.AreEqual("newest", Names(Plain with { Tuning = new() { Backend = GpuBackend.Vulkan } }, given: Mine));
        Assert.AreEqual("newest", Names(Plain with { Tuning = new() { Devices = ["Vulkan0"] } }, given: Mine));
        Assert.AreEqual("newest", Names(Plain with { Tuning = new() { GpuLayers = new LayerCount(3) } }, given: Mine));
        // None has it: the first says how to get it.
        Assert.AreEqual("mine newest llamasharp", Names(Plain with { Tuning = new() { Backend = GpuBackend.Cuda } }, given: Mine));
        Assert.AreEqual("mine newest llamasharp", Names(Plain with { Tuning = new() { GpuLayers = new LayerCount(0) } }, given: Mine));
    }

    [TestMethod]
    public void Only_what_the_user_named_must_load()
    {
        Assert.AreEqual("True False False", string.Join(' ', For(Plain, Mine).Select(one => one.IsNamed)));
        Assert.AreEqual("False False", string.Join(' ', For(Plain, null).Select(one => one.IsNamed)));
    }

    [TestMethod]
    public void A_name_is_one_of_a_runtime_or_a_folder()
    {
        Assert.AreEqual(Newest, RuntimeChoice.Named("NEWEST", [Newest, LLamaSharp]));
        Assert.AreEqual(Mine.Directory, RuntimeChoice.Named(Mine.Directory, [Newest]).Directory);
        var refused = Assert.ThrowsExactly<EngineException>(() => RuntimeChoice.Named("other", [Newest, LLamaSharp]));
        Assert.AreEqual("there is no runtime 'other': it is neither one of newest, llamasharp nor a folder with llama.cpp's libraries",
            refused.Message);
    }

    private static IReadOnlyList<RuntimeCandidate> For(ModelSpec spec, LlamaRuntime? given, LlamaRuntime? named = null) =>
        RuntimeChoice.For(spec, given is null ? [Newest, LLamaSharp] : [given, Newest, LLamaSharp], given, named);

    private static string Names(ModelSpec spec, LlamaRuntime? given = null, LlamaRuntime? named = null) =>
        string.Join(' ', For(spec, given, named).Select(one => one.Runtime.Name));

    private static string Order(ModelSpec spec, LlamaRuntime? given = null) =>
        string.Join("; ", For(spec, given).Select(one => $"{one.Runtime.Name}, because {one.Reason}"));

    private static LlamaRuntime Make(string name, params string[] libraries)
    {
        var folder = Directory.CreateDirectory(Folder[name]).FullName;
        var (prefix, suffix) = OperatingSystem.IsWindows() ? ("", ".dll") : OperatingSystem.IsMacOS() ? ("lib", ".dylib") : ("lib", ".so");
        foreach (var library in libraries)
            File.WriteAllText(Path.Combine(folder, prefix + library + suffix), "");
        return new LlamaRuntime(name, folder);
    }
}
