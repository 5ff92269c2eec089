using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>Pieces that OpenAI's answers share.</summary>
internal static class OpenAIJson
{
    /// <summary>OpenAI's names of the reasons.</summary>
    public static string FinishReasonOf(OutputEnd end) =>
        end.Reason == FinishReason.Length ? "length" : end.CalledTools ? "tool_calls" : "stop";

    /// <summary>llama.cpp's array <c>tokens</c>: the ids of the tokens that a text is made of.</summary>
    public static void WriteTokens(Utf8JsonWriter json, IReadOnlyList<GeneratedToken>? tokens)
    {
        json.WriteStartArray("tokens");
        foreach (var token in tokens ?? [])
            json.WriteNumberValue(token.Token);
        json.WriteEndArray();
    }

    /// <summary>A whole answer of a completion, of messages or of text.</summary>
    /// <param name="context">The request.</param>
    /// <param name="head">What the answer is: its id, OpenAI's name of the kind, when it was made, by which model.</param>
    /// <param name="details">What is written beside the texts.</param>
    /// <param name="answers">The choices.</param>
    /// <param name="usage">The tokens of all.</param>
    /// <param name="writeChoice">Writes the text of a choice, by its number.</param>
    /// <param name="reasons">Whether the tokens of reasoning are told apart.</param>
    public static Task WriteAnswerAsync(
        HttpContext context, (string Id, string Kind, long Created, string Model) head, OutputDetails details, Answer[] answers,
        Usage usage, Action<Utf8JsonWriter, int> writeChoice, bool reasons = false) => JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("id", head.Id);
            json.WriteString("object", head.Kind);
            json.WriteNumber("created", head.Created);
            json.WriteString("model", head.Model);
            details.WriteBuild(json);
            json.WriteStartArray("choices");
            for (var i = 0; i < answers.Length; i++)
            {
                json.WriteStartObject();
                json.WriteNumber("index", i);
                writeChoice(json, i);
                if (details.Tokens)
                    WriteTokens(json, answers[i].Tokens);
                json.WriteString("finish_reason", FinishReasonOf(answers[i].End));
                json.WriteEndObject();
            }
            json.WriteEndArray();
            WriteUsage(json, usage, reasons ? answers.Sum(answer => answer.End.ReasoningTokens) : null);
            details.WriteTail(json, answers[0].End, answers[0].Text);
            json.WriteEndObject();
        });

    /// <summary>The answer of routes that count the tokens of a request.</summary>
    public static void WriteInputTokens(Utf8JsonWriter json, int tokens)
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "response.input_tokens"u8);
        json.WriteNumber("input_tokens", tokens);
        json.WriteEndObject();
    }

    /// <summary>The object <c>usage</c>; with the tokens of reasoning where they were counted.</summary>
    public static void WriteUsage(Utf8JsonWriter json, Usage usage, int? reasoningTokens = null)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", usage.PromptTokens);
        json.WriteNumber("completion_tokens", usage.CompletionTokens);
        json.WriteNumber("total_tokens", usage.TotalTokens);
        json.WriteStartObject("prompt_tokens_details");
        json.WriteNumber("cached_tokens", usage.CachedTokens);
        json.WriteEndObject();
        if (reasoningTokens is { } tokens)
        {
            json.WriteStartObject("completion_tokens_details");
            json.WriteNumber("reasoning_tokens", tokens);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }
}

/// <summary><c>stream_options</c>, which chat and text completions share.</summary>
internal static class StreamOptions
{
    /// <summary>Whether a chunk with the usage is wanted at the end; throws <see cref="ApiException"/> where the field is wrong.</summary>
    public static bool IncludeUsage(RequestFields fields)
    {
        // include_obfuscation asks for padding against eavesdroppers on the way; on loopback there is nothing to hide.
        var options = fields.Object("stream_options");
        _ = options?.Flag("include_obfuscation");
        return options?.Flag("include_usage") ?? false;
    }
}

/// <summary>
/// Details of an answer that are written beside its text: OpenAI's <c>logprobs</c>, llama.cpp's <c>return_tokens</c> and
/// <c>timings_per_token</c>.
/// </summary>
/// <param name="LogProbabilities">Whether the tokens' probabilities are reported.</param>
/// <param name="Tokens">Whether the tokens' ids are reported.</param>
/// <param name="Timings">Whether the times are reported, in a stream with every chunk.</param>
internal readonly record struct OutputDetails(bool LogProbabilities, bool Tokens, bool Timings)
{
    /// <summary>
    /// Whether the answer is one of <c>shimmy llama-server</c>, which reports its build, and its times at the end, unasked.
    /// </summary>
    public bool AsLlamaServer { get; init; }

    /// <summary>The prompt as the model reads it, where it is to be reported (<c>verbose</c>); else null.</summary>
    public string? VerbosePrompt { get; init; }

    /// <summary>Longest silence of a stream; null never breaks it.</summary>
    public TimeSpan? PingAfter { get; init; }

    /// <summary>Writes llama-server's name of its build.</summary>
    public void WriteBuild(Utf8JsonWriter json)
    {
        if (AsLlamaServer)
            json.WriteString("system_fingerprint", LlamaServerMode.BuildInfo);
    }

    /// <summary>Writes what llama-server adds to a whole answer.</summary>
    public void WriteTail(Utf8JsonWriter json, OutputEnd end, string text)
    {
        if (Timings || AsLlamaServer)
            TimingsJson.Write(json, end);
        if (VerbosePrompt is null)
            return;
        json.WriteStartObject("__verbose");
        json.WriteString("content", text);
        json.WriteString("prompt", VerbosePrompt);
        json.WriteBoolean("stop", true);
        json.WriteNumber("tokens_predicted", end.Usage.CompletionTokens);
        json.WriteNumber("tokens_evaluated", end.Usage.PromptTokens);
        json.WriteString("stop_type", LlamaOptions.StopTypeOf(end));
        json.WriteString("stopping_word", end.StopString ?? "");
        json.WriteEndObject();
    }

    /// <summary>Reads the fields; the probabilities have different forms in the routes and are read there.</summary>
    public static OutputDetails Read(RequestFields fields, bool logProbabilities, LlamaServerMode mode) =>
        new(logProbabilities, fields.Flag("return_tokens") ?? fields.Flag("return_token_ids") ?? false,
            fields.Flag("timings_per_token") ?? false)
        {
            AsLlamaServer = mode.IsOn,
            PingAfter = LlamaOptions.Ping(fields, mode, isOwn: false),
        };
}
