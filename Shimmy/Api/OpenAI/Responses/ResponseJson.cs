using System.Buffers;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>The object <c>response</c>, as answers, events and stored answers have it.</summary>
internal static class ResponseJson
{
    /// <summary>The object in UTF-8.</summary>
    public static byte[] Of(ResponseHead outline, ResponseOutcome outcome)
    {
        var buffer = new ArrayBufferWriter<byte>(2048);
        using (var json = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
            Write(json, outline, outcome);
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, ResponseHead outline, ResponseOutcome outcome)
    {
        var fields = outline.Body.Fields;
        var request = outline.Body.Request;
        json.WriteStartObject();
        json.WriteString("id", outline.Id);
        json.WriteString("object"u8, "response"u8);
        json.WriteNumber("created_at", outline.Created);
        json.WriteString("status", outcome.Status);
        json.WriteBoolean("background", false);
        WriteError(json, outcome.Error);
        WriteIncompleteDetails(json, outcome.Status);
        json.WriteString("instructions", fields.Text("instructions"));
        WriteWhole(json, "max_output_tokens", request.Options.MaxTokens is int.MaxValue ? null : request.Options.MaxTokens);
        WriteWhole(json, "max_tool_calls", fields.Whole("max_tool_calls", 1, int.MaxValue));
        json.WriteString("model", outline.Model);
        json.WriteStartArray("output");
        foreach (var item in outcome.Output)
            item.Write(json);
        json.WriteEndArray();
        json.WriteBoolean("parallel_tool_calls", request.ParallelToolCalls);
        json.WriteString("previous_response_id", outline.Body.Previous?.Id);
        json.WriteString("prompt_cache_key", fields.Text("prompt_cache_key"));
        json.WriteStartObject("reasoning");
        json.WriteString("effort", fields.Object("reasoning")?.Text("effort"));
        json.WriteString("summary", fields.Object("reasoning")?.Text("summary"));
        json.WriteEndObject();
        json.WriteString("safety_identifier", fields.Text("safety_identifier"));
        json.WriteString("service_tier"u8, "default"u8);
        json.WriteBoolean("store", outline.Body.Store);
        json.WriteNumber("temperature", request.Options.Temperature);
        WriteText(json, fields.Object("text"));
        WriteTools(json, fields);
        json.WriteNumber("top_logprobs", request.Options.TopLogProbabilities ?? 0);
        json.WriteNumber("top_p", request.Options.TopP);
        json.WriteString("truncation"u8, "disabled"u8);
        WriteUsage(json, outcome);
        json.WriteString("user", fields.Text("user"));
        json.WriteStartObject("metadata");
        if (fields.Object("metadata") is { } metadata)
        {
            foreach (var name in metadata.Names)
                json.WriteString(name, metadata.Text(name) ?? "");
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteError(Utf8JsonWriter json, ApiError? error)
    {
        if (error is null)
        {
            json.WriteNull("error");
            return;
        }
        json.WriteStartObject("error");
        json.WriteString("code", CodeOf(error));
        json.WriteString("message", error.Message);
        json.WriteEndObject();
    }

    /// <summary>OpenAI's name of what went wrong: clients know no others here.</summary>
    public static string CodeOf(ApiError error) => error.Status == 429 ? "rate_limit_exceeded" : "server_error";

    private static void WriteIncompleteDetails(Utf8JsonWriter json, string status)
    {
        if (status != "incomplete")
        {
            json.WriteNull("incomplete_details");
            return;
        }
        json.WriteStartObject("incomplete_details");
        json.WriteString("reason"u8, "max_output_tokens"u8);
        json.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter json, RequestFields? text)
    {
        json.WriteStartObject("text");
        json.WritePropertyName("format");
        if (text?.Find("format") is { } format)
        {
            format.WriteTo(json);
        }
        else
        {
            json.WriteStartObject();
            json.WriteString("type"u8, "text"u8);
            json.WriteEndObject();
        }
        json.WriteString("verbosity", text?.Text("verbosity") ?? "medium");
        json.WriteEndObject();
    }

    // Tools that were left out were not there for the model, and are not reported as if they had been.
    private static void WriteTools(Utf8JsonWriter json, RequestFields fields)
    {
        json.WritePropertyName("tool_choice");
        if (fields.Find("tool_choice") is { } choice)
            choice.WriteTo(json);
        else
            json.WriteStringValue("auto"u8);
        json.WriteStartArray("tools");
        foreach (var value in fields.List("tools") ?? [])
        {
            var tool = RequestFields.Of(value, "tools");
            if ((tool.Text("type") ?? "function") != "function")
                continue;
            json.WriteStartObject();
            json.WriteString("type"u8, "function"u8);
            json.WriteString("name", tool.Text("name"));
            json.WriteString("description", tool.Text("description"));
            json.WritePropertyName("parameters");
            if (tool.Find("parameters") is { } parameters)
                parameters.WriteTo(json);
            else
                json.WriteNullValue();
            json.WriteBoolean("strict", tool.Flag("strict") ?? false);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteUsage(Utf8JsonWriter json, ResponseOutcome outcome)
    {
        if (outcome.Usage is not { } usage)
        {
            json.WriteNull("usage");
            return;
        }
        json.WriteStartObject("usage");
        json.WriteNumber("input_tokens", usage.PromptTokens);
        json.WriteStartObject("input_tokens_details");
        json.WriteNumber("cached_tokens", usage.CachedTokens);
        json.WriteEndObject();
        json.WriteNumber("output_tokens", usage.CompletionTokens);
        json.WriteStartObject("output_tokens_details");
        json.WriteNumber("reasoning_tokens", outcome.ReasoningTokens);
        json.WriteEndObject();
        json.WriteNumber("total_tokens", usage.TotalTokens);
        json.WriteEndObject();
    }

    private static void WriteWhole(Utf8JsonWriter json, string name, int? value)
    {
        if (value is { } number)
            json.WriteNumber(name, number);
        else
            json.WriteNull(name);
    }
}

/// <summary>The constant part of an answer, known before it is generated.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Created">When it began, in seconds since 1970.</param>
/// <param name="Model">The model's name.</param>
/// <param name="Body">What was asked, with the model's defaults.</param>
internal sealed record ResponseHead(string Id, long Created, string Model, ResponseRequestBody Body);

/// <summary>Status, output and usage of an answer, finished or not.</summary>
/// <param name="Status"><c>in_progress</c>, <c>completed</c>, <c>incomplete</c>, <c>cancelled</c> or <c>failed</c>.</param>
/// <param name="Output">Its items.</param>
internal sealed record ResponseOutcome(string Status, IReadOnlyList<ResponseItem> Output)
{
    /// <summary>Tokens; null where the answer did not end by itself.</summary>
    public Usage? Usage { get; init; }

    /// <summary>Number of the answer's tokens that were reasoning.</summary>
    public int ReasoningTokens { get; init; }

    /// <summary>Error of a failed answer; null for others.</summary>
    public ApiError? Error { get; init; }
}
