using System.Globalization;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.SafeTensors;

namespace Shimmy.Api.Native;

/// <summary>Pieces that the answers of Shimmy's own dialect share.</summary>
internal static class NativeJson
{
    /// <summary>Usage, finish reason, seed and timings: the tail of every answer, streamed or not.</summary>
    public static void WriteTail(Utf8JsonWriter json, uint seed, OutputEnd end)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", end.Usage.PromptTokens);
        json.WriteNumber("completion_tokens", end.Usage.CompletionTokens);
        json.WriteNumber("total_tokens", end.Usage.TotalTokens);
        json.WriteNumber("cached_tokens", end.Usage.CachedTokens);
        json.WriteEndObject();
        json.WriteString("finish_reason", end.Reason == FinishReason.Length ? "length" : "stop");
        json.WriteNumber("seed", seed);
        json.WriteStartObject("timings");
        json.WriteNumber("queue_ms", Math.Round(end.Timings.QueueMilliseconds, 3));
        json.WriteNumber("prefill_ms", Math.Round(end.Timings.PrefillMilliseconds, 3));
        json.WriteNumber("decode_ms", Math.Round(end.Timings.DecodeMilliseconds, 3));
        DraftTimings.Write(json, end.Timings);
        json.WriteEndObject();
    }

    /// <summary>A time as ISO 8601 in UTC with milliseconds; null where there is none.</summary>
    public static void WriteTime(Utf8JsonWriter json, string name, DateTimeOffset? time) => json.WriteString(name,
        time?.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));

    /// <summary>Writes the form of the model's files, and of a folder of SafeTensors how far its conversion is.</summary>
    public static void WriteFormat(Utf8JsonWriter json, ConversionState? conversion)
    {
        json.WriteString("format"u8, conversion is null ? "gguf"u8 : "safetensors"u8);
        if (conversion is null)
            return;
        json.WriteString("conversion", conversion.Word);
        if (conversion.Share is { } share)
            json.WriteNumber("conversion_progress", Math.Round(share, 2));
    }

    /// <summary>The LoRA adapters that requests may choose from; none are known of a model that is not loaded.</summary>
    public static void WriteAdapters(Utf8JsonWriter json, ILoadedModel? model)
    {
        json.WriteStartArray("adapters");
        foreach (var adapter in model?.Facts.Adapters ?? [])
        {
            json.WriteStartObject();
            json.WriteNumber("id", adapter.Id);
            json.WriteString("name", adapter.Name);
            json.WriteString("path", adapter.Path);
            json.WriteNumber("scale", adapter.Scale);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>One token, as an event or a frame.</summary>
    public static void WriteToken(Utf8JsonWriter json, string text)
    {
        json.WriteStartObject();
        json.WriteString("token", text);
        json.WriteEndObject();
    }

    /// <summary>The last event or frame.</summary>
    public static void WriteDone(Utf8JsonWriter json, string model, uint seed, OutputEnd end)
    {
        json.WriteStartObject();
        json.WriteBoolean("done", true);
        json.WriteString("model", model);
        WriteTail(json, seed, end);
        json.WriteEndObject();
    }
}
