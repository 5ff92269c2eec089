using System.Net.Http.Json;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Commands;

/// <summary>What <c>--draft</c> says, as clients of <c>serve</c> and users of the commands see it.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class DraftOptionTests
{
    private static readonly string Demo = Path.Combine(AppContext.BaseDirectory, "models", "shimmy-demo.gguf");

    [TestMethod]
    [DataRow("", true)]
    [DataRow("none", false)]
    public async Task Tokens_are_drafted_from_what_a_text_repeats_unless_nobody_wants_it(string draft, bool drafts)
    {
        using var folder = new TemporaryFolder();
        using var server =
            await ServerProcess.StartAsync(folder,
                ["--model-path", Demo, "--threads", "1", .. draft.Length > 0 ? new[] { "--draft", draft } : []]);

        var drafted = 0;
        for (var i = 0; i < 8; i++)
        {
            // Completed with what stands in it several times; what a token takes is not known at first.
            using var answer = await server.Client.PostAsJsonAsync("api/generate", new
            {
                model = "shimmy-demo",
                prompt = string.Concat(Enumerable.Repeat($"soft gold turtle {i}, ", 12)),
                max_tokens = 100,
                temperature = 0,
            });
            using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
            if (json.RootElement.GetProperty("timings").TryGetProperty("draft_n", out var count))
                drafted += count.GetInt32();
        }

        Assert.AreEqual(drafts, drafted > 0, $"{drafted} tokens were drafted");
    }

    [TestMethod]
    public async Task A_draft_model_that_is_not_there_is_said_before_anything_is_loaded()
    {
        using var folder = new TemporaryFolder();
        var run = await ShimmyProcess.RunAsync(["generate", Demo, "--prompt", "Hi", "--draft", "nowhere.gguf"], folder.Path);

        Assert.AreEqual((1, $"shimmy generate: --draft: there is no file '{folder["nowhere.gguf"]}'"),
            (run.ExitCode, run.Errors.TrimEnd()));
    }
}
