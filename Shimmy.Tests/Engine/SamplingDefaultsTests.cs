using System.Text;
using Shimmy.Engine;
using Shimmy.Models.Discovery;

namespace Shimmy.Tests.Engine;

/// <summary>Sampling defaults that a model's file, or Ollama's manifest, brings along.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class SamplingDefaultsTests
{
    [TestMethod]
    [DataRow("penalty_repeat", "0")]
    [DataRow("penalty_repeat", "-1.100000")]
    [DataRow("mirostat", "7")]
    [DataRow("top_p", "40")]
    [DataRow("top_k", "4294967296")]
    [DataRow("top_k", "1.5")]
    [DataRow("temp", "-1")]
    [DataRow("seed", "-1")]
    public void A_number_that_no_request_could_ask_for_counts_as_absent(string key, string value) =>
        AreAlike(SamplingPatch.None.Over(new GenerationOptions()), Defaults(new Dictionary<string, string> { [key] = value }));

    [TestMethod]
    public void A_number_within_its_range_counts()
    {
        // As llama.cpp writes numbers of metadata.
        var options = Defaults(new Dictionary<string, string>
        {
            ["temp"] = "0.800000",
            ["adaptive_decay"] = "0.990000",
            ["top_k"] = "-1",
            ["mirostat"] = "2",
            ["seed"] = "4294967295",
        });

        Assert.AreEqual((0.8f, 0.99f, -1, 2, uint.MaxValue),
            (options.Temperature, options.AdaptiveDecay, options.TopK, options.Mirostat, options.Seed));
    }

    [TestMethod]
    public void Parameters_of_Ollamas_manifest_out_of_range_count_as_absent()
    {
        var settings = OllamaManifest.ReadParameters(Encoding.UTF8.GetBytes(
            """{"repeat_penalty":0,"mirostat":7,"top_p":1.5,"temperature":0.25,"seed":-1,"repeat_last_n":-1}"""));

        AreAlike(new GenerationOptions { Temperature = 0.25f, RepeatLastN = -1 }, Defaults(settings.Defaults.Sampling));
    }

    private static GenerationOptions Defaults(IReadOnlyDictionary<string, string> sampling) =>
        SamplingPatch.DefaultsOf(new ModelFacts
        {
            Architecture = "a",
            Description = "a",
            SamplingDefaults = new Dictionary<string, string>(sampling),
        });

    private static void AreAlike(GenerationOptions expected, GenerationOptions options)
    {
        foreach (var field in SamplingField.All)
            Assert.AreEqual(field.DefaultText(expected), field.DefaultText(options), field.Name);
        Assert.AreEqual(expected.Seed, options.Seed);
    }
}
