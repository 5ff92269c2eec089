using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Chat.Output;

/// <summary>
/// Each template of the folder that SHIMMY_TEMPLATE_CASES names shows how its model writes calls: what it renders is read back as the same
/// calls, however the text is cut into pieces.
/// </summary>
[TestClass]
public sealed class ToolCallFormatTests
{
    private static readonly JsonElement Schema = JsonDocument.Parse(
        """
        {"type":"object","properties":{"city":{"type":"string","description":"c"},"days":{"type":"integer","description":"d"},
        "on":{"type":"boolean","description":"o"}}}
        """).RootElement;

    private static readonly ToolDefinition[] Tools =
        [new("get_weather", "Tells the weather.", Schema), new("add_numbers", "Adds.", Schema)];

    private static readonly ToolDefinition[] Required = [new("add_numbers", "Adds.", JsonDocument.Parse(
        """
        {"type":"object","properties":{"days":{"type":"integer","minimum":0,"maximum":99,"description":"d"},"on":{"type":"boolean","description":"o"}},
        "required":["days","on"],"additionalProperties":false}
        """).RootElement)];

    private static readonly TemporaryFolder Folder = new();

    // One worker for all templates; its answers are nonsense under each.
    private static readonly Lazy<Task<ILoadedModel>> Noise =
        new(() => WorkerFixture.LoadAsync(Folder, shape: new RandomModelShape { Context = 8192 }));

    [ClassCleanup]
    public static async Task CleanAsync()
    {
        if (Noise.IsValueCreated)
            await (await Noise.Value).DisposeAsync();
        Folder.Dispose();
    }

    public static IEnumerable<object[]> Templates() => Environment.GetEnvironmentVariable("SHIMMY_TEMPLATE_CASES") is { Length: > 0 } folder
        ? Directory.EnumerateFiles(folder, "*.jinja").Order(StringComparer.Ordinal)
            .Select(path => new object[] { Path.GetFileNameWithoutExtension(path), path })
        : [["", ""]];

    [TestMethod]
    [TestCategory("Unit")]
    [DynamicData(nameof(Templates))]
    public void Calls_are_read_back_as_the_template_shows_them(string name, string path)
    {
        if (path.Length == 0)
            Assert.Inconclusive("SHIMMY_TEMPLATE_CASES names no folder of templates.");
        var template = new ChatTemplate(
            TemplateSource.Of(new Dictionary<string, string> { ["default"] = File.ReadAllText(path) })!,
            new ModelFacts { Architecture = "test", Description = "", BosText = "<s>", EosText = "</s>" }, TimeProvider.System);
        if (!template.Capabilities.ToolCalls)
            return;
        Assert.IsNotNull(template.ToolCalls, $"{name}: the template shows calls, but they could not be taken apart");
        var syntax = template.ToolCalls;
        var parallel = syntax.Separator is not null;
        Console.WriteLine(Shown(syntax));

        ToolCall[] calls =
        [
            new("callAAAA1", "get_weather", """{"city": "Bad Homburg v.d.H. \"x\" <b>", "days": 3}"""),
            .. parallel ? [new ToolCall("callBBBB2", "add_numbers", """{"days": 41, "on": true}""")] : Array.Empty<ToolCall>(),
        ];
        var text = Answer(template, calls);
        for (var seed = 0; seed < 12; seed++)
        {
            var read = Read(syntax, text, seed == 0 ? int.MaxValue : seed < 3 ? 1 : 12, new Random(seed));
            Assert.HasCount(calls.Length, read, $"{name}: {text}");
            for (var i = 0; i < calls.Length; i++)
            {
                Assert.AreEqual(calls[i].Name, read[i].Name, name);
                Assert.IsTrue(JsonNode.DeepEquals(JsonNode.Parse(calls[i].Arguments), JsonNode.Parse(read[i].Arguments)),
                    $"{name}: {read[i].Arguments} instead of {calls[i].Arguments} in {text}");
            }
        }
    }

    [TestMethod]
    [TestCategory("Worker")]
    [DynamicData(nameof(Templates))]
    public async Task A_model_that_answers_nonsense_calls_in_the_templates_own_way(string name, string path)
    {
        if (path.Length == 0)
            Assert.Inconclusive("SHIMMY_TEMPLATE_CASES names no folder of templates.");
        var model = await Noise.Value;
        using var lease = new ModelLease(new OneModelEngine(model, File.ReadAllText(path)).Under(model.Spec));
        var template = await TemplateCache.OfAsync(lease, null, CancellationToken.None);
        if (!template.Capabilities.Tools || template.ToolCalls is null)
            return;
        var request = new ChatRequest
        {
            Messages = [new ChatMessage { Role = "user", Content = [new ContentPart("What is it like?")] }],
            Tools = Required,
            ToolChoice = ToolChoice.Required,
            ParallelToolCalls = false,
            EnableThinking = false,
            Options = new GenerationOptions { Temperature = 1, Seed = 11, MaxTokens = 2000 },
        };
        // Nonsense never stops thinking by itself.
        if (string.Concat(template.Render(request).Parts.Select(part => part.Text)).TrimEnd() is var prompt
            && template.Reasoning is { } marks && prompt.EndsWith(marks.Open, StringComparison.Ordinal))
        {
            return;
        }

        var arguments = new StringBuilder();
        var called = "";
        var text = new StringBuilder();
        OutputEnd? end = null;
        await foreach (var outputEvent in ChatPipeline.ChatAsync(lease, request, CancellationToken.None))
        {
            called += outputEvent.Call?.Name;
            arguments.Append(outputEvent.Call?.Arguments);
            text.Append(outputEvent.Text);
            end = outputEvent.End ?? end;
        }

        Assert.AreEqual("add_numbers", called, $"{name}: {text}");
        Assert.AreEqual("", text.ToString().Trim(), name);
        Assert.IsTrue(end!.CalledTools, name);
        using var json = JsonDocument.Parse(arguments.ToString());
        Assert.IsInRange(0, 99, json.RootElement.GetProperty("days").GetInt32(), $"{name}: {arguments}");
        Assert.IsTrue(json.RootElement.GetProperty("on").ValueKind is JsonValueKind.True or JsonValueKind.False, $"{name}: {arguments}");
    }

    private static string Answer(ChatTemplate template, ToolCall[] calls)
    {
        var user = new ChatMessage { Role = "user", Content = [new ContentPart("What is it like?")] };
        var request =
            new ChatRequest
            {
                Messages = [user, new ChatMessage { Role = "assistant", ToolCalls = calls }],
                Tools = template.Capabilities.Tools ? Tools : []
            };
        var whole = string.Concat(template.Render(request, addGenerationPrompt: false).Parts.Select(part => part.Text));
        var after = whole[(whole.LastIndexOf("What is it like?", StringComparison.Ordinal) + 16)..];
        // The same mark may end the turn before.
        var trigger = template.ToolCalls!.Trigger;
        var begin = trigger.Length > 0
            ? after.LastIndexOf(trigger, after.IndexOf("Homburg", StringComparison.Ordinal), StringComparison.Ordinal)
            : after.IndexOf('{', StringComparison.Ordinal);
        Assert.IsGreaterThanOrEqualTo(0, begin, $"'{trigger}' is not in {after}");
        return after[begin..];
    }

    private static List<(string Name, string Arguments)> Read(ToolCallSyntax syntax, string text, int longest, Random random)
    {
        var reader = new ToolCallReader(syntax, Tools.ToDictionary(tool => tool.Name, tool => tool.Parameters), 0);
        var calls = new List<(string Name, StringBuilder Arguments)>();
        for (var at = 0; at < text.Length && !reader.Done;)
        {
            var length = Math.Min(text.Length - at, longest == int.MaxValue ? longest : random.Next(1, longest + 1));
            Take(reader.Push(text.Substring(at, length)));
            at += length;
        }
        Take(reader.End());
        return [.. calls.Select(call => (call.Name, call.Arguments.ToString()))];

        void Take(IReadOnlyList<ToolCallDelta> deltas)
        {
            foreach (var delta in deltas)
            {
                if (delta.Name is { } name)
                    calls.Add((name, new StringBuilder()));
                calls[delta.Index].Arguments.Append(delta.Arguments);
            }
        }
    }

    private static string Shown(ToolCallSyntax syntax) => syntax.ToString().Replace("\n", "\\n", StringComparison.Ordinal)
        .Replace(ToolCallSyntax.IdHole, '①').Replace(ToolCallSyntax.IndexHole, '②')
        .Replace(ToolCallSyntax.NameHole, '③').Replace(ToolCallSyntax.KeyHole, '④');
}
