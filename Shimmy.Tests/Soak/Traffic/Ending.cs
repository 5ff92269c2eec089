using System.Text;
using System.Text.Json;

namespace Shimmy.Tests.Soak.Traffic;

/// <summary>How an answer ended.</summary>
internal enum EndingKind
{
    /// <summary>Whole, with all that was asked for.</summary>
    Normal,

    /// <summary>With its dialect's error, before its stream or in it.</summary>
    Error,

    /// <summary>In a way that no answer may end.</summary>
    Wrong,
}

/// <summary>How an answer ended, and what is wrong with that.</summary>
internal readonly record struct Ending(EndingKind Kind, string? Complaint = null)
{
    private static readonly string[] LlamaServers = ["/completion", "/completions", "/infill", "/embedding", "/lora-adapters", "/props"];

    /// <summary>Judges an answer to a valid request.</summary>
    public static Ending Of(Exchange asked, WireAnswer? answer)
    {
        if (answer is null)
            return Wrong(asked, "the connection ended without an answer");
        try
        {
            if (answer.Status is 502 or 503 && answer.Whole)
            {
                return IsError(asked.Path, answer.Text)
                    ? new Ending(EndingKind.Error)
                    : Wrong(asked, $"{answer.Status} without the dialect's error: {answer.Text}");
            }

            if (answer.Status != 200)
                return Wrong(asked, $"{answer.Status} {answer.Text}");
            if (asked.Stream)
                return OfStream(asked, EventsOf(answer.Text), answer.Whole);
            if (!answer.Whole)
                return Wrong(asked, $"an answer that breaks off: {answer.Text}");
            using var json = JsonDocument.Parse(answer.Body);
            return OfTokens(asked, asked.Tokens is null ? null : TokensIn(asked.Route, json.RootElement));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return Wrong(asked, $"an answer that is none ({e.Message}): {answer.Text}");
        }
    }

    /// <summary>Judges a stream: its events in order, and whether the body or the socket came to a proper end.</summary>
    public static Ending OfStream(Exchange asked, IReadOnlyList<string> events, bool whole)
    {
        var last = events.Count == 0 ? "" : events[^1];
        var error = asked.Route == Route.Response ? FailedResponse(events) : IsError(asked.Path, last);
        if (error)
        {
            // A WebSocket goes on after an error; a body does not end as if nothing were.
            return asked.Route != Route.Socket && whole
                ? Wrong(asked, $"an error event, and then a normal end: {last}")
                : new Ending(EndingKind.Error);
        }
        if (!whole)
            return Wrong(asked, $"a stream that breaks off without an error event after: {last}");
        var (end, usage) = asked.Route is Route.Chat or Route.Completion ? (last, events.Count < 2 ? "" : events[^2])
            : asked.Route == Route.Messages ? (last, events.Count < 2 ? "" : events[^2]) : (last, last);
        var ends = asked.Route switch
        {
            Route.Chat or Route.Completion => end == "[DONE]",
            Route.Response => end.StartsWith("{\"type\":\"response.incomplete\"", StringComparison.Ordinal),
            Route.Messages => end == "{\"type\":\"message_stop\"}",
            _ => end.StartsWith("{\"done\":true", StringComparison.Ordinal),
        };
        if (!ends)
            return Wrong(asked, $"a stream without its end after: {last}");
        using var json = JsonDocument.Parse(usage);
        return OfTokens(asked,
            TokensIn(asked.Route, asked.Route == Route.Response ? json.RootElement.GetProperty("response") : json.RootElement));
    }

    /// <summary>Whether a body is the error that the route's dialect has.</summary>
    public static bool IsError(string path, string body)
    {
        if (!body.StartsWith('{'))
            return false;
        using var json = JsonDocument.Parse(body);
        var root = json.RootElement;
        if (!root.TryGetProperty("error", out var error))
            return false;
        if (!path.StartsWith("/v1", StringComparison.Ordinal) && !LlamaServers.Contains(path))
            return error.ValueKind == JsonValueKind.String && error.GetString()!.Length > 0;
        return error.ValueKind == JsonValueKind.Object && HasText(error, "message") && HasText(error, "type")
            && (!path.StartsWith("/v1/messages", StringComparison.Ordinal)
                || (root.TryGetProperty("type", out var type) && type.ValueEquals("error") && root.TryGetProperty("request_id", out _)));
    }

    /// <summary>The data of server-sent events.</summary>
    public static List<string> EventsOf(string body)
    {
        var events = new List<string>();
        foreach (var block in body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            var data = new StringBuilder();
            foreach (var line in block.Split('\n'))
            {
                if (line.StartsWith("data: ", StringComparison.Ordinal))
                    data.Append(line.AsSpan(6));
            }

            events.Add(data.ToString());
        }
        return events;
    }

    private static bool FailedResponse(IReadOnlyList<string> events) => events.Count > 1
        && events[^1].StartsWith("{\"type\":\"response.failed\"", StringComparison.Ordinal)
        && events[^2].StartsWith("{\"type\":\"error\"", StringComparison.Ordinal);

    private static int TokensIn(Route route, JsonElement answer)
    {
        var usage = answer.GetProperty("usage");
        return usage.GetProperty(route is Route.Messages or Route.Response ? "output_tokens" : "completion_tokens").GetInt32();
    }

    private static Ending OfTokens(Exchange asked, int? tokens) => tokens == asked.Tokens
        ? new Ending(EndingKind.Normal)
        : Wrong(asked, $"{tokens} tokens in an answer that ended as if it were whole; {asked.Tokens} were asked for");

    private static bool HasText(JsonElement value, string name) =>
        value.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String && text.GetString()!.Length > 0;

    private static Ending Wrong(Exchange asked, string complaint) => new(EndingKind.Wrong, $"{asked}: {complaint}");
}
