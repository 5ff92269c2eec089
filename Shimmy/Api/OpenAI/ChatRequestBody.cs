using System.Text.Json;
using Shimmy.Chat;
using Shimmy.Engine;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// <c>POST /v1/chat/completions</c>, read and checked (OpenAI's API reference). Fields that we cannot honour yet are refused by name;
/// fields that neither OpenAI nor llama.cpp documents are none of our business.
/// </summary>
internal sealed record ChatRequestBody(ChatRequest Request, bool Stream, bool IncludeUsage)
{
    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static ChatRequestBody Read(RequestFields fields)
    {
        RefuseUnsupported(fields);
        var messages = fields.List("messages")
            ?? throw ApiException.BadField("messages", "is missing; an array of messages is required", "missing_required_parameter");
        if (messages.Count == 0)
            throw ApiException.BadField("messages", "is empty; at least one message is required");
        var options = SamplingFields.Read(fields, new GenerationOptions()) with { MaxTokens = MaxTokens(fields) };
        return new ChatRequestBody(
            new ChatRequest
            {
                Messages = [.. messages.Select((message, i) => Message(RequestFields.Of(message, $"messages[{i}]")))],
                Options = options,
                Grammar = fields.Text("grammar"),
                ContinueFinalMessage = fields.Flag("continue_final_message") ?? false,
            },
            fields.Flag("stream") ?? false,
            StreamOptions.IncludeUsage(fields));
    }

    /// <summary>The request with the model's own defaults in place of llama.cpp's.</summary>
    public ChatRequestBody WithDefaultsOf(ModelFacts facts, RequestFields fields) => this with
    {
        Request = Request with
        {
            Options = SamplingFields.Read(fields, SamplingFields.ModelDefaults(facts)) with { MaxTokens = Request.Options.MaxTokens },
        },
    };

    // max_completion_tokens is OpenAI's present name of max_tokens; both at once must agree.
    private static int? MaxTokens(RequestFields fields)
    {
        var old = fields.Whole("max_tokens", 1, int.MaxValue);
        var present = fields.Whole("max_completion_tokens", 1, int.MaxValue);
        return old is not null && present is not null && old != present
            ? throw ApiException.BadField("max_tokens", "differs from max_completion_tokens; give one of them")
            : present ?? old;
    }

    private static ChatMessage Message(RequestFields message)
    {
        var role = message.Choice("role", "system", "developer", "user", "assistant")
            ?? throw ApiException.BadField(message.FullName("role"), "is missing; 'system', 'developer', 'user' or 'assistant' is required");
        message.Refuse("tool_calls", "tool calls are not supported yet", IsEmptyArray);
        message.Refuse("function_call", "function calls are not supported yet");
        message.Refuse("audio", "audio is not supported");
        var content = Content(message);
        if (content.Count == 0 && role != "assistant")
            throw ApiException.BadField(message.FullName("content"), "is missing; a string or an array of text parts is required");
        return new ChatMessage { Role = role, Content = content, Name = message.Text("name") };
    }

    private static IReadOnlyList<ContentPart> Content(RequestFields message)
    {
        var full = message.FullName("content");
        return message.Find("content") switch
        {
            null => message.Text("refusal") is { } refusal ? [new ContentPart(refusal)] : [],
            { ValueKind: JsonValueKind.Array } parts => [.. parts.EnumerateArray().Select((part, i) => Part(RequestFields.Of(part, $"{full}[{i}]")))],
            { ValueKind: JsonValueKind.String } text => [new ContentPart(RequestFields.TextOf(text, full))],
            { } other => throw ApiException.BadField(full, $"must be a string or an array of parts, not {RequestFields.Describe(other)}"),
        };
    }

    private static ContentPart Part(RequestFields part) => part.RequiredText("type") switch
    {
        "text" => new ContentPart(part.RequiredText("text")),
        "refusal" => new ContentPart(part.RequiredText("refusal")),
        var type => throw ApiException.BadField(part.FullName("type"), $"{RequestFields.Quote(type)} is not supported by this model; 'text' is"),
    };

    private static void RefuseUnsupported(RequestFields fields)
    {
        fields.Refuse("tools", "tools are not supported yet", IsEmptyArray);
        fields.Refuse("tool_choice", "tools are not supported yet", value => value.ValueKind == JsonValueKind.String && value.ValueEquals("none"));
        fields.Refuse("functions", "functions are not supported yet", IsEmptyArray);
        fields.Refuse("function_call", "functions are not supported yet", value => value.ValueKind == JsonValueKind.String && value.ValueEquals("none"));
        fields.Refuse("response_format", "only {\"type\":\"text\"} is supported yet", value => value.ValueKind == JsonValueKind.Object
            && value.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("text"));
        fields.Refuse("json_schema", "is not supported yet");
        fields.Refuse("n", "only 1 answer is supported yet", value => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var n) && n == 1);
        fields.Refuse("logprobs", "is not supported yet", value => value.ValueKind == JsonValueKind.False);
        fields.Refuse("top_logprobs", "is not supported yet", value => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var n) && n == 0);
        fields.Refuse("reasoning_effort", "is not supported yet");
        fields.Refuse("chat_template_kwargs", "is not supported yet");
        fields.Refuse("enable_thinking", "is not supported yet");
        fields.Refuse("audio", "audio is not supported");
        fields.Refuse("modalities", "only text is supported", value => value.ValueKind == JsonValueKind.Array
            && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String && item.ValueEquals("text")));
        fields.Refuse("prediction", "predicted outputs are not supported");
        fields.Refuse("web_search_options", "web search is not supported");
        fields.Refuse("store", "nothing is stored here", value => value.ValueKind == JsonValueKind.False);
        fields.Refuse("verbosity", "is not supported by local models");
        fields.Refuse("return_tokens", "is not supported yet", value => value.ValueKind == JsonValueKind.False);
        fields.Refuse("timings_per_token", "is not supported yet", value => value.ValueKind == JsonValueKind.False);
    }

    private static bool IsEmptyArray(JsonElement value) => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0;
}
