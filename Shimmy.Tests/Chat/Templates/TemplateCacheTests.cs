using Microsoft.Extensions.Logging;
using Shimmy.Chat;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Chat.Templates.Templates;

namespace Shimmy.Tests.Chat.Templates;

/// <summary>Which template a loaded model chats with, and how the pipeline uses it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class TemplateCacheTests
{
    private const string Own = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}";

    private static Task<ILoadedModel> LoadAsync(string? template, Func<ModelSpec, ModelSpec>? change = null,
        Func<ModelSpec, GenerationRequest, IEnumerable<string>>? answer = null)
    {
        var engine = new ScriptedEngine
        {
            Facts = spec => new ModelFacts
            {
                Architecture = "scripted",
                Description = "",
                ContextLength = 100,
                ChatTemplates = template is null
                    ? new Dictionary<string, string>()
                    : new Dictionary<string, string> { ["default"] = template },
            },
        };
        engine.Answer = answer ?? engine.Answer;
        var spec = new ModelSpec { Name = "zephyr-like", Path = "m.gguf" };
        return engine.LoadAsync(change?.Invoke(spec) ?? spec, null, CancellationToken.None);
    }

    [TestMethod]
    public async Task The_pipeline_renders_the_models_own_template_and_stops_at_its_turn_end()
    {
        GenerationRequest? seen = null;
        await using var model = await LoadAsync(Own, answer: (_, request) =>
        {
            seen = request;
            return ["Hello", "<|im_", "end|>", "more"];
        });
        var text = "";
        await foreach (var outputEvent in ChatPipeline.ChatAsync(new ModelLease(model),
            Turns(Says("user", "U")) with { Options = new GenerationOptions { Stop = ["X"] } }, CancellationToken.None))
        {
            text += outputEvent.Text;
        }

        Assert.AreEqual("Hello", text);
        Assert.AreEqual("<|im_start|>‹U›<|im_end|>", seen!.Prompt.Marked());
        CollectionAssert.AreEqual(new[] { "X", "<|im_end|>" }, seen.Options.Stop.ToArray());
    }

    [TestMethod]
    public async Task A_refusal_comes_with_the_first_move()
    {
        await using var model = await LoadAsync("{{ raise_exception('no') }}");
        await using var events = ChatPipeline.ChatAsync(new ModelLease(model), Turns(Says("user", "U")), CancellationToken.None)
            .GetAsyncEnumerator();

        var failure = await Assert.ThrowsExactlyAsync<EngineException>(async () => await events.MoveNextAsync());
        Assert.AreEqual((EngineFailure.InvalidRequest, "messages"), (failure.Failure, failure.Option));
    }

    [TestMethod]
    public async Task A_template_is_compiled_once_for_a_model()
    {
        await using var model = await LoadAsync(Own);

        using var lease = new ModelLease(model);
        Assert.AreSame(await TemplateCache.OfAsync(lease, null, CancellationToken.None),
            await TemplateCache.OfAsync(lease, null, CancellationToken.None));
    }

    [TestMethod]
    public async Task A_guess_is_said_once_in_the_log()
    {
        await using var model = await LoadAsync(null);
        using var lease = new ModelLease(model);
        var log = new KeptLog();
        var template = await TemplateCache.OfAsync(lease, log, CancellationToken.None);
        _ = await TemplateCache.OfAsync(lease, log, CancellationToken.None);

        Assert.AreEqual("family zephyr", template.Origin);
        CollectionAssert.AreEqual(
            new[] { "the model zephyr-like has no chat template; guessed the family zephyr, because its name contains 'zephyr'. " +
            "--template sets another" }, log.Said.ToArray());
    }

    [TestMethod]
    public async Task The_users_choice_goes_before_the_models_own()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["t.jinja"], "[{{ messages[0].content }}]");
        await using var family = await LoadAsync(Own, spec => spec with { Template = "gemma" });
        await using var file = await LoadAsync(Own, spec => spec with { Template = folder["t.jinja"] });

        Assert.AreEqual("family gemma", (await TemplateCache.OfAsync(new ModelLease(family), null, CancellationToken.None)).Origin);
        Assert.AreEqual("[U]",
            (await TemplateCache.OfAsync(new ModelLease(file), null, CancellationToken.None)).Render(Turns(Says("user", "U"))).Text());
    }

    [TestMethod]
    [DataRow("{% if %}", null)]
    [DataRow(Own, "gone.jinja")]
    public async Task A_template_that_cannot_be_used_is_no_fault_of_the_client(string template, string? named)
    {
        await using var model = await LoadAsync(template, spec => spec with { Template = named });

        var failure =
            await Assert.ThrowsExactlyAsync<EngineException>(
                () => TemplateCache.OfAsync(new ModelLease(model), null, CancellationToken.None));
        Assert.AreEqual(EngineFailure.GenerationFailed, failure.Failure);
        Assert.StartsWith("the chat template of the model 'zephyr-like' cannot be used: ", failure.Message);
    }

    private sealed class KeptLog : ILogger
    {
        public List<string> Said { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                Said.Add(formatter(state, exception));
        }
    }
}
