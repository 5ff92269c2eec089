using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Registry;

namespace Shimmy.Cli.Chat;

/// <summary>The commands of a conversation that ask or set the model.</summary>
internal static class ModelCommands
{
    private const string MaxTokens = "max_tokens";
    private const string Lora = "lora";
    private const string Schema = "response_format";
    private const string Thinking = "enable_thinking";

    /// <summary>The names that <c>/set</c> takes.</summary>
    public static IEnumerable<string> Fields =>
        SamplingField.All.Where(row => row.Help is not null).Select(row => row.Name).Append(MaxTokens);

    /// <summary><c>/model</c>.</summary>
    public static async Task ModelAsync(ChatLoop loop, string name)
    {
        if (name.Length == 0)
        {
            if (await loop.PickAsync() is not { } chosen)
                return;
            name = chosen.Name;
        }
        await loop.UseAsync(name);
    }

    /// <summary><c>/set</c>.</summary>
    public static Task Set(ChatLoop loop, string words)
    {
        var fields = loop.Session!.Fields;
        if (words.Length == 0)
        {
            loop.Terminal.Say(fields.Count == 0 ? "all fields are the model's own; /set FIELD VALUE changes one: "
                + string.Join(", ", Fields)
                : string.Join('\n', fields.Select(pair => $"{pair.Key} {pair.Value?.ToJsonString()}")));
            return Task.CompletedTask;
        }
        var name = ChatCommands.WordOf(words).Replace('-', '_');
        var value = words[ChatCommands.WordOf(words).Length..].Trim();
        var field = SamplingField.All.FirstOrDefault(field => field.Help is not null && field.Name == name);
        if (field is null && name != MaxTokens)
        {
            throw new UsageException($"there is no field {name}; did you mean "
                + $"{NameSuggestions.Of(name, Fields, 1)[0]}?");
        }
        if (value.Length == 0)
        {
            loop.Terminal.Say(fields[name] is { } now ? $"{name} {now.ToJsonString()}" : $"{name} is the model's own");
            return Task.CompletedTask;
        }
        if (value == "default")
        {
            fields.Remove(name);
            loop.Terminal.Remark($"{name} is the model's own again");
            return Task.CompletedTask;
        }
        var given = new OptionValue(name, [value]);
        if (field is null)
            fields[name] = given.Whole(1);
        else if (given.Sampling(field) is { } read)
            loop.Session.Set(field, read);
        else
            fields.Remove(name);
        loop.Terminal.Remark($"{name} {value}");
        return Task.CompletedTask;
    }

    /// <summary><c>/show</c>.</summary>
    public static async Task ShowAsync(ChatLoop loop)
    {
        var model = loop.Session!.Model;
        var lines = new StringBuilder();
        lines.Append(CultureInfo.InvariantCulture,
            $"{model.Name}\n  {model.Path}\n  {ByteCount.Text(model.Bytes)}, {model.Quantization}, ");
        lines.Append(CultureInfo.InvariantCulture, $"context {model.Context}\n  can: {string.Join(", ", model.Capabilities)}\n");
        using var status = await StatusAsync(loop);
        var facts = status.RootElement;
        foreach (var name in (string[])["runtime", "backend", "gpu_layers", "layers"])
        {
            if (facts.TryGetProperty(name, out var fact))
                lines.Append(CultureInfo.InvariantCulture, $"  {name.Replace('_', ' ')}: {fact}\n");
        }
        lines.Append(CultureInfo.InvariantCulture, $"  memory: {ByteCount.Text(facts.GetProperty("memory_bytes").GetInt64())}");
        foreach (var adapter in facts.GetProperty("adapters").EnumerateArray())
            lines.Append(CultureInfo.InvariantCulture, $"\n  adapter {adapter.GetProperty("name")}: {adapter.GetProperty("scale")}");
        loop.Terminal.Say(lines.ToString());
    }

    /// <summary><c>/think</c>.</summary>
    public static Task Think(ChatLoop loop, string word)
    {
        var fields = loop.Session!.Fields;
        switch (word)
        {
            case "on" or "off":
                fields[Thinking] = word == "on";
                break;
            case "show" or "hide":
                loop.ShowsReasoning = word == "show";
                break;
            case "":
                break;
            default:
                throw new UsageException($"'{word}' is not on, off, show or hide");
        }
        var thinks = fields[Thinking]?.GetValue<bool>() switch
        {
            true => "the model thinks",
            false => "the model does not think",
            null => "the model thinks as its template has it",
        };
        loop.Terminal.Remark($"{thinks}; what it thinks {(loop.ShowsReasoning ? "stays to be read" : "folds to its time")}");
        return Task.CompletedTask;
    }

    /// <summary><c>/tokens</c>.</summary>
    public static async Task TokensAsync(ChatLoop loop, string text)
    {
        var body = text.Length > 0 ? new JsonObject { ["content"] = text } : Messages(loop);
        body["model"] = loop.Session!.Model.Name;
        using var answer = await loop.Session.Client.AskAsync(
            HttpMethod.Post, "tokenize", body, ServerClient.LongestAnswer, loop.Terminal.Ending);
        var count = answer.RootElement.GetProperty("tokens").GetArrayLength();
        loop.Terminal.Say(
            string.Create(CultureInfo.InvariantCulture, $"{count} tokens{(text.Length > 0 ? "" : $" of {loop.Session.Model.Context}")}"));
    }

    /// <summary><c>/prompt</c>.</summary>
    public static async Task PromptAsync(ChatLoop loop)
    {
        using var answer = await loop.Session!.Client.AskAsync(
            HttpMethod.Post, "apply-template", Messages(loop), ServerClient.LongestAnswer, loop.Terminal.Ending);
        loop.Terminal.Show(answer.RootElement.GetProperty("prompt").GetString()!);
    }

    /// <summary><c>/schema</c>.</summary>
    public static Task SchemaOf(ChatLoop loop, string path)
    {
        var fields = loop.Session!.Fields;
        if (path == "off")
            fields.Remove(Schema);
        else if (path.Length > 0)
            fields[Schema] = ChatCommand.ResponseFormat(GrammarFiles.SchemaText(new OptionValue("/schema", [ChatCommands.PlaceOf(path)])));
        loop.Terminal.Remark(fields[Schema] is null
            ? "answers are free; /schema FILE binds them"
            : "answers satisfy the schema; /schema off frees them");
        return Task.CompletedTask;
    }

    /// <summary><c>/lora</c>.</summary>
    public static async Task LoraAsync(ChatLoop loop, string words)
    {
        using var status = await StatusAsync(loop);
        var adapters = status.RootElement.GetProperty("adapters");
        if (adapters.GetArrayLength() == 0)
            throw new UsageException($"{loop.Session!.Model.Name} was loaded without adapters; --lora FILE names them");
        var fields = loop.Session!.Fields;
        if (words == "off")
        {
            fields[Lora] = new JsonArray();
            loop.Terminal.Remark("no adapter acts");
            return;
        }
        if (words.Length == 0)
        {
            loop.Terminal.Say(string.Join('\n', adapters.EnumerateArray().Select(adapter => $"{adapter.GetProperty("name")}: "
                + $"{ScaleOf(fields[Lora], adapter.GetProperty("id").GetInt32()) ?? adapter.GetProperty("scale").GetDouble():0.###}")));
            return;
        }
        var blank = words.LastIndexOf(' ');
        if (blank < 0 || !double.TryParse(words[(blank + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out var scale))
            throw new UsageException("NAME and SCALE are needed, as /lora style 0.8");
        var name = words[..blank].Trim();
        var choice = new JsonArray();
        var found = false;
        foreach (var adapter in adapters.EnumerateArray())
        {
            var id = adapter.GetProperty("id").GetInt32();
            var isMeant = adapter.GetProperty("name").GetString() == name || id.ToString(CultureInfo.InvariantCulture) == name;
            found |= isMeant;
            choice.Add((JsonNode)new JsonObject
            {
                ["id"] = id,
                ["scale"] = isMeant ? scale : ScaleOf(fields[Lora], id) ?? adapter.GetProperty("scale").GetDouble(),
            });
        }
        if (!found)
            throw new UsageException($"there is no adapter '{name}'; /lora shows them");
        fields[Lora] = choice;
        loop.Terminal.Remark($"{name} acts with {words[(blank + 1)..]}");
    }

    // What the template is given: the messages, and whether to think.
    private static JsonObject Messages(ChatLoop loop)
    {
        if (loop.Conversation.Entries.Count == 0)
            throw new UsageException("nothing was asked yet");
        var whole = loop.Session!.Body();
        var body = new JsonObject { ["model"] = loop.Session.Model.Name, ["messages"] = whole["messages"]!.DeepClone() };
        if (whole[Thinking] is { } thinking)
            body[Thinking] = thinking.DeepClone();
        if (!loop.Conversation.Entries[^1].IsQuestion)
            body["add_generation_prompt"] = false;
        return body;
    }

    private static double? ScaleOf(JsonNode? chosen, int id)
    {
        if (chosen is not JsonArray list)
            return null;
        foreach (var one in list)
        {
            if (one!["id"]!.GetValue<int>() == id)
                return one["scale"]!.GetValue<double>();
        }
        return 0;
    }

    private static Task<JsonDocument> StatusAsync(ChatLoop loop) => loop.Session!.Client.AskAsync(HttpMethod.Get,
        $"api/models/{Outbound.PathOf(loop.Session.Model.Name)}/status", loop.Terminal.Ending);
}
