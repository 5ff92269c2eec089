using Shimmy.Chat.Messages;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;

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
