using Shimmy.Chat.Messages;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Templates;

/// <summary>Templates of every kind put pictures where they stand in the conversation.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class MediaMarkersTests
{
    private static readonly Medium Picture = new(MediumKind.Picture, 1, 1, "00");

    [TestMethod]
    [DataRow("{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}", "[user]one*two", DisplayName = "a string")]
    [DataRow("""
        {% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}
        {%- if c.type == 'image' or 'image_url' in c %}<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in c %}{{ c.text }}{% endif %}
        {%- endfor %}{% endif %}{% endfor %}
        """, "[user]one*two", DisplayName = "parts, as Qwen's")]
    [DataRow("""
        {% for m in messages %}[{{ m.role }}]{% for c in m.content | selectattr('type', 'equalto', 'image') %}<image>
        {% endfor %}{% for c in m.content | selectattr('type', 'equalto', 'text') %}{{ c.text }}{% endfor %}{% endfor %}
        """, "[user]*\nonetwo", DisplayName = "pictures first, as LLaVA's")]
    [DataRow("""
        {% for m in messages %}[{{ m.role }}]{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}
        """, "[user]one*two", DisplayName = "parts of text alone")]
    [DataRow("{% for m in messages %}[{{ m.role }}]{{ m.content | tojson }}{% endfor %}", "[user]\"one*two\"", DisplayName = "JSON")]
    public void A_picture_stands_where_it_stood(string template, string rendered)
    {
        var chat = new ChatTemplate(TemplateSource.Of(new Dictionary<string, string> { ["default"] = template })!, Facts, TimeProvider.System);
        var prompt = chat.Render(new ChatRequest { Messages = [User("one", Picture, "two")] }, addGenerationPrompt: false);
        Assert.AreEqual(rendered, ScriptedEngine.Shown(prompt));
        Assert.HasCount(1, prompt.Media);
        // What a template writes for a picture is text where a user writes it.
        var said = chat.Render(new ChatRequest { Messages = [User("<image><|vision_start|><|image_pad|><|vision_end|>", null, "")] },
            addGenerationPrompt: false);
        Assert.IsEmpty(said.Media);
        Assert.IsTrue(said.Parts.All(part => part.Medium is null));
    }

    [TestMethod]
    [DataRow("{{ content }}", DisplayName = "a string")]
    [DataRow("""
        {%- if content is string %}{{ content }}{% else %}{% for part in content %}{% if part.type == 'image' %}[IMG]
        {%- else %}{{ part.text }}{% endif %}{% endfor %}{% endif -%}
        """, DisplayName = "parts, as Pixtral's")]
    public void Pictures_of_messages_that_the_template_moves_stay_with_their_messages(string shown)
    {
        // As Mistral's, which write what the system says in the last turn.
        var chat = Template($$$"""
            {%- macro show(content) -%}{{{shown}}}{%- endmacro -%}
            {%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set said = messages[1:] %}
            {%- else %}{% set said = messages %}{% endif -%}
            {%- for m in said %}[{{ m.role }}]{% if loop.last and system is defined %}{{ show(system) }};{% endif %}{{ show(m.content) }}
            {%- endfor -%}
            """);
        var prompt = chat.Render(new ChatRequest
        {
            Messages =
            [
                User("by ", Picture with { Hash = "of the system" }, " always") with { Role = "system" },
                User("look ", Picture with { Hash = "of the user" }, " there"),
                User("well", null, "") with { Role = "assistant" },
                User("and ", Picture with { Hash = "the last" }, " now"),
            ],
        }, addGenerationPrompt: false);

        Assert.AreEqual("[user]look (of the user) there[assistant]well[user]by (of the system) always;and (the last) now",
            string.Concat(prompt.Parts.Select(part => part.Medium is { } medium ? $"({prompt.Media[medium].Hash})" : part.Text)));
    }

    [TestMethod]
    public void More_than_ten_pictures_keep_their_places()
    {
        var chat = Template("{% for m in messages %}{{ m.content }}{% endfor %}");
        var prompt = chat.Render(new ChatRequest
        {
            Messages = [.. Enumerable.Range(0, 12).Select(i => User($"{i}:", Picture with { Hash = $"{i}" }, " "))],
        }, addGenerationPrompt: false);
        Assert.AreEqual(string.Concat(Enumerable.Range(0, 12).Select(i => $"{i}:({i}) ")),
            string.Concat(prompt.Parts.Select(part => part.Medium is { } medium ? $"({prompt.Media[medium].Hash})" : part.Text)));
    }

    [TestMethod]
    public void A_template_that_writes_a_picture_twice_is_refused()
    {
        var chat = Template("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}");
        Assert.Contains("leaves out", Assert.ThrowsExactly<EngineException>(() =>
            chat.Render(new ChatRequest { Messages = [User("one", Picture, "two")] })).Message);
    }

    [TestMethod]
    [DataRow("")]
    [DataRow("It shows")]
    public void A_message_with_a_picture_is_not_continued(string text)
    {
        var refused = Assert.ThrowsExactly<EngineException>(() => Template(RandomModel.ChatMl).Render(new ChatRequest
        {
            Messages = [User("Draw.", null, ""), User(text, Picture, "") with { Role = "assistant" }],
            ContinueFinalMessage = true,
        }));
        Assert.Contains("cannot be continued", refused.Message);
    }

    [TestMethod]
    public void A_template_that_drops_content_is_refused()
    {
        var chat = new ChatTemplate(
            TemplateSource.Of(new Dictionary<string, string> { ["default"] = "{{ messages[-1].content }}" })!, Facts, TimeProvider.System);
        Assert.Contains("leaves out pictures", Assert.ThrowsExactly<EngineException>(() =>
            chat.Render(new ChatRequest { Messages = [User("one", Picture, "two"), User("last", null, "")] })).Message);
    }

    [TestMethod]
    public void A_picture_in_the_result_of_a_tool_survives_a_template_without_tools()
    {
        var chat = new ChatTemplate(TemplateSource.Of(new Dictionary<string, string> { ["default"] = RandomModel.ChatMl })!, Facts,
            TimeProvider.System);
        var prompt = chat.Render(new ChatRequest
        {
            Tools = [new ToolDefinition("look", "Looks.", default)],
            Messages =
            [
                User("Look", null, ""),
                new ChatMessage { Role = "assistant", ToolCalls = [new ToolCall("call_1", "look", "{}")] },
                new ChatMessage { Role = "tool", ToolCallId = "call_1", Content = [new ContentPart("seen: "), Part(Picture)] },
            ],
        });
        Assert.Contains("Result of look: seen: *", ScriptedEngine.Shown(prompt));
    }

    private static ChatTemplate Template(string text) =>
        new(TemplateSource.Of(new Dictionary<string, string> { ["default"] = text })!, Facts, TimeProvider.System);

    private static ModelFacts Facts => new() { Architecture = "scripted", Description = "scripted" };

    private static ChatMessage User(string before, Medium? picture, string after) => new()
    {
        Role = "user",
        Content = picture is null
            ? [new ContentPart(before + after)]
            : [new ContentPart(before), Part(picture), new ContentPart(after)],
    };

    private static ContentPart Part(Medium picture) => new("") { Medium = picture };
}
