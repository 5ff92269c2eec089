using System.Text.Json;
using Shimmy.Engine;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/completions</c>, read and checked (OpenAI's legacy API reference).</summary>
internal sealed record CompletionRequestBody(IReadOnlyList<Prompt> Prompts, GenerationOptions Options, string? Grammar, bool Stream, bool IncludeUsage)
{
    private const int MostPrompts = 256;

    // OpenAI's own default; its chat route has none.
    private const int DefaultMaxTokens = 16;

    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static CompletionRequestBody Read(RequestFields fields)
    {
        RefuseUnsupported(fields);
        var prompts = ReadPrompts(fields);
        var stream = fields.Flag("stream") ?? false;
        return new CompletionRequestBody(
            prompts,
            SamplingFields.Read(fields, new GenerationOptions()) with
            {
                MaxTokens = fields.Whole("max_tokens", 1, int.MaxValue) ?? DefaultMaxTokens,
            },
            fields.Text("grammar"),
            stream,
            StreamOptions.IncludeUsage(fields));
    }

    /// <summary>The request with the model's own defaults in place of llama.cpp's.</summary>
    public CompletionRequestBody WithDefaultsOf(ModelFacts facts, RequestFields fields) => this with
    {
        Options = SamplingFields.Read(fields, SamplingFields.ModelDefaults(facts)) with { MaxTokens = Options.MaxTokens },
    };

    // A string, tokens, or an array of either.
    private static IReadOnlyList<Prompt> ReadPrompts(RequestFields fields)
    {
        if (fields.Find("prompt") is not { } value)
            throw ApiException.BadField("prompt", "is missing; a string, an array of tokens or an array of either is required", "missing_required_parameter");
        if (value.ValueKind == JsonValueKind.String)
            return [Prompt.FromText(RequestFields.TextOf(value, "prompt"))];
        if (value.ValueKind != JsonValueKind.Array)
            throw ApiException.BadField("prompt", $"must be a string or an array, not {RequestFields.Describe(value)}");
        var elements = value.EnumerateArray().ToArray();
        if (elements.Length == 0)
            throw ApiException.BadField("prompt", "is empty");
        if (elements[0].ValueKind == JsonValueKind.Number)
            return [Tokens(elements, "prompt")];
        if (elements.Length > MostPrompts)
            throw ApiException.BadField("prompt", $"has {elements.Length} prompts; at most {MostPrompts} are allowed");
        return [.. elements.Select((element, i) => element.ValueKind == JsonValueKind.Array
            ? Tokens([.. element.EnumerateArray()], $"prompt[{i}]")
            : Prompt.FromText(RequestFields.TextOf(element, $"prompt[{i}]")))];
    }

    private static Prompt Tokens(JsonElement[] elements, string name) => elements.Length == 0
        ? throw ApiException.BadField(name, "is empty")
        : Prompt.FromTokens([.. elements.Select((element, i) => element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out var token) && token >= 0
            ? token
            : throw ApiException.BadField($"{name}[{i}]", $"must be a token id, not {RequestFields.Describe(element)}"))]);

    private static void RefuseUnsupported(RequestFields fields)
    {
        fields.Refuse("suffix", "is not supported yet", value => value.ValueKind == JsonValueKind.String && value.ValueEquals(""));
        fields.Refuse("echo", "is not supported yet", value => value.ValueKind == JsonValueKind.False);
        fields.Refuse("logprobs", "is not supported yet");
        fields.Refuse("n", "only 1 answer to each prompt is supported yet", IsOne);
        fields.Refuse("best_of", "only 1 is supported", IsOne);
        fields.Refuse("json_schema", "is not supported yet");

        static bool IsOne(JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var n) && n == 1;
    }
}
