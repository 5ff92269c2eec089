using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Configuration;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Models.Discovery;

namespace Shimmy.Tests.Models.Configuration;

[TestClass]
[TestCategory("Unit")]
public sealed class ModelConfigReaderTests
{
    private const string Full = """
        {
          // comments are allowed
          "$schema": "./shimmy.config.schema.json",
          "models": [
            {
              "name": "qwen", "base_path": "q/qwen.gguf", "lora_path": "~/l.gguf:0.5", "template": "chatml", "ctx_len": 8192,
              "n_threads": 4, "gpu_layers": 0, "aliases": ["gpt-4*", "fast"], "keep_alive": "10m", "pinned": true,
            },
            { "name": "plain", "base_path": "/abs/p.gguf" },
          ],
          "aliases": { "claude-*": "plain", "gpt-4o": "plain" },
          "memory_budget": "1.5GB",
        }
        """;

    [TestMethod]
    public void All_fields_are_read()
    {
        var config = Read(Full);

        var (qwen, plain) = (config.Models[0], config.Models[1]);
        Assert.AreEqual(("qwen", "/etc/shimmy/q/qwen.gguf"), (qwen.Name, qwen.Path));
        Assert.AreEqual(new LoraSetting("/home/me/l.gguf", 0.5f), qwen.Settings.Loras.Single());
        Assert.AreEqual(("chatml", 8192, 4, 0),
            (qwen.Settings.Template, qwen.Settings.ContextLength, qwen.Settings.Threads, qwen.Settings.Tuning.GpuLayers?.Number));
        Assert.AreEqual((TimeSpan.FromMinutes(10), true), (qwen.Settings.KeepAlive, qwen.Settings.Pinned));
        Assert.AreEqual(3L << 29, config.MemoryBudget);
        Assert.AreEqual("/abs/p.gguf", plain.Path);
        Assert.AreEqual(ModelSettings.None, plain.Settings);
        Assert.AreEqual("gpt-4*=qwen fast=qwen claude-*=plain gpt-4o=plain",
            string.Join(' ', config.Aliases.Select(alias => $"{alias.Pattern}={alias.Target}")));
    }

    [TestMethod]
    public void The_file_that_the_documents_show_is_read()
    {
        var config = Read(Repository.Block("models.md", "json"));

        Assert.AreEqual("qwen", config.Models.Single().Name);
        Assert.AreEqual("gpt-4*=qwen claude-*=qwen", string.Join(' ', config.Aliases.Select(alias => $"{alias.Pattern}={alias.Target}")));
    }

    [TestMethod]
    public void Where_a_model_goes_may_stand_bare_or_as_text()
    {
        var bare = Tuning(
            """{"gpu_layers":7,"n_cpu_moe":2,"cpu_moe":false,"mlock":true,"mmap":false,"rope_freq_base":1e6,"cache_type_v":"q8_0"}""");
        var text = Tuning(
            """{"gpu_layers":"7","n_cpu_moe":"2","mlock":"true","mmap":"off","rope_freq_base":"1000000","cache_type_v":"Q8_0"}""");

        Assert.AreEqual(bare, text);
        Assert.AreEqual(new LoadTuning
        {
            GpuLayers = new LayerCount(7),
            CpuExpertLayers = 2,
            MemoryLock = true,
            MemoryMap = false,
            RopeFrequencyBase = 1e6f,
            CacheTypeV = CacheType.Q8Level0,
        }, bare);
        Assert.AreEqual(LayerCount.Auto, Tuning("""{"gpu_layers":"auto"}""").GpuLayers);

        static LoadTuning Tuning(string fields) =>
            Read($$"""{"models":[{"name":"a","base_path":"a",{{fields[1..]}}]}""").Models[0].Settings.Tuning;
    }

    [TestMethod]
    [DataRow("{}")]
    [DataRow("{\"models\":[]}")]
    [DataRow("\uFEFF{}")]
    public void A_file_may_say_nothing(string json)
    {
        var config = Read(json);
        Assert.IsEmpty(config.Models);
        Assert.IsEmpty(config.Aliases);
    }

    [TestMethod]
    [DataRow("[]", "the file: [] is not allowed; an object is")]
    [DataRow("{\"model\":[]}", "model: unknown field; allowed are $schema, models, aliases, memory_budget")]
    [DataRow("{\"models\":{}}", "models: {} is not allowed; a list of models is")]
    [DataRow("{\"models\":[7]}", "models[0]: 7 is not allowed; an object is")]
    [DataRow("{\"models\":[{\"name\":\"a\"}]}", "models[0].base_path: missing")]
    [DataRow("{\"models\":[{\"base_path\":\"a\"}]}", "models[0].name: missing")]
    [DataRow("{\"models\":[{\"name\":\" \",\"base_path\":\"a\"}]}", "models[0].name: \" \" is not allowed; a text that is not empty is")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"ctx\":1}]}", "models[0].ctx: unknown field; allowed are name, base_path, ")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"ctx_len\":-1}]}", "models[0].ctx_len: -1 is not allowed; a whole number from 0 to 16777216 is")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"n_threads\":1.5}]}", "models[0].n_threads: 1.5 is not allowed")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"gpu_layers\":\"all\"}]}", "models[0].gpu_layers: \"all\" is not allowed")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"gpu_backend\":\"rocm\"}]}", "models[0].gpu_backend: \"rocm\" is not allowed; auto, cpu, cuda, vulkan, opencl or metal is")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"cache_type_k\":8}]}", "models[0].cache_type_k: 8 is not allowed; f16, ")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"mlock\":[]}]}", "models[0].mlock: [] is not allowed; true or false is")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"cpu_moe\":true,\"n_cpu_moe\":2}]}", "models[0]: cpu_moe and n_cpu_moe exclude each other: ")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"pinned\":1}]}", "models[0].pinned: 1 is not allowed; true and false are")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"keep_alive\":\"soon\"}]}", "models[0].keep_alive: \"soon\" is not allowed; a number of seconds")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"aliases\":[\"b\",3]}]}", "models[0].aliases[1]: 3 is not allowed")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"lora_path\":\"x:NaN\"}]}", "models[0].lora_path: the LoRA scale NaN")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\"},{\"name\":\"A\",\"base_path\":\"b\"}]}", "models[1].name: 'A' is another model's name already")]
    [DataRow("{\"models\":[{\"name\":\"a\",\"base_path\":\"a\",\"n_threads\":513}]}", "models[0].n_threads: 513 is not allowed; a whole number from 0 to 512 is")]
    [DataRow("{\"memory_budget\":0}", "memory_budget: 0 is not allowed; a number of bytes above 0 or a size such as")]
    [DataRow("{\"memory_budget\":\"8 parsecs\"}", "memory_budget: \"8 parsecs\" is not allowed")]
    [DataRow("{\"memory_budget\":\"-8GB\"}", "memory_budget: \"-8GB\" is not allowed")]
    [DataRow("{\"memory_budget\":\"99999999TB\"}", "memory_budget: ")]
    [DataRow("{\"aliases\":{\"a\":7}}", "aliases.a: 7 is not allowed")]
    [DataRow("{\"aliases\":{\" \":\"b\"}}", "aliases: a pattern is empty")]
    [DataRow("{\"models\":[],\"models\":[]}", "not valid JSON: ")]
    [DataRow("{\"models\":", "not valid JSON: ")]
    [DataRow("", "not valid JSON: ")]
    [DataRow("{\"models\":[{\"name\":\"\\ud800\",\"base_path\":\"a\"}]}", "not valid JSON: ")]
    public void What_is_wrong_is_named_with_what_is_allowed(string json, string expected) =>
        StringAssert.StartsWith(Assert.ThrowsExactly<ConfigException>(() => Read(json)).Message, expected);

    [TestMethod]
    [DataRow("1024", 1024)]
    [DataRow("\"1024\"", 1024)]
    [DataRow("\"512MB\"", 512L << 20)]
    [DataRow("\"2 GiB\"", 2L << 30)]
    [DataRow("\"7b\"", 7)]
    public void A_memory_budget_is_bytes_or_a_size(string json, long bytes) =>
        Assert.AreEqual(bytes, Read($$"""{"memory_budget":{{json}}}""").MemoryBudget);

    [TestMethod]
    public void A_template_is_a_family_or_a_file_beside_the_config()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["own"], "{{ messages }}");
        var reader = new ModelConfigReader(HostEnvironments.In(folder), folder.Path);
        string?[] templates = [.. new[] { "chatml", "own", "sub/x.jinja" }.Select(template => reader.Read(Encoding.UTF8.GetBytes(
            $$"""{"models":[{"name":"a","base_path":"a","template":"{{template}}"}]}""")).Models[0].Settings.Template)];
        CollectionAssert.AreEqual(new[] { "chatml", folder["own"], Path.Join(folder.Path, "sub/x.jinja") }, templates);
    }

    [TestMethod]
    public void Paths_of_Windows_keep_their_colons()
    {
        var reader = new ModelConfigReader(HostEnvironments.Windows(), @"D:\cfg");
        var config = reader.Read(Encoding.UTF8.GetBytes(
            """{"models":[{"name":"a","base_path":"C:\\m\\a.gguf","lora_path":"C:\\m\\l.gguf"},{"name":"b","base_path":"sub\\b.gguf","lora_path":"l.gguf:-1"}]}"""));
        Assert.AreEqual((@"C:\m\a.gguf", @"C:\m\l.gguf"), (config.Models[0].Path, config.Models[0].Settings.Loras[0].Path));
        Assert.AreEqual(@"D:\cfg\sub\b.gguf", config.Models[1].Path);
        Assert.AreEqual(new LoraSetting(@"D:\cfg\l.gguf", -1), config.Models[1].Settings.Loras[0]);
    }

    [TestMethod]
    public void Several_adapters_are_an_array()
    {
        var reader = new ModelConfigReader(HostEnvironments.Windows(), @"D:\cfg");
        var config =
            reader.Read(Encoding.UTF8.GetBytes("""{"models":[{"name":"a","base_path":"a","lora_path":["a.gguf:0.5","b.gguf"]}]}"""));
        CollectionAssert.AreEqual(new[] { new LoraSetting(@"D:\cfg\a.gguf", 0.5f), new LoraSetting(@"D:\cfg\b.gguf") },
            config.Models[0].Settings.Loras.ToArray());
        var refused =
            Assert.ThrowsExactly<ConfigException>(
                () => reader.Read(Encoding.UTF8.GetBytes("""{"models":[{"name":"a","base_path":"a","lora_path":["a.gguf",7]}]}""")));
        StringAssert.Contains(refused.Message, "models[0].lora_path[1]");
    }

    [TestMethod]
    public void The_published_schema_has_the_fields_that_are_read()
    {
        using var schema = JsonDocument.Parse(File.ReadAllBytes(SchemaPath()));
        var root = schema.RootElement.GetProperty("properties");
        CollectionAssert.AreEqual(ModelConfigReader.RootFields.ToList(), root.EnumerateObject().Select(field => field.Name).ToList());
        var model = root.GetProperty("models").GetProperty("items").GetProperty("properties");
        CollectionAssert.AreEqual(ModelConfigReader.ModelFields.ToList(), model.EnumerateObject().Select(field => field.Name).ToList());
        foreach (var field in model.EnumerateObject().Where(field => field.Value.TryGetProperty("maximum", out _)))
        {
            var most = field.Value.GetProperty("maximum").GetInt64();
            Read($$"""{"models":[{"name":"a","base_path":"a","{{field.Name}}":{{most}}}]}""");
            Assert.ThrowsExactly<ConfigException>(
                () => Read($$"""{"models":[{"name":"a","base_path":"a","{{field.Name}}":{{most + 1}}}]}"""));
        }
    }

    [TestMethod]
    public void The_published_schema_says_what_the_table_of_options_says()
    {
        var published = File.ReadAllLines(SchemaPath());
        foreach (var option in TuningOption.All)
        {
            var line = $"          \"{option.Field}\": {{ \"description\": {Quoted(Description(option))}, {Allowed(option)} }},";
            Assert.IsTrue(published.Contains(line),
                $"in shimmy.config.schema.json, this line belongs among the properties of a model:\n{line}");
        }

        static string Description(TuningOption option)
        {
            var excluded = TuningOption.Exclusive.Where(pair => pair.One == option.Name || pair.Other == option.Name)
                .Select(pair => "; excludes " + TuningOption.FieldOf(pair.One == option.Name ? pair.Other : pair.One));
            var help = Regex.Replace(option.Help, "--([a-z-]+)", match => TuningOption.FieldOf(match.Groups[1].Value));
            return $"{help}{string.Concat(excluded)}.";
        }

        static string Allowed(TuningOption option) => option switch
        {
            { IsSwitch: true } => "\"type\": \"boolean\"",
            { Range: var (least, most) } => string.Create(CultureInfo.InvariantCulture,
                $"\"type\": [\"{(option.IsWhole ? "integer" : "number")}\", \"string\"], \"minimum\": {(decimal)least}, \"maximum\": {(decimal)most}"),
            { Words.Count: > 0 } =>
                $"\"enum\": [{string.Join(", ", option.Words.Select(word => word is "true" or "false" ? word : Quoted(word)))}]",
            { Name: "tensor-split" } => "\"type\": [\"string\", \"number\"]",
            { Name: "override-kv" } => "\"type\": \"string\", \"pattern\": \"=\"",
            _ => "\"type\": \"string\", \"pattern\": \"\\\\S\"",
        };

        static string Quoted(string text) => $"\"{text}\"";
    }

    [TestMethod]
    public void A_hundred_thousand_mutated_files_are_read_or_refused()
    {
        var seed = Encoding.UTF8.GetBytes(Full.Replace("// comments are allowed", "", StringComparison.Ordinal)
            .Replace(" ", "", StringComparison.Ordinal));
        var reader = new ModelConfigReader(HostEnvironments.Linux(), "/etc/shimmy");
        var random = new Random(11);
        (var read, var refused) = (0, 0);
        for (var i = 0; i < 100_000; i++)
        {
            var json = JsonFuzz.Mutate(seed, random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                reader.Read(json);
                read++;
            }
            catch (ConfigException)
            {
                refused++;
            }

            Assert.IsLessThan(16L << 20, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.IsGreaterThan(5_000, read);
        Assert.IsGreaterThan(20_000, refused);
    }

    private static ModelConfig Read(string json) =>
        new ModelConfigReader(HostEnvironments.Linux(), "/etc/shimmy").Read(Encoding.UTF8.GetBytes(json));

    private static string SchemaPath()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Join(folder, "shimmy.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new AssertFailedException("the repository's root was not found");

        return Path.Join(folder, "Shimmy", "Models", "Configuration", "shimmy.config.schema.json");
    }
}
