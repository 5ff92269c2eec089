using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Demo;

/// <summary>
/// The model that comes with the program, found without configuration and asked what it was trained for, in words that it never saw.
/// </summary>
[TestClass]
[TestCategory("Executable")]
public sealed class DemoModelTests
{
    private const string Name = "shimmy-demo";

    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _) =>
    _server = await ServerProcess.StartAsync(Folder, "--threads", "1", "--parallel", "4");

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    public async Task It_is_found_beside_the_executable_and_listed()
    {
        var listed = await ShimmyProcess.RunAsync(["list", "-s"], Folder.Path);

        Assert.AreEqual(Name + "\n", listed.Output.ReplaceLineEndings("\n"));
        var file = new FileInfo(Path.Combine(Path.GetDirectoryName(ShimmyProcess.Executable)!, "models", Name + ".gguf"));
        Assert.IsLessThanOrEqualTo(4 << 20, file.Length);
    }

    [TestMethod]
    public async Task It_tells_a_visitor_what_Shimmy_is()
    {
        var told = await ShimmyProcess.RunAsync(["generate", Name, "--prompt", "What is Shimmy?", "--temperature", "0"], Folder.Path);

        Assert.AreEqual(0, told.ExitCode, told.Errors);
        Assert.StartsWith("Shimmy is a", told.Output);
        // At the command's own temperature too.
        var sampled = await ShimmyProcess.RunAsync(["generate", Name, "--prompt", "What is Shimmy?", "--seed", "7"], Folder.Path);
        Assert.Contains("Shimmy is", sampled.Output);
    }

    [TestMethod]
    public async Task It_keeps_to_its_goals_on_prompts_that_it_never_saw()
    {
        var cases = await CasesAsync("demo-evaluation.jsonl");
        var right = new ConcurrentDictionary<string, int>();
        var (ended, json) = (0, 0);
        await Parallel.ForEachAsync(cases, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (one, cancellation) =>
        {
            var choice = await AskAsync(one);
            if (choice["finish_reason"]!.GetValue<string>() != "length")
                Interlocked.Increment(ref ended);
            var message = choice["message"]!;
            if (one["checks"]!["json"] is not null && Parsed(message) is not null)
                Interlocked.Increment(ref json);
            if (IsRight(one["checks"]!, message))
                right.AddOrUpdate(Kind(one), 1, (_, count) => count + 1);
        });

        var (rates, report) = Rates(cases, right);
        Console.WriteLine($"{ended} of {cases.Length} end by themselves; right: {report}");
        Assert.IsGreaterThanOrEqualTo(0.95, ended / (double)cases.Length, report);
        Assert.IsGreaterThanOrEqualTo(0.90, rates["tool_call"], report);
        Assert.IsGreaterThanOrEqualTo(0.95, json / (double)cases.Count(one => one["checks"]!["json"] is not null), report);
        Assert.IsGreaterThanOrEqualTo(0.80, rates["sum"], report);
    }

    [TestMethod]
    public async Task It_names_shapes_in_pictures_that_it_never_saw()
    {
        var cases = await CasesAsync("demo-pictures.jsonl");
        var (right, exact) = (new ConcurrentDictionary<string, int>(), new ConcurrentDictionary<string, int>());
        await Parallel.ForEachAsync(cases, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (one, cancellation) =>
        {
            var choice = await SendAsync(PictureRequest(Text(one["question"]!), Convert.FromBase64String(Text(one["png"]!))));
            var said = Text(choice["message"]!["content"]!);
            if (said == Text(one["answer"]!))
                exact.AddOrUpdate(Kind(one), 1, (_, count) => count + 1);
            if (Named(one).All(word => said.Contains(word, StringComparison.Ordinal)))
                right.AddOrUpdate(Kind(one), 1, (_, count) => count + 1);
        });

        var (rates, report) = Rates(cases, right);
        Console.WriteLine($"colour and shape: {report}; word for word: {Rates(cases, exact).Report}");
        Assert.IsGreaterThanOrEqualTo(60, cases.Count(one => Kind(one) == "one"));
        Assert.IsGreaterThanOrEqualTo(0.90, rates["one"], report);
    }

    [TestMethod]
    public async Task It_sees_the_picture_of_the_readme_from_the_command_line_and_says_that_it_sees()
    {
        var picture = Path.Combine(Repository.Root, "docs", "shapes.png");
        var told = await ShimmyProcess.RunAsync(["generate", Name, "--image", picture, "--prompt", "What is in the picture?"], Folder.Path);
        var listed = await ShimmyProcess.RunAsync(["list"], Folder.Path);
        var probed = await ShimmyProcess.RunAsync(["probe", Name], Folder.Path);
        using var models = JsonDocument.Parse(await _server.Client.GetStringAsync("v1/models"));

        Assert.AreEqual("A red circle and a blue square.", told.Output.TrimEnd(), told.Errors);
        Assert.Contains("vision", listed.Output);
        Assert.Contains("vision", probed.Output);
        Assert.Contains("vision", models.RootElement.GetProperty("data").GetRawText());
        Assert.IsLessThanOrEqualTo(2 << 20,
            new FileInfo(Path.Combine(Path.GetDirectoryName(ShimmyProcess.Executable)!, "models", Name + ".mmproj.gguf")).Length);
    }

    // Colour and shape of a single shape; of other pictures the whole answer counts.
    private static string[] Named(JsonNode one) =>
        Kind(one) == "one" ? [Text(one["color"]!), Text(one["shape"]!)] : [Text(one["answer"]!)];

    private static string Kind(JsonNode one) => Text(one["kind"]!);

    private static string Text(JsonNode value) => value.GetValue<string>();

    private static async Task<JsonNode[]> CasesAsync(string file) =>
        [.. (await File.ReadAllLinesAsync(Path.Combine(AppContext.BaseDirectory, file))).Select(line => JsonNode.Parse(line)!)];

    private static (Dictionary<string, double> Rates, string Report) Rates(JsonNode[] cases, ConcurrentDictionary<string, int> right)
    {
        var rates = cases.GroupBy(Kind)
            .ToDictionary(group => group.Key, group => right.GetValueOrDefault(group.Key) / (double)group.Count());
        return (rates, string.Join(", ", rates.Select(rate => string.Create(CultureInfo.InvariantCulture, $"{rate.Key} {rate.Value:P0}"))));
    }

    private static async Task<JsonNode> AskAsync(JsonNode one)
    {
        var body = new JsonObject
        {
            ["model"] = Name,
            ["messages"] = Messages(one["messages"]!.AsArray()),
            ["temperature"] = 0,
            ["max_tokens"] = 400,
            ["enable_thinking"] = one["enable_thinking"]!.GetValue<bool>(),
        };
        if (one["tools"]!.AsArray().Count > 0)
            body["tools"] = one["tools"]!.DeepClone();
        return await SendAsync(body);
    }

    private static JsonObject PictureRequest(string question, byte[] png) => new()
    {
        ["model"] = Name,
        ["messages"] = new JsonArray(new JsonObject
        {
            ["role"] = "user",
            ["content"] = new JsonArray(
                new JsonObject { ["type"] = "image_url", ["image_url"] = new JsonObject { ["url"] = Pictures.Url(png) } },
                new JsonObject { ["type"] = "text", ["text"] = question }),
        }),
        ["temperature"] = 0,
        ["max_tokens"] = 40,
    };

    private static async Task<JsonNode> SendAsync(JsonObject body)
    {
        using var answer =
            await _server.Client.PostAsync("v1/chat/completions",
                new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"));
        var text = await answer.Content.ReadAsStringAsync();
        Assert.IsTrue(answer.IsSuccessStatusCode, text);
        return JsonNode.Parse(text)!["choices"]![0]!;
    }

    // The evaluation has arguments as objects and calls without ids, as templates take them.
    private static JsonArray Messages(JsonArray messages)
    {
        var given = messages.DeepClone().AsArray();
        var (calls, answered) = (0, 0);
        foreach (var message in given.OfType<JsonObject>())
        {
            foreach (var call in message["tool_calls"]?.AsArray().OfType<JsonObject>() ?? [])
            {
                call["id"] = $"call-{calls++}";
                call["function"]!["arguments"] = call["function"]!["arguments"]!.ToJsonString();
            }
            if (message["role"]!.GetValue<string>() == "tool")
                message["tool_call_id"] = $"call-{answered++}";
        }
        return given;
    }

    private static bool IsRight(JsonNode checks, JsonNode message)
    {
        var content = message["content"]?.GetValue<string>() ?? "";
        if ((checks["thinks"]?.GetValue<bool>() ?? false) != (message["reasoning_content"] is not null))
            return false;
        if (checks["tool_calls"]?.AsArray() is { } wanted)
        {
            return message["tool_calls"]?.AsArray() is { } calls && calls.Count == wanted.Count
                && calls.Zip(wanted).All(pair => IsCall(pair.First!["function"]!, pair.Second!));
        }

        if (checks["json"] is { } value)
            return AreEqual(Parsed(message), value);
        if (checks["equals"]?.GetValue<string>() is { } text)
            return content == text;
        return checks["contains"]!.AsArray().All(part => content.Contains(part!.GetValue<string>(), StringComparison.Ordinal));
    }

    private static bool IsCall(JsonNode call, JsonNode wanted) => call["name"]!.GetValue<string>() == wanted["name"]!.GetValue<string>()
        && AreEqual(JsonNode.Parse(call["arguments"]!.GetValue<string>()), wanted["arguments"]);

    private static bool AreEqual(JsonNode? one, JsonNode? other)
    {
        try
        {
            return JsonNode.DeepEquals(one, other);
        }
        catch (ArgumentException)
        {
            // A key that is there twice.
            return false;
        }
    }

    private static JsonNode? Parsed(JsonNode message)
    {
        try
        {
            return JsonNode.Parse(message["content"]?.GetValue<string>() ?? "");
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
