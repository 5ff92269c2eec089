using System.Security.Cryptography;
using System.Text.Json;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Jinja;
using Shimmy.Jinja.Runtime;
using Shimmy.Models.Discovery;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Chat.Templates.Templates;

namespace Shimmy.Tests.Chat.Templates;

/// <summary>Kind: what Ollama keeps beside a model's file. Its templates are in Go's language, and a model may have no other.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class GoTemplateTests
{
    // The two kinds, as Ollama's documents describe them.
    private const string OneExchange =
        "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}{{ if .Prompt }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n"
        + "{{ end }}<|im_start|>assistant\n{{ .Response }}<|im_end|>\n";

    private const string Conversation = """
        {{- if or .System .Tools }}<|im_start|>system
        {{- if .System }}
        {{ .System }}
        {{- end }}
        {{- if .Tools }}

        # Tools
        {{- range .Tools }}
        {{ json . }}
        {{- end }}
        {{- end }}<|im_end|>
        {{ end }}
        {{- range $i, $_ := .Messages }}
        {{- $last := eq (len (slice $.Messages $i)) 1 -}}
        {{- if eq .Role "user" }}<|im_start|>user
        {{ .Content }}<|im_end|>
        {{ else if eq .Role "assistant" }}<|im_start|>assistant
        {{ if .Content }}{{ .Content }}
        {{- else if .ToolCalls }}<tool_call>
        {{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
        {{ end }}</tool_call>
        {{- end }}{{ if not $last }}<|im_end|>
        {{ end }}
        {{- else if eq .Role "tool" }}<|im_start|>user
        <tool_response>
        {{ .Content }}
        </tool_response><|im_end|>
        {{ end }}
        {{- if and (ne .Role "assistant") $last }}<|im_start|>assistant
        {{ end }}
        {{- end }}
        """;

    [TestMethod]
    public void A_template_made_to_exhaust_is_refused_at_once()
    {
        var nested = string.Concat(Enumerable.Repeat("{{if .System}}", 100_000));
        Assert.Contains("nested too deeply", Assert.ThrowsExactly<FormatException>(() => GoTemplate.ToJinja(nested)).Message);
        var others = string.Concat(Enumerable.Repeat(" \"a\"", 600));
        var grown = $"{{{{ eq (eq (eq .System{others}){others}){others} }}}}";
        Assert.Contains("too long", Assert.ThrowsExactly<FormatException>(() => GoTemplate.ToJinja(grown)).Message);
    }

    [TestMethod]
    public void A_template_of_one_exchange_renders_each_and_leaves_the_last_open() => Assert.AreEqual(
        "<|im_start|>system\n‹S›<|im_end|>\n<|im_start|>user\n‹A›<|im_end|>\n<|im_start|>assistant\n‹B›<|im_end|>\n"
        + "<|im_start|>user\n‹C›<|im_end|>\n<|im_start|>assistant\n",
        Render(OneExchange, Says("system", "S"), Says("user", "A"), Says("assistant", "B"), Says("user", "C")));

    [TestMethod]
    public void A_conversation_without_a_system_message_has_no_system_part() => Assert.AreEqual(
        "<|im_start|>user\n‹A›<|im_end|>\n<|im_start|>assistant\n", Render(OneExchange, Says("user", "A")));

    [TestMethod]
    public void A_template_of_messages_renders_them() => Assert.AreEqual(
        "<|im_start|>system\n‹S›<|im_end|>\n<|im_start|>user\n‹A›<|im_end|>\n<|im_start|>assistant\n‹B›<|im_end|>\n"
        + "<|im_start|>user\n‹C›<|im_end|>\n<|im_start|>assistant\n",
        Render(Conversation, Says("system", "S"), Says("user", "A"), Says("assistant", "B"), Says("user", "C")));

    [TestMethod]
    public void Tool_calls_and_their_results_are_rendered_and_recognised()
    {
        var template = Of(TemplateSource.OfOllama(Conversation));
        Assert.IsTrue(template.Capabilities is { Tools: true, ToolCalls: true, ToolResults: true });
        Assert.IsNotNull(template.ToolCalls);
        var text = template.Render(Turns(Says("user", "A"), Calls("c1", "weather", """{"city":"Bonn"}"""),
            new ChatMessage { Role = "tool", ToolCallId = "c1", Content = [new ContentPart("rain")] })).Text();
        Assert.Contains("<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\":\"Bonn\"}}\n</tool_call>", text);
        Assert.Contains("<tool_response>\nrain\n</tool_response>", text);
    }

    [TestMethod]
    public void What_a_user_writes_is_no_token_of_the_template() => Assert.AreEqual(
        "<|im_start|>user\n‹a<|im_end|>b›<|im_end|>\n<|im_start|>assistant\n", Render(OneExchange, Says("user", "a<|im_end|>b")));

    [TestMethod]
    [DataRow("a {{- .System }} b", "a‹S› b")]
    [DataRow("a {{ .System -}} b", "a ‹S›b")]
    [DataRow("a {{- /* no text */ -}} b{{ .System }}", "ab‹S›")]
    [DataRow("{{ if and .System .Prompt }}both{{ else }}one{{ end }}", "both")]
    [DataRow("{{ if not .System }}no{{ else if .Prompt }}yes{{ end }}", "yes")]
    [DataRow("{{ with .System }}({{ . }}){{ else }}none{{ end }}", "(‹S›)")]
    [DataRow("{{ $x := .System }}{{ $x }}{{ $x = \"t\" }}{{ $x }}", "‹S›t")]
    [DataRow("{{ `raw }}` }}{{ .System }}", "raw }}‹S›")]
    [DataRow("{{ if eq .System \"X\" \"S\" }}one of them{{ end }}", "one of them")]
    [DataRow("{{ .System | json }}", "\"‹S›\"")]
    [DataRow("{{ range .Messages }}{{ .Role }},{{ else }}none{{ end }}", "‹system›,‹user›,")]
    [DataRow("{{ (index .Messages 1).Content }}", "‹A›")]
    [DataRow("{{ $n := 0 }}{{ range .Messages }}{{ $n = len .Role }}{{ end }}{{ $n }}", "4")]
    [DataRow("{{ range $i, $m := .Messages }}{{ if gt $i 0 }}|{{ end }}{{ $m.Content }}{{ end }}", "‹S›|‹A›")]
    [DataRow("{ {% raw %} {{ .System }} {# x #} '\\", "{ {% raw %} ‹S› {# x #} '\\")]
    [DataRow("{{ if .Prompt }}{{ .Prompt }} {{ if .Response }}R:{{ .Response }}{{ end }}X{{ end }}Y", "‹A› ")]
    public void The_language_is_read(string template, string expected) =>
        Assert.AreEqual(expected, new Prompt { Parts = Compiled(template).Render(Data, 1000, TimeProvider.System) }.Marked());

    [TestMethod]
    [DataRow("{{ .Nonsense }}")]
    [DataRow("{{ template \"x\" }}")]
    [DataRow("{{ if .System }}")]
    [DataRow("{{ end }}")]
    [DataRow("{{ .System")]
    [DataRow("{{ printf \"%s\" .System }}")]
    [DataRow("{{ $nowhere }}")]
    [DataRow("{{ (((.System }}")]
    public void What_is_not_read_is_said(string template) =>
        Assert.ThrowsExactly<FormatException>(() => TemplateSource.OfOllama(template));

    [TestMethod]
    public void Mutated_templates_are_read_or_refused()
    {
        var random = new Random(7);
        for (var i = 0; i < 3000; i++)
        {
            var text = (i % 2 == 0 ? OneExchange : Conversation).ToCharArray().ToList();
            for (var change = random.Next(1, 4); change > 0; change--)
            {
                var at = random.Next(text.Count);
                if (random.Next(2) == 0)
                    text.RemoveAt(at);
                else
                    text.Insert(at, "{}.|$\"`( )-end"[random.Next(14)]);
            }
            try
            {
                _ = TemplateSource.OfOllama(string.Concat(text));
            }
            catch (Exception e) when (e is FormatException or TemplateException)
            {
            }
        }
    }

    [TestMethod]
    [DataRow(OneExchange, "", "<|im_start|>user\n‹A›<|im_end|>\n<|im_start|>assistant\n")]
    [DataRow("{{ printf .X }}<start_of_turn>", "cannot be read", "<start_of_turn>user\n‹A›<end_of_turn>\n<start_of_turn>model\n")]
    public async Task A_model_without_a_template_gets_Ollamas_or_the_family_that_its_tokens_show(string layer, string warning, string expected)
    {
        var log = new CapturedLog();
        var (template, _) = await ChosenAsync(new RequestDefaults { Template = layer }, own: null, log);
        Assert.AreEqual(expected, template.Render(Turns(Says("user", "A"))).Marked());
        Assert.Contains(warning, string.Join('\n', log.Lines));
    }

    [TestMethod]
    public async Task The_models_own_template_goes_first()
    {
        var (template, _) = await ChosenAsync(new RequestDefaults { Template = OneExchange }, own: "{% for m in messages %}[{{ m.content }}]{% endfor %}");
        Assert.AreEqual("[‹A›]", template.Render(Turns(Says("user", "A"))).Marked());
    }

    [TestMethod]
    public async Task First_turns_come_behind_the_system_message_and_before_the_conversation()
    {
        var (template, _) = await ChosenAsync(new RequestDefaults
        {
            System = "D",
            Messages = [new DefaultTurn("user", "1"), new DefaultTurn("assistant", "2")],
        }, own: "{% for m in messages %}{{ m.role[0] }}{{ m.content }};{% endfor %}");
        Assert.AreEqual("sD;u1;a2;uA;", template.Render(Turns(Says("user", "A"))).Text());
        Assert.AreEqual("sS;u1;a2;uA;", template.Render(Turns(Says("system", "S"), Says("user", "A"))).Text());
    }

    [TestMethod]
    [DataRow("file", "Zephyr 7B", "zephyr")]
    [DataRow("file", "My Own", "chatml")]
    [DataRow("mistral-7b", "Zephyr 7B", "mistral")]
    [DataRow("qwen2-7b", "My Own", "chatml")]
    [DataRow("ChatGLM3", "My Own", "chatml")]
    [DataRow("phi-2", "My Own", "chatml")]
    [DataRow("Meta-Llama-3-8B", "My Own", "llama3")]
    [DataRow("llama3", "My Own", "llama3")]
    [DataRow("mixtral-8x7b", "My Own", "mistral")]
    [DataRow("mistral-7b", "My Own", "mistral")]
    [DataRow("zephyr-7b", "My Own", "zephyr")]
    [DataRow("tiny-thing", "My Own", "chatml")]
    public async Task A_name_speaks_for_a_family_and_the_one_in_the_file_too(string name, string own, string family)
    {
        var engine = EngineOf(null, own);
        await using var model = await engine.LoadAsync(new ModelSpec { Name = name, Path = "m.gguf" }, null, CancellationToken.None);
        Assert.AreEqual(family, (await TemplateDetection.OfAsync(model, CancellationToken.None)).Family.Name);
    }

    [TestMethod]
    [DataRow("manifests", "registry.ollama.ai")]
    [DataRow("manifests-v2", "ollama.com")]
    public void Layers_beside_the_model_are_found(string tree, string host)
    {
        using var folder = new TemporaryFolder();
        Manifest(folder, $"{tree}/{host}/library/a/latest", ("model", Blob(folder, RandomModel.Bytes())), ("template", Blob(folder, "{{ .Prompt }}"u8.ToArray())),
            ("messages", Blob(folder, """[{"role":"user","content":"1"}]"""u8.ToArray())));
        var model = Scan(folder).Models.Single();
        Assert.AreEqual("a:latest", model.Name);
        Assert.AreEqual("{{ .Prompt }}", model.Settings.Defaults.Template);
        Assert.AreEqual(new DefaultTurn("user", "1"), model.Settings.Defaults.Messages.Single());
    }

    [TestMethod]
    public void A_layer_that_is_missing_or_broken_hides_no_model()
    {
        using var folder = new TemporaryFolder();
        Manifest(folder, "manifests/registry.ollama.ai/library/a/latest", ("model", Blob(folder, RandomModel.Bytes())),
            ("template", new string('0', 64)), ("messages", Blob(folder, "{"u8.ToArray())));
        Assert.IsNull(Scan(folder).Models.Single().Settings.Defaults.Template);
    }

    [TestMethod]
    public void Of_one_tag_in_both_trees_the_newer_counts()
    {
        using var folder = new TemporaryFolder();
        Manifest(folder, "manifests/registry.ollama.ai/library/a/latest", ("model", Blob(folder, RandomModel.Bytes())));
        var newer = Blob(folder, RandomModel.Bytes(new RandomModelShape { Seed = 2 }));
        Manifest(folder, "blobs/manifest", ("model", newer));
        File.CreateSymbolicLink(folder["ollama/manifests-v2/ollama.com/library/a/latest"], folder["ollama/blobs/manifest"]);
        Assert.EndsWith(newer, Scan(folder).Models.Single().Path);
    }

    [TestMethod]
    public void Of_a_list_of_manifests_the_one_that_is_here_counts()
    {
        using var folder = new TemporaryFolder();
        Manifest(folder, "one", ("model", Blob(folder, RandomModel.Bytes())));
        var manifest = Blob(folder, File.ReadAllBytes(folder["ollama/one"]));
        File.WriteAllText(folder["ollama/manifests/registry.ollama.ai/library/a/latest"], JsonSerializer.Serialize(new
        {
            schemaVersion = 2,
            manifests = new[] { new { digest = "sha256:" + new string('0', 64) }, new { digest = "sha256:" + manifest } },
        }));
        Assert.AreEqual("a:latest", Scan(folder).Models.Single().Name);
    }

    private static Dictionary<string, Value> Data
    {
        get
        {
            using var messages = JsonDocument.Parse("""[{"role":"system","content":"S"},{"role":"user","content":"A"}]""");
            return new Dictionary<string, Value> { ["messages"] = JsonValues.Of(messages.RootElement) };
        }
    }

    private static CompiledTemplate Compiled(string template) => CompiledTemplate.Compile(GoTemplate.ToJinja(template));

    private static string Render(string template, params ChatMessage[] messages) =>
        Of(TemplateSource.OfOllama(template)).Render(Turns(messages)).Marked();

    private static async Task<(ChatTemplate Template, ILoadedModel Model)> ChosenAsync(RequestDefaults defaults, string? own, CapturedLog? log = null)
    {
        var model = await EngineOf(own, null).LoadAsync(
            new ModelSpec { Name = "m", Path = "m.gguf", Defaults = defaults }, null, CancellationToken.None);
        return (await TemplateCache.OfAsync(new ModelLease(model), log?.CreateLogger("test"), CancellationToken.None), model);
    }

    private static ScriptedEngine EngineOf(string? template, string? name) => new()
    {
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Name = name,
            Description = "",
            ContextLength = 100,
            ChatTemplates = template is null ? new Dictionary<string, string>() : new Dictionary<string, string> { ["default"] = template },
        },
    };

    private static ScanResult Scan(TemporaryFolder folder) => new ModelDiscovery([new OllamaSource(folder["ollama"])]).Scan();

    private static string Blob(TemporaryFolder folder, byte[] content)
    {
        var digest = Convert.ToHexStringLower(SHA256.HashData(content));
        File.WriteAllBytes(folder["ollama/blobs/sha256-" + digest], content);
        return digest;
    }

    private static void Manifest(TemporaryFolder folder, string path, params (string Kind, string Digest)[] layers)
    {
        var list = string.Join(',', layers.Select(layer =>
            $$"""{"mediaType":"application/vnd.ollama.image.{{layer.Kind}}","digest":"sha256:{{layer.Digest}}","size":1}"""));
        File.WriteAllText(folder["ollama/" + path], $$"""{"schemaVersion":2,"layers":[{{list}}]}""");
    }
}
