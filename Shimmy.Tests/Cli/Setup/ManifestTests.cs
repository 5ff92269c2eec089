using System.Text.RegularExpressions;
using Shimmy.Cli.Options;
using Shimmy.Cli.Setup;
using Shimmy.Cli.Terminal;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;
using static Shimmy.Tests.Cli.Setup.ManifestSchema;

namespace Shimmy.Tests.Cli.Setup;

/// <summary>The manifests that <c>init</c> writes for clusters, against the schemas of their resources.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class ManifestTests
{
    // By what they write, so that none is forgotten.
    private static readonly string[] Clusters =
        [.. EmbeddedTexts.Templates.Where(name => FilesOf(name).Any(file => OfCluster().IsMatch(file.Text)))];

    public static IEnumerable<object[]> Templates => Clusters.Select(name => new object[] { name });

    [TestMethod]
    [DynamicData(nameof(Templates))]
    public void Every_resource_passes_its_schema(string template)
    {
        var resources = ResourcesOf(template);
        Assert.IsNotEmpty(resources);
        foreach (var (path, resource) in resources)
            CollectionAssert.AreEqual(Array.Empty<string>(), ComplaintsOf(resource).ToArray(), path);
    }

    [TestMethod]
    public void Every_template_for_clusters_is_among_them_and_every_schema_is_used()
    {
        CollectionAssert.AreEquivalent(new[] { "kubernetes", "llm-d", "kserve", "gpustack" }, Clusters);
        var written = Clusters.SelectMany(template => ResourcesOf(template))
            .Select(pair => $"{Text(pair.Resource, "apiVersion")}/{Text(pair.Resource, "kind")}");
        CollectionAssert.IsSubsetOf(Known.ToArray(), written.ToArray());
    }

    [TestMethod]
    public void A_schema_refuses_what_it_does_not_know_and_misses_what_is_required()
    {
        var (_, pool) = ResourcesOf("llm-d").Single(pair => Text(pair.Resource, "kind") == "InferencePool");
        var spec = (OrderedDictionary<string, object?>)((OrderedDictionary<string, object?>)pool!)["spec"]!;
        spec["targetPortNumber"] = 8000L;
        spec.Remove("selector");
        CollectionAssert.AreEqual(
            new[] { "InferencePool.spec.selector is missing", "InferencePool.spec.targetPortNumber is not known" },
                ComplaintsOf(pool).ToArray());
    }

    [TestMethod]
    public void What_belongs_together_has_one_name()
    {
        foreach (var template in new[] { "kubernetes", "llm-d" })
        {
            var resources = ResourcesOf(template).Select(pair => pair.Resource).ToList();
            var pod = At(Of("Deployment"), "spec", "template");
            var label = Text(At(pod, "metadata", "labels"), "app");
            Assert.AreEqual(label, Text(At(Of("Deployment"), "spec", "selector", "matchLabels"), "app"));
            Assert.AreEqual(label, Text(At(Of("PodDisruptionBudget"), "spec", "selector", "matchLabels"), "app"));
            var ports =
                ((List<object?>)At(FirstOf(At(pod, "spec"), "containers"), "ports")!).Select(port => (long)At(port, "containerPort")!);
            if (template == "kubernetes")
            {
                Assert.AreEqual(label, Text(At(Of("Service"), "spec", "selector"), "app"));
                Assert.AreEqual("my-app", Text(At(Of("ScaledObject"), "spec", "scaleTargetRef"), "name"));
                // Both count what waits once: by the series that has no model.
                var metric = At(FirstOf(At(Of("HorizontalPodAutoscaler"), "spec"), "metrics"), "pods", "metric");
                var expression = FirstOf(At(metric, "selector"), "matchExpressions");
                Assert.AreEqual(("model", "DoesNotExist"), (Text(expression, "key"), Text(expression, "operator")));
                Assert.Contains("{model=\"\",", Text(At(FirstOf(At(Of("ScaledObject"), "spec"), "triggers"), "metadata"), "query")!);
                continue;
            }
            Assert.AreEqual(label, Text(At(Of("InferencePool"), "spec", "selector", "matchLabels"), "app"));
            Assert.Contains((long)At(FirstOf(At(Of("InferencePool"), "spec"), "targetPorts"), "number")!, ports);
            var picker = Of("EndpointPickerConfig");
            var plugins = ((List<object?>)At(picker, "plugins")!).Select(plugin => Text(plugin, "type")).ToList();
            var used = ((List<object?>)At(FirstOf(picker, "schedulingProfiles"), "plugins")!).Select(plugin => Text(plugin, "pluginRef"));
            CollectionAssert.IsSubsetOf(used.ToArray(), plugins);
            var engine = FirstOf(At(((List<object?>)At(picker, "plugins")!)[0], "parameters"), "engineConfigs");
            Assert.AreEqual(Text(At(pod, "metadata", "labels"), "llm-d.ai/engine-type"), Text(engine, "name"));
            Assert.AreEqual("true", Text(At(pod, "metadata", "labels"), "llm-d.ai/inference-serving"));
            Assert.Contains((long)At(((List<object?>)At(picker, "plugins")!)[1], "parameters", "port")!, ports);

            object? Of(string kind) => resources.Single(one => Text(one, "kind") == kind);
        }
    }

    [TestMethod]
    public async Task Every_metric_that_a_manifest_names_is_exported()
    {
        await using var server = await ServerFixture.StartAsync();
        var exported = (await server.Client.GetStringAsync("metrics")).Split('\n')
            .Where(line => line.StartsWith("# TYPE ", StringComparison.Ordinal)).Select(line => line.Split(' ')[2]).ToHashSet();
        var named = Clusters.SelectMany(template => FilesOf(template)).SelectMany(file => Metric().Matches(file.Text))
            .Select(match => match.Value).Distinct().ToList();
        Assert.IsGreaterThan(5, named.Count);
        CollectionAssert.IsSubsetOf(named, exported.ToList());
    }

    [TestMethod]
    [DataRow("on")]
    [DataRow("no")]
    [DataRow("true")]
    [DataRow("null")]
    [DataRow("e")]
    [DataRow("a2345678901234567890123456789012345678901234567890")]
    public void A_name_is_a_text_wherever_it_stands(string name)
    {
        foreach (var (path, resource) in Clusters.SelectMany(template => ResourcesOf(template, name)))
            CollectionAssert.AreEqual(Array.Empty<string>(), ComplaintsOf(resource).ToArray(), path);
    }

    // Which words are none is not the same in all versions of YAML.
    [TestMethod]
    public void No_name_stands_alone_without_quotes()
    {
        foreach (var (path, text) in EmbeddedTexts.Templates.SelectMany(template => FilesOf(template)))
            Assert.IsFalse(path.Contains(".y", StringComparison.Ordinal) && NameAlone().IsMatch(text), $"{path}: {text}");
    }

    [TestMethod]
    [DataRow("123")]
    [DataRow("1e3")]
    [DataRow("-a")]
    [DataRow("a-")]
    [DataRow("a23456789012345678901234567890123456789012345678901")]
    public void A_name_that_no_service_can_have_is_refused(string name) =>
        Assert.ThrowsExactly<UsageException>(() => FilesOf("kubernetes", name));

    [TestMethod]
    public void The_backend_of_gpustack_leaves_the_places_open_that_it_fills_in()
    {
        var (_, text) = FilesOf("gpustack").Single(file => file.Path == "my-app-custom.yaml");
        foreach (var place in new[] { "{{port}}", "{{model_path}}", "{{model_name}}={{model_path}}" })
            Assert.Contains(place, text);
    }

    private static IReadOnlyList<(string Path, string Text)> FilesOf(string template, string name = "my-app") =>
        [.. InitCommand.FilesOf(template, OptionParser.Parse(OptionTable.Commands.Single(command => command.Name == "init"),
            ["-t", template, "-n", name, "--ctx", "8192", "--alias", "gpt-*=x"], _ => null), [])];

    // What a ConfigMap holds is a resource, too.
    private static List<(string Path, object? Resource)> ResourcesOf(string template, string name = "my-app")
    {
        var found = new List<(string, object?)>();
        foreach (var (path, text) in FilesOf(template, name).Where(file => file.Path.EndsWith(".yaml", StringComparison.Ordinal)))
        {
            foreach (var document in Yaml.Documents(text))
            {
                found.Add((path, document));
                if (At(document, "data", "picker.yaml") is string inner)
                    found.AddRange(Yaml.Documents(inner).Select(one => ($"{path}/picker.yaml", one)));
            }
        }
        return found;
    }

    private static object? At(object? value, params string[] path) => path.Aggregate(value,
        (at, name) => at is OrderedDictionary<string, object?> map && map.TryGetValue(name, out var inner) ? inner : null);

    private static object? FirstOf(object? value, string name) => ((List<object?>)At(value, name)!)[0];

    private static string? Text(object? value, string name) => At(value, name) as string;

    [GeneratedRegex("^(apiVersion|backend_name):", RegexOptions.Multiline)]
    private static partial Regex OfCluster();

    [GeneratedRegex(@"^[^#\n]*(: |- )my-app\s*$|^\s*my-app:", RegexOptions.Multiline)]
    private static partial Regex NameAlone();

    [GeneratedRegex("shimmy_[a-z_]+")]
    private static partial Regex Metric();
}
