using System.Buffers;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// The parts of an answer of <c>/completion</c> that it reports beside its events: the same for all answers of a request.
/// </summary>
/// <param name="Model">The model's name.</param>
/// <param name="Facts">The model's facts.</param>
/// <param name="Request">The request.</param>
internal sealed record LlamaOutline(string Model, ModelFacts Facts, LlamaRequest Request);

/// <summary>One answer of <c>/completion</c> as it grows, and its JSON: the whole of it, and each piece of a stream.</summary>
/// <param name="outline">What it is an answer to.</param>
/// <param name="index">Its number among the answers of the request.</param>
/// <param name="prompt">The prompt as the model reads it.</param>
internal sealed class LlamaAnswer(LlamaOutline outline, int index, string prompt)
{
    private readonly StringBuilder _text = new();
    private readonly List<GeneratedToken> _tokens = [];
    private readonly TimingsJson _times = new();
    private GenerationStart _start = new(0, 0, 0);
    private OutputEnd? _end;
    private bool _hasWritten;

    /// <summary>Whether the answer has a line break.</summary>
    public bool HasNewLine { get; private set; }

    /// <summary>Whether a prompt or answer was cut to fit the context.</summary>
    public bool IsCut { get; set; }

    /// <summary>Takes an event.</summary>
    public void Take(in OutputEvent outputEvent)
    {
        _times.Note(outputEvent);
        _start = outputEvent.Start ?? _start;
        _end = outputEvent.End ?? _end;
        _text.Append(outputEvent.Text);
        HasNewLine |= outputEvent.Text.Contains('\n', StringComparison.Ordinal);
        if (outputEvent.Tokens is { } tokens)
            _tokens.AddRange(tokens);
    }

    /// <summary>Writes what a stream reports of an event that <see cref="Take"/> took; nothing for the start.</summary>
    public void WritePiece(IBufferWriter<byte> output, OutputEvent outputEvent)
    {
        if (outputEvent.End is not null)
        {
            Frame(output, WholeText(streamed: true));
            return;
        }
        if (outputEvent.Start is not null)
            return;
        SseResponse.WriteData(output, json =>
        {
            json.WriteStartObject();
            json.WriteNumber("index", index);
            json.WriteString("content", outputEvent.Text);
            WriteTokens(json, outputEvent.Tokens ?? []);
            json.WriteBoolean("stop", false);
            json.WriteNumber("id_slot", _start.Slot);
            json.WriteNumber("tokens_predicted", _tokens.Count);
            json.WriteNumber("tokens_evaluated", _start.PromptTokens);
            if (outputEvent.Progress is { } computed)
                PromptProgress.Write(json, _start, computed, outputEvent.Elapsed);
            if (outline.Request.Options.TopLogProbabilities is not null && outputEvent.Tokens is { Count: > 0 } tokens)
                WriteProbabilities(json, tokens);
            // The first token has none.
            if (outline.Request.ReportsTimings && (_hasWritten || outputEvent.Progress is not null))
                _times.Write(json);
            json.WriteEndObject();
        });
        _hasWritten |= outputEvent.Progress is null;
    }

    /// <summary>The whole answer as JSON, or those of its parts that the request asks for.</summary>
    public ReadOnlyMemory<byte> WholeText(bool streamed)
    {
        var whole = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(whole, JsonText.WriterOptions))
            WriteWhole(json, streamed);
        return outline.Request.ResponseFields.Count == 0 ? whole.WrittenMemory : Parts(whole.WrittenMemory);
    }

    /// <summary>Writes the whole answer.</summary>
    public void WriteWhole(Utf8JsonWriter json, bool streamed)
    {
        var end = _end ?? new OutputEnd(FinishReason.Length, null, new Usage(0, 0, 0), new GenerationTimings(0, 0, 0));
        var stop = LlamaOptions.StopTypeOf(end);
        // llama-server counts the token that ends the answer, too.
        var predicted = end.Usage.CompletionTokens + (stop == "eos" ? 1 : 0);
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteString("content", streamed ? "" : _text.ToString());
        WriteTokens(json, !streamed && outline.Request.ReturnsTokens ? _tokens : []);
        json.WriteNumber("id_slot", _start.Slot);
        json.WriteBoolean("stop", true);
        json.WriteString("model", outline.Model);
        json.WriteNumber("tokens_predicted", predicted);
        json.WriteNumber("tokens_evaluated", end.Usage.PromptTokens);
        json.WritePropertyName("generation_settings");
        LlamaSettings.Write(json, outline.Request, outline.Facts, _start.Seed);
        json.WriteString("prompt", prompt);
        json.WriteBoolean("has_new_line", HasNewLine);
        json.WriteBoolean("truncated", IsCut
            || (stop == "limit" && end.Usage.PromptTokens + end.Usage.CompletionTokens >= outline.Facts.ContextLength));
        json.WriteString("stop_type", stop);
        json.WriteString("stopping_word", end.StopString ?? "");
        json.WriteNumber("tokens_cached", Math.Max(0, end.Usage.PromptTokens + predicted - 1));
        TimingsJson.Write(json, end with { Usage = end.Usage with { CompletionTokens = predicted } });
        if (!streamed && outline.Request.Options.TopLogProbabilities is not null)
            WriteProbabilities(json, _tokens);
        json.WriteEndObject();
    }

    private static void WriteTokens(Utf8JsonWriter json, IReadOnlyList<GeneratedToken> tokens)
    {
        json.WriteStartArray("tokens");
        foreach (var token in tokens)
            json.WriteNumberValue(token.Token);
        json.WriteEndArray();
    }

    // A field behind slashes gets its path as its name; what is not there is left out.
    private ReadOnlyMemory<byte> Parts(ReadOnlyMemory<byte> whole)
    {
        using var document = JsonDocument.Parse(whole);
        var parts = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(parts, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            foreach (var path in outline.Request.ResponseFields.Distinct())
            {
                var at = document.RootElement;
                if (!path.Split('/').All(name => at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out at)))
                    continue;
                json.WritePropertyName(path);
                at.WriteTo(json);
            }
            json.WriteEndObject();
        }
        return parts.WrittenMemory;
    }

    private static void Frame(IBufferWriter<byte> output, ReadOnlyMemory<byte> body)
    {
        output.Write("data: "u8);
        output.Write(body.Span);
        output.Write("\n\n"u8);
    }

    private void WriteProbabilities(Utf8JsonWriter json, IReadOnlyList<GeneratedToken> tokens)
    {
        var after = outline.Request.Options.AfterSampling;
        var most = outline.Request.Options.TopLogProbabilities ?? 0;
        json.WriteStartArray("completion_probabilities");
        foreach (var token in tokens)
        {
            if (token.LogProbability is not { } likely)
                continue;
            json.WriteStartObject();
            WriteToken(json, token.Token, token.Shown, likely.LogProbability, after);
            json.WriteStartArray(after ? "top_probs" : "top_logprobs");
            // Behind the most likely ones may stand the token itself, for its spelling.
            foreach (var top in likely.Top.Take(most))
            {
                json.WriteStartObject();
                WriteToken(json, top.Token, top.Piece, top.LogProbability, after);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteToken(Utf8JsonWriter json, int id, ReadOnlyMemory<byte> piece, float likely, bool after)
    {
        json.WriteNumber("id", id);
        json.WriteString("token", Encoding.UTF8.GetString(piece.Span));
        json.WriteStartArray("bytes");
        foreach (var value in piece.Span)
            json.WriteNumberValue(value);
        json.WriteEndArray();
        if (after)
            json.WriteNumber("prob", float.IsFinite(likely) ? MathF.Exp(likely) : 0);
        else
            json.WriteNumber("logprob", float.IsFinite(likely) ? likely : float.MinValue);
    }
}

/// <summary>llama-server's <c>generation_settings</c> and <c>params</c>: how an answer is sampled, by its names.</summary>
internal static class LlamaSettings
{
    /// <summary>Writes the object.</summary>
    /// <param name="json">The writer.</param>
    /// <param name="request">The request, with the model's defaults.</param>
    /// <param name="facts">The model's facts.</param>
    /// <param name="seed">The seed in use; null for the one that is asked for.</param>
    public static void Write(Utf8JsonWriter json, LlamaRequest request, ModelFacts facts, uint? seed)
    {
        var options = request.Options;
        json.WriteStartObject();
        json.WriteNumber("seed", seed ?? options.Seed ?? uint.MaxValue);
        foreach (var field in SamplingField.All)
        {
            switch (field.Kind)
            {
                case SamplingKind.Whole:
                    json.WriteNumber(field.Name, (int)field.Get(options)!);
                    break;
                case SamplingKind.Number:
                    json.WriteNumber(field.Name, (float)field.Get(options)!);
                    break;
                case SamplingKind.Texts:
                    json.WriteStartArray(field.Name);
                    foreach (var text in (IReadOnlyList<string>)field.Get(options)!)
                        json.WriteStringValue(text);
                    json.WriteEndArray();
                    break;
                default:
                    break;
            }
        }
        json.WriteNumber("max_tokens", request.Predict);
        json.WriteNumber("n_predict", request.Predict);
        json.WriteNumber("n_keep", request.Keep);
        json.WriteNumber("n_discard", request.Discard);
        json.WriteBoolean("ignore_eos", options.IgnoreEos);
        json.WriteBoolean("stream", request.Stream);
        json.WriteStartArray("logit_bias");
        var ends = options.IgnoreEos ? facts.EndTokens : [];
        foreach (var (token, bias) in options.LogitBias.Concat(ends.Select(end => new LogitBias(end, float.NegativeInfinity))))
        {
            json.WriteStartObject();
            if (float.IsFinite(bias))
                json.WriteNumber("bias", bias);
            else
                json.WriteNull("bias");
            json.WriteNumber("token", token);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNumber("n_probs", options.TopLogProbabilities ?? 0);
        json.WriteNumber("min_keep", options.MinKeep);
        json.WriteString("grammar", request.Grammar?.Text ?? "");
        json.WriteStartArray("samplers");
        foreach (var kind in options.Samplers ?? LlamaOptions.DefaultSamplers)
            json.WriteStringValue(LlamaOptions.NameOf(kind));
        json.WriteEndArray();
        json.WriteBoolean("timings_per_token", request.ReportsTimings);
        json.WriteBoolean("post_sampling_probs", options.AfterSampling);
        json.WriteStartArray("lora");
        foreach (var adapter in options.Loras ?? [])
        {
            json.WriteStartObject();
            json.WriteNumber("id", adapter.Id ?? facts.Adapters.First(one => one.Name == adapter.Name).Id);
            json.WriteNumber("scale", adapter.Scale);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
