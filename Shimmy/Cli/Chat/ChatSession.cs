using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Cli.Servers;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Cli.Chat;

/// <summary>A piece of an answer: text, or what the model thinks.</summary>
internal readonly record struct ChatPiece(string Text, bool IsReasoning);

/// <summary>Tokens and times of an answer.</summary>
internal sealed record AnswerFigures
{
    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Those of them that were not computed again.</summary>
    public int CachedTokens { get; init; }

    /// <summary>Tokens of the answer.</summary>
    public int AnswerTokens { get; init; }

    /// <summary>Tokens of the answer each second.</summary>
    public double PerSecond { get; init; }

    /// <summary>Time from the question to the first piece of the answer.</summary>
    public TimeSpan First { get; init; }

    /// <summary>Tokens that were drafted.</summary>
    public int Drafted { get; init; }

    /// <summary>Those of them that were taken.</summary>
    public int Accepted { get; init; }

    /// <summary>OpenAI's word for why it ended; null where it was stopped.</summary>
    public string? FinishReason { get; init; }

    /// <summary>Takes what an event of the stream says.</summary>
    public AnswerFigures With(JsonElement json)
    {
        var figures = this;
        if (json.TryGetProperty("choices", out var choices) && choices.GetArrayLength() > 0
            && choices[0].GetProperty("finish_reason") is { ValueKind: JsonValueKind.String } reason)
        {
            figures = figures with { FinishReason = reason.GetString() };
        }
        if (json.TryGetProperty("usage", out var usage) && usage.ValueKind == JsonValueKind.Object)
        {
            figures = figures with
            {
                PromptTokens = usage.GetProperty("prompt_tokens").GetInt32(),
                AnswerTokens = usage.GetProperty("completion_tokens").GetInt32(),
                CachedTokens = usage.GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32(),
            };
        }
        if (json.TryGetProperty("timings", out var timings))
        {
            var cached = timings.GetProperty("cache_n").GetInt32();
            figures = figures with
            {
                CachedTokens = cached,
                PromptTokens = cached + timings.GetProperty("prompt_n").GetInt32(),
                AnswerTokens = timings.GetProperty("predicted_n").GetInt32(),
                PerSecond = timings.GetProperty("predicted_per_second").GetDouble(),
                Drafted = timings.TryGetProperty("draft_n", out var drafted) ? drafted.GetInt32() : figures.Drafted,
                Accepted = timings.TryGetProperty("draft_n_accepted", out var accepted) ? accepted.GetInt32() : figures.Accepted,
            };
        }
        return figures;
    }

    /// <summary>The figures in one line: tokens in and out, speed, first token, how full the context is, drafts.</summary>
    public string Line(int context)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{PromptTokens} in");
        if (CachedTokens > 0)
            text.Append(CultureInfo.InvariantCulture, $" ({CachedTokens} cached)");
        text.Append(CultureInfo.InvariantCulture, $", {AnswerTokens} out, {PerSecond:F1} tok/s, first after {First.TotalSeconds:F2} s");
        if (context > 0)
            text.Append(CultureInfo.InvariantCulture, $", context {PromptTokens + AnswerTokens}/{context}");
        if (Drafted > 0)
            text.Append(CultureInfo.InvariantCulture, $", drafts {Accepted}/{Drafted}");
        return text.ToString();
    }
}

/// <summary>
/// A conversation with a model of a server: asks, keeps what is answered, and leaves out the oldest turns where they do not fit.
/// </summary>
internal sealed class ChatSession(ServerClient client, ChatModel model, Conversation conversation)
{
    /// <summary>The server.</summary>
    public ServerClient Client { get; } = client;

    /// <summary>The model.</summary>
    public ChatModel Model { get; set; } = model;

    /// <summary>The messages so far.</summary>
    public Conversation Conversation { get; set; } = conversation;

    /// <summary>Fields of the requests beside the messages, as <c>temperature</c>.</summary>
    public JsonObject Fields { get; } = [];

    /// <summary>The messages at the beginning that the last answer did not see, because the context did not hold them.</summary>
    public int Skipped { get; private set; }

    /// <summary>Tokens and times of the last answer.</summary>
    public AnswerFigures Figures { get; private set; } = new();

    /// <summary>The last answer.</summary>
    public ChatEntry? Answer { get; private set; }

    /// <summary>Puts a sampling field, as the command line or <c>/set</c> has read it, into the requests.</summary>
    public void Set(SamplingField field, object? value) => Fields[field.Name] = value switch
    {
        null => null,
        bool flag => flag,
        int number => number,
        float number => JsonValue.Create(Math.Round((double)number, 6)),
        uint seed => seed,
        IReadOnlyList<string> texts => ListOf(texts),
        _ => throw new UnreachableException(field.Name),
    };

    /// <summary>
    /// Asks with what was said last, and adds the answer to the conversation: the whole of it, or the part that came before
    /// <paramref name="cancellation"/> or an error. Throws <see cref="ServerRefusal"/> where the server refuses.
    /// </summary>
    public async IAsyncEnumerable<ChatPiece> AskAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var (text, thoughts) = (new StringBuilder(), new StringBuilder());
        var asked = Stopwatch.GetTimestamp();
        Figures = new AnswerFigures();
        Answer = null;
        var skipped = Skipped = Conversation.Entries.Count > Skipped ? Skipped : 0;
        try
        {
            await foreach (var piece in FittingAsync(cancellation))
            {
                if (Figures.First == TimeSpan.Zero)
                    Figures = Figures with { First = Stopwatch.GetElapsedTime(asked) };
                (piece.IsReasoning ? thoughts : text).Append(piece.Text);
                yield return piece;
            }
        }
        finally
        {
            if (text.Length + thoughts.Length > 0 || Figures.FinishReason is not null)
            {
                Answer = new ChatEntry("assistant", text.ToString())
                {
                    Reasoning = thoughts.ToString(),
                    Model = Model.Name,
                    IsPart = Figures.FinishReason is null,
                };
                Conversation.Add(Answer);
            }
            else
            {
                Skipped = skipped;
            }
        }
    }

    /// <summary>The body of a request with what was said.</summary>
    public JsonObject Body()
    {
        var body = Fields.DeepClone().AsObject();
        body["model"] = Model.Name;
        body["messages"] = Conversation.ToMessages(Skipped);
        return body;
    }

    // Refused before it begins, and asked again with a turn less, until it fits or nothing but the question is left.
    private async IAsyncEnumerable<ChatPiece> FittingAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        while (true)
        {
            var pieces = PiecesAsync(cancellation).GetAsyncEnumerator(cancellation);
            await using (pieces)
            {
                bool there;
                try
                {
                    there = await pieces.MoveNextAsync();
                }
                catch (ServerRefusal e) when (e.Code == ContextOverflow.Code && NextTurn() is { } next)
                {
                    Skipped = next;
                    continue;
                }
                for (; there; there = await pieces.MoveNextAsync())
                    yield return pieces.Current;
                yield break;
            }
        }
    }

    // A conversation begins with a question.
    private int? NextTurn()
    {
        for (var i = Skipped + 1; i < Conversation.Entries.Count; i++)
        {
            if (Conversation.Entries[i].IsQuestion)
                return i;
        }
        return null;
    }

    private async IAsyncEnumerable<ChatPiece> PiecesAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var body = Body();
        body["stream"] = true;
        body["stream_options"] = new JsonObject { ["include_usage"] = true };
        body["timings_per_token"] = true;
        await foreach (var json in Client.StreamAsync("v1/chat/completions", body, cancellation))
        {
            Figures = Figures.With(json);
            if (!json.TryGetProperty("choices", out var choices) || choices.GetArrayLength() == 0)
                continue;
            var delta = choices[0].GetProperty("delta");
            if (delta.TryGetProperty("reasoning_content", out var thought) && thought.GetString() is { Length: > 0 } thinking)
                yield return new ChatPiece(thinking, IsReasoning: true);
            if (delta.TryGetProperty("content", out var content) && content.GetString() is { Length: > 0 } text)
                yield return new ChatPiece(text, IsReasoning: false);
        }
    }

    private static JsonArray ListOf(IReadOnlyList<string> texts)
    {
        var list = new JsonArray();
        foreach (var text in texts)
            list.Add((JsonNode?)text);
        return list;
    }
}
