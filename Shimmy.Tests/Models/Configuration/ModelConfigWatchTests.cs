using Shimmy.Models;
using Shimmy.Models.Configuration;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Models.Discovery;

namespace Shimmy.Tests.Models.Configuration;

[TestClass]
[TestCategory("Unit")]
public sealed class ModelConfigWatchTests
{
    private readonly ManualTime _time = new();
    private readonly ModelRegistry _registry = new(new ModelDiscovery([]));
    private readonly List<string> _reports = [];

    [TestMethod]
    public void A_change_takes_effect_and_a_bad_file_leaves_the_old_one_in_force()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["tiny.gguf"]);
        var file = folder["shimmy.json"];
        File.WriteAllText(file, """{"models":[{"name":"a","base_path":"tiny.gguf","aliases":["x*"]}]}""");
        using var watch = Start(folder, file);
        Assert.AreEqual(("a", "llama", ModelSource.Registered),
            (_registry.Find("xyz")!.Name, _registry.Find("a")!.Architecture, _registry.Find("a")!.Source));
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.IsEmpty(_reports);

        File.WriteAllText(file, """{"models":[{"name":"b","base_path":"tiny.gguf"},{"name":"lost","base_path":"lost.gguf"}]}""");
        _time.Advance(ModelConfigWatch.Interval);
        Assert.IsNull(_registry.Find("a"));
        Assert.IsNull(_registry.Find("xyz"));
        Assert.IsNull(_registry.Find("b")!.WhyUnloadable);
        StringAssert.Contains(_registry.Find("lost")!.WhyUnloadable!, "there is no file");
        StringAssert.EndsWith(_reports.Single(), "changed: 2 models, 0 aliases");

        File.WriteAllText(file, """{"models":[{"name":"c"}]}""");
        _time.Advance(ModelConfigWatch.Interval);
        _time.Advance(ModelConfigWatch.Interval);
        Assert.IsNotNull(_registry.Find("b"));
        Assert.HasCount(2, _reports);
        StringAssert.EndsWith(_reports[1], "models[0].base_path: missing; every model has a name and a base_path");

        File.Delete(file);
        _time.Advance(ModelConfigWatch.Interval);
        Assert.IsNotNull(_registry.Find("b"));
        Assert.HasCount(3, _reports);
    }

    [TestMethod]
    public void A_link_that_is_swapped_is_a_change()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["tiny.gguf"]);
        File.WriteAllText(folder["v1/c.json"], """{"models":[{"name":"a","base_path":"../tiny.gguf"}]}""");
        File.WriteAllText(folder["v2/c.json"], """{"models":[{"name":"b","base_path":"../tiny.gguf"}]}""");
        File.SetLastWriteTimeUtc(folder["v2/c.json"], File.GetLastWriteTimeUtc(folder["v1/c.json"]));
        Directory.CreateSymbolicLink(folder["current"], folder["v1"]);
        using var watch = Start(folder, folder["current"] + "/c.json");
        Assert.IsNotNull(_registry.Find("a"));

        Directory.Delete(folder.Path + "/current");
        Directory.CreateSymbolicLink(folder.Path + "/current", folder.Path + "/v2");
        _time.Advance(ModelConfigWatch.Interval);

        Assert.IsNotNull(_registry.Find("b"));
    }

    [TestMethod]
    public void At_the_start_a_bad_file_is_refused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["bad.json"], "{");
        StringAssert.StartsWith(
            Assert.ThrowsExactly<ConfigException>(() => Start(folder, folder["bad.json"])).Message,
                folder["bad.json"] + ": not valid JSON");
        Assert.ThrowsExactly<FileNotFoundException>(() => Start(folder, folder["absent.json"]));
    }

    [TestMethod]
    public void The_environment_registers_one_model_with_its_adapter()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["work/base-F32.gguf"]);
        Assert.IsNull(RegisteredModels.FromEnvironment(HostEnvironments.In(folder)));
        var alone = RegisteredModels.FromEnvironment(HostEnvironments.In(folder, ("SHIMMY_BASE_GGUF", "base-F32.gguf")))!;
        Assert.AreEqual(("base", ModelSource.Registered, null), (alone.Name, alone.Source, alone.WhyUnloadable));
        var lost = RegisteredModels.FromEnvironment(
            HostEnvironments.In(folder, ("SHIMMY_BASE_GGUF", "base-F32.gguf"), ("SHIMMY_LORA_GGUF", "l.gguf")))!;
        Assert.AreEqual(folder["work/l.gguf"], lost.Settings.Loras.Single().Path);
        StringAssert.Contains(lost.WhyUnloadable!, "l.gguf");
    }

    private ModelConfigWatch Start(TemporaryFolder folder, string file) =>
        ModelConfigWatch.Start(file, _registry, HostEnvironments.In(folder), _time, _reports.Add);
}
