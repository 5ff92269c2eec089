using System.Text.Json.Nodes;

namespace Shimmy.Tests.Soak.Traffic;

/// <summary>
/// Makes valid requests of all dialects. The answers are held to a length, so that one that was cut is known from a whole one.
/// </summary>
internal static class Exchanges
{
    private static readonly (Route Route, int Weight)[] Weights =
    [
        (Route.Chat, 20), (Route.Completion, 10), (Route.Response, 14), (Route.Messages, 16), (Route.Generate, 12), (Route.Socket, 10),
        (Route.Embedding, 5), (Route.Tokenize, 4), (Route.CountTokens, 3), (Route.Models, 2), (Route.Status, 2), (Route.Health, 2),
    ];

    private static readonly string[] Words =
        "the a small old red bear fox lake river looked under behind found lost said and then with because tea noodles morning seven plus".Split(' ');

    /// <summary>The next request.</summary>
    public static Exchange Next(Random random)
    {
        var pick = random.Next(Weights.Sum(one => one.Weight));
        return Of(Weights.First(one => (pick -= one.Weight) < 0).Route, random);
    }

    /// <summary>A request of this kind.</summary>
    public static Exchange Of(Route route, Random random)
    {
        var stream = random.Next(2) == 0;
        var tokens = random.Next(16) == 0 ? random.Next(24, 64) : random.Next(1, 13);
        return route switch
        {
            Route.Chat => Post("/v1/chat/completions", new JsonObject
            {
                ["messages"] = Conversation(random, system: true),
                ["max_tokens"] = tokens,
                ["stream"] = stream,
                ["stream_options"] = stream ? new JsonObject { ["include_usage"] = true } : null,
            }),
            Route.Completion => Post("/v1/completions", new JsonObject
            {
                ["prompt"] = Text(random),
                ["max_tokens"] = tokens,
                ["stream"] = stream,
                ["stream_options"] = stream ? new JsonObject { ["include_usage"] = true } : null,
                ["logprobs"] = random.Next(4) == 0 ? 3 : null,
            }),
            Route.Response => Post("/v1/responses", new JsonObject
            {
                ["input"] = Text(random),
                ["instructions"] = random.Next(2) == 0 ? Text(random) : null,
                ["max_output_tokens"] = tokens,
                ["stream"] = stream,
                ["store"] = false,
            }),
            Route.Messages => Post("/v1/messages", new JsonObject
            {
                ["messages"] = Conversation(random, system: false),
                ["system"] = random.Next(2) == 0 ? Text(random) : null,
                ["max_tokens"] = tokens,
                ["stream"] = stream,
            }),
            Route.Generate =>
                Post("/api/generate", new JsonObject { ["prompt"] = Text(random), ["max_tokens"] = tokens, ["stream"] = stream }),
            Route.Socket =>
                Post("/ws/generate", new JsonObject { ["prompt"] = Text(random), ["max_tokens"] = tokens }) with
                {
                    Method = "GET",
                    Stream = true
                },
            Route.Embedding =>
                Post("/v1/embeddings", new JsonObject { ["input"] = new JsonArray(Text(random), Text(random)) }) with
                {
                    Stream = false,
                    Tokens = null
                },
            Route.Tokenize =>
                Post("/tokenize",
                    new JsonObject { ["content"] = Text(random), ["with_pieces"] = random.Next(2) == 0 }) with
                {
                    Stream = false,
                    Tokens = null
                },
            Route.CountTokens => Post("/v1/messages/count_tokens", new JsonObject { ["messages"] = Conversation(random, system: false) })
                with
            { Stream = false, Tokens = null },
            Route.Models => Get(random.Next(2) == 0 ? "/v1/models" : "/api/models"),
            Route.Status => Get($"/api/models/{Exchange.Model}/status"),
            _ => Get("/health"),
        };

        Exchange Post(string path, JsonObject body)
        {
            body["model"] = Exchange.Model;
            if (body.ContainsKey("max_tokens") || body.ContainsKey("max_output_tokens"))
                body["ignore_eos"] = true;
            return new Exchange(route, "POST", path, body.ToJsonString(), stream, tokens);
        }

        Exchange Get(string path) => new(route, "GET", path, null, Stream: false, Tokens: null);
    }

    // Now and then a long one, and now and then one that begins as others do.
    private static string Text(Random random)
    {
        var words = random.Next(50) == 0 ? random.Next(60, 200) : random.Next(1, 10);
        var text = string.Join(' ', Enumerable.Range(0, words).Select(_ => Words[random.Next(Words.Length)]));
        return random.Next(3) == 0 ? "Once upon a time a small bear and an old fox lived by the lake. " + text : text;
    }

    private static JsonArray Conversation(Random random, bool system)
    {
        var turns = new JsonArray();
        if (system && random.Next(2) == 0)
            turns.Add(Turn("system"));
        for (var i = random.Next(4) == 0 ? random.Next(1, 3) : 0; i > 0; i--)
        {
            turns.Add(Turn("user"));
            turns.Add(Turn("assistant"));
        }
        turns.Add(Turn("user"));
        return turns;

        JsonNode Turn(string role) => new JsonObject { ["role"] = role, ["content"] = Text(random) };
    }
}
