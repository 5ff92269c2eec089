using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Observability;

/// <summary>The Grafana dashboard asks for nothing that the server does not say.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class DashboardTests
{
    /// <summary>The queries of each panel, by its title.</summary>
    public static IReadOnlyList<(string Panel, string Query)> Queries { get; } = Read();

    [TestMethod]
    public async Task Every_metric_of_every_panel_is_exported()
    {
        await using var server = await ServerFixture.StartAsync();
        await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"?"}""");
        var text = await server.Client.GetStringAsync("metrics");
        var families = text.Split('\n').Where(line => line.StartsWith("# TYPE ", StringComparison.Ordinal))
            .ToDictionary(line => line.Split(' ')[2], line => line.Split(' ')[3]);

        Assert.IsGreaterThan(15, Queries.Select(query => query.Panel).Distinct().Count());
        foreach (var (panel, query) in Queries)
        {
            var metrics = Metric().Matches(query).Select(match => match.Value).ToArray();
            Assert.IsNotEmpty(metrics, panel);
            foreach (var metric in metrics)
            {
                var part = Part().Match(metric).Value;
                var family = part.Length > 0 && families.GetValueOrDefault(metric[..^part.Length]) == "histogram"
                    ? metric[..^part.Length]
                    : metric;
                Assert.IsTrue(families.ContainsKey(family), $"{panel}: {metric}");
            }
        }
        // And the other way round: what is exported is shown, or is the part of a whole that is.
        string[] unseen =
            ["shimmy_build_info", "shimmy_kv_cells", "shimmy_kv_cells_used", "shimmy_admitted_requests_total",
                "shimmy_drafted_tokens_total", "shimmy_draft_tokens_accepted_total", "shimmy_decode_calls_total",
            "shimmy_model_load_seconds_total", "shimmy_model_requests", "process_start_time_seconds",
                "process_threads", "shimmy_response_cache_entries", "shimmy_lora_requests_info",
                    "shimmy_kv_block_size_tokens", "shimmy_kv_blocks",
            "shimmy_response_cache_evictions_total", "shimmy_response_cache_answers_total"];
        CollectionAssert.AreEquivalent(Array.Empty<string>(), families.Keys.Except(unseen)
            // llama-server's names for the same.
            .Where(family => !family.StartsWith("llamacpp:", StringComparison.Ordinal))
            .Where(family => !Queries.Any(query => query.Query.Contains(family, StringComparison.Ordinal))).ToArray());
    }

    private static List<(string, string)> Read()
    {
        using var dashboard =
            JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Shimmy", "Assets", "grafana-dashboard.json")));
        return [.. dashboard.RootElement.GetProperty("panels").EnumerateArray()
            .SelectMany(panel => panel.GetProperty("targets").EnumerateArray()
            .Select(target => (panel.GetProperty("title").GetString()!, target.GetProperty("expr").GetString()!)))];
    }

    [GeneratedRegex("(shimmy|process)_[a-z_]+")]
    private static partial Regex Metric();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex Part();
}
