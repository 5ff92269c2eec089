using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary><c>GET /slots</c>, and <c>POST /slots/{id}?action=save|restore|erase</c>.</summary>
internal static class LlamaSlots
{
    public static void Map(RouteTable routes)
    {
        routes.MapRead("/slots", HandleList, RoutePolicy.Quiet);
        routes.MapPost("/slots/{id}", HandleAction);
    }

    private static async Task HandleList(HttpContext context)
    {
        if (!LlamaServerMode.Of(context).Slots)
            throw new ApiException(501, "This server does not support slots endpoint. Start it with `--slots`");
        var entry = await LlamaFacts.EntryAsync(context);
        var model = LlamaFacts.LoadedOf(context, entry);
        var statistics = model is null ? null : await model.GetStatisticsAsync(context.RequestAborted);
        var slots = statistics?.Slots ?? [];
        if (context.Request.Query.ContainsKey("fail_on_no_slot") && slots.Count > 0 && slots.All(slot => slot.Request != 0))
            throw new ApiException(503, "no slot available");
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartArray();
            foreach (var slot in slots)
            {
                json.WriteStartObject();
                json.WriteNumber("id", slot.Id);
                if (slot.Request != 0)
                    json.WriteNumber("id_task", slot.Request);
                json.WriteNumber("n_ctx", model!.Facts.ContextLength);
                json.WriteBoolean("speculative", model.Spec.Speculate);
                json.WriteBoolean("is_processing", slot.Request != 0);
                if (slot.Used)
                    json.WriteNumber("n_prompt_tokens", slot.Request != 0 ? slot.PromptTokens : slot.Tokens);
                if (slot.Request != 0)
                {
                    json.WriteStartObject("next_token");
                    json.WriteBoolean("has_next_token", slot.Remaining > 0);
                    json.WriteNumber("n_remain", slot.Remaining);
                    json.WriteNumber("n_decoded", slot.Generated);
                    json.WriteEndObject();
                }
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
    }

    private static async Task HandleAction(HttpContext context)
    {
        var mode = LlamaServerMode.Of(context);
        if (mode.SlotFolder is null)
            throw new ApiException(501, "This server does not support slots action. Start it with `--slot-save-path`");
        if (!int.TryParse((string?)context.Request.RouteValues["id"], NumberStyles.None, CultureInfo.InvariantCulture, out var id))
            throw new ApiException(400, "Invalid slot ID", "invalid_value", "id");
        var action = context.Request.Query["action"].ToString();
        if (action is not ("save" or "restore" or "erase"))
            throw new ApiException(400, "Invalid action", "invalid_value", "action");
        var name = action == "erase" ? null : await FileNameAsync(context);
        using var lease = await LlamaFacts.AcquireAsync(context);
        var client = RequestContext.Of(context).Client;
        var key = lease.Model.Spec.SharingClient(client is null or { IsOnly: true } ? "" : client.Name);
        var path = name is null ? null : FileOf(mode.SlotFolder, name, key, saves: action == "save");
        var result = await lease.Model.DoAsync(
            new SlotAction(id, path, Restore: action == "restore", client?.Name ?? ""), context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteNumber("id_slot", id);
            if (name is null)
            {
                json.WriteNumber("n_erased", result.Tokens);
                json.WriteEndObject();
                return;
            }
            var saves = action == "save";
            json.WriteString("filename", name);
            json.WriteNumber(saves ? "n_saved" : "n_restored", result.Tokens);
            json.WriteNumber(saves ? "n_written" : "n_read", result.Bytes);
            json.WriteStartObject("timings");
            json.WriteNumber(saves ? "save_ms" : "restore_ms", Math.Round(result.Milliseconds, 3));
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    // The file of a slot. Where keys share nothing, each has a folder of its own; what lies beside these was put there for all. The key's
    // name is empty where keys are not told apart.
    private static string FileOf(string folder, string name, string key, bool saves)
    {
        if (key.Length == 0)
            return Path.Join(folder, name);
        // Some file systems ignore the case of letters.
        var ofKey = new StringBuilder("of-");
        foreach (var one in Uri.EscapeDataString(key))
            ofKey.Append(char.IsAsciiLetterUpper(one) ? "^" : "").Append(char.ToLowerInvariant(one));
        var own = Path.Join(folder, ofKey.ToString());
        if (saves)
            Directory.CreateDirectory(own);
        var path = Path.Join(own, name);
        return saves || File.Exists(path) ? path : Path.Join(folder, name);
    }

    private static async Task<string> FileNameAsync(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        return fields.Find("filename") is { ValueKind: JsonValueKind.String } given && IsName(given.GetString())
            ? given.GetString()!
            : throw new ApiException(400, "Invalid filename", "invalid_value", "filename");
    }

    // A name and no path, on every system.
    private static bool IsName([NotNullWhen(true)] string? name) => name is { Length: > 0 and <= 255 }
        && name.Trim(' ', '.').Length > 0 && !name.StartsWith(' ') && !name.EndsWith(' ') && !name.EndsWith('.')
        && !name.Contains("..", StringComparison.Ordinal)
        && name.All(c => c is >= ' ' and not ('/' or '\\' or ':' or '*' or '?' or '"' or '<' or '>' or '|' or '\x7f' or '\uFFFD'));
}
