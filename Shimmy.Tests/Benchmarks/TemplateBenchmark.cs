using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Templates;
using Shimmy.Engine;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// Renders a conversation of 40 messages with 10 tools, tool calls and results among them, again and again: how long from the request
/// to the parts of the prompt. By default with a template of the usual kind, else with a file or with every <c>.jinja</c> of a folder.
/// </summary>
internal static class TemplateBenchmark
{
    private const int Renderings = 1000;

    private const string Usual = """
        {%- if tools %}
            {{- '<|im_start|>system\n' }}
            {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
            {{- "# Tools\n\n<tools>" }}
            {%- for tool in tools %}{{- "\n" }}{{- tool | tojson }}{%- endfor %}
            {{- "\n</tools><|im_end|>\n" }}
        {%- endif %}
        {%- set ns = namespace(last=messages | length - 1) %}
        {%- for message in messages[::-1] %}
            {%- set index = (messages | length - 1) - loop.index0 %}
            {%- if message.role == 'user' and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
                {%- set ns.last = index %}{%- break %}
            {%- endif %}
        {%- endfor %}
        {%- for message in messages %}
            {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
                {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
            {%- elif message.role == 'assistant' %}
                {{- '<|im_start|>assistant\n' + (message.content or '') | trim('\n') }}
                {%- for call in message.tool_calls or [] %}
                    {{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments | tojson + '}\n</tool_call>' }}
                {%- endfor %}
                {{- '<|im_end|>\n' }}
            {%- elif message.role == 'tool' %}
                {{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
        """;

    public static async Task RunAsync(string? path, TextWriter output)
    {
        var request = Request();
        if (path is null)
        {
            var own = TemplateSource.Of(new Dictionary<string, string> { ["default"] = Usual })!;
            await output.WriteLineAsync(Measure("a template of the usual kind", own, request));
            return;
        }

        var files = Directory.Exists(path) ? Directory.GetFiles(path, "*.jinja").Order(StringComparer.Ordinal).ToArray() : [path];
        foreach (var file in files)
            await output.WriteLineAsync(Measure(Path.GetFileName(file), TemplateSource.Named(file), request));
    }

    private static string Measure(string name, TemplateSource source, ChatRequest request)
    {
        var template = new ChatTemplate(source,
            new ModelFacts { Architecture = "llama", Description = "", BosText = "<s>", EosText = "</s>" }, TimeProvider.System);
        if (!template.Capabilities.Tools)
            request = request with { Tools = [] };
        try
        {
            var first = Stopwatch.GetTimestamp();
            var length = template.Render(request).Parts.Sum(part => part.Text.Length);
            var once = Stopwatch.GetElapsedTime(first).TotalMilliseconds;
            for (var i = 0; i < Renderings; i++)
                template.Render(request);
            var times = new List<double>(Renderings);
            for (var i = 0; i < Renderings; i++)
            {
                var begun = Stopwatch.GetTimestamp();
                template.Render(request);
                times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
            }

            times.Sort();
            return string.Create(CultureInfo.InvariantCulture,
                $"{name}: {length} characters, the first {once:F2} ms, then {times[Renderings / 2]:F3} ms (median of {Renderings}; 99 of 100 within {times[Renderings * 99 / 100]:F3} ms)");
        }
        catch (EngineException e)
        {
            return $"{name}: {e.Message}";
        }
    }

    /// <summary>A system message, then rounds of a question, a call, its result and an answer: 40 messages.</summary>
    private static ChatRequest Request()
    {
        var messages =
            new List<ChatMessage> { Says("system", "You are a helpful assistant. Answer briefly and use the tools where they help.") };
        for (var i = 0; messages.Count < 37; i++)
        {
            messages.Add(
                Says("user", $"Question {i}: what is the weather in city {i}, and what should I wear there? {new string('x', 200)}"));
            messages.Add(
                new ChatMessage
                {
                    Role = "assistant",
                    ToolCalls =
                        [new ToolCall($"call{i:D5}", "tool_3", $$"""{"city": "City {{i}}", "days": {{i}}, "units": ["c", "f"]}""")]
                });
            messages.Add(Says("tool", $$"""{"temperature": {{i}}, "sky": "clear"}""") with { ToolCallId = $"call{i:D5}", Name = "tool_3" });
            messages.Add(Says("assistant", $"It is {i} degrees with a clear sky; take a light jacket. {new string('y', 300)}"));
        }

        messages.Add(Says("user", "And tomorrow?"));
        messages.Add(Says("assistant", "Much the same."));
        messages.Add(Says("user", "Thanks. One more city, please: Reykjavík."));
        var tools = Enumerable.Range(0, 10)
            .Select(i => new ToolDefinition($"tool_{i}", $"Does thing number {i} with a city and a number of days.",
            JsonDocument.Parse("""
            {"type":"object","properties":{"city":{"type":"string","description":"Name of the city"},"days":{"type":"integer","minimum":1,"maximum":14},
            "units":{"type":"array","items":{"type":"string","enum":["c","f"]}}},"required":["city"]}
            """).RootElement)).ToArray();
        return new ChatRequest { Messages = messages, Tools = tools };

        static ChatMessage Says(string role, string text) => new() { Role = role, Content = [new ContentPart(text)] };
    }
}
