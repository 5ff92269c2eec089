using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Api;

/// <summary>
/// llama.cpp's <c>draft_n</c> and <c>draft_n_accepted</c> of a <c>timings</c> object, where speculative decoding was used.
/// </summary>
internal static class DraftTimings
{
    /// <summary>Writes both fields, or none without drafts.</summary>
    public static void Write(Utf8JsonWriter json, GenerationTimings timings)
    {
        if (timings.DraftedTokens == 0)
            return;
        json.WriteNumber("draft_n", timings.DraftedTokens);
        json.WriteNumber("draft_n_accepted", timings.AcceptedTokens);
    }
}

/// <summary>
/// The <c>timings</c> object of llama.cpp's server (<c>timings_per_token</c>), from the times of an answer's events so far.
/// </summary>
internal sealed class TimingsJson
{
    private TimeSpan _started;
    private TimeSpan _first;
    private TimeSpan _now;
    private int _tokens;
    private GenerationStart? _start;
    private GenerationTimings? _ended;
    private int? _computed;

    /// <summary>Takes the counts and times of an event.</summary>
    public void Note(in OutputEvent outputEvent)
    {
        if (outputEvent.Start is { } start)
            (_start, _started) = (start, outputEvent.Elapsed);
        _ended = outputEvent.End?.Timings ?? _ended;
        _computed = outputEvent.Progress ?? _computed;
        // Not every event has a time.
        _now = outputEvent.Elapsed > _now ? outputEvent.Elapsed : _now;
        if (outputEvent.Tokens is not { Count: > 0 } tokens)
            return;
        _first = _tokens == 0 ? _now : _first;
        _tokens += tokens.Count;
    }

    /// <summary>Writes the object, once the prompt is reported or a first token has come.</summary>
    public void Write(Utf8JsonWriter json)
    {
        if (_start is not { } start)
            return;
        if (_tokens == 0)
        {
            if (_computed is { } computed)
                Write(json, start.CachedTokens, computed, 0, computed > start.CachedTokens ? (_now - _started).TotalMilliseconds : 0, 0);
            return;
        }
        Write(json, start.CachedTokens, start.PromptTokens, _tokens, (_first - _started).TotalMilliseconds,
            (_now - _first).TotalMilliseconds, _ended);
    }

    /// <summary>Writes the object of a complete answer.</summary>
    public static void Write(Utf8JsonWriter json, OutputEnd end) => Write(json, end.Usage.CachedTokens, end.Usage.PromptTokens,
        end.Usage.CompletionTokens, end.Timings.PrefillMilliseconds, end.Timings.DecodeMilliseconds, end.Timings);

    // In llama.cpp, prompt_n counts the prompt's computed tokens, and cache_n the cached ones.
    private static void Write(Utf8JsonWriter json, int cached, int prompt, int predicted, double promptTime, double predictedTime,
        GenerationTimings? ended = null)
    {
        json.WriteStartObject("timings");
        json.WriteNumber("cache_n", cached);
        Half("prompt", prompt - cached, prompt - cached, promptTime);
        // The first token took no step: the prompt gave it.
        Half("predicted", predicted, Math.Max(0, predicted - 1), predictedTime);
        if (ended is not null)
            DraftTimings.Write(json, ended);
        json.WriteEndObject();

        // The rates are those of the time that is reported.
        void Half(string name, int tokens, int steps, double time)
        {
            time = Math.Round(time, 3);
            json.WriteNumber($"{name}_n", tokens);
            json.WriteNumber($"{name}_ms", time);
            json.WriteNumber($"{name}_per_token_ms", steps == 0 ? 0 : time / steps);
            json.WriteNumber($"{name}_per_second", time <= 0 ? 0 : 1000 * steps / time);
        }
    }
}

/// <summary>llama-server's <c>prompt_progress</c>: how much of a prompt is computed.</summary>
internal static class PromptProgress
{
    /// <summary>Writes the object.</summary>
    public static void Write(Utf8JsonWriter json, GenerationStart start, int computed, TimeSpan elapsed)
    {
        json.WriteStartObject("prompt_progress");
        json.WriteNumber("total", start.PromptTokens);
        json.WriteNumber("cache", start.CachedTokens);
        json.WriteNumber("processed", computed);
        json.WriteNumber("time_ms", Math.Round(elapsed.TotalMilliseconds));
        json.WriteEndObject();
    }
}
